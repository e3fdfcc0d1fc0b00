package config_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"poolwire/daemon/config"
	"poolwire/secrets"
)

// load loads with a file's content, an environment and arguments.
func load(t *testing.T, file string, env map[string]string, args ...string) (config.Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "poolwired.yaml")
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	fs := pflag.NewFlagSet("poolwired", pflag.ContinueOnError)
	config.RegisterFlags(fs)
	if err := fs.Parse(args); err != nil {
		return config.Config{}, err
	}
	return config.Load(config.Sources{
		Flags: fs, DefaultFile: path,
		LookupEnv: func(name string) (string, bool) { v, ok := env[name]; return v, ok },
	})
}

func TestNothingGivenIsDefault(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"", "# only a comment\n", "---\n", "listen:\n", "node_id:\nlog: {}\n"} {
		got, err := load(t, file, nil)
		if err != nil {
			t.Errorf("%q: %v", file, err)
		}
		if diff := cmp.Diff(config.Default(), got); diff != "" {
			t.Errorf("%q: %s", file, diff)
		}
	}
	if got, err := config.Load(config.Sources{DefaultFile: filepath.Join(t.TempDir(), "none.yaml")}); err != nil || !cmp.Equal(got, config.Default()) {
		t.Errorf("no file: %v, %v", got, err)
	}
}

func TestPrecedence(t *testing.T) {
	t.Parallel()
	const file = "log:\n  level: debug\nreconcile: {resync_interval: 90s}\n"
	env := map[string]string{"POOLWIRE_LOG_LEVEL": "warn"}
	tests := []struct {
		name, file string
		env        map[string]string
		args       []string
		want       string
	}{
		{"default", "", nil, nil, "info"},
		{"file over default", file, nil, nil, "debug"},
		{"environment over file", file, env, nil, "warn"},
		{"flag over environment", file, env, []string{"--log-level=error"}, "error"},
		{"flag with the default's value", file, env, []string{"--log-level", "info"}, "info"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := load(t, tt.file, tt.env, tt.args...)
			if err != nil {
				t.Fatal(err)
			}
			if got.Log.Level != tt.want {
				t.Errorf("got %q, want %q", got.Log.Level, tt.want)
			}
			if tt.file != "" && got.Reconcile.ResyncInterval != 90*time.Second {
				t.Errorf("another setting of the file was lost: %v", got.Reconcile.ResyncInterval)
			}
		})
	}
}

func TestEveryKindOfValue(t *testing.T) {
	t.Parallel()
	const file = `
node_id: n1
data_dir: /srv/poolwire/
join: [192.0.2.1:6700, "[2001:db8::1]:6700", n3.example:6700]
listen:
  openflow: ":6653"
  metrics: ""
log.format: json
tls: {legacy_ciphers: true}
reconcile: {resync_interval: 1h30m}
limits:
  ovsdb_message: 1048576
`
	want := config.Default()
	want.NodeID, want.DataDir = "n1", "/srv/poolwire"
	want.Join = []string{"192.0.2.1:6700", "[2001:db8::1]:6700", "n3.example:6700"}
	want.Listen.OpenFlow, want.Listen.Metrics = ":6653", ""
	want.Log.Format, want.TLS.LegacyCiphers = "json", true
	want.Reconcile.ResyncInterval, want.Limits.OVSDBMessage = 90*time.Minute, 1<<20
	got, err := load(t, file, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestListsReplaceThoseOfLesserSources(t *testing.T) {
	t.Parallel()
	const file = "join: [a.example:1, b.example:2]\n"
	env := map[string]string{"POOLWIRE_JOIN": "c.example:3, d.example:4"}
	tests := []struct {
		name string
		env  map[string]string
		args []string
		want []string
	}{
		{"file", nil, nil, []string{"a.example:1", "b.example:2"}},
		{"environment", env, nil, []string{"c.example:3", "d.example:4"}},
		{"flag", env, []string{"--join=e.example:5", "--join", "f.example:6,e.example:5"}, []string{"e.example:5", "f.example:6"}},
		{"emptied", map[string]string{"POOLWIRE_JOIN": ""}, nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := load(t, file, tt.env, tt.args...)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got.Join); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestNamedFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "other.yaml")
	if err := os.WriteFile(path, []byte("node_id: other\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, source := range map[string]struct {
		env  map[string]string
		args []string
	}{
		"flag":        {map[string]string{"POOLWIRE_CONFIG": "/nowhere.yaml"}, []string{"--config", path}},
		"environment": {map[string]string{"POOLWIRE_CONFIG": path}, nil},
	} {
		got, err := load(t, "node_id: default-file\n", source.env, source.args...)
		if err != nil || got.NodeID != "other" {
			t.Errorf("%s: %q, %v", name, got.NodeID, err)
		}
	}
	if _, err := load(t, "", nil, "--config", filepath.Join(dir, "missing.yaml")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a named file that is missing: %v", err)
	}
}

func TestRefusedFiles(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, file, want string }{
		{"misspelt key", "log:\n  levl: debug\n", `:2: unknown key "log.levl", did you mean "log.level"?`},
		{"misspelt section", "listne:\n  api: x\n", `:1: unknown key "listne", did you mean "listen"?`},
		{"flag's spelling", "log-level: debug\n", `:1: unknown key "log-level", did you mean "log.level"?`},
		{"wrong section", "log:\n  legacy_ciphers: true\n", `:2: unknown key "log.legacy_ciphers", did you mean "tls.legacy_ciphers"?`},
		{"nothing like it", "zzzzzzzzzzzz: 1\n", `:1: unknown key "zzzzzzzzzzzz"`},
		{"twice", "log: {level: info}\nnode_id: a\nlog: {format: json}\n", `:3: log: "log": is set twice, first on line 1`},
		{"twice in both spellings", "log.level: info\nlog:\n  level: warn\n", `:3: log.level: "level": is set twice, first on line 1`},
		{"bad value", "listen:\n  api: here\n", `:2: listen.api: "here": want HOST:PORT`},
		{"bad item", "join:\n- a:1\n- b\n", `:3: join: "b": want HOST:PORT`},
		{"list for a scalar", "node_id: [a]\n", `:1: node_id: "[...]": want a single value`},
		{"mapping for a list", "join: {a: b}\n", `:1: join: "{...}": want a list`},
		{"mapping in a list", "join: [{a: b}]\n", `:1: join: "{...}": want a single value`},
		{"scalar for a section", "listen: all\n", `:1: listen: "all": want a mapping of settings`},
		{"list for all", "- a\n", `want a mapping of settings`},
		{"alias", "data_dir: &d /a\npki_dir: *d\n", `:2: pki_dir: "*d": want a single value`},
		{"merge", "log: &l {level: info}\nlisten:\n  <<: *l\n", `:3: unknown key "listen.<<"`},
		{"yes is not true", "tls: {legacy_ciphers: yes}\n", `"yes": want true or false`},
		{"two documents", "log: {}\n---\nlog: {}\n", "want one YAML document"},
		{"no YAML", "log: {\n", "yaml"},
		{"not text", "\x00\xff", "yaml"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := load(t, tt.file, nil)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q in it", err, tt.want)
			}
		})
	}
}

