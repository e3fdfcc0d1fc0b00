package walk

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"testing"

	"poolwire/southbound/openflow/flow"
)

// tables prepares flows.
func tables(t testing.TB, flows ...flow.Flow) *Tables {
	t.Helper()
	prepared, err := New(slices.Values(flows))
	if err != nil {
		t.Fatal(err)
	}
	return prepared
}

// entryOf makes a flow.
func entryOf(table uint8, priority uint16, m *flow.MatchBuilder, i flow.Instructions) flow.Flow {
	return flow.Flow{Table: table, Priority: priority, Cookie: uint64(table)<<16 | uint64(priority), Match: m.Build(), Instructions: i}
}

// nicira makes one of Nicira's actions out of what follows its subtype.
func nicira(subtype uint16, body ...byte) flow.Action {
	wire := []byte{0xff, 0xff, 0, 0, 0, 0, 0x23, 0x20}
	wire = append(binary.BigEndian.AppendUint16(wire, subtype), body...)
	for len(wire)%8 != 0 {
		wire = append(wire, 0)
	}
	binary.BigEndian.PutUint16(wire[2:], uint16(len(wire)))
	return flow.Action(wire)
}

// conjunctionOf is a clause, counted from 0.
func conjunctionOf(id uint32, clause, clauses uint8) flow.Action {
	return nicira(niciraConjunction, binary.BigEndian.AppendUint32([]byte{clause, clauses}, id)...)
}

// trackIn looks a packet up in a zone and resumes in a table; noTable commits instead.
func trackIn(zone uint16, table uint8) flow.Action {
	body := []byte{0, 0, 0, 0, 0, 0, byte(zone >> 8), byte(zone), table, 0, 0, 0, 0, 0}
	if table == noTable {
		body[1] = 1
	}
	return nicira(niciraTrack, body...)
}

// packetTo is a TCP packet from 192.0.2.1 port 1000 that came in by port 1.
func packetTo(dst string, port uint16) Packet {
	return Packet{
		InPort: 1, EtherType: EtherTypeIPv4, Proto: ProtoTCP, TTL: 64,
		Src: netip.MustParseAddr("192.0.2.1"), Dst: netip.MustParseAddr(dst), SrcPort: 1000, DstPort: port,
	}
}

// ports lists the ports that a packet leaves by.
func ports(trace Trace) []uint32 {
	var list []uint32
	for _, o := range trace.Outputs {
		list = append(list, o.Port)
	}
	return list
}

func expectPorts(t *testing.T, trace Trace, want ...uint32) {
	t.Helper()
	if got := ports(trace); !slices.Equal(got, want) || trace.Err != nil {
		t.Errorf("left by %v (%v), want %v", got, trace.Err, want)
	}
}

func prefix(text string) netip.Prefix { return netip.MustParsePrefix(text) }

func TestPriorityAndMiss(t *testing.T) {
	t.Parallel()
	tables := tables(t,
		entryOf(0, 10, flow.NewMatch().IPv4Dst(prefix("198.51.100.0/24")), flow.Apply(flow.Output(2))),
		entryOf(0, 20, flow.NewMatch().IPv4Dst(prefix("198.51.100.7/32")), flow.Goto(5)),
		entryOf(0, 15, flow.NewMatch().EthType(EtherTypeIPv4).TCPDst(22), flow.Apply(flow.Output(3))),
	)
	expectPorts(t, tables.Run(packetTo("198.51.100.1", 80), Options{}), 2)
	expectPorts(t, tables.Run(packetTo("198.51.100.1", 22), Options{}), 3)
	trace := tables.Run(packetTo("198.51.100.7", 22), Options{})
	expectPorts(t, trace)
	if len(trace.Steps) != 2 || trace.Steps[1].Table != 5 || trace.Steps[1].Flow != nil {
		t.Errorf("steps %+v, want a miss in table 5", trace.Steps)
	}
}

