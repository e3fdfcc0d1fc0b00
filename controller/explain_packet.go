package controller

import (
	"fmt"
	"net/netip"

	"poolwire/flowcompiler/walk"
	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/southbound/openflow/flow"
)

// routerMAC stands for a station of which no MAC address is known: a locally administered
// address that nobody has.
var routerMAC = flow.MAC{0x02, 0x00, 0x00, 0xff, 0xff, 0xfe}

// end is one end of the packet that is asked about.
type end struct {
	vif  *poolwirev1.Vif // nil when it is none
	mac  flow.MAC
	addr netip.Addr
}

// assume notes something that is taken for granted.
func (x *explanation) assume(format string, args ...any) {
	x.out.Assumptions = append(x.out.Assumptions, fmt.Sprintf(format, args...))
}

// endOf describes a VIF as an end. Where no address is known of it, one is made up.
func (x *explanation) endOf(v *poolwirev1.Vif, addr netip.Addr, v6 bool, name string) end {
	e := end{vif: v, addr: addr}
	e.mac, _ = flow.ParseMAC(v.GetMac())
	if e.addr.IsValid() {
		return e
	}
	allowed := v.GetIpv4Allowed()
	made := netip.AddrFrom4([4]byte{192, 0, 2, 1})
	if v6 {
		allowed = v.GetIpv6Allowed()
		made = netip.MustParseAddr("2001:db8::1")
	}
	for _, p := range prefixes(allowed) {
		if p.Addr().Is6() == v6 {
			e.addr = p.Addr()
			if p.Bits() < p.Addr().BitLen() {
				e.addr = p.Addr().Next() // of a prefix the first that is a station's
			}
			return e
		}
	}
	x.assume("the address of %s is not known; %s is taken", name, made)
	e.addr = made
	return e
}

// header describes the packet beside its ends.
type header struct {
	protocol         uint8
	arp              bool
	srcPort, dstPort uint16
	vlan             uint16
}

// packet makes the packet that one end sends to the other.
func (h header) packet(from, to end) walk.Packet {
	p := walk.Packet{EthSrc: from.mac, EthDst: to.mac, Src: from.addr, Dst: to.addr, TTL: 64}
	if h.vlan != 0 {
		p.VLAN = h.vlan | walk.VLANPresent
	}
	switch {
	case h.arp:
		p.EtherType, p.ARPOp, p.ARPSender, p.TTL = walk.EtherTypeARP, 1, from.mac, 0
		p.EthDst = flow.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
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

// requestOf is the ICMP type of what an ICMP type answers (RFC 792, RFC 4443).
func requestOf(protocol uint8, icmpType uint16) uint16 {
	switch {
	case protocol == walk.ProtoICMP && icmpType == 0:
		return 8
	case protocol == walk.ProtoICMP && icmpType == 14:
		return 13
	case protocol == walk.ProtoICMPv6 && icmpType == 129:
		return 128
	}
	return icmpType
}

// start is where the packet enters: at the sender's port, or where the receiver's host
// gets what comes from outside.
func (x *explanation) start(p walk.Packet) (hop, error) {
	if x.sender != nil {
		for _, port := range x.view.PortsByVif(x.sender.GetUuid()) {
			if number := reportedNumber(port); number != 0 {
				return arriving(bridgeAt{port.GetHostUuid(), port.GetBridge()}, number, p), nil
			}
		}
		return hop{}, fmt.Errorf("%w: VIF %s", ErrUnplugged, x.sender.GetUuid())
	}
	for _, port := range x.view.PortsByVif(x.receiver.GetUuid()) {
		if h, ok := x.fromOutside(port, p); ok {
			return h, nil
		}
	}
	return hop{}, fmt.Errorf("%w: VIF %s", ErrUnplugged, x.receiver.GetUuid())
}

// fromOutside is a packet from no VIF on its way to a VIF's port.
func (x *explanation) fromOutside(port *storev1.Port, p walk.Packet) (hop, bool) {
	at := bridgeAt{port.GetHostUuid(), port.GetBridge()}
	if pn := carriedNetwork(x.view, at.host, port.GetNetworkBridge()); pn != nil {
		for _, patch := range x.view.PortsByBridge(at.host, at.bridge) {
			if patch.GetOwned() && patch.GetObject() == objectPatch+pn.GetUuid() && reportedNumber(patch) != 0 {
				return arriving(at, reportedNumber(patch), p), true
			}
		}
		return hop{}, false
	}
	if n := x.networkOf(x.receiver); n.GetVlan() != 0 {
		p.VLAN = uint16(n.GetVlan()) | walk.VLANPresent
	}
	return x.fromUplink(port, p)
}