func TestAllFaultsAreReported(t *testing.T) {
	t.Parallel()
	_, err := load(t, "node_id: -x\nlog: {level: loud}\nnope: 1\n", map[string]string{"POOLWIRE_LISTEN_RAFT": ""})
	for _, part := range []string{":1: node_id:", ":2: log.level:", `:3: unknown key "nope"`, "environment variable POOLWIRE_LISTEN_RAFT: listen.raft:"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%q is missing in %v", part, err)
		}
	}
	var field *config.FieldError
	if !errors.As(err, &field) || field.Field != "node_id" || field.Value != "-x" {
		t.Errorf("errors.As: %+v", field)
	}
	var unknown *config.UnknownKeyError
	if !errors.As(err, &unknown) || unknown.Line != 3 {
		t.Errorf("errors.As: %+v", unknown)
	}
}

func TestFlagsShowWhatTheyMean(t *testing.T) {
	t.Parallel()
	fs := pflag.NewFlagSet("poolwired", pflag.ContinueOnError)
	config.RegisterFlags(fs)
	usage := fs.FlagUsages()
	for _, part := range []string{"--config", "--listen-openflow host:port", "0.0.0.0:6653", "--tls-legacy-ciphers", "--log-format text|json"} {
		if !strings.Contains(usage, part) {
			t.Errorf("%q is missing in\n%s", part, usage)
		}
	}
	if err := fs.Parse([]string{"--listen-api", "nowhere"}); err == nil || !strings.Contains(err.Error(), `"nowhere"`) || !strings.Contains(err.Error(), "want HOST:PORT") {
		t.Errorf("a bad flag: %v", err)
	}
	if err := fs.Parse([]string{"--tls-legacy-ciphers"}); err != nil {
		t.Errorf("a switch without a value: %v", err)
	}
}

// Keys come from the environment alone, and nothing that prints the configuration shows them.
func TestSecretsFromTheEnvironment(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	env := map[string]string{config.SecretsEnv: "hunter2", "CREDENTIALS_DIRECTORY": dir}
	c, err := config.Load(config.Sources{LookupEnv: func(name string) (string, bool) { v, ok := env[name]; return v, ok }})
	if err != nil {
		t.Fatal(err)
	}
	if got := c.SecretsSources(secrets.MustExist); got.Environment.Reveal() != "hunter2" || got.Credential != "" || got.File != c.SecretsPath() {
		t.Errorf("%+v", got)
	}
	if text := fmt.Sprintf("%v %+v %#v", c, c, c); strings.Contains(text, "hunter2") {
		t.Error("the configuration shows keys")
	}
	if err := os.WriteFile(filepath.Join(dir, config.CredentialName), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := c.SecretsSources(secrets.MustExist); got.Credential != filepath.Join(dir, "poolwire-secrets-key") {
		t.Errorf("%+v", got)
	}
}
