package command

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"poolwire/pki"
	"poolwire/secrets"
)

// run runs one command line and returns its exit code and what it printed.
func run(t *testing.T, args ...string) (code int, text string) {
	t.Helper()
	var out bytes.Buffer
	root := Root()
	root.SetArgs(args)
	root.SetOut(&out)
	root.SetErr(&out)
	err := root.ExecuteContext(t.Context())
	if err != nil {
		out.WriteString(err.Error())
	}
	return ExitCode(err), out.String()
}

func TestWrongUsageAndConfigurationExitWith2(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.yaml")
	if err := os.WriteFile(bad, []byte("no_such_key: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"--no-such-flag"}, "unknown flag"},
		{[]string{"bogus"}, "bogus"},
		{[]string{"--listen-api", "bogus"}, "listen"},
		{[]string{"--config", bad}, "no_such_key"},
		{[]string{"--config", filepath.Join(dir, "missing.yaml")}, "missing.yaml"},
		{[]string{"certificate", "bogus"}, "bogus"},
		{[]string{"certificate", "client"}, "accepts 1 arg"},
		{[]string{"certificate", "node", "n2", "--dir", dir}, "--address is missing"},
		{[]string{"certificate", "client", "alice", "--role", "god"}, "pool-admin, pool-operator, read-only or none"},
		{[]string{"certificate", "client", "alice", "--config", bad}, "no_such_key"},
		{[]string{"certificate", "client", "alice", "--listen-api", ":1"}, "unknown flag"},
	} {
		if code, text := run(t, tc.args...); code != exitUsage || !strings.Contains(text, tc.want) {
			t.Errorf("%v: exit %d, want %d with %q: %s", tc.args, code, exitUsage, tc.want, text)
		}
	}
}

// A key that is not there is a wrong argument, not a failure.
func TestUnknownKeyIsNotDropped(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "secrets.key")
	if _, err := secrets.Open(file, true); err != nil {
		t.Fatal(err)
	}
	if code, text := run(t, "secrets", "rotate", "--secrets-file", file); code != exitOK {
		t.Fatalf("exit %d: %s", code, text)
	}
	if code, text := run(t, "secrets", "drop", "0123", "--secrets-file", file); code != exitUsage || !strings.Contains(text, `ID "0123": is the id of no key in `+file) {
		t.Errorf("exit %d: %s", code, text)
	}
}

func TestCertificateHelpListsOnlyWhatMatters(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"certificate", "--help"}, {"certificate", "client", "--help"}, {"certificate", "node", "--help"}} {
		code, text := run(t, args...)
		if code != exitOK {
			t.Errorf("%v: exit %d", args, code)
		}
		for _, want := range []string{"--config", "--data-dir", "--pki-dir", "--node-id"} {
			if !strings.Contains(text, want) {
				t.Errorf("%v lacks %s", args, want)
			}
		}
		for _, other := range []string{"--listen", "--log", "--limits", "--join string", "--reconcile", "--tls"} {
			if strings.Contains(text, other) {
				t.Errorf("%v lists %s", args, other)
			}
		}
	}
}

func TestCertificatesComeFromTheNamedCA(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ca := []string{"--pki-dir", filepath.Join(dir, "pki"), "--data-dir", filepath.Join(dir, "data")}
	lost := append([]string{"certificate", "client", "alice", "--dir", filepath.Join(dir, "lost")}, ca...)
	if code, text := run(t, lost...); code != exitFailed || !strings.Contains(text, "there is no CA") {
		t.Errorf("without a CA: exit %d: %s", code, text)
	}
	for _, made := range []string{"pki", "data", "lost"} {
		if _, err := os.Stat(filepath.Join(dir, made)); err == nil {
			t.Errorf("%s was made", made)
		}
	}
	node, err := pki.Open(filepath.Join(dir, "pki"), pki.Options{NodeID: "n1"})
	if err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"client": append([]string{"certificate", "client", "alice", "--dir", filepath.Join(dir, "client")}, ca...),
		"node":   append(append([]string{}, ca...), "certificate", "node", "n2", "--address", "192.0.2.2", "--dir", filepath.Join(dir, "node")),
	} {
		if code, text := run(t, args...); code != exitOK {
			t.Fatalf("%s: exit %d: %s", name, code, text)
		}
		for _, file := range []string{name + ".pem", name + ".key", "ca.pem"} {
			if _, err := os.Stat(filepath.Join(dir, name, file)); err != nil {
				t.Error(err)
			}
		}
	}
	again := append([]string{"certificate", "client", "alice", "--dir", filepath.Join(dir, "client")}, ca...)
	if code, text := run(t, again...); code != exitUsage || !strings.Contains(text, "--replace") {
		t.Errorf("files that are there: exit %d: %s", code, text)
	}
	if code, text := run(t, append(again, "--replace")...); code != exitOK {
		t.Errorf("--replace: exit %d: %s", code, text)
	}
	// The node whose CA it is keeps its own certificate, whatever data_dir was given.
	if names, err := node.Renew(); err != nil || len(names) > 0 {
		t.Errorf("changed: %v, %v", names, err)
	}
	first, err := os.ReadFile(filepath.Join(dir, "client", "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	second, err := os.ReadFile(filepath.Join(dir, "node", "ca.pem"))
	if err != nil || !bytes.Equal(first, second) {
		t.Errorf("the certificates come from different CAs: %v", err)
	}
}

func TestRunningFailureExitsWith1(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if code, text := run(t, "certificate", "client", "alice", "--node-id", "n1", "--pki-dir", filepath.Join(file, "pki"), "--data-dir", dir); code != exitFailed {
		t.Errorf("exit %d: %s", code, text)
	}
}
