package walk

import (
	"slices"

	"poolwire/southbound/openflow/flow"
)

// output sends a copy to a port.
type output uint32

func (o output) run(x *run) { x.output(uint32(o)) }

// output sends a copy to a port: never to the one the packet came in by, except as
// IN_PORT, and never to one that is shut.
func (x *run) output(port uint32) {
	in := uint32(x.packet[slotInPort])
	switch port {
	case in:
		return
	case flow.PortInPort:
		port = in
	}
	if x.options.Blocked != nil && x.options.Blocked(port) {
		return
	}
	x.trace.Outputs = append(x.trace.Outputs, Output{Port: port, Packet: x.packet.packet(), Step: x.step})
}

// truncated sends the first bytes to LOCAL. Where the packet came in by LOCAL, as it always
// seems to have where flows of ours do so, it sends nothing (see flow.Copies).
type truncated struct{}

func (truncated) run(x *run) {
	if uint16(x.packet[slotInPort]) != localPort16 {
		x.output(flow.PortLocal)
	}
}

// outputField sends a copy to the port whose number is in a field.
type outputField subfield

func (o outputField) run(x *run) {
	port := uint32(x.packet.get(subfield(o), 0, o.width))
	if o.width <= 16 && port >= 0xff00 {
		// The reserved ports of OpenFlow 1.0.
		port |= 0xffff0000
	}
	x.output(port)
}

// meter polices; the packet is taken to be within the rate.
type meter uint32

func (m meter) run(x *run) { x.trace.Meters = append(x.trace.Meters, uint32(m)) }

// setField sets whole fields.
type setField []condition

func (s setField) run(x *run) {
	for _, c := range s {
		x.packet[c.slot] = x.packet[c.slot]&^c.mask | c.value
	}
}

// load sets bits of a field.
type load struct {
	dst   subfield
	value uint64
}

func (l load) run(x *run) { x.packet.set(l.dst, 0, l.dst.width, l.value) }

// move copies bits from field to field, which may overlap.
type move struct{ src, dst subfield }

func (m move) run(x *run) {
	v := x.packet.item(m.src)
	x.packet.setItem(m.dst, v)
}

// item reads a subfield of up to 128 bits, setItem writes one.
func (k *key) item(s subfield) stackItem {
	if s.width <= 64 {
		return stackItem{low: k.get(s, 0, s.width)}
	}
	return stackItem{low: k.get(s, 0, 64), high: k.get(s, 64, s.width-64)}
}

func (k *key) setItem(s subfield, v stackItem) {
	k.set(s, 0, min(s.width, 64), v.low)
	if s.width > 64 {
		k.set(s, 64, s.width-64, v.high)
	}
}

// push puts a field aside, pop takes what was put aside last. Of an empty stack there
// is nothing to take, and the field stays as it is.
type (
	push subfield
	pop  subfield
)

func (s push) run(x *run) { x.stack = append(x.stack, x.packet.item(subfield(s))) }

func (s pop) run(x *run) {
	if n := len(x.stack); n > 0 {
		x.packet.setItem(subfield(s), x.stack[n-1])
		x.stack = x.stack[:n-1]
	}
}

// pushVLAN adds a tag with VLAN id 0, popVLAN takes the outermost off. A second tag is
// kept beneath the first.
type (
	pushVLAN struct{}
	popVLAN  struct{}
)

func (pushVLAN) run(x *run) {
	x.packet[slotInnerVLAN], x.packet[slotInnerPCP] = x.packet[slotVLAN], x.packet[slotPCP]
	x.packet[slotVLAN], x.packet[slotPCP] = VLANPresent, 0
}

func (popVLAN) run(x *run) {
	x.packet[slotVLAN], x.packet[slotPCP] = x.packet[slotInnerVLAN], x.packet[slotInnerPCP]
	x.packet[slotInnerVLAN], x.packet[slotInnerPCP] = 0, 0
}

// resubmit looks the packet up elsewhere, and comes back.
type resubmit uint8

func (r resubmit) run(x *run) {
	x.count()
	back := uint8(r) <= x.table
	if back {
		if x.deepened++; x.deepened > maxDepth {
			x.trace.Err = ErrTooMuch
		}
	}
	if x.trace.Err != nil {
		return
	}
	x.depth++
	x.lookup(uint8(r))
	x.depth--
	if back {
		x.deepened--
	}
}

// track sends a copy to the connection tracker, to be looked at again in a table, or
// lets it remember the connection. What goes on here knows nothing of either.
type track struct {
	commit    bool
	again     bool
	table     uint8
	zone      uint16
	zoneField subfield
	fromField bool
}

func (t track) run(x *run) {
	zone := t.zone
	if t.fromField {
		zone = uint16(x.packet.get(t.zoneField, 0, t.zoneField.width))
	}
	use := Tracking{Zone: zone, Packet: x.packet.packet(), Step: x.step}
	if t.commit {
		x.trace.Commits = append(x.trace.Commits, use)
	}
	if t.again {
		x.trace.Lookups = append(x.trace.Lookups, use)
		x.frozen = append(x.frozen, frozen{packet: x.packet, stack: slices.Clone(x.stack), table: t.table, zone: zone})
	}
	x.packet.clearConntrack()
	x.tracked = false
}

// clearTrack forgets what the connection tracker has said. As in Open vSwitch (seen on
// 3.1) it does nothing once a ct action, or another ct_clear, has run since the tracker last
// looked at the packet; not even where that was in a clone, which brings back what was
// cleared, when the clone only led there by a resubmit.
type clearTrack struct{}

func (clearTrack) run(x *run) {
	if x.tracked {
		x.packet.clearConntrack()
		x.tracked = false
	}
}

// clone runs actions on a copy: what they change does not reach the actions after it,
// but for one thing, see clearTrack.
type clone struct {
	actions []operation
	// whole is true when the datapath makes the copy, for what is among the actions
	// themselves.
	whole bool
}

func (c clone) run(x *run) {
	packet, stack, tracked, table, step := x.packet, slices.Clone(x.stack), x.tracked, x.table, x.step
	for _, op := range c.actions {
		if op.run(x); x.trace.Err != nil {
			return
		}
		x.table, x.step = table, step
	}
	x.packet, x.stack = packet, stack
	if c.whole {
		x.tracked = tracked
	}
}
