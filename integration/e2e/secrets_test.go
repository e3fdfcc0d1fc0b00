package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"poolwire/integration/leak"
	"poolwire/integration/scenario"
)

// Every system of this suite is searched for its secrets when it ends. Here the search itself is held to finding
// what it must, in every place, and a running system with all kinds of secrets to letting out none.
func TestSecretsStayHome(t *testing.T) {
	t.Parallel()
	p := &pair{World: newWorldOf(t, scenario.Options{Name: "secrets", Bin: binaries, Flags: scenario.ClusterFlags(scenario.FirstController)})}
	if err := p.AddController(within(t, time.Minute), "n2"); err != nil {
		t.Fatal(err)
	}
	p.do(t, "pool", "create", "paris")
	p.h1, p.h2 = p.join(t, "paris1"), p.join(t, "paris2")
	p.do(t, "private-network", "create", "vault", "--vni", "31", "--pool", "paris", "--encrypted")
	p.settled(t)
	p.rotateOnFirst(t)
	p.do(t, "dump-flows", "bridge=pw31", "host=paris1")
	token := p.useToken(t)
	p.do(t, "backup", "save", filepath.Join(p.Lab.Dir(), "now.backup"))
	got, err := p.SearchLeaks()
	if err != nil || len(got.Found) > 0 {
		t.Fatalf("%v: %s", err, strings.Join(got.Found, "\n"))
	}
	for _, want := range []string{"the secret of token " + strings.Split(token, "_")[1], "a key of tunnels", "pki/secrets.key", "pki/ca.key", "pki/node.key", "n2/pki/node.key", "paris1/pki/key.pem"} {
		if !slices.ContainsFunc(got.Secrets, func(s string) bool { return strings.Contains(s, want) }) {
			t.Errorf("%s is not looked for: %v", want, got.Secrets)
		}
	}
	for _, want := range []string{"poolwired.log", "poolwired-n2.log", "client.out", "raft/log/", "now.backup", "ovs-vswitchd.log"} {
		if !slices.ContainsFunc(got.Looked, func(s string) bool { return strings.Contains(s, want) }) {
			t.Errorf("%s is not looked at: %v", want, got.Looked)
		}
	}
	t.Logf("%d secrets, %d files", len(got.Secrets), len(got.Looked))
	p.findsPlanted(t, got, token)
}

// useToken makes a token and calls with it, rightly and wrongly, on both nodes.
func (p *pair) useToken(t *testing.T) string {
	t.Helper()
	token := strings.TrimSpace(p.do(t, "token", "create", "--owner", "tenant"))
	file, wrong := filepath.Join(t.TempDir(), "token"), filepath.Join(t.TempDir(), "wrong")
	for path, text := range map[string]string{file: token, wrong: token[:len(token)-1] + "x"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p.do(t, "access", "whoami", "--token-file", file)
	for _, node := range []string{"n1", "n2"} {
		if _, err := p.onNode(within(t, time.Minute), node, "access", "whoami", "--token-file", wrong); err == nil {
			t.Errorf("%s accepts half a token", node)
		}
		if _, err := p.onNode(within(t, time.Minute), node, "pool", "create", "lyon", "--token-file", file); err == nil {
			t.Errorf("%s lets a tenant without a grant make a pool", node)
		}
	}
	return token
}

// findsPlanted lets out a secret of every kind, and expects it to be found.
func (p *pair) findsPlanted(t *testing.T, clean leak.Report, token string) {
	t.Helper()
	psk := strings.Trim(vsctl(t, p.h1, "get", "Interface", p.encryptedTunnel(t), "options:psk"), `"`)
	node, err := os.ReadFile(filepath.Join(p.Dir, "pki", "node.key"))
	if err != nil {
		t.Fatal(err)
	}
	envelope, err := os.ReadFile(filepath.Join(p.Dir, "pki", "secrets.key"))
	if err != nil {
		t.Fatal(err)
	}
	planted := filepath.Join(p.Lab.Dir(), "planted.log")
	defer func() { _ = os.Remove(planted) }()
	for what, text := range map[string]string{
		"token": "authorization=" + token, "psk": "options={psk=" + psk + "}", "line of a key": strings.Split(string(node), "\n")[9],
		"envelope key": strings.Fields(string(envelope[strings.Index(string(envelope), "\n"):]))[0],
	} {
		if err := os.WriteFile(planted, []byte("level=DEBUG "+text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := p.SearchLeaks()
		if err != nil || len(got.Found) == 0 || !strings.Contains(fmt.Sprint(got.Found), planted) {
			t.Errorf("%s was planted and not found: %v, %v", what, got.Found, err)
		}
	}
	if len(clean.Secrets) < 8 {
		t.Errorf("only %d secrets: %v", len(clean.Secrets), clean.Secrets)
	}
}

// encryptedTunnel is the name of a port of the first host that has a key.
func (p *pair) encryptedTunnel(t *testing.T) string {
	t.Helper()
	for line := range strings.Lines(vsctl(t, p.h1, "--bare", "--columns=name,options", "--format=csv", "--no-headings", "find", "Interface", "type=vxlan")) {
		if name, options, _ := strings.Cut(line, ","); strings.Contains(options, "psk=") {
			return name
		}
	}
	t.Fatal("no tunnel has a key")
	return ""
}
