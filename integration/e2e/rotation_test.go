package e2e

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"poolwire/integration/lab"
	"poolwire/integration/scenario"
)

// connections are the TCP connections that a host has with the nodes, as its kernel tells them: an old one that is there
// still was not cut.
func connections(t *testing.T, h *lab.Host) []string {
	t.Helper()
	out, err := h.Run(within(t, 20*time.Second), "ss", "-Htn", "state", "established", "( dport = :6653 or dport = :6654 or dport = :6640 or sport = :6640 )")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for line := range strings.Lines(out) {
		if f := strings.Fields(line); len(f) >= 4 {
			all = append(all, f[2]+" "+f[3])
		}
	}
	slices.Sort(all)
	return all
}

// keeps checks that no connection of a host was cut.
func keeps(t *testing.T, when string, h *lab.Host, before []string) {
	t.Helper()
	now := connections(t, h)
	for _, c := range before {
		if !slices.Contains(now, c) {
			t.Errorf("%s: %s has lost %s; now it has %v", when, h.ShortName, c, now)
		}
	}
}

// reconnects installs new files on a host and has it make new connections, as the documentation says.
func (p *pair) reconnects(t *testing.T, h *lab.Host) {
	t.Helper()
	dir := filepath.Join(h.Dir, "pki")
	p.do(t, "pki", "export-host", h.ShortName, "--replace", "--dir", dir)
	if _, err := h.Ovsdb(within(t, 20*time.Second), "ovsdb-server/reconnect"); err != nil {
		t.Fatal(err)
	}
	eventually(t, p.party("host", h.ShortName, "yes"))
	p.ready(t, h)
}

// errNotSaid is that a line is missing.
var errNotSaid = errors.New("no such line")

// party looks whether somebody is ready for the next step of a rotation, or not.
func (p *pair) party(kind, name, ready string) func(context.Context) error {
	return func(ctx context.Context) error {
		out, err := p.Poolwire(ctx, "pki", "rotate", "status")
		for line := range strings.Lines(out) {
			if f := strings.Fields(line); err == nil && len(f) >= 3 && f[0] == kind && f[1] == name && f[2] == ready {
				return nil
			}
		}
		return fmt.Errorf("%s %s is not said to be ready: %s, %w\n%s", kind, name, ready, errors.Join(err, errNotSaid), out)
	}
}

// refuses runs a command that must be refused, for this reason.
func (p *pair) refuses(t *testing.T, why string, args ...string) {
	t.Helper()
	out, err := p.Poolwire(within(t, time.Minute), args...)
	if err == nil || !strings.Contains(err.Error()+out, why) {
		t.Errorf("poolwire %s: %v, want %q\n%s", strings.Join(args, " "), err, why, out)
	}
}

// The CA of three nodes with two hosts, one that is dialled and one that dials, is replaced while VMs ping: no connection
// is cut before its host has new files, the steps wait for who is not ready, clients renew whatever they may do, nothing is
// aborted that would cut off who has moved, the leader changes in between, and in the end
// a certificate of the old CA is worth nothing.
func TestCaIsRotated(t *testing.T) {
	t.Parallel()
	p := newMixed(t, "rotated", scenario.ClusterFlags(scenario.FirstController)...)
	p.cluster(t)
	vsctl(t, p.h2, "set-manager", "ssl:"+p.Lab.ControllerAddr().String()+":6640", "ssl:"+p.ControllerAddr("n2")+":6640", "ssl:"+p.ControllerAddr("n3")+":6640")
	hosts := []*lab.Host{p.h1, p.h2}
	p.settledHosts(t, hosts...)
	ping, err := p.a.StartPing(within(t, 8*time.Minute), p.b.IPv4(), lab.PingOptions{Interval: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	old := lab.TLS{Key: filepath.Join(p.h2.Dir, "old", "key.pem"), Cert: filepath.Join(p.h2.Dir, "old", "cert.pem"), CA: filepath.Join(p.h2.Dir, "pki", "ca.pem")}
	p.do(t, "host", "certificate", p.h2.ShortName, "--dir", filepath.Join(p.h2.Dir, "old"))
	alice := filepath.Join(p.Lab.Dir(), "alice")
	p.do(t, "pki", "issue", "client", "alice", "--role", "read-only", "--dir", alice)
	tenant := filepath.Join(p.Lab.Dir(), "tenant")
	p.do(t, "pki", "issue", "client", "tenant", "--role", "none", "--dir", tenant)
	p.do(t, "access", "grant", "tenant", "read-only", "--pool", "paris")
	before := map[*lab.Host][]string{}
	for _, h := range hosts {
		before[h] = connections(t, h)
	}
	p.refuses(t, "'begin' comes first", "pki", "rotate", "switch")
	p.do(t, "pki", "rotate", "begin")
	for _, id := range []string{"n1", "n2", "n3"} {
		eventually(t, p.party("node", id, "yes"))
	}
	p.refuses(t, p.h1.ShortName, "pki", "rotate", "switch")
	for _, h := range hosts {
		keeps(t, "begun", h, before[h])
	}
	p.do(t, "cluster", "transfer-leader", "n2")
	p.settledHosts(t, hosts...)
	for _, h := range hosts {
		p.reconnects(t, h)
		before[h] = connections(t, h)
	}
	p.refuses(t, "alice", "pki", "rotate", "switch")
	p.refuses(t, "host "+p.h1.ShortName, "pki", "rotate", "abort")
	for dir, node := range map[string]string{alice: "n2", tenant: "n3"} {
		if out, err := p.with(within(t, time.Minute), dir, node, "pki", "renew"); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	p.refuses(t, "client alice; client tenant", "pki", "rotate", "abort")
	p.do(t, "pki", "rotate", "switch")
	for _, id := range []string{"n1", "n2", "n3"} {
		eventually(t, p.party("node", id, "yes"))
	}
	for _, h := range hosts {
		keeps(t, "switched", h, before[h])
	}
	p.settledHosts(t, hosts...)
	p.do(t, "cluster", "transfer-leader", "n3")
	p.settledHosts(t, hosts...)
	p.do(t, "pki", "rotate", "finish")
	for _, dir := range []string{alice, tenant} {
		if out, err := p.with(within(t, time.Minute), dir, "n2", "host", "list"); err != nil || !strings.Contains(out, p.h1.ShortName) {
			t.Errorf("with the renewed certificate: %v\n%s", err, out)
		}
	}
	p.settledHosts(t, hosts...)
	p.do(t, "add-rule", "bridge=xenbr0", "direction=to", "protocol=tcp", "port=1", "ipRange=10.66.0.0/24", "allow=false")

	// A certificate of the old CA, which is not revoked and far from its end.
	if err := p.h2.SetTLS(within(t, time.Minute), old); err != nil {
		t.Fatal(err)
	}
	if _, err := p.h2.Ovsdb(within(t, 20*time.Second), "ovsdb-server/reconnect"); err != nil {
		t.Fatal(err)
	}
	eventually(t, p.shows("not signed by the controller's CA", "cluster", "status"))
	if err := p.RestoreTLS(within(t, time.Minute), p.h2); err != nil {
		t.Fatal(err)
	}
	p.ready(t, p.h2)
	r, err := ping.Stop(within(t, time.Minute))
	if err != nil || r.Lost() > 0 {
		t.Errorf("%d of %d pings were lost meanwhile, %v", r.Lost(), r.Sent, err)
	}
}