// TestConjunction: all clauses at one priority are needed, and a better flow wins over
// a conjunction of a lower priority.
func TestConjunction(t *testing.T) {
	t.Parallel()
	ip := func() *flow.MatchBuilder { return flow.NewMatch().EthType(EtherTypeIPv4) }
	held := entryOf(0, 50, ip(), flow.Apply(flow.Output(9)))
	held.Match = flow.Match(string(held.Match) + "\x00\x01\x4a\x04\x00\x00\x00\x07")
	tables := tables(t,
		held,
		entryOf(0, 50, flow.NewMatch().IPv4Dst(prefix("198.51.100.1/32")), flow.Apply(conjunctionOf(7, 0, 2))),
		entryOf(0, 50, flow.NewMatch().IPv4Dst(prefix("198.51.100.2/32")), flow.Apply(conjunctionOf(7, 0, 2), conjunctionOf(8, 0, 2))),
		entryOf(0, 50, ip().TCPDst(22), flow.Apply(conjunctionOf(7, 1, 2))),
		entryOf(0, 60, ip().TCPDst(22).IPv4Src(prefix("192.0.2.1/32")).TCPSrc(4), flow.Apply(flow.Output(3))),
		entryOf(0, 1, flow.NewMatch(), flow.Apply(flow.Output(2))),
	)
	trace := tables.Run(packetTo("198.51.100.2", 22), Options{})
	expectPorts(t, trace, 9)
	if n := len(trace.Steps[0].Clauses); n != 2 {
		t.Errorf("%d clauses, want 2", n)
	}
	expectPorts(t, tables.Run(packetTo("198.51.100.1", 23), Options{}), 2)
	expectPorts(t, tables.Run(packetTo("198.51.100.3", 22), Options{}), 2)
	better := packetTo("198.51.100.1", 22)
	better.SrcPort = 4
	expectPorts(t, tables.Run(better, Options{}), 3)
}

// TestTrack: what goes on after ct knows nothing of the connection; the copy is looked
// at afterwards, with the registers it had.
func TestTrack(t *testing.T) {
	t.Parallel()
	ip := func() *flow.MatchBuilder { return flow.NewMatch().EthType(EtherTypeIPv4) }
	tables := tables(t,
		entryOf(0, 1, ip(), flow.Apply(flow.LoadReg(1, 5, ^uint32(0)), trackIn(3, 10), flow.LoadReg(1, 6, ^uint32(0)), flow.Output(2), trackIn(4, noTable))),
		entryOf(10, 1, ip().Reg(1, 5, ^uint32(0)), flow.Apply(flow.Output(4))),
	)
	asked := 0
	trace := tables.Run(packetTo("198.51.100.1", 22), Options{CT: func(zone uint16, p Packet) Connection {
		asked++
		if zone != 3 || p.Registers[1] != 5 {
			t.Errorf("asked of zone %d, register %d", zone, p.Registers[1])
		}
		return p.OwnTuple(CTTracked | CTEstablished)
	}})
	expectPorts(t, trace, 2, 4)
	if asked != 1 || len(trace.Commits) != 1 || trace.Commits[0].Zone != 4 || len(trace.Ends) != 2 {
		t.Errorf("asked %d times, commits %+v, %d stretches", asked, trace.Commits, len(trace.Ends))
	}
	if c := trace.Outputs[1].Packet.Connection; c.State != CTTracked|CTEstablished || c.Zone != 3 || c.DstPort != 22 {
		t.Errorf("the copy has connection %+v", c)
	}
	if c := trace.Ends[0].Connection; c.State != 0 {
		t.Errorf("the packet that went on has connection %+v", c)
	}
}

