package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"poolwire/integration/lab"
	"poolwire/integration/lab/frame"
	"poolwire/integration/scenario"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// Hosts that some nodes of the cluster do not reach, or none: what is there stays in force and nothing else on them changes,
// whoever asks is told which host has not got what and why, the leader stays, and all is put in place once the way is free.
func TestHostsApartFromNodes(t *testing.T) {
	t.Parallel()
	p := &pair{World: newWorld(t, "apart", scenario.ClusterFlags(scenario.FirstController)...)}
	p.do(t, "pool", "create", "paris", "--fail-mode", "secure")
	p.cluster(t)
	p.h1, p.h2 = p.join(t, "paris1"), p.join(t, "paris2")
	p.a, p.b = p.vm(t, p.h1, "a", 1), p.vm(t, p.h2, "b", 2)
	p.do(t, "vif", "lock", p.a.VIF().UUID, "--ipv4", p.a.IPv4().String())
	p.settled(t)
	leader, others, term := p.controllers(t)
	stop := p.pinging(t)
	lockStands := p.watchLock(t)
	w1, w2 := newWitness(t, p.h1), newWitness(t, p.h2)

	t.Run("one from the leader, one from a follower", func(t *testing.T) {
		cutOff(t, p.h1, bothWays, leader)
		cutOff(t, p.h2, bothWays, others[0])
		p.isAway(t, "paris1")
		port := p.unconfirmed(t, 7001, "paris1")
		if now := flows(t, p.h2, "xenbr0"); !strings.Contains(now, port) {
			t.Errorf("the rule is not on the host that the leader reaches:\n%s", now)
		}
		lockStands(t)
		calm(t, "cut off from the leader", w1)
		reconnect(t, p.h1)
		reconnect(t, p.h2)
		p.isBack(t, port)
		w1.seen(t)
		w2.seen(t)
	})
	for name, ways := range map[string]way{"hears nothing from the leader": {"input saddr"}, "is not heard by the leader": {"output daddr"}} {
		t.Run("one "+name, func(t *testing.T) {
			cutOff(t, p.h1, ways, leader)
			p.isAway(t, "paris1")
			calm(t, "half cut off", w1, w2)
			reconnect(t, p.h1)
			p.isBack(t)
			calm(t, "back", w1, w2)
		})
	}
	t.Run("both from all nodes", func(t *testing.T) {
		for _, h := range []*lab.Host{p.h1, p.h2} {
			cutOff(t, h, bothWays, append(slices.Clone(others), leader)...)
		}
		p.isAway(t, "paris1", "paris2")
		for _, h := range []*lab.Host{p.h1, p.h2} {
			eventually(t, noneConnected(h))
		}
		port := p.unconfirmed(t, 7002, "paris1", "paris2")
		lockStands(t)
		calm(t, "without any controller", w1, w2)
		for _, h := range []*lab.Host{p.h1, p.h2} {
			reconnect(t, h)
		}
		p.isBack(t, port)
	})
	stop()
	if now, _, at := p.controllers(t); now != leader || at != term {
		t.Errorf("%s led in term %d, and %s in term %d: there was no reason for that", leader, term, now, at)
	}
}

