package flowcompiler

import (
	"errors"
	"slices"
	"testing"

	"poolwire/southbound/openflow/flow"
)

func TestTablesOnlyLeadForward(t *testing.T) {
	t.Parallel()
	last := -1
	names := map[string]bool{}
	for _, row := range Tables() {
		if int(row.Table) <= last {
			t.Errorf("%v (%d) is out of order", row.Table, row.Table)
		}
		last = int(row.Table)
		if names[row.Name] || row.Name == "" || row.Decides == "" || row.Miss == "" {
			t.Errorf("table %d: name %q is empty or taken, or something is not described", row.Table, row.Name)
		}
		names[row.Name] = true
		for _, next := range row.Next {
			if next <= row.Table || next.row() == nil {
				t.Errorf("%v leads to %v", row.Table, next)
			}
		}
	}
	if len(TableNames()) != len(Tables()) {
		t.Errorf("%d names for %d tables", len(TableNames()), len(Tables()))
	}
}

func TestTableNumbersAreFixed(t *testing.T) {
	t.Parallel()
	for table, name := range map[Table]string{
		0: "classify", 5: "vlan", 10: "spoof_guard", 20: "from_vif", 22: "from_trunk", 25: "learn", 27: "admit", 28: "neighbor", 29: "advertise", 30: "destination", 35: "learned", 36: "deliver",
		37: "flood", 40: "to_vif", 45: "host_delivery", 50: "forward", 60: "tunnel_out",
		12: "guest_guard", 14: "out_state", 23: "out_policy", 24: "out_verdict", 38: "in_state", 39: "in_track", 41: "in_policy", 42: "in_verdict",
		48: "denied", 70: "mandatory_out", 71: "default_out", 75: "mandatory_in", 76: "default_in",
	} {
		if table.String() != name {
			t.Errorf("table %d is called %v, want %s: it is stored on switches", table, table, name)
		}
	}
	if got := Table(99).String(); got != "table99" {
		t.Errorf("an unknown table is called %q", got)
	}
}

func TestBandsDoNotOverlap(t *testing.T) {
	t.Parallel()
	for _, row := range Tables() {
		for i, a := range row.Bands {
			if a.Low > a.High || a.Purpose == "" {
				t.Errorf("%v: band %+v", row.Table, a)
			}
			for _, b := range row.Bands[i+1:] {
				if a.Low <= b.High && b.Low <= a.High {
					t.Errorf("%v: bands %+v and %+v overlap", row.Table, a, b)
				}
			}
		}
	}
}

// TestClassifyIsAboveOthers guards against rules of XO and of the sdncontroller
// plugin in the shared table: both default to priority 32768.
func TestClassifyIsAboveOthers(t *testing.T) {
	t.Parallel()
	for _, band := range TableClassify.row().Bands {
		if band.Low <= 32768 {
			t.Errorf("band %+v is not above 32768", band)
		}
	}
}

func TestCheckRefusesFlowsThatBreakTheirRow(t *testing.T) {
	t.Parallel()
	good := flow.Flow{
		Table: uint8(TableDestination), Priority: bandDestinationMAC.Low,
		Match:        FieldNetwork.match(flow.NewMatch(), 7).EthDst(flow.MAC{2}).Build(),
		Instructions: then(TableToVIF, FieldDestination.load(9)),
	}
	if err := check(good); err != nil {
		t.Fatalf("a flow as it should be: %v", err)
	}
	for _, tc := range []struct {
		name  string
		spoil func(f *flow.Flow)
	}{
		{"table that does not exist", func(f *flow.Flow) { f.Table = 31 }},
		{"priority outside the bands", func(f *flow.Flow) { f.Priority = 299 }},
		{"field not allowed", func(f *flow.Flow) { f.Match = flow.NewMatch().InPort(1).Build() }},
		{"field no table allows", func(f *flow.Flow) { f.Match = flow.NewMatch().Metadata(1, 1).Build() }},
		{"match cut short", func(f *flow.Flow) { f.Match = f.Match[:len(f.Match)-1] }},
		{"goto not in next", func(f *flow.Flow) { f.Instructions = flow.Goto(uint8(TableHostDelivery)) }},
		{"goto backwards", func(f *flow.Flow) { f.Instructions = flow.Goto(uint8(TableLearn)) }},
		{"resubmit not in next", func(f *flow.Flow) { f.Instructions = flow.Apply(flow.Resubmit(uint8(TableClassify))) }},
		{"action not allowed", func(f *flow.Flow) { f.Instructions = flow.Apply(flow.Normal()) }},
		{"action no table allows", func(f *flow.Flow) { f.Instructions = flow.Apply(flow.PushVLAN()) }},
		{"register not to be written", func(f *flow.Flow) { f.Instructions = flow.Apply(FieldPolicy.load(1)) }},
		{"register without a field", func(f *flow.Flow) { f.Instructions = flow.Apply(flow.LoadReg(9, 1, 1)) }},
		{"move", func(f *flow.Flow) { f.Instructions = flow.Apply(reverse()) }},
		{"bits without a field", func(f *flow.Flow) { f.Instructions = flow.Apply(flow.LoadReg(5, 1<<20, 1<<20)) }},
		{"instructions cut short", func(f *flow.Flow) { f.Instructions = f.Instructions[:len(f.Instructions)-1] }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			bad := good
			tc.spoil(&bad)
			var rowError *RowError
			if err := check(bad); !errors.As(err, &rowError) {
				t.Errorf("error %v, want a RowError", err)
			}
		})
	}
}

func TestCheckRefusesFlowsTooLongForTheWire(t *testing.T) {
	t.Parallel()
	f := flow.Flow{
		Table: uint8(TableTunnelOut), Priority: bandTunnelFlood.Low,
		Instructions: flow.Apply(slices.Repeat([]flow.Action{flow.Output(1)}, 4090)...),
	}
	if err := check(f); !errors.Is(err, ErrTooLong) {
		t.Errorf("error %v, want ErrTooLong", err)
	}
}

// TestCommitReportsFlowsThatBreakTheirRow: a fault in the compiler is an error of
// Commit, and changes nothing.
func TestCommitReportsFlowsThatBreakTheirRow(t *testing.T) {
	t.Parallel()
	c := New()
	mustCommit(t, c)
	before := slices.Collect(c.Flows())
	// Without its own goto, whatever VIFs send would go to a table that does not exist.
	c.gotos[TableFromVIF] = flow.Goto(77)
	c.SetNetwork(Network{ID: 1})
	c.SetVIF(VIF{ID: 2, Network: 1, Ports: []uint32{3}, MAC: flow.MAC{2}, Locking: Locked})
	_, err := c.Commit()
	var rowError *RowError
	if !errors.As(err, &rowError) {
		t.Fatalf("error %v, want a RowError", err)
	}
	if !slices.Equal(before, slices.Collect(c.Flows())) {
		t.Error("a failed Commit changed the flows")
	}
	c.gotos[TableFromVIF] = flow.Goto(uint8(TableFromVIF))
	if d := mustCommit(t, c); len(d.Flows.Add) == 0 {
		t.Error("the next Commit did not try again")
	}
}

func mustCommit(t testing.TB, c *Compiler) Delta {
	t.Helper()
	d, err := c.Commit()
	if err != nil {
		t.Fatal(err)
	}
	return d
}
