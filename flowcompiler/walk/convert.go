package walk

import "net/netip"

// key returns the packet as the tables see it.
func (p *Packet) key() key {
	var k key
	for n, value := range p.Registers {
		k[slotReg0+slot(n)] = uint64(value)
	}
	k[slotMetadata], k[slotTunnelID], k[slotInPort] = p.Metadata, p.TunnelID, uint64(p.InPort)
	k[slotEthDst], k[slotEthSrc] = fromMAC(p.EthDst), fromMAC(p.EthSrc)
	k[slotEthType], k[slotVLAN], k[slotPCP] = uint64(p.EtherType), uint64(p.VLAN), uint64(p.PCP)
	k.setConnection(p.Connection)
	switch {
	case p.IsIP():
		p.ipKey(&k)
	case p.EtherType == EtherTypeARP || p.EtherType == EtherTypeRARP:
		k.setAddress(slotSrc4, slotSrc6, p.Src)
		k.setAddress(slotDst4, slotDst6, p.Dst)
		if p.ARPOp <= 0xff {
			k[slotProto] = uint64(p.ARPOp)
		}
		k[slotHardwareSource], k[slotHardwareTarget] = fromMAC(p.ARPSender), fromMAC(p.ARPTarget)
	}
	return k
}

// ipKey fills in what is in the headers of IP and above.
func (p *Packet) ipKey(k *key) {
	k.setAddress(slotSrc4, slotSrc6, p.Src)
	k.setAddress(slotDst4, slotDst6, p.Dst)
	k[slotProto], k[slotTTL] = uint64(p.Proto), uint64(p.TTL)
	switch p.Fragment {
	case FirstFragment:
		k[slotFrag] = fragAny
	case LaterFragment:
		k[slotFrag] = fragAny | fragLater
	case NotFragmented:
	}
	if p.hasPorts() {
		k[slotSrcPort], k[slotDstPort] = uint64(p.SrcPort), uint64(p.DstPort)
	}
	if p.IsNeighbor() {
		if p.NDTarget.Is6() {
			k.setAddress(slotTarget6, slotTarget6, p.NDTarget)
		}
		k[slotHardwareSource], k[slotHardwareTarget] = fromMAC(p.NDSource), fromMAC(p.NDTargetMAC)
		k[slotNDReserved], k[slotNDOption] = uint64(p.NDReserved), uint64(p.NDOption)
	}
}

// Bits of ip_frag (FLOW_NW_FRAG_*).
const (
	fragAny   = 1 << 0
	fragLater = 1 << 1
)

// packet is the reverse of Packet.key.
func (k *key) packet() Packet {
	p := Packet{
		InPort: uint32(k[slotInPort]), TunnelID: k[slotTunnelID], Metadata: k[slotMetadata],
		EthSrc: toMAC(k[slotEthSrc]), EthDst: toMAC(k[slotEthDst]),
		EtherType: uint16(k[slotEthType]), VLAN: uint16(k[slotVLAN]), PCP: uint8(k[slotPCP]),
	}
	for n := range p.Registers {
		p.Registers[n] = uint32(k[slotReg0+slot(n)])
	}
	p.Connection = k.connection()
	switch p.EtherType {
	case EtherTypeIPv4:
		p.Src, p.Dst = k.address4(slotSrc4), k.address4(slotDst4)
	case EtherTypeIPv6:
		p.Src, p.Dst = k.address6(slotSrc6), k.address6(slotDst6)
	case EtherTypeARP, EtherTypeRARP:
		p.Src, p.Dst, p.ARPOp = k.address4(slotSrc4), k.address4(slotDst4), uint16(k[slotProto])
		p.ARPSender, p.ARPTarget = toMAC(k[slotHardwareSource]), toMAC(k[slotHardwareTarget])
		return p
	default:
		return p
	}
	p.Proto, p.TTL = uint8(k[slotProto]), uint8(k[slotTTL])
	switch frag := k[slotFrag]; {
	case frag&fragLater != 0:
		p.Fragment = LaterFragment
	case frag&fragAny != 0:
		p.Fragment = FirstFragment
	}
	p.SrcPort, p.DstPort = uint16(k[slotSrcPort]), uint16(k[slotDstPort])
	if p.IsNeighbor() {
		p.NDTarget = k.address6(slotTarget6)
		p.NDSource, p.NDTargetMAC = toMAC(k[slotHardwareSource]), toMAC(k[slotHardwareTarget])
		p.NDReserved, p.NDOption = uint32(k[slotNDReserved]), uint8(k[slotNDOption])
	}
	return p
}

// connection reads back what the tracker has said.
func (k *key) connection() Connection {
	c := Connection{
		State: uint32(k[slotCTState]), Zone: uint16(k[slotCTZone]), Mark: uint32(k[slotCTMark]),
		Proto: uint8(k[slotCTProto]), SrcPort: uint16(k[slotCTSrcPort]), DstPort: uint16(k[slotCTDstPort]),
	}
	if c.State == 0 {
		return c
	}
	read := func(v4, v6 slot) netip.Addr {
		if k[slotEthType] == EtherTypeIPv6 {
			return k.address6(v6)
		}
		return k.address4(v4)
	}
	c.Src, c.Dst = read(slotCTSrc4, slotCTSrc6), read(slotCTDst4, slotCTDst6)
	return c
}
