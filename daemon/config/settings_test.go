package config

import (
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Every field of Config must have exactly one setting that writes to it.
func TestEveryFieldHasASetting(t *testing.T) {
	t.Parallel()
	var c Config
	addresses := map[uintptr]string{}
	for _, s := range settings(&c) {
		p := reflect.ValueOf(s.value.field).Pointer()
		if other, taken := addresses[p]; taken {
			t.Errorf("%s and %s set the same field", other, s.name)
		}
		addresses[p] = s.name
	}
	var walk func(v reflect.Value, path string)
	walk = func(v reflect.Value, path string) {
		for i := range v.NumField() {
			field, name := v.Field(i), path+"."+v.Type().Field(i).Name
			if name == "Config.SecretsKeys" || name == "Config.CredentialsDir" {
				continue // from the environment alone
			}
			if field.Kind() == reflect.Struct {
				walk(field, name)
				continue
			}
			if addresses[field.Addr().Pointer()] == "" {
				t.Errorf("%s has no setting", name)
			}
			delete(addresses, field.Addr().Pointer())
		}
	}
	walk(reflect.ValueOf(&c).Elem(), "Config")
	for _, name := range addresses {
		t.Errorf("%s sets no field", name)
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	var c Config
	seen := map[string]bool{}
	last := ""
	pattern := regexp.MustCompile(`^[a-z0-9_]+(\.[a-z0-9_]+)?$`)
	for _, s := range settings(&c) {
		if !pattern.MatchString(s.name) || s.name == "config" {
			t.Errorf("%q is not a good name", s.name)
		}
		for kind, name := range map[string]string{"key": s.name, "variable": s.env(), "flag": s.flag()} {
			if seen[kind+" "+name] {
				t.Errorf("%s: %s %q is taken", s.name, kind, name)
			}
			seen[kind+" "+name] = true
		}
		if s.section() != last {
			if seen["section "+s.section()] || s.section() == "" {
				t.Errorf("%s: section %q is in two pieces", s.name, s.section())
			}
			seen["section "+s.section()], last = true, s.section()
			if sections[s.section()] == "" {
				t.Errorf("section %q is not described", s.section())
			}
		}
		if !strings.HasSuffix(s.doc, ".") || s.summary() == "" {
			t.Errorf("%s: doc %q is not made of sentences", s.name, s.doc)
		}
	}
	for name := range sections {
		if !seen["section "+name] {
			t.Errorf("section %q is described but empty", name)
		}
	}
}

// What a value prints is what it accepts, for every default.
func TestDefaultsReadBack(t *testing.T) {
	t.Parallel()
	defaults := Default()
	var got Config
	target := settings(&got)
	for i, s := range settings(&defaults) {
		if err := target[i].value.Set(s.value.String()); err != nil {
			t.Errorf("%s: default %q: %v", s.name, s.value.String(), err)
		}
	}
	if diff := cmp.Diff(defaults, got); diff != "" {
		t.Error(diff)
	}
	if err := defaults.check(); err != nil {
		t.Error(err)
	}
}

func TestValues(t *testing.T) {
	t.Parallel()
	tests := []struct {
		setting  string
		good     []string
		bad      []string
		accepted string
	}{
		{"node_id", []string{"", "n1", "rack-2.example", strings.Repeat("x", 64)},
			[]string{"-n", "a b", "a/b", "é", strings.Repeat("x", 65), "a\n"}, "64 letters"},
		{"data_dir", []string{"/a", "/a/../b/"}, []string{"", "a", "./a", "/a\x00b"}, "absolute path"},
		{"api.socket", []string{"", "/run/x.sock"}, []string{"x.sock"}, "absolute path"},
		{"listen.openflow", []string{":6653", "0.0.0.0:0", "[::]:6653", "[fe80::1%eth0]:1", "localhost:65535"},
			[]string{"", "6653", "0.0.0.0", "1.2.3:1", "1.2.3.4:65536", "1.2.3.4:-1", "1.2.3.4:http", "::1:6653", "a b:1", "300.1.1.1:1", ":"}, "HOST:PORT"},
		{"listen.metrics", []string{"", "127.0.0.1:1"}, []string{" ", "x"}, "HOST:PORT"},
		{"advertise.raft", []string{"", "192.0.2.1:1", "n1.example:6701", "[2001:db8::1]:1"},
			[]string{":1", "0.0.0.0:1", "[::]:1", "192.0.2.1:0"}, "others can dial"},
		{"join", []string{"", "a:1", "a:1,b:2", " a:1 , "}, []string{"a", ":1", "a:1;b:2", "a:0"}, "want"},
		{"log.level", []string{"debug", "info", "warn", "error"}, []string{"", "INFO", "trace"}, "debug, info, warn, error"},
		{"log.format", []string{"text", "json"}, []string{"", "yaml"}, "text, json"},
		{"tls.legacy_ciphers", []string{"true", "false"}, []string{"", "yes", "1", "True"}, "true or false"},
		{"reconcile.resync_interval", []string{"1s", "5m", "24h", "1h30m"}, []string{"", "5", "999ms", "-5m", "25h", "5 m"}, "from 1s to 24h"},
		{"limits.ovsdb_message", []string{"1048576", "1073741824"}, []string{"", "1048575", "1e9", "64MB", "-1", "99999999999999999999"}, "from 1048576 to 1073741824"},
	}
	for _, tt := range tests {
		t.Run(tt.setting, func(t *testing.T) {
			t.Parallel()
			for _, text := range tt.good {
				if _, err := setOne(tt.setting, text); err != nil {
					t.Errorf("%q: %v", text, err)
				}
			}
			for _, text := range tt.bad {
				c, err := setOne(tt.setting, text)
				if err == nil || !strings.Contains(err.Error(), tt.accepted) || !strings.Contains(err.Error(), tt.setting) {
					t.Errorf("%q: %v, want %q in it", text, err, tt.accepted)
				}
				if tt.setting != "join" && !cmp.Equal(c, Default()) {
					t.Errorf("%q: refused and set", text)
				}
			}
		})
	}
}

func setOne(name, text string) (Config, error) {
	c := Default()
	for _, s := range settings(&c) {
		if s.name == name {
			return c, s.set("test", text)
		}
	}
	panic("no setting " + name)
}

func TestDurationText(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		5 * time.Minute: "5m", 90 * time.Second: "1m30s", time.Hour: "1h", 10 * time.Minute: "10m",
		20 * time.Hour: "20h", 90 * time.Minute: "1h30m", 10 * time.Second: "10s", time.Hour + time.Second: "1h0m1s",
	} {
		if got := durationText(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}

func TestEditDistance(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"", "ab", 2}, {"kitten", "sitting", 3}, {"log.level", "log.levle", 2}, {"same", "same", 0}} {
		if got := editDistance(tt.a, tt.b); got != tt.want {
			t.Errorf("%q, %q: %d, want %d", tt.a, tt.b, got, tt.want)
		}
		if editDistance(tt.a, tt.b) != editDistance(tt.b, tt.a) {
			t.Errorf("%q, %q: not symmetric", tt.a, tt.b)
		}
	}
}
