package e2e

import (
	"context"
	"strings"
	"testing"
	"time"

	"poolwire/integration/lab"
	"poolwire/integration/scenario"
)

// Nodes join with a certificate of the first one's CA, answer like any other,
// and one of them leads on when the leader is killed; no packet is lost.
func TestNodesJoin(t *testing.T) {
	t.Parallel()
	p := &pair{World: newWorld(t, "join", scenario.ClusterFlags(scenario.FirstController)...)}
	ctx := within(t, 2*time.Minute)
	if p.Lab.ControllerAddr().String() != scenario.FirstController {
		t.Fatalf("the lab's controller has the address %s", p.Lab.ControllerAddr())
	}
	p.do(t, "pool", "create", "paris")
	p.cluster(t)
	p.h1, p.h2 = p.join(t, "paris1"), p.join(t, "paris2")
	p.a, p.b = p.vm(t, p.h1, "a", 1), p.vm(t, p.h2, "b", 2)
	eventually(t, wants(scenario.FirstController+":6653", p.ControllerAddr("n2"), p.ControllerAddr("n3")).of(p.h1, "get-controller", "xenbr0"))
	passes(t, p.a, p.b.IPv4())
	// Any node answers any call: this one forwards to the leader.
	rule := []string{"bridge=xenbr0", "direction=to", "protocol=tcp", "port=7", "ipRange=10.66.0.0/24"}
	if _, err := p.Through(ctx, "n2", append([]string{"add-rule", "allow=false"}, rule...)...); err != nil {
		t.Fatal(err)
	}
	if out := p.do(t, "rule", "list"); !strings.Contains(out, "10.66.0.0/24") {
		t.Errorf("a rule added through another node is not there:\n%s", out)
	}
	ping, err := p.a.StartPing(ctx, p.b.IPv4(), lab.PingOptions{Interval: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	p.KillDaemon()
	eventually(t, func(ctx context.Context) error {
		_, err := p.Through(ctx, "n3", append([]string{"del-rule"}, rule...)...)
		return err
	})
	r, err := ping.Stop(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if r.Lost() > 0 {
		t.Errorf("%d of %d pings were lost while the leader changed", r.Lost(), r.Sent)
	}
}

// cluster has two more nodes join the world's, and waits until all three vote.
func (p *pair) cluster(t *testing.T) {
	t.Helper()
	for _, id := range []string{"n2", "n3"} {
		if err := p.AddController(within(t, time.Minute), id); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if t.Failed() {
				t.Logf("last lines of %s:\n%s", id, p.ControllerLog(id, 40))
			}
		})
	}
}
