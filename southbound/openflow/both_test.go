package openflow_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"poolwire/southbound/openflow"
	"poolwire/southbound/openflow/flow"
	"poolwire/southbound/openflow/openflowtest"
)

// target is a switch a test talks to: the fake one or a real ovs-vswitchd. The same
// test body runs over both, which is what keeps the fake honest.
type target struct {
	connect func() *openflow.Switch
	// flows are what the switch holds, by its own account, sorted.
	flows func() []string
	// install puts a flow there without us.
	install func(flow.Flow)
}

func overBoth(t *testing.T, body func(t *testing.T, target target)) {
	t.Helper()
	t.Run("fake", func(t *testing.T) {
		t.Parallel()
		fake := openflowtest.New(openflowtest.Config{DatapathID: openflowtest.DatapathID, Ports: fakePorts(), PartBytes: 200, Refuse: refuseBad})
		body(t, target{
			connect: func() *openflow.Switch { return attach(t, fake, openflow.ConnConfig{}) },
			flows:   func() []string { return lines(fake.Flows()) },
			install: func(f flow.Flow) { fake.Install(f) },
		})
	})
	t.Run("real", func(t *testing.T) {
		t.Parallel()
		v := openflowtest.StartVswitch(t, 4)
		body(t, target{
			connect: func() *openflow.Switch { return attachReal(t, v) },
			flows:   v.Flows,
			install: func(f flow.Flow) { v.Ofctl("add-flow", f.String()) },
		})
	})
}

const badPriority = 666

// refuseBad is the fake's idea of a flow that cannot be.
func refuseBad(f flow.Flow, _ flow.Command) *openflowtest.Refusal {
	if f.Priority == badPriority {
		return &openflowtest.Refusal{Type: 2, Code: 4}
	}
	return nil
}

func fakePorts() []openflow.Port {
	ports := []openflow.Port{{Number: openflow.PortLocal, Name: openflowtest.Bridge, MAC: flow.MAC{2, 0, 0, 0, 0, 0xff}}}
	for n := range uint32(4) {
		ports = append(ports, openflow.Port{Number: n + 1, Name: "p" + string(rune('1'+n)), MAC: flow.MAC{2, 0, 0, 0, 0, byte(n + 1)}})
	}
	return ports
}

// lines prints flows as ovs-ofctl dumps them.
func lines(flows []flow.Flow) []string {
	var out []string
	for _, f := range flows {
		out = append(out, f.String())
	}
	slices.Sort(out)
	return out
}

func same(t *testing.T, what string, want, got []string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestApply(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, target target) {
		sw, ctx := target.connect(), testContext(t)
		if sw.DatapathID() != openflowtest.DatapathID {
			t.Errorf("datapath id %x", sw.DatapathID())
		}
		a, b, c := testFlow(0, 10, 1, flow.Output(1)), testFlow(3, 20, 2, flow.Output(2)), testFlow(3, 20, 3)
		if err := sw.Apply(ctx, flow.Delta{Add: []flow.Flow{a, b, c}}); err != nil {
			t.Fatal(err)
		}
		same(t, "after adding", lines([]flow.Flow{a, b, c}), target.flows())

		modified := b
		modified.Instructions = flow.Apply(flow.Output(4))
		d := testFlow(7, 1, 4, flow.Output(3))
		if err := sw.Apply(ctx, flow.Delta{Add: []flow.Flow{d}, Modify: []flow.Flow{modified}, Delete: []flow.Flow{c}}); err != nil {
			t.Fatal(err)
		}
		same(t, "after changing", lines([]flow.Flow{a, modified, d}), target.flows())

		dumped, err := sw.DumpFlows(ctx, openflow.FlowFilter{Table: openflow.TableAll})
		if err != nil {
			t.Fatal(err)
		}
		var flows []flow.Flow
		for _, s := range dumped {
			flows = append(flows, s.Flow)
		}
		slices.SortFunc(flows, flow.Compare)
		if diff := cmp.Diff([]flow.Flow{a, modified, d}, flows); diff != "" {
			t.Errorf("dump (-want +got):\n%s", diff)
		}
		for name, test := range map[string]struct {
			filter openflow.FlowFilter
			want   int
		}{
			"table":          {openflow.FlowFilter{Table: 3}, 1},
			"other table":    {openflow.FlowFilter{Table: 4}, 0},
			"cookie":         {openflow.FlowFilter{Table: openflow.TableAll, Cookie: a.Cookie, CookieMask: ^uint64(0)}, 1},
			"cookie bits":    {openflow.FlowFilter{Table: openflow.TableAll, Cookie: ourCookie, CookieMask: 0xff << 56}, 3},
			"foreign cookie": {openflow.FlowFilter{Table: openflow.TableAll, Cookie: 1 << 56, CookieMask: 0xff << 56}, 0},
		} {
			if got, err := sw.DumpFlows(ctx, test.filter); err != nil || len(got) != test.want {
				t.Errorf("%s: %d flows, %v, want %d", name, len(got), err, test.want)
			}
			if got, err := sw.CountFlows(ctx, test.filter); err != nil || int(got) != test.want {
				t.Errorf("%s: counted %d flows, %v, want %d", name, got, err, test.want)
			}
		}
		// Whatever has the cookie, in the table, at any priority: not d, which is in another one.
		if err := sw.Apply(ctx, flow.Delta{Forget: []flow.Flow{{Table: 3, Cookie: b.Cookie}, {Table: 0, Cookie: 1 << 56}}}); err != nil {
			t.Fatal(err)
		}
		same(t, "after forgetting", lines([]flow.Flow{a, d}), target.flows())
	})
}

