package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	"poolwire/integration/lab"
	"poolwire/integration/quantile"
	"poolwire/integration/scenario"
)

// kills is how often the leader is killed.
const kills = 20

// Whatever becomes of leaders, nothing is lost of what VMs send, and the next leader soon has a rule on the switches.
func TestLeadersAreKilled(t *testing.T) {
	t.Parallel()
	p := &pair{World: newWorld(t, "failover", scenario.ClusterFlags(scenario.FirstController)...)}
	p.do(t, "pool", "create", "paris")
	p.cluster(t)
	p.h1, p.h2 = p.join(t, "paris1"), p.join(t, "paris2")
	vms := []*lab.VM{p.vm(t, p.h1, "a", 1), p.vm(t, p.h2, "b", 2), p.vm(t, p.h1, "c", 3)}
	p.settled(t)
	var pings []*lab.RunningPing
	for i, vm := range vms {
		ping, err := vm.StartPing(within(t, 10*time.Minute), vms[(i+1)%len(vms)].IPv4(), lab.PingOptions{Interval: 2 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		pings = append(pings, ping)
	}
	var took []time.Duration
	for n := range kills {
		took = append(took, p.killed(t, n))
	}
	for i, ping := range pings {
		r, err := ping.Stop(within(t, 20*time.Second))
		if err != nil || r.Lost() > 0 {
			t.Errorf("pings of %s: %d of %d lost, %v", vms[i].ShortName, r.Lost(), r.Sent, err)
		}
		t.Logf("%s: %d pings, %d lost", vms[i].ShortName, r.Sent, r.Lost())
	}
	p50, p95 := quantile.Of(took, 50), quantile.Of(took, 95)
	t.Logf("from the kill of a leader to the first rule that the switches have: n %d, p50 %s, p95 %s, max %s", len(took), p50, p95, quantile.Of(took, 100))
	// The figure for an idle machine is a p95 below 2 s; what fails here is a failover that hangs.
	if p50 > 5*time.Second {
		t.Errorf("half of the failovers took longer than %s", p50)
	}
}

// killed kills the leader once and returns how long it took until a rule was confirmed by the hosts. The node is back, and
// follows, when it returns.
func (p *pair) killed(t *testing.T, n int) time.Duration {
	t.Helper()
	ctx := within(t, 2*time.Minute)
	began := time.Now()
	was, is, err := p.KillLeader(ctx)
	if err != nil {
		t.Fatal(err)
	}
	p.do(t, "add-rule", "bridge=xenbr0", "direction=to", "protocol=tcp", fmt.Sprintf("port=%d", 5000+n), "ipRange=10.66.0.0/24", "allow=false")
	took := time.Since(began)
	t.Logf("%s killed, %s leads: a rule is confirmed after %s", was, is, took)
	if err := p.Revive(ctx, was); err != nil {
		t.Fatal(err)
	}
	eventually(t, func(ctx context.Context) error { return p.threeVote(ctx) })
	return took
}
