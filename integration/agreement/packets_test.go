package agreement

import (
	"math/rand/v2"
	"net/netip"

	"poolwire/flowcompiler/walk"
	"poolwire/southbound/openflow/flow"
)

// pool is what random packets are made of. Small pools make packets meet rules.
type pool struct {
	*rand.Rand
	ports      []uint32
	macs       []flow.MAC
	v4, v6     []netip.Addr
	transports []uint16
	vlans      []uint16
}

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

// chance is true once in n times.
func (w *pool) chance(n int) bool { return w.IntN(n) == 0 }

func mac(last byte) flow.MAC { return flow.MAC{0x02, 0, 0, 0, 0, last} }

// packet makes a packet of any kind.
func (w *pool) packet() walk.Packet {
	p := walk.Packet{InPort: pick(w.Rand, w.ports), EthSrc: pick(w.Rand, w.macs), EthDst: pick(w.Rand, w.macs)}
	switch w.IntN(10) {
	case 0:
		p.EthDst = flow.BroadcastMAC()
	case 1:
		p.EthDst = flow.MAC{0x01, 0, 0x5e, 0, 0, 1}
	case 2:
		p.EthDst = flow.MAC{0x33, 0x33, 0, 0, 0, 1}
	}
	if w.chance(5) {
		p.VLAN, p.PCP = walk.VLANPresent|pick(w.Rand, w.vlans), uint8(w.IntN(8))
	}
	switch w.IntN(13) {
	case 12:
		p.EtherType, p.TTL, p.Proto, p.SrcPort = walk.EtherTypeIPv6, 255, walk.ProtoICMPv6, 135
		p.Src, p.Dst = pick(w.Rand, w.v6), pick(w.Rand, w.v6)
		w.neighbor(&p)
	case 0, 1:
		w.arp(&p)
	case 2:
		p.EtherType = pick(w.Rand, []uint16{0x88cc, 0x1234, 0x8035, 0x9000})
	case 3, 4, 5, 6:
		w.ip6(&p)
	default:
		w.ip4(&p)
	}
	return p
}

func (w *pool) arp(p *walk.Packet) {
	p.EtherType, p.ARPOp = walk.EtherTypeARP, uint16(1+w.IntN(2))
	p.Src, p.Dst = pick(w.Rand, w.v4), pick(w.Rand, w.v4)
	p.ARPSender = p.EthSrc
	if w.chance(5) {
		p.ARPSender = pick(w.Rand, w.macs)
	}
	if w.chance(8) {
		p.Src = netip.IPv4Unspecified()
	}
	if p.ARPOp == 2 {
		p.ARPTarget = p.EthDst
	}
}

func (w *pool) ip4(p *walk.Packet) {
	p.EtherType, p.TTL = walk.EtherTypeIPv4, 64
	p.Src, p.Dst = pick(w.Rand, w.v4), pick(w.Rand, w.v4)
	p.Proto = pick(w.Rand, []uint8{walk.ProtoTCP, walk.ProtoTCP, walk.ProtoUDP, walk.ProtoUDP, walk.ProtoSCTP, walk.ProtoICMP, 2, 47, 50, 112})
	w.transport(p)
	if p.Proto == walk.ProtoICMP && p.Fragment != walk.LaterFragment {
		p.SrcPort, p.DstPort = pick(w.Rand, []uint16{0, 3, 8, 11}), uint16(w.IntN(3))
	}
	if p.Proto == walk.ProtoUDP && p.Fragment == walk.NotFragmented && w.chance(8) {
		p.Src, p.Dst, p.EthDst = netip.IPv4Unspecified(), netip.AddrFrom4([4]byte{255, 255, 255, 255}), flow.BroadcastMAC()
		p.SrcPort, p.DstPort = 68, 67
		if w.chance(3) {
			p.SrcPort, p.DstPort = 67, 68
		}
	}
}

func (w *pool) ip6(p *walk.Packet) {
	p.EtherType, p.TTL = walk.EtherTypeIPv6, 255
	p.Src, p.Dst = pick(w.Rand, w.v6), pick(w.Rand, w.v6)
	p.Proto = pick(w.Rand, []uint8{walk.ProtoTCP, walk.ProtoUDP, walk.ProtoSCTP, walk.ProtoICMPv6, walk.ProtoICMPv6, 47, 112})
	w.transport(p)
	if p.Proto != walk.ProtoICMPv6 {
		if p.Proto == walk.ProtoUDP && p.Fragment == walk.NotFragmented && w.chance(8) {
			p.SrcPort, p.DstPort = 546, 547
			if w.chance(3) {
				p.SrcPort, p.DstPort = 547, 546
			}
		}
		return
	}
	if p.Fragment == walk.LaterFragment {
		return
	}
	p.SrcPort = pick(w.Rand, []uint16{1, 2, 128, 129, 130, 131, 132, 133, 134, 135, 135, 136, 136, 137, 143, 146, 151})
	p.DstPort = 0
	if w.chance(8) {
		p.DstPort = 1
	}
	if p.IsNeighbor() {
		w.neighbor(p)
	}
}

// neighbor fills in a solicitation or an advertisement.
func (w *pool) neighbor(p *walk.Packet) {
	p.NDTarget = pick(w.Rand, w.v6)
	if w.chance(6) && p.SrcPort == 135 {
		p.Src = netip.IPv6Unspecified()
	}
	option := p.EthSrc
	switch w.IntN(4) {
	case 0:
		option = flow.MAC{}
	case 1:
		option = pick(w.Rand, w.macs)
	}
	if p.SrcPort == 135 {
		p.NDSource, p.NDOption = option, 1
	} else {
		p.NDTargetMAC, p.NDOption = option, 2
	}
	if option.IsZero() {
		p.NDOption = 0
	}
	if w.chance(8) {
		p.TTL = 254
	}
}

// transport fills in ports, or makes the packet a fragment.
func (w *pool) transport(p *walk.Packet) {
	switch {
	case w.chance(12):
		p.Fragment = walk.LaterFragment
		return
	case w.chance(30):
		p.Fragment = walk.FirstFragment
	}
	if p.Proto == walk.ProtoTCP || p.Proto == walk.ProtoUDP || p.Proto == walk.ProtoSCTP {
		p.SrcPort, p.DstPort = pick(w.Rand, w.transports), pick(w.Rand, w.transports)
	}
}
