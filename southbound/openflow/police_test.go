package openflow_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"poolwire/southbound/openflow"
	"poolwire/southbound/openflow/flow"
	"poolwire/southbound/openflow/openflowtest"
)

// TestMeters sets, changes and removes meters on the real switch, and reads them back.
func TestMeters(t *testing.T) {
	t.Parallel()
	v := openflowtest.StartVswitch(t, 1)
	sw, ctx := attachReal(t, v), testContext(t)
	features, err := sw.MeterFeatures(ctx)
	if err != nil || features.MaxMeters == 0 {
		t.Fatalf("features %+v, %v", features, err)
	}
	want := []openflow.Meter{{ID: 1, Packets: true, Rate: 20, Burst: 20}, {ID: 7, Rate: 10_000, Burst: 2_000}}
	for range 2 { // the second time they are there already
		if err := sw.SetMeters(ctx, want, nil); err != nil {
			t.Fatal(err)
		}
	}
	got, err := sw.DumpMeters(ctx)
	slices.SortFunc(got, func(a, b openflow.Meter) int { return int(a.ID) - int(b.ID) })
	if err != nil || !slices.Equal(got, want) {
		t.Fatalf("meters %+v, %v", got, err)
	}
	if theirs := v.Ofctl("dump-meters"); !strings.Contains(theirs, "meter=7 kbps burst stats") || !strings.Contains(theirs, "rate=10000 burst_size=2000") {
		t.Errorf("ovs-ofctl prints %s", theirs)
	}
	if err := sw.SetMeters(ctx, []openflow.Meter{{ID: 7, Rate: 5_000, Burst: 1_000}}, []uint32{1, 99}); err != nil {
		t.Fatal(err)
	}
	if got, err = sw.DumpMeters(ctx); err != nil || !slices.Equal(got, []openflow.Meter{{ID: 7, Rate: 5_000, Burst: 1_000}}) {
		t.Errorf("meters %+v, %v", got, err)
	}
}

// TestPacketInAndOut has a flow send a packet up that a packet-out has put in, with what
// the flows before it had noted.
func TestPacketInAndOut(t *testing.T) {
	t.Parallel()
	v := openflowtest.StartVswitch(t, 2)
	sw, ctx := attachReal(t, v), testContext(t)
	up := flow.Flow{Table: 1, Cookie: ourCookie, Instructions: flow.Apply(flow.Controller(64))}
	noted := flow.Flow{Match: flow.NewMatch().InPort(2).Build(), Instructions: flow.ApplyGoto(1, flow.LoadReg(7, 0x1234, ^uint32(0)), flow.LoadReg(8, 9, ^uint32(0)))}
	if err := sw.Apply(ctx, flow.Delta{Add: []flow.Flow{up, noted}}); err != nil {
		t.Fatal(err)
	}
	frame := append([]byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5}, bytes.Repeat([]byte{7}, 100)...)
	send := func() {
		t.Helper()
		if err := sw.PacketOut(ctx, 2, []flow.Action{flow.Output(0xfffffff9)}, frame); err != nil { // OFPP_TABLE
			t.Fatal(err)
		}
	}
	send()
	if err := sw.Barrier(ctx); err != nil {
		t.Fatal(err)
	}
	select {
	case p := <-sw.PacketIns():
		t.Fatalf("a packet-in that nobody asked for: %+v", p)
	default:
	}
	sw.EnablePacketIns()
	send()
	select {
	case p := <-sw.PacketIns():
		if p.Table != 1 || p.Cookie != ourCookie || p.InPort != 2 || p.Registers[7] != 0x1234 || p.Registers[8] != 9 ||
			int(p.TotalLen) != len(frame) || !bytes.HasPrefix(frame, p.Data) || len(p.Data) < 64 {
			t.Errorf("packet-in %+v", p)
		}
	case <-ctx.Done():
		t.Fatal("no packet-in")
	}
}

// TestZoneFlush: the switch knows the message; what it does to connections is for tests
// with a datapath that has some.
func TestZoneFlush(t *testing.T) {
	t.Parallel()
	v := openflowtest.StartVswitch(t, 1)
	sw, ctx := attachReal(t, v), testContext(t)
	if err := sw.FlushConntrackZone(ctx, 17); err != nil && !errors.Is(err, openflow.ErrUnsupported) {
		t.Error(err)
	}
}

// TestFragments: with FragmentsMatch flows see the ports of a first fragment.
func TestFragments(t *testing.T) {
	t.Parallel()
	v := openflowtest.StartVswitch(t, 2)
	sw, ctx := attachReal(t, v), testContext(t)
	for _, test := range []struct {
		set  openflow.Fragments
		want string
	}{{openflow.FragmentsMatch, "nx-match"}, {openflow.FragmentsNormal, "normal"}} {
		if err := sw.SetFragments(ctx, test.set); err != nil {
			t.Fatal(err)
		}
		if got := v.Ofctl("get-frags"); !strings.Contains(got, test.want) {
			t.Errorf("the switch matches fragments as %q, want %s", strings.TrimSpace(got), test.want)
		}
	}
}
