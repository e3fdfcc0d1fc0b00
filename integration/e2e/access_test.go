package e2e

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"poolwire/integration/lab"
	"poolwire/integration/scenario"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// A tenant's token is good for rules of its own network, which change what passes, and for nothing else. Revoked, it is worth
// nothing on any node, and what it watched ends.
func TestTenantsToken(t *testing.T) {
	t.Parallel()
	p := &pair{World: newWorld(t, "tenant", scenario.ClusterFlags(scenario.FirstController)...)}
	ctx := within(t, 2*time.Minute)
	p.do(t, "pool", "create", "paris")
	p.do(t, "pool", "create", "lyon")
	p.cluster(t)
	p.h1, p.h2 = p.join(t, "paris1"), p.join(t, "paris2")
	lyon, err := p.Join(ctx, "lyon", false, lab.HostOptions{Name: "lyon1"})
	if err != nil {
		t.Fatal(err)
	}
	p.a, p.b = p.vm(t, p.h1, "a", 1), p.vm(t, p.h2, "b", 2)
	other := p.vm(t, lyon, "c", 3)
	eventually(t, p.isKnown(other))
	own := p.networkOf(t, p.b)
	p.do(t, "access", "grant", "tenant", "pool-operator", "--network", own)
	file := filepath.Join(t.TempDir(), "token")
	secret := strings.TrimSpace(p.do(t, "token", "create", "--owner", "tenant"))
	if err := os.WriteFile(file, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	tenant := []string{"--token-file", file}
	if out := p.do(t, append(tenant, "access", "whoami")...); !strings.Contains(out, "tenant") || !strings.Contains(out, "pool-operator on network xenbr0") {
		t.Errorf("whoami prints %q", out)
	}
	passes(t, p.a, p.b.IPv4())
	rule := []string{"rule", "add", "--name", "no-ping", "--network", own, "--drop", "--inbound", "--protocol", "icmp"}
	if _, err := p.Through(ctx, "n2", append(rule, tenant...)...); err != nil {
		t.Fatal(err)
	}
	blocked(t, p.a, p.b.IPv4())

	forbidden(t, p, append(tenant, "rule", "add", "--vif", other.VIF().UUID, "--drop", "--inbound")...)
	forbidden(t, p, append(tenant, "rule", "add", "--global", "--drop", "--inbound")...)
	forbidden(t, p, append(tenant, "vif", "disable", p.b.VIF().UUID)...)
	for _, list := range []string{"pool", "host", "vif", "network"} {
		if out := p.do(t, append(tenant, list, "list", "-o", "json")...); strings.Contains(out, "paris") || strings.Contains(out, "lyon") || strings.Contains(out, other.VIF().UUID) {
			t.Errorf("%s list tells a tenant of others: %s", list, out)
		}
	}

	ended := map[string]chan error{}
	for _, node := range []string{"n1", "n2"} {
		done := make(chan error, 1)
		ended[node] = done
		go func() {
			_, err := p.onNode(ctx, node, append(tenant, "watch", "--timeout", "1m")...)
			done <- err
		}()
	}
	p.do(t, append(tenant, "rule", "delete", "no-ping")...)
	passes(t, p.a, p.b.IPv4())
	id := strings.Split(secret, "_")[1]
	p.do(t, "token", "revoke", id)
	for node, done := range ended {
		select {
		case err := <-done:
			var client *scenario.ClientError
			if !errors.As(err, &client) || !strings.Contains(client.Message, "not accepted") {
				t.Errorf("the watch on %s ended with %v", node, err)
			}
		case <-time.After(10 * time.Second):
			t.Errorf("the watch on %s goes on with a token that was revoked", node)
		}
	}
	for _, node := range []string{"n1", "n2", "n3"} {
		if out, err := p.onNode(ctx, node, append(tenant, "rule", "list", "--stale")...); err == nil {
			t.Errorf("%s answers somebody whose token was revoked: %s", node, out)
		}
	}
}

// onNode runs the client on a node, the first one included.
func (p *pair) onNode(ctx context.Context, node string, args ...string) (string, error) {
	if node == "n1" {
		return p.Poolwire(ctx, args...)
	}
	return p.Through(ctx, node, args...)
}

// forbidden checks that the client is refused something it may not do or see.
func forbidden(t *testing.T, p *pair, args ...string) {
	t.Helper()
	out, err := p.Poolwire(within(t, time.Minute), args...)
	var client *scenario.ClientError
	if !errors.As(err, &client) || client.Code == 0 || client.Code == 5 {
		t.Errorf("%s: %v %s", strings.Join(args, " "), err, out)
	}
}

// isKnown returns a look, for eventually, that a VM's VIF is known.
func (p *pair) isKnown(vm *lab.VM) func(context.Context) error {
	return func(ctx context.Context) error {
		out, err := p.Poolwire(ctx, "vif", "list", "-o", "json")
		if err == nil && !strings.Contains(out, vm.VIF().UUID) {
			err = errors.New("the VIF is not known")
		}
		return err
	}
}

// networkOf is the UUID of the network that a VM is on.
func (p *pair) networkOf(t *testing.T, vm *lab.VM) (uuid string) {
	t.Helper()
	conn, err := p.Conn()
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, func(ctx context.Context) error {
		r, err := poolwirev1.NewVifServiceClient(conn).GetVif(ctx, &poolwirev1.GetVifRequest{Vif: vm.VIF().UUID})
		uuid = r.GetVif().GetNetworkUuid()
		if err == nil && uuid == "" {
			err = errors.New("the VIF is on no network")
		}
		return err
	})
	return uuid
}
