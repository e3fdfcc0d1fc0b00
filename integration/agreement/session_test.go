package agreement

import (
	"poolwire/flowcompiler/walk"
	"poolwire/southbound/openflow/flow"
)

// packetFor makes a packet that mostly comes from where its port is.
func (w *world) packetFor() walk.Packet {
	p := w.packet()
	i := int(p.InPort) - 1
	if i >= vifs || i < 0 {
		if !w.chance(10) {
			p.EthSrc = pick(w.Rand, []flow.MAC{otherMAC, otherMAC, peerMAC})
		}
		if p.InPort == flow.PortLocal {
			p.EthSrc = hostMAC
		}
		if p.InPort == portBeyond && w.chance(2) && !w.private {
			p.VLAN = walk.VLANPresent | vlanTen
		}
		return p
	}
	if !w.chance(8) {
		p.EthSrc = vifMAC(i)
		p.ARPSender = p.EthSrc
		if !p.NDSource.IsZero() && !w.chance(8) {
			p.NDSource = p.EthSrc
		}
	}
	if (p.VLAN != 0 && i >= vifs/2 || w.private) && !w.chance(8) {
		p.VLAN, p.PCP = 0, 0
	}
	if !w.chance(6) {
		if p.Src.Is4() && !p.Src.IsUnspecified() {
			p.Src = vifIPv4(i)
		} else if p.Src.Is6() && !p.Src.IsUnspecified() {
			p.Src = vifIPv6(i)
		}
	}
	return p
}

// session says to which connection a packet belongs, and what each VIF's zone knows of it.
type session struct {
	tuple  walk.Connection
	states map[uint16]uint32
}

func (w *world) session(p walk.Packet) session {
	const trk = walk.CTTracked
	s := session{tuple: p.OwnTuple(trk | walk.CTNew), states: map[uint16]uint32{}}
	if p.Fragment == walk.LaterFragment {
		s.tuple.SrcPort, s.tuple.DstPort = w.reassembled(p.Proto)
	}
	states := []uint32{trk | walk.CTNew, trk | walk.CTNew, trk | walk.CTEstablished, trk | walk.CTInvalid, trk | walk.CTRelated | walk.CTNew}
	if w.chance(2) {
		states = []uint32{trk | walk.CTEstablished | walk.CTReply, trk | walk.CTEstablished | walk.CTReply, trk | walk.CTInvalid, trk | walk.CTRelated | walk.CTReply}
		t := &s.tuple
		t.Src, t.Dst = t.Dst, t.Src
		if p.Proto == walk.ProtoTCP || p.Proto == walk.ProtoUDP || p.Proto == walk.ProtoSCTP {
			t.SrcPort, t.DstPort = t.DstPort, t.SrcPort
		}
	}
	for zone := uint16(1); zone <= vifs; zone++ {
		s.states[zone] = pick(w.Rand, states)
	}
	return s
}

// reassembled makes up the ports that the tracker has seen in a packet's first fragment.
func (w *world) reassembled(proto uint8) (src, dst uint16) {
	switch proto {
	case walk.ProtoTCP, walk.ProtoUDP, walk.ProtoSCTP:
		return pick(w.Rand, w.transports), pick(w.Rand, w.transports)
	case walk.ProtoICMP:
		return 8, 0
	case walk.ProtoICMPv6:
		return 128, 0
	}
	return 0, 0
}

// in returns what a zone says of the packet.
func (s session) in(zone uint16) walk.Connection {
	c := s.tuple
	c.State = s.states[zone]
	return c
}
