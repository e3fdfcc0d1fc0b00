package config_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"poolwire/daemon/config"
)

func loadText(t *testing.T, text string) (config.Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "poolwired.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return config.Load(config.Sources{DefaultFile: path})
}

var commentedOut = regexp.MustCompile(`(?m)^( *)#([a-z_]+:)`)

// The example changes nothing, neither as it is nor with every setting uncommented.
func TestExampleIsTheDefault(t *testing.T) {
	t.Parallel()
	full := commentedOut.ReplaceAllString(config.Example(), "$1$2")
	if n := len(commentedOut.FindAllString(config.Example(), -1)); n < 20 {
		t.Errorf("only %d settings in the example", n)
	}
	for name, text := range map[string]string{"as it is": config.Example(), "uncommented": full} {
		got, err := loadText(t, text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(config.Default(), got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// Each uncommented setting is really read: with a broken value it is refused.
func TestExampleSettingsAreRead(t *testing.T) {
	t.Parallel()
	full := commentedOut.ReplaceAllString(config.Example(), "$1$2")
	lines := strings.Split(full, "\n")
	for i, line := range lines {
		key, _, ok := strings.Cut(line, ": ")
		if !ok || strings.Contains(key, "#") {
			continue
		}
		broken := append([]string{}, lines...)
		broken[i] = key + `: "\0"`
		if _, err := loadText(t, strings.Join(broken, "\n")); err == nil || !strings.Contains(err.Error(), strings.TrimSpace(key)) {
			t.Errorf("%s: %v", key, err)
		}
	}
}

func TestExampleIsNarrow(t *testing.T) {
	t.Parallel()
	for line := range strings.Lines(config.Example()) {
		if len(strings.TrimSuffix(line, "\n")) > 80 {
			t.Errorf("longer than 80 columns: %q", line)
		}
	}
}