// TestResubmitComesBack: registers stay changed, what is pushed comes back, clone undoes.
func TestResubmitComesBack(t *testing.T) {
	t.Parallel()
	source, destination := flow.Whole(flow.FieldEthSrc), flow.Whole(flow.FieldEthDst)
	wire := append(make([]byte, 6), flow.Actions(flow.LoadReg(2, 9, ^uint32(0)), flow.Output(5))...)
	tables := tables(t,
		entryOf(0, 1, flow.NewMatch(), flow.ApplyGoto(3, flow.Push(destination), flow.MoveField(source, destination), flow.Resubmit(1),
			flow.Pop(destination), nicira(niciraClone, wire...))),
		entryOf(1, 1, flow.NewMatch().EthDst(flow.MAC{1}), flow.Apply(flow.LoadReg(1, 7, ^uint32(0)))),
		entryOf(3, 1, flow.NewMatch().EthDst(flow.MAC{2}).Reg(1, 7, ^uint32(0)).Reg(2, 0, ^uint32(0)), flow.Apply(flow.Output(4))),
	)
	p := packetTo("198.51.100.1", 22)
	p.EthSrc, p.EthDst = flow.MAC{1}, flow.MAC{2}
	trace := tables.Run(p, Options{})
	expectPorts(t, trace, 5, 4)
	if trace.Steps[1].Depth != 1 || trace.Steps[2].Depth != 0 || trace.Outputs[0].Step != 0 || trace.Outputs[1].Step != 2 {
		t.Errorf("steps %+v, outputs %+v", trace.Steps, trace.Outputs)
	}
}

// TestOutputs: never back to where it came from, never to a port that is shut.
func TestOutputs(t *testing.T) {
	t.Parallel()
	tables := tables(t, entryOf(0, 1, flow.NewMatch(), flow.Apply(flow.Output(1), flow.InPort(), flow.Output(2), flow.Output(3), flow.Normal())))
	trace := tables.Run(packetTo("198.51.100.1", 22), Options{Blocked: func(port uint32) bool { return port == 2 }})
	expectPorts(t, trace, 1, 3, flow.PortNormal)
}

// TestFragments: by default not even a first fragment has ports.
func TestFragments(t *testing.T) {
	t.Parallel()
	tables := tables(t, entryOf(0, 1, flow.NewMatch().EthType(EtherTypeIPv4).TCPDst(22), flow.Apply(flow.Output(2))))
	p := packetTo("198.51.100.1", 22)
	p.Fragment = FirstFragment
	expectPorts(t, tables.Run(p, Options{}))
	expectPorts(t, tables.Run(p, Options{FragmentPorts: true}), 2)
	p.Fragment = LaterFragment
	expectPorts(t, tables.Run(p, Options{FragmentPorts: true}))
}

// TestGivesUp: a table that sends a packet back to itself ends.
func TestGivesUp(t *testing.T) {
	t.Parallel()
	for name, again := range map[string]flow.Instructions{
		"resubmit":      flow.Apply(flow.Output(2), flow.Resubmit(0)),
		"two resubmits": flow.Apply(flow.Resubmit(0), flow.Resubmit(0)),
		"ct":            flow.Apply(flow.Output(2), trackIn(1, 0), trackIn(2, 0)),
		"goto":          flow.Goto(0),
	} {
		trace := tables(t, entryOf(0, 1, flow.NewMatch().EthType(EtherTypeIPv4), again)).Run(packetTo("198.51.100.1", 22), Options{})
		if !errors.Is(trace.Err, ErrTooMuch) || len(trace.Outputs) > 0 {
			t.Errorf("%s: error %v, outputs %v", name, trace.Err, trace.Outputs)
		}
	}
}

func TestRefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]flow.Flow{
		"group":          {Instructions: flow.Apply(flow.Action("\x00\x16\x00\x08\x00\x00\x00\x01"))},
		"write_metadata": {Instructions: flow.Instructions("\x00\x02\x00\x18" + string(make([]byte, 20)))},
		"a field":        {Match: flow.Match("\x80\x00\x44\x04\x00\x00\x00\x01")},
	} {
		if _, err := New(slices.Values([]flow.Flow{f})); !errors.Is(err, ErrUnsupported) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
