package controller

import (
	"fmt"
	"net/netip"

	"poolwire/flowcompiler/walk"
	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/southbound/openflow/flow"
)

// header describes the packet beside its ends.
type header struct {
	protocol         uint8
	arp              bool
	srcPort, dstPort uint16
	vlan             uint16
}

// broadcast is the MAC address of everybody.
var broadcast = flow.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// isGroup says whether a MAC address is a group's, or everybody's.
func isGroup(m flow.MAC) bool { return m[0]&1 != 0 }

// groupMAC is the MAC address that what is sent to a group's address has (RFC 1112 section
// 6.4, RFC 2464 section 7); ok is false for an address of one station.
func groupMAC(a netip.Addr) (mac flow.MAC, ok bool) {
	switch {
	case a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return broadcast, true
	case !a.IsMulticast():
		return mac, false
	case a.Is4():
		b := a.As4()
		return flow.MAC{0x01, 0x00, 0x5e, b[1] & 0x7f, b[2], b[3]}, true
	default:
		b := a.As16()
		return flow.MAC{0x33, 0x33, b[12], b[13], b[14], b[15]}, true
	}
}

// packet makes the packet that one end sends to the other.
func (h header) packet(from, to end) walk.Packet {
	p := walk.Packet{EthSrc: from.mac, EthDst: to.mac, Src: from.addr, Dst: to.addr, TTL: 64}
	if mac, group := groupMAC(to.addr); group {
		p.EthDst = mac
	}
	if h.vlan != 0 {
		p.VLAN = h.vlan | walk.VLANPresent
	}
	switch {
	case h.arp:
		p.EtherType, p.ARPOp, p.ARPSender, p.TTL = walk.EtherTypeARP, 1, from.mac, 0
		p.EthDst = broadcast
		return p
	case from.addr.Is4():
		p.EtherType = walk.EtherTypeIPv4
	default:
		p.EtherType = walk.EtherTypeIPv6
	}
	p.Proto, p.SrcPort, p.DstPort = h.protocol, h.srcPort, h.dstPort
	if p.Proto == walk.ProtoICMPv6 && h.srcPort >= 133 && h.srcPort <= 137 {
		p.TTL = 255 // RFC 4861: anything else is not from the link
	}
	if p.IsNeighbor() {
		p.NDTarget, p.NDSource = to.addr, from.mac
	}
	return p
}

// sessionOf is what connection trackers say of the packet: a reply belongs to a session
// that the other end opened.
func sessionOf(p walk.Packet, reply, established bool) walk.Connection {
	switch {
	case reply:
		c := walk.Connection{State: walk.CTTracked | walk.CTEstablished | walk.CTReply, Proto: p.Proto,
			Src: p.Dst, Dst: p.Src, SrcPort: p.DstPort, DstPort: p.SrcPort}
		if p.Proto == walk.ProtoICMP || p.Proto == walk.ProtoICMPv6 {
			c.SrcPort, c.DstPort = requestOf(p.Proto, p.SrcPort), p.DstPort
		}
		return c
	case established:
		return p.OwnTuple(walk.CTTracked | walk.CTEstablished)
	}
	return p.OwnTuple(walk.CTTracked | walk.CTNew)
}

// queries are the ICMP types that are answered, and what answers them (RFC 792, RFC 4443).
var queries = [...]struct {
	protocol        uint8
	request, answer uint16
}{{walk.ProtoICMP, 8, 0}, {walk.ProtoICMP, 13, 14}, {walk.ProtoICMPv6, 128, 129}}

// requestOf is the ICMP type of what an ICMP type answers.
func requestOf(protocol uint8, icmpType uint16) uint16 {
	for _, q := range queries {
		if q.protocol == protocol && q.answer == icmpType {
			return q.request
		}
	}
	return icmpType
}

// answerOf is the ICMP type of what answers an ICMP type.
func answerOf(protocol uint8, icmpType uint16) uint16 {
	for _, q := range queries {
		if q.protocol == protocol && q.request == icmpType {
			return q.answer
		}
	}
	return icmpType
}

// fromVIF is where a packet enters that a VIF sends.
func (a *atlas) fromVIF(v *poolwirev1.Vif, p walk.Packet) (hop, error) {
	for _, port := range a.view.PortsByVif(v.GetUuid()) {
		if number := reportedNumber(port); number != 0 {
			return arriving(bridgeAt{port.GetHostUuid(), port.GetBridge()}, number, p), nil
		}
	}
	return hop{}, fmt.Errorf("%w: VIF %s", ErrUnplugged, v.GetUuid())
}

// toVIF is where a packet enters that comes to a VIF from outside.
func (a *atlas) toVIF(v *poolwirev1.Vif, p walk.Packet) (hop, error) {
	for _, port := range a.view.PortsByVif(v.GetUuid()) {
		if h, ok := a.fromOutside(v, port, p); ok {
			return h, nil
		}
	}
	return hop{}, fmt.Errorf("%w: VIF %s", ErrUnplugged, v.GetUuid())
}

// fromOutside is a packet from no VIF of the host on its way to a VIF's port.
func (a *atlas) fromOutside(v *poolwirev1.Vif, port *storev1.Port, p walk.Packet) (hop, bool) {
	at := bridgeAt{port.GetHostUuid(), port.GetBridge()}
	pn := carriedNetwork(a.view, at.host, port.GetNetworkBridge())
	if pn == nil {
		return a.fromUplink(port, a.tagged(v, p))
	}
	// Without other hosts it can come from this one only.
	var host uint32
	for _, other := range a.view.PortsByBridge(at.host, at.bridge) {
		number := reportedNumber(other)
		switch {
		case number == 0:
		case other.GetOwned() && other.GetObject() == objectPatch+pn.GetUuid():
			return arriving(at, number, p), true
		case other.GetKind() == storev1.PortKind_PORT_KIND_LOCAL && other.GetNetworkBridge() == port.GetNetworkBridge():
			host = number
		}
	}
	return arriving(at, host, p), host != 0
}
