package secrets

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSealAndOpen(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "deep", "secrets.key")
	k, err := Open(path, true)
	if err != nil {
		t.Fatal(err)
	}
	s := Preshared()
	sealed := k.Seal(s, "psk a b")
	if bytes.Contains(sealed, []byte(s.Reveal())) {
		t.Fatal("what is sealed can be read")
	}
	if bytes.Equal(sealed, k.Seal(s, "psk a b")) {
		t.Error("the same value is sealed the same way twice")
	}
	again, err := Open(path, false)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := again.Open(sealed, "psk a b"); err != nil || got != s {
		t.Errorf("opened: %v, equal %t", err, got == s)
	}
	if _, err := again.Open(sealed, "psk a c"); !errors.Is(err, ErrDamaged) {
		t.Errorf("opened for another purpose: %v", err)
	}
	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 1
		if _, err := again.Open(changed, "psk a b"); err == nil {
			t.Errorf("byte %d changed: opened all the same", i)
		}
		if _, err := again.Open(sealed[:i], "psk a b"); err == nil {
			t.Errorf("cut to %d bytes: opened all the same", i)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key file: %v, %v", info.Mode(), err)
	}
}

// TestAnotherKeyInFront is how an envelope key is replaced: the new one seals, the old one still opens.
func TestAnotherKeyInFront(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "secrets.key")
	old, err := Open(path, true)
	if err != nil {
		t.Fatal(err)
	}
	sealed := old.Seal(New("x"), "p")
	was, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	line := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32)) + " # 2026\n\n"
	if err := os.WriteFile(path, append([]byte(line), was...), 0o600); err != nil {
		t.Fatal(err)
	}
	k, err := Open(path, false)
	if err != nil {
		t.Fatal(err)
	}
	if s, err := k.Open(sealed, "p"); err != nil || s.Reveal() != "x" || !k.Stale(sealed) {
		t.Errorf("opened with the old key: %v, stale %t", err, k.Stale(sealed))
	}
	if anew := k.Seal(New("x"), "p"); k.Stale(anew) {
		t.Error("sealed with the old key")
	} else if _, err := old.Open(anew, "p"); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("opened without the key: %v", err)
	}
}

func TestBadFiles(t *testing.T) {
	t.Parallel()
	good := base64.StdEncoding.EncodeToString(make([]byte, 32)) + "\n"
	for name, tt := range map[string]struct {
		content string
		mode    os.FileMode
		want    string
	}{
		"readable by others": {good, 0o644, "mode 0644"},
		"empty":              {"# nothing\n", 0o600, "holds no key"},
		"short":              {"AAAA\n", 0o600, "line 1: not 32 bytes"},
		"no base64":          {good + "!!\n", 0o600, "line 2: not 32 bytes"},
		"too many":           {strings.Repeat(good, 17), 0o600, "17 keys"},
		"too long":           {strings.Repeat("#\n", maxFile), 0o600, "longer than"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "k")
			if err := os.WriteFile(path, []byte(tt.content), tt.mode); err != nil {
				t.Fatal(err)
			}
			if _, err := Open(path, true); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
	if _, err := Open(filepath.Join(t.TempDir(), "k"), false); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

func TestNothingShowsASecret(t *testing.T) {
	t.Parallel()
	s := New("hunter2")
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, verb, s)
		fmt.Fprintf(&out, verb, struct{ S Secret }{s})
		fmt.Fprintf(&out, verb, &struct{ S *Secret }{&s})
	}
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "secret", s, "in", struct{ S Secret }{s})
	if err := json.NewEncoder(&out).Encode(map[string]any{"s": s}); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "hunter2") || strings.Contains(out.String(), "68756e74") {
		t.Errorf("shown:\n%s", out.String())
	}
	if s.IsZero() || !New("").IsZero() {
		t.Error("zero is wrong")
	}
}