// TestBundleIsAtomic guards against half a policy: one flow that the switch
// refuses keeps all others of its bundle out, deletions included.
func TestBundleIsAtomic(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, target target) {
		sw, ctx := target.connect(), testContext(t)
		kept := manyFlows(50)
		if err := sw.Apply(ctx, flow.Delta{Add: kept}); err != nil {
			t.Fatal(err)
		}
		// The priority of the fake's bad flow and the port of the real one's say the same.
		bad := testFlow(9, badPriority, 999, flow.Output(0xfffffe01))
		add := append(slices.Clone(manyFlows(300)[50:]), bad)
		err := sw.Apply(ctx, flow.Delta{Add: add, Delete: kept[:10]})
		var refused *openflow.FlowError
		if !errors.As(err, &refused) {
			t.Fatalf("error %v, want a *FlowError", err)
		}
		if refused.Flow != bad || refused.Command != flow.Add || refused.Applied || refused.Type == 0 {
			t.Errorf("refused %+v", refused)
		}
		if !strings.Contains(err.Error(), refused.Flow.String()) {
			t.Errorf("%q does not name the flow", err)
		}
		same(t, "after the refusal", lines(kept), target.flows())

		// The connection is none the worse for it.
		if err := sw.Apply(ctx, flow.Delta{Add: manyFlows(60)[50:]}); err != nil {
			t.Fatal(err)
		}
		same(t, "after a good bundle", lines(manyFlows(60)), target.flows())
	})
}

func TestRoles(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, target target) {
		ctx := testContext(t)
		first, second := target.connect(), target.connect()
		change := flow.Delta{Add: []flow.Flow{testFlow(1, 1, 1)}}
		if err := first.Apply(ctx, change); err != nil {
			t.Errorf("equal: %v", err)
		}
		if err := first.SetRole(ctx, openflow.RoleMaster, 10); err != nil {
			t.Fatal(err)
		}
		if err := second.SetRole(ctx, openflow.RoleSlave, 9); !errors.Is(err, openflow.ErrStaleGeneration) {
			t.Errorf("slave with an old generation: %v", err)
		}
		if err := second.SetRole(ctx, openflow.RoleSlave, 10); err != nil {
			t.Errorf("slave with the same generation: %v", err)
		}
		var flowError *openflow.FlowError
		if err := second.Apply(ctx, change); !errors.Is(err, openflow.ErrSlave) || errors.As(err, &flowError) {
			t.Errorf("slave: %v", err)
		}
		if _, err := second.DumpFlows(ctx, openflow.FlowFilter{}); err != nil {
			t.Errorf("slave reads: %v", err)
		}
		// The new leader: its claim demotes the old one, whose own claim comes too late.
		if err := second.SetRole(ctx, openflow.RoleMaster, 11); err != nil {
			t.Fatal(err)
		}
		if err := first.Apply(ctx, change); !errors.Is(err, openflow.ErrSlave) || errors.As(err, &flowError) {
			t.Errorf("deposed master: %v", err)
		}
		if err := first.SetRole(ctx, openflow.RoleMaster, 10); !errors.Is(err, openflow.ErrStaleGeneration) {
			t.Errorf("deposed master claims again: %v", err)
		}
		if err := second.Apply(ctx, change); err != nil {
			t.Errorf("new master: %v", err)
		}
	})
}

