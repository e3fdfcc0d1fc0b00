package e2e

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"poolwire/integration/scenario"
)

// as is the client with a certificate of its own, speaking to a node over TLS.
func (p *pair) as(ctx context.Context, name, node string, args ...string) (string, error) {
	return p.with(ctx, filepath.Join(p.Lab.Dir(), "client-"+name), node, args...)
}

// with is the client with the certificate in a directory, speaking to a node over TLS.
func (p *pair) with(ctx context.Context, dir, node string, args ...string) (string, error) {
	at := scenario.FirstController
	if node != "n1" {
		at = p.ControllerAddr(node)
	}
	out, err := p.Lab.Controller().Run(ctx, append(append([]string{filepath.Join(binaries, "poolwire")}, args...), "--server", at+":6700",
		"--cert", filepath.Join(dir, "client.pem"), "--key", filepath.Join(dir, "client.key"), "--ca", filepath.Join(dir, "ca.pem"))...)
	said := ""
	if err != nil {
		said = err.Error()
	}
	return out, errors.Join(err, p.Record(args, out, said))
}

// certify makes a certificate for a client.
func (p *pair) certify(t *testing.T, name, role string) {
	t.Helper()
	if out, err := p.Lab.Machine().Run(within(t, time.Minute), filepath.Join(binaries, "poolwired"), "certificate", "client", name, "--role", role,
		"--data-dir", filepath.Join(p.Dir, "data"), "--pki-dir", filepath.Join(p.Dir, "pki"), "--dir", filepath.Join(p.Lab.Dir(), "client-"+name)); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// Who changed what, over which node, is told alike by all nodes, also when leaders were killed meanwhile, and so is what
// was in force before.
func TestAudit(t *testing.T) {
	t.Parallel()
	p := &pair{World: newWorld(t, "audit", scenario.ClusterFlags(scenario.FirstController)...)}
	ctx := within(t, 4*time.Minute)
	p.do(t, "pool", "create", "paris")
	p.cluster(t)
	p.h1, p.h2 = p.join(t, "paris1"), p.join(t, "paris2")
	p.a = p.vm(t, p.h1, "a", 1)
	p.settled(t)
	for name, role := range map[string]string{"ada": "pool-admin", "bob": "pool-operator", "eve": "read-only"} {
		p.certify(t, name, role)
	}
	must := func(who, node string, args ...string) string {
		t.Helper()
		out, err := p.as(ctx, who, node, args...)
		if err != nil {
			t.Fatalf("%s over %s: %v\n%s", who, node, err, out)
		}
		return out
	}
	vif := p.a.VIF().UUID
	must("bob", "n2", "rule", "add", "--name", "web", "--vif", vif, "--drop", "--inbound", "--protocol", "tcp", "--local-port", "80")
	before := time.Now()
	must("ada", "n3", "rule", "update", "web", "--allow")
	if out, err := p.as(ctx, "eve", "n2", "rule", "delete", "web"); err == nil {
		t.Errorf("eve was not refused: %s", out)
	}
	was, is, err := p.KillLeader(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s was killed, %s leads", was, is)
	other := map[string]string{"n1": "n2", "n2": "n3", "n3": "n1"}[was]
	must("bob", other, "rule", "update", "web", "--priority", "7")
	if err := p.Revive(ctx, was); err != nil {
		t.Fatal(err)
	}
	eventually(t, func(ctx context.Context) error { return p.threeVote(ctx) })

	// Every node's own copy verifies, and all are the same.
	head := regexp.MustCompile(`(?m)^head (\d+:[0-9a-f]{64})$`)
	eventually(t, func(ctx context.Context) error {
		heads := map[string][]string{}
		for _, node := range []string{"n1", "n2", "n3"} {
			out, err := p.as(ctx, "ada", node, "audit", "verify")
			if err != nil {
				return fmt.Errorf("%w: %s", err, out)
			}
			m := head.FindStringSubmatch(out)
			if m == nil || !strings.Contains(out, "node "+node+": ") {
				return fmt.Errorf("%s says %q", node, out)
			}
			heads[m[1]] = append(heads[m[1]], node)
		}
		if len(heads) != 1 {
			return fmt.Errorf("the nodes have different chains: %v", heads)
		}
		for h := range heads {
			if out, err := p.as(ctx, "ada", "n1", "audit", "verify", "--expect-head", h); err != nil {
				return fmt.Errorf("%w: %s", err, out)
			}
			forged := h[:len(h)-4] + "0000"
			if out, err := p.as(ctx, "ada", "n1", "audit", "verify", "--expect-head", forged); err == nil || !strings.Contains(out+err.Error(), "written anew") {
				return fmt.Errorf("another head is on the chain: %s", out)
			}
		}
		return nil
	})

	list := must("ada", "n2", "audit", "list", "--oldest-first", "--limit", "0", "-o", "wide")
	for _, want := range []string{
		`bob .*certificate [0-9a-f]+ .*n2 +CreatePolicyRule .*ok +made policy rule web: drop tcp to local port 80, on VIF`,
		`ada .*n3 +UpdatePolicyRule .*ok +policy rule web action drop -> allow`,
		`eve .*certificate [0-9a-f]+ +n2 +DeletePolicyRule .*permission_denied`,
		`bob .*UpdatePolicyRule .*ok +policy rule web priority .*-> 7`,
		`local root .*CreatePool .*ok +made pool paris`,
	} {
		if !regexp.MustCompile(want).MatchString(list) {
			t.Errorf("no record like %s in\n%s", want, list)
		}
	}
	// What was in force before, on any node.
	for _, node := range []string{"n1", "n2", "n3"} {
		at := before.Format(time.RFC3339Nano)
		past, now := must("bob", node, "policy", "show", "--vif", vif, "--at", at), must("bob", node, "policy", "show", "--vif", vif)
		rule := func(text, action string) bool {
			return regexp.MustCompile(`(?m)^\d+ +vif .* ` + action + ` .*web`).MatchString(text)
		}
		if !rule(past, "drop") || rule(past, "allow") || !rule(now, "allow") || rule(now, "drop") {
			t.Errorf("%s: at %s\n%s\nnow\n%s", node, at, past, now)
		}
	}
	if out := must("ada", "n3", "policy", "history", "--vif", vif); !strings.Contains(out, "action drop -> allow") || strings.Contains(out, "made pool") {
		t.Errorf("history:\n%s", out)
	}
}
