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

// TestManyMeters: half of them are there already, and one is refused.
func TestManyMeters(t *testing.T) {
	t.Parallel()
	v := openflowtest.StartVswitch(t, 1)
	sw, ctx := attachReal(t, v), testContext(t)
	var some, all []openflow.Meter
	for id := uint32(1); id <= 4000; id++ {
		m := openflow.Meter{ID: id, Rate: 1000 + id, Burst: 100}
		all = append(all, m)
		if id%2 == 0 {
			m.Rate = 7
			some = append(some, m)
		}
	}
	if err := sw.SetMeters(ctx, some, nil); err != nil {
		t.Fatal(err)
	}
	var refused *openflow.SwitchError
	none := openflow.Meter{Rate: 1, Burst: 1} // there is no meter 0
	if err := sw.SetMeters(ctx, slices.Insert(slices.Clone(all), 5, none), []uint32{1}); !errors.As(err, &refused) || refused.Name() != "OFPMMFC_INVALID_METER" {
		t.Errorf("meter 0: %v", err)
	}
	got, err := sw.DumpMeters(ctx)
	slices.SortFunc(got, func(a, b openflow.Meter) int { return int(a.ID) - int(b.ID) })
	if err != nil || !slices.Equal(got, all) {
		t.Errorf("%d meters, %v", len(got), err)
	}
	var ids []uint32
	for _, m := range all {
		ids = append(ids, m.ID)
	}
	if err := sw.SetMeters(ctx, nil, ids); err != nil {
		t.Error(err)
	}
	if got, err = sw.DumpMeters(ctx); err != nil || len(got) != 0 {
		t.Errorf("%d meters left, %v", len(got), err)
	}
	if err := sw.SetRole(ctx, openflow.RoleSlave, 1); err != nil {
		t.Fatal(err)
	}
	if err := sw.SetMeters(ctx, all[:3], nil); !errors.Is(err, openflow.ErrSlave) {
		t.Errorf("as a slave: %v", err)
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

// TestPacketInsOfAHostileSwitch: those that nobody asked for are ignored, and of too many
// only some are kept.
func TestPacketInsOfAHostileSwitch(t *testing.T) {
	t.Parallel()
	packet := append([]byte{4, 10, 0, 8 + 26 + 14, 0, 0, 0, 0}, make([]byte, 26+14)...)
	packet[8+17], packet[8+19] = 1, 4 // an OXM match without fields
	fake := openflowtest.New(openflowtest.Config{Intercept: func(c *openflowtest.Session, m openflowtest.Message) bool {
		for i := 0; i < 1000 && m.Type == 20; i++ {
			if err := c.Write(packet); err != nil {
				return true
			}
		}
		return false
	}})
	sw, ctx := attach(t, fake, openflow.ConnConfig{}), testContext(t)
	for _, test := range []struct {
		ask  func()
		want int
	}{{func() {}, 0}, {sw.EnablePacketIns, 256}} {
		test.ask()
		if err := sw.Barrier(ctx); err != nil {
			t.Fatal(err)
		}
		if got := len(sw.PacketIns()); got != test.want {
			t.Errorf("%d packets wait, want %d", got, test.want)
		}
	}
}

// TestZoneFlush has flows make connections in two zones, and forgets those of one.
func TestZoneFlush(t *testing.T) {
	t.Parallel()
	v := openflowtest.StartVswitch(t, 2)
	sw, ctx := attachReal(t, v), testContext(t)
	zone := flow.BitRange(flow.Register(3), 0, 16)
	track := func(port uint32) flow.Flow {
		return flow.Flow{Match: flow.NewMatch().InPort(port).EthType(0x0800).Build(), Instructions: flow.Apply(
			flow.LoadReg(3, port+10, 0xffff), flow.CT(flow.CTSpec{Commit: true, ZoneReg: zone}))}
	}
	if err := sw.Apply(ctx, flow.Delta{Add: []flow.Flow{track(1), track(2)}}); err != nil {
		t.Fatal(err)
	}
	for _, port := range []string{"p1", "p2"} {
		v.Appctl("netdev-dummy/receive", port, "in_port("+port[1:]+"),eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02),eth_type(0x0800),"+
			"ipv4(src=192.0.2.1,dst=192.0.2.2,proto=17,tos=0,ttl=64,frag=no),udp(src=1000,dst=2000)")
	}
	becomes := func(what, want string) {
		t.Helper()
		for {
			var zones []string
			for line := range strings.Lines(v.Appctl("dpctl/dump-conntrack")) {
				_, after, _ := strings.Cut(line, "zone=")
				zones = append(zones, strings.TrimSpace(after))
			}
			slices.Sort(zones)
			if got := strings.Join(zones, " "); got == want {
				return
			} else if ctx.Err() != nil {
				t.Fatalf("%s: connections in zones %q, want %q", what, got, want)
			}
		}
	}
	becomes("two packets", "11 12")
	if err := sw.FlushConntrackZone(ctx, 11); err != nil {
		t.Fatal(err)
	}
	becomes("zone 11 is flushed", "12")
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
