package openflow_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"poolwire/southbound/openflow"
	"poolwire/southbound/openflow/flow"
	"poolwire/southbound/openflow/openflowtest"
)

// TestNoForwardStopsPackets asks the real switch where a packet ends.
func TestNoForwardStopsPackets(t *testing.T) {
	t.Parallel()
	v := openflowtest.StartVswitch(t, 3)
	sw, ctx := attachReal(t, v), testContext(t)
	flood := flow.Flow{Cookie: ourCookie, Match: flow.NewMatch().InPort(1).Build(), Instructions: flow.Apply(flow.Output(2), flow.Output(3))}
	if err := sw.Apply(ctx, flow.Delta{Add: []flow.Flow{flood}}); err != nil {
		t.Fatal(err)
	}
	fate := func() string {
		t.Helper()
		trace := v.Appctl("ofproto/trace", openflowtest.Bridge, "in_port=1,ip,nw_src=10.0.0.1,nw_dst=10.0.0.2")
		_, actions, found := strings.Cut(trace, "Datapath actions: ")
		if !found {
			t.Fatalf("trace has no actions:\n%s", trace)
		}
		return strings.TrimSpace(actions)
	}
	// becomes waits: the switch applies a port's configuration to packets in the
	// turn of its main loop after the one that answers the barrier.
	becomes := func(what string, right func(string) bool) {
		t.Helper()
		last := fate()
		for ; !right(last); last = fate() {
			if ctx.Err() != nil {
				t.Fatalf("%s: the packet still goes to %q", what, last)
			}
		}
	}
	both := fate()
	if strings.Count(both, ",") != 1 {
		t.Fatalf("without NO_FWD the packet goes to %q", both)
	}
	ports, err := sw.Ports(ctx)
	if err != nil {
		t.Fatal(err)
	}
	two := ports[slices.IndexFunc(ports, func(p openflow.Port) bool { return p.Name == "p2" })]
	if err := sw.SetPortConfig(ctx, two, openflow.PortNoForward, openflow.PortNoForward); err != nil {
		t.Fatal(err)
	}
	becomes("NO_FWD on port 2", func(now string) bool { return !strings.Contains(now, ",") && strings.HasSuffix(both, now) })
	if err := sw.SetPortConfig(ctx, two, 0, openflow.PortNoForward); err != nil {
		t.Fatal(err)
	}
	becomes("NO_FWD taken back", func(now string) bool { return now == both })
}

// TestRealPortEvents plugs and unplugs, also for a slave, which is what every
// node but the leader is.
func TestRealPortEvents(t *testing.T) {
	t.Parallel()
	v := openflowtest.StartVswitch(t, 1)
	sw, ctx := attachReal(t, v), testContext(t)
	for _, role := range []openflow.Role{openflow.RoleMaster, openflow.RoleSlave} {
		if err := sw.SetRole(ctx, role, 1); err != nil {
			t.Fatal(err)
		}
		for _, change := range [][]string{
			{"add-port", openflowtest.Bridge, "p9", "--", "set", "interface", "p9", "type=dummy", "ofport_request=9"},
			{"del-port", openflowtest.Bridge, "p9"},
		} {
			v.Vsctl(change...)
			wanted := change[0] == "add-port"
			for there := !wanted; there != wanted; {
				select {
				case <-sw.PortEvents():
				case <-ctx.Done():
					t.Fatalf("%v: no event after %v", role, change)
				}
				ports, err := sw.Ports(ctx)
				if err != nil {
					t.Fatal(err)
				}
				there = slices.ContainsFunc(ports, func(p openflow.Port) bool { return p.Number == 9 && p.Name == "p9" })
			}
		}
	}
}

// TestLargeBundleWithRefusals makes a real switch answer with many errors while
// it is still being written to.
func TestLargeBundleWithRefusals(t *testing.T) {
	t.Parallel()
	v := openflowtest.StartVswitch(t, 4)
	sw, ctx := attachReal(t, v), testContext(t)
	add := manyFlows(20000)
	for i := range add {
		if i%2 == 1 {
			// A port match that contradicts its protocol: refused when it is decoded.
			add[i].Match = flow.Match("\x80\x00\x1a\x02\x00\x50")
		}
	}
	err := sw.Apply(ctx, flow.Delta{Add: add})
	var refused *openflow.FlowError
	if !errors.As(err, &refused) || refused.Flow != add[1] || refused.Name() != "OFPBMC_BAD_PREREQ" {
		t.Errorf("error %v", err)
	}
	if got := v.Flows(); len(got) != 0 {
		t.Errorf("%d flows are in place", len(got))
	}
	if err := sw.Apply(ctx, flow.Delta{Add: manyFlows(20000)}); err != nil || len(v.Flows()) != 20000 {
		t.Errorf("afterwards: %v", err)
	}
}

// TestRealSwitchDies: the switch process is killed while it works for us.
func TestRealSwitchDies(t *testing.T) {
	t.Parallel()
	v := openflowtest.StartVswitch(t, 4)
	sw := attachReal(t, v)
	if err := sw.Barrier(testContext(t)); err != nil {
		t.Fatal(err)
	}
	applied := make(chan error, 1)
	go func() { applied <- sw.Apply(testContext(t), flow.Delta{Add: manyFlows(100_000)}) }()
	v.Kill()
	ended(t, sw)
	select {
	case err := <-applied:
		// It may have been quicker than the signal.
		if err == nil {
			t.Log("the bundle was confirmed before the switch died")
		}
	case <-time.After(patience):
		t.Error("apply hangs")
	}
}