func TestPorts(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, target target) {
		sw, ctx := target.connect(), testContext(t)
		ports, err := sw.Ports(ctx)
		if err != nil || len(ports) != 5 {
			t.Fatalf("ports %+v, %v", ports, err)
		}
		find := func(number uint32) openflow.Port {
			ports, err := sw.Ports(ctx)
			if err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(ports, func(p openflow.Port) bool { return p.Number == number })
			if i < 0 {
				t.Fatalf("no port %d in %+v", number, ports)
			}
			return ports[i]
		}
		if p := find(openflow.PortLocal); p.Name != openflowtest.Bridge {
			t.Errorf("local port is %+v", p)
		}
		p2 := find(2)
		if p2.Name != "p2" || p2.MAC == (flow.MAC{}) || p2.Config&openflow.PortNoForward != 0 {
			t.Errorf("port 2 is %+v", p2)
		}
		if err := sw.SetPortConfig(ctx, p2, openflow.PortNoForward, openflow.PortNoForward); err != nil {
			t.Fatal(err)
		}
		if now := find(2); now.Config != p2.Config|openflow.PortNoForward {
			t.Errorf("port 2 is %+v now", now)
		}
		if err := sw.SetPortConfig(ctx, p2, 0, openflow.PortNoForward); err != nil {
			t.Fatal(err)
		}
		if now := find(2); now.Config != p2.Config {
			t.Errorf("port 2 is %+v in the end", now)
		}
		var refused *openflow.SwitchError
		mistaken := p2
		mistaken.MAC[5] ^= 1
		if err := sw.SetPortConfig(ctx, mistaken, 0, openflow.PortNoForward); !errors.As(err, &refused) || refused.Name() != "OFPPMFC_BAD_HW_ADDR" {
			t.Errorf("port with another MAC: %v", err)
		}
		mistaken.Number = 77
		if err := sw.SetPortConfig(ctx, mistaken, 0, openflow.PortNoForward); !errors.As(err, &refused) || refused.Name() != "OFPPMFC_BAD_PORT" {
			t.Errorf("port that is not there: %v", err)
		}
	})
}

// TestResyncSendsDifferencesOnly is the whole life of a bridge's flows.
func TestResyncSendsDifferencesOnly(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, target target) {
		ctx := testContext(t)
		foreign := flow.Flow{Priority: 32768, Cookie: 0x1f, Match: flow.NewMatch().InPort(3).Build(), Instructions: flow.Apply(flow.Output(1))}
		shadowing := flow.Flow{Priority: 65500, Cookie: 1, Match: flow.NewMatch().InPort(4).Build(), Instructions: flow.Apply(flow.Output(2))}
		learned := testFlow(35, 100, 70, flow.Output(2))
		learned.Cookie, learned.HardTimeout = learnedCookie, 300
		for _, f := range []flow.Flow{foreign, shadowing, learned} {
			target.install(f)
		}
		others := []flow.Flow{foreign, shadowing, learned}

		want := append(manyFlows(200), testFlow(0, 65400, 5))
		sw, sync := target.connect(), newSync()
		full := func(expect openflow.Report) {
			t.Helper()
			got, err := sync.Full(ctx, sw, each(want))
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Foreign) != 2 || len(got.Shadowing) != 1 || got.Shadowing[0].Flow != shadowing {
				t.Errorf("foreign %v, shadowing %v", got.Foreign, got.Shadowing)
			}
			got.Foreign, got.Shadowing = nil, nil
			expect.Ephemeral, expect.ForeignCount, expect.ShadowingCount = 1, 2, 1
			if diff := cmp.Diff(expect, got); diff != "" {
				t.Errorf("report (-want +got):\n%s", diff)
			}
			same(t, "flows", lines(append(slices.Clone(want), others...)), target.flows())
		}
		if err := sync.Incremental(ctx, sw, flow.Delta{}); !errors.Is(err, openflow.ErrNotSynchronised) {
			t.Errorf("incremental before full: %v", err)
		}
		full(openflow.Report{Added: 201})
		full(openflow.Report{Installed: 201})

		if err := sync.Incremental(ctx, sw, flow.Delta{Delete: want[:1]}); err != nil {
			t.Fatal(err)
		}
		want = want[1:]
		full(openflow.Report{Installed: 200})

		// A new session, after which three flows differ.
		sw.Close(nil)
		sw = target.connect()
		if err := sync.Incremental(ctx, sw, flow.Delta{}); !errors.Is(err, openflow.ErrNotSynchronised) {
			t.Errorf("incremental on a new session: %v", err)
		}
		want[0].Instructions = flow.Apply(flow.Output(4))
		want[1].Cookie++
		want = append(want[:5], want[6:]...)
		full(openflow.Report{Installed: 200, Added: 1, Modified: 1, Deleted: 1})
		full(openflow.Report{Installed: 199})
	})
}
