package walk

import (
	"errors"
	"slices"
	"testing"

	"poolwire/southbound/openflow/flow"
)

// TestCopies: each copy starts with the packet as it was, on its own port, and what comes
// after them does too.
func TestCopies(t *testing.T) {
	t.Parallel()
	mark := func(n uint32) flow.Action { return flow.LoadReg(4, n, 0xffffffff) }
	flows := []flow.Flow{
		{Priority: 1, Instructions: flow.Apply(
			flow.Copies(flow.Actions(flow.PushVLAN(), mark(1), flow.Resubmit(9)), flow.Actions(mark(2), flow.Resubmit(9))), flow.Resubmit(9))},
		{Table: 9, Priority: 2, Match: flow.NewMatch().Reg(4, 1, 0xffffffff).Build(), Instructions: flow.Apply(flow.Output(11), flow.Output(3))},
		{Table: 9, Priority: 2, Match: flow.NewMatch().Reg(4, 2, 0xffffffff).Build(), Instructions: flow.Apply(flow.Output(12), flow.InPort())},
		{Table: 9, Priority: 1, Instructions: flow.Apply(flow.Output(13), flow.Output(3))},
	}
	tables, err := New(slices.Values(flows))
	if err != nil {
		t.Fatal(err)
	}
	for _, in := range []uint32{3, flow.PortLocal} {
		want := []uint32{11, 12, in, 13}
		if in != 3 {
			want = []uint32{11, 3, 12, in, 13, 3}
		}
		trace := tables.Run(Packet{InPort: in}, Options{})
		var got []uint32
		for _, o := range trace.Outputs {
			got = append(got, o.Port)
			if o.Packet.InPort != in || (o.Packet.VLAN != 0) != (o.Step == 1) {
				t.Errorf("to %d: from %d with tag %d at step %d", o.Port, o.Packet.InPort, o.Packet.VLAN, o.Step)
			}
		}
		if trace.Err != nil || !slices.Equal(got, want) {
			t.Errorf("from %d: to %v (%v), want %v", in, got, trace.Err, want)
		}
	}
	wire := []byte{0xff, 0xff, 0, 16, 0, 0, 0x23, 0x20, 0, 39, 0, 5, 0, 0, 0, 64}
	if _, err := New(slices.Values([]flow.Flow{{Instructions: flow.Apply(flow.Action(wire))}})); !errors.Is(err, ErrUnsupported) {
		t.Errorf("a truncated output to a port: %v", err)
	}
}