// controllers are the addresses of the leader and of the others, and the term.
func (p *pair) controllers(t *testing.T) (leader string, others []string, term uint64) {
	t.Helper()
	api, err := p.API()
	if err != nil {
		t.Fatal(err)
	}
	r, err := api.GetClusterStatus(within(t, 10*time.Second), &poolwirev1.GetClusterStatusRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range r.GetNodes() {
		addr := scenario.FirstController
		if n.GetId() != "n1" {
			addr = p.ControllerAddr(n.GetId())
		}
		if n.GetId() == r.GetLeaderId() {
			leader = addr
		} else {
			others = append(others, addr)
		}
	}
	return leader, others, r.GetTerm()
}

// pinging pings from VM to VM until stop is called, which fails the test when one was lost.
func (p *pair) pinging(t *testing.T) (stop func()) {
	t.Helper()
	ping, err := p.a.StartPing(within(t, 10*time.Minute), p.b.IPv4(), lab.PingOptions{Interval: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		r, err := ping.Stop(within(t, 20*time.Second))
		if err != nil || r.Lost() > 0 {
			t.Errorf("%d of %d pings lost, %v", r.Lost(), r.Sent, err)
		}
		t.Logf("%d pings, %d lost", r.Sent, r.Lost())
	}
}

// watchLock listens at the unlocked VM. What it returns fails the test when a frame that the lock forbids gets there.
func (p *pair) watchLock(t *testing.T) func(*testing.T) {
	t.Helper()
	c, err := p.b.Capture(within(t, time.Minute), "ether proto 0x88b5")
	if err != nil {
		t.Fatal(err)
	}
	frames := func(from *lab.VM, text string) [][]byte {
		return slices.Repeat([][]byte{frame.Header{Src: from.MAC(), Dst: frame.Broadcast}.Raw(frame.TypeTest, []byte(text))}, 20)
	}
	return func(t *testing.T) {
		t.Helper()
		if err := p.a.Send(frames(p.a, "spoofed")...); err != nil {
			t.Fatal(err)
		}
		// What was sent before this has been dropped, or is there.
		passes(t, p.a, p.b.IPv4())
		if got := c.Packets(); len(got) > 0 {
			t.Errorf("%d frames that the lock forbids got through", len(got))
		}
	}
}

// way says which packets of a host are dropped: hooks of nft(8), and which end of them is the node there.
type way []string

// bothWays drops all. It is never written to.
var bothWays = way{"input saddr", "output daddr"}

// cutOff drops, in silence, what a host hears from nodes, or sends to them. Tunnels and VMs do not pass there.
func cutOff(t *testing.T, h *lab.Host, ways way, nodes ...string) {
	t.Helper()
	for _, w := range ways {
		hook, field, _ := strings.Cut(w, " ")
		rules := fmt.Sprintf("add table inet apart; add chain inet apart %[1]s { type filter hook %[1]s priority 0 ; }; add rule inet apart %[1]s ip %[2]s { %[3]s } drop", hook, field, strings.Join(nodes, ", "))
		if _, err := h.Run(within(t, 20*time.Second), "nft", rules); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _, _ = h.Run(context.Background(), "nft", "add table inet apart; delete table inet apart") })
}

func reconnect(t *testing.T, h *lab.Host) {
	t.Helper()
	if _, err := h.Run(within(t, 20*time.Second), "nft", "delete table inet apart"); err != nil {
		t.Fatal(err)
	}
}

// noneConnected looks whether a host's switch has lost all its controllers.
func noneConnected(h *lab.Host) func(context.Context) error {
	return func(ctx context.Context) error {
		out, err := h.Vsctl(ctx, "--columns=target,is_connected", "list", "Controller")
		if err == nil && strings.Contains(out, "true") {
			err = fmt.Errorf("%s still has a controller:\n%s", h.ShortName, out)
		}
		return err
	}
}

// isAway waits until exactly these hosts are listed as away, with a reason.
func (p *pair) isAway(t *testing.T, names ...string) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		conn, err := p.Conn()
		if err != nil {
			return err
		}
		r, err := poolwirev1.NewHostServiceClient(conn).ListHosts(ctx, &poolwirev1.ListHostsRequest{})
		if err != nil {
			return err
		}
		for _, h := range r.GetHosts() {
			st := h.GetStatus()
			// It is connecting whenever it is tried again.
			away := (st.GetState() == poolwirev1.HostState_HOST_STATE_AWAY || st.GetState() == poolwirev1.HostState_HOST_STATE_CONNECTING) && st.GetLastError() != ""
			if want := slices.Contains(names, h.GetNameLabel()); want != away || !want && st.GetState() != poolwirev1.HostState_HOST_STATE_READY {
				return fmt.Errorf("%s is %s, %q", h.GetNameLabel(), st.GetState(), st.GetLastError())
			}
		}
		return nil
	})
	t.Logf("away:\n%s", p.do(t, "host", "list", "-o", "wide"))
}

// unconfirmed adds a rule, about a port, that some hosts do not get now; whoever adds it is told so, with their names. It returns
// what the rule's flows have.
func (p *pair) unconfirmed(t *testing.T, port int, names ...string) string {
	t.Helper()
	out, err := p.Poolwire(within(t, time.Minute), "add-rule", "bridge=xenbr0", "direction=to", "protocol=tcp", fmt.Sprintf("port=%d", port), "ipRange=10.66.0.0/24", "allow=false")
	if err == nil {
		t.Fatalf("a rule that not all hosts have is taken for confirmed:\n%s", out)
	}
	t.Logf("a rule is added: %v", err)
	for _, name := range []string{"paris1", "paris2"} {
		if told := strings.Contains(err.Error(), name+": pending: "); told != slices.Contains(names, name) {
			t.Errorf("told about %s: %v", name, err)
		}
	}
	return fmt.Sprintf("tp_dst=%d", port)
}

// isBack waits until all hosts have confirmed everything, and looks for rules.
func (p *pair) isBack(t *testing.T, rules ...string) {
	t.Helper()
	began := time.Now()
	eventually(t, func(ctx context.Context) error { _, err := p.Poolwire(ctx, "wait"); return err })
	t.Logf("all is confirmed %s after the way is free", time.Since(began).Round(time.Millisecond))
	for _, h := range []*lab.Host{p.h1, p.h2} {
		now := flows(t, h, "xenbr0")
		for _, rule := range rules {
			if !strings.Contains(now, rule) {
				t.Errorf("%s has not got the rule:\n%s", h.ShortName, now)
			}
		}
	}
}
