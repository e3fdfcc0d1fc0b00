package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"poolwire/integration/lab"
	"poolwire/integration/scenario"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// A leader that is paused, replaced, and goes on later changes nothing on any host: neither
// flows nor rows, although what it last knew is not what holds.
func TestPausedLeaderChangesNothing(t *testing.T) {
	t.Parallel()
	p := &pair{World: newWorld(t, "fence", scenario.ClusterFlags(scenario.FirstController)...)}
	p.do(t, "pool", "create", "paris")
	p.cluster(t)
	p.h1, p.h2 = p.join(t, "paris1"), p.join(t, "paris2")
	p.a, p.b = p.vm(t, p.h1, "a", 1), p.vm(t, p.h2, "b", 2)
	passes(t, p.a, p.b.IPv4())
	rule := func(port string) []string {
		return []string{"bridge=xenbr0", "direction=to", "protocol=tcp", "port=" + port, "ipRange=10.66.0.0/24"}
	}
	p.do(t, append([]string{"add-rule", "allow=false"}, rule("7")...)...)
	p.settled(t)
	if err := p.PauseDaemon(); err != nil {
		t.Fatal(err)
	}
	resumed := false
	defer func() {
		if !resumed {
			_ = p.ResumeDaemon()
		}
	}()
	through := func(args ...string) {
		eventually(t, func(ctx context.Context) error { _, err := p.Through(ctx, "n2", args...); return err })
	}
	through(append([]string{"del-rule"}, rule("7")...)...)
	through(append([]string{"add-rule", "allow=false"}, rule("9")...)...)
	through("wait")
	before := map[*lab.Host]string{p.h1: programmed(t, p.h1), p.h2: programmed(t, p.h2)}
	for h, now := range before {
		if !strings.Contains(now, "tp_dst=9") || strings.Contains(now, "tp_dst=7") {
			t.Fatalf("%s: the new leader's rule is not there, or the old one's is:\n%s", h.ShortName, now)
		}
	}
	w1, w2 := newWitness(t, p.h1), newWitness(t, p.h2)
	if err := p.ResumeDaemon(); err != nil {
		t.Fatal(err)
	}
	resumed = true
	// Once it has the new leader's last entry it has long had all the time it needs to act on
	// what it knew before.
	eventually(t, p.follows)
	calm(t, "the old leader woke up", w1, w2)
	for h, was := range before {
		if now := programmed(t, h); now != was {
			t.Errorf("%s: before the old leader woke up:\n%s\nafterwards:\n%s", h.ShortName, was, now)
		}
	}
}

// threeVote looks whether all three nodes vote.
func (p *pair) threeVote(ctx context.Context) error {
	api, err := p.API()
	if err != nil {
		return err
	}
	r, err := api.ListNodes(ctx, &poolwirev1.ListNodesRequest{})
	if err == nil && r.GetFailureTolerance() != 1 {
		err = fmt.Errorf("not all vote: %v", r.GetNodes())
	}
	return err
}

// follows looks whether the world's own node follows another one, and hears it.
func (p *pair) follows(ctx context.Context) error {
	api, err := p.API()
	if err != nil {
		return err
	}
	r, err := api.GetNodeStatus(ctx, &poolwirev1.GetNodeStatusRequest{})
	st := r.GetStatus()
	if err == nil && (st.GetNode().GetLeader() || st.GetLastContact() == nil || st.GetLastContact().AsDuration() > time.Second || st.GetAppliedIndex() < st.GetLastIndex()) {
		err = fmt.Errorf("the old leader is not yet a follower: %v", st)
	}
	return err
}

// programmed is everything that a controller writes on a host: flows, groups and meters, and
// the columns of the database that do not change by themselves.
func programmed(t *testing.T, h *lab.Host) string {
	t.Helper()
	var b strings.Builder
	for _, bridge := range strings.Fields(vsctl(t, h, "list-br")) {
		fmt.Fprintf(&b, "%s:\n%s\n", bridge, flows(t, h, bridge))
		for _, what := range []string{"dump-groups", "dump-meters"} {
			out, err := h.Ofctl(within(t, time.Minute), "-O", "OpenFlow13", what, bridge)
			if err != nil {
				t.Fatal(err)
			}
			// The first line has the transaction's number.
			_, rest, _ := strings.Cut(out, "\n")
			b.WriteString(rest)
		}
	}
	for _, table := range []string{
		"--columns=name,controller,fail_mode,protocols,ports,other_config,external_ids list Bridge",
		"--columns=target,connection_mode,inactivity_probe,other_config,external_ids list Controller",
		"--columns=name,type,options,mac,external_ids list Interface",
		"--columns=name,interfaces,tag,other_config,external_ids list Port",
		"--columns=external_ids,other_config,manager_options list Open_vSwitch",
	} {
		b.WriteString(vsctl(t, h, strings.Fields(table)...) + "\n")
	}
	return b.String()
}
