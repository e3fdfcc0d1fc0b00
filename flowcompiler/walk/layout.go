package walk

import (
	"encoding/binary"
	"net/netip"

	"poolwire/southbound/openflow/flow"
)

// slot is the place of a field in a key. As in Open vSwitch's struct flow, fields that
// no packet has at once share a place: the ports of all transport protocols and the
// types and codes of ICMP, ARP's operation and the IP protocol, ARP's hardware
// addresses and the options of neighbour discovery.
type slot uint8

// The places. Those of 128 bits take two, the high half first.
const (
	slotReg0     slot = 0
	slotMetadata slot = iota + flow.Registers - 1
	slotTunnelID
	slotInPort
	slotEthDst
	slotEthSrc
	slotEthType
	slotVLAN
	slotPCP
	slotInnerVLAN
	slotInnerPCP
	slotProto
	slotTTL
	slotFrag
	slotSrc4
	slotDst4
	slotSrc6
	slotSrc6Low
	slotDst6
	slotDst6Low
	slotSrcPort
	slotDstPort
	slotHardwareSource
	slotHardwareTarget
	slotTarget6
	slotTarget6Low
	slotNDReserved
	slotNDOption
	slotConjunction
	slotCTState
	slotCTZone
	slotCTMark
	slotCTProto
	slotCTSrc4
	slotCTDst4
	slotCTSrc6
	slotCTSrc6Low
	slotCTDst6
	slotCTDst6Low
	slotCTSrcPort
	slotCTDstPort
	slots
)

// key is a packet as the tables see it: each field a number, in the low bits.
type key [slots]uint64

// place is where a field is, and how many bits it has.
type place struct {
	slot slot
	bits uint16
}

// The classes of OXM headers that fields of ours have (OpenFlow 1.3 section 7.2.3.2).
const (
	classNXM0 = 0x0000
	classNXM1 = 0x0001
	// classEricsson is that of the fields of neighbour discovery which Open vSwitch has besides OpenFlow's.
	classEricsson = 0x1000
	classBasic    = 0x8000
)

// placeOf finds a field by its class and number. Actions name fields by their older
// NXM identity, matches by the OXM one where there is one.
func placeOf(f flow.Field) (place, bool) {
	number := uint8(f & 0x7f)
	var places []place
	switch f >> 7 {
	case classBasic:
		places = basicPlaces[:]
	case classNXM0:
		places = legacyPlaces[:]
	case classNXM1:
		if number < flow.Registers {
			return place{slotReg0 + slot(number), 32}, true
		}
		places = niciraPlaces[:]
	case classEricsson:
		places = ericssonPlaces[:]
	}
	if int(number) >= len(places) {
		return place{}, false
	}
	return places[number], places[number].bits != 0
}

// basicPlaces are the fields of OFPXMC_OPENFLOW_BASIC, by number. Never written to.
var basicPlaces = [...]place{
	0: {slotInPort, 32}, 2: {slotMetadata, 64}, 3: {slotEthDst, 48}, 4: {slotEthSrc, 48}, 5: {slotEthType, 16},
	6: {slotVLAN, 13}, 7: {slotPCP, 3}, 10: {slotProto, 8}, 11: {slotSrc4, 32}, 12: {slotDst4, 32},
	13: {slotSrcPort, 16}, 14: {slotDstPort, 16}, 15: {slotSrcPort, 16}, 16: {slotDstPort, 16},
	17: {slotSrcPort, 16}, 18: {slotDstPort, 16}, 19: {slotSrcPort, 8}, 20: {slotDstPort, 8},
	21: {slotProto, 16}, 22: {slotSrc4, 32}, 23: {slotDst4, 32}, 24: {slotHardwareSource, 48}, 25: {slotHardwareTarget, 48},
	26: {slotSrc6, 128}, 27: {slotDst6, 128}, 29: {slotSrcPort, 8}, 30: {slotDstPort, 8}, 31: {slotTarget6, 128},
	32: {slotHardwareSource, 48}, 33: {slotHardwareTarget, 48}, 38: {slotTunnelID, 64},
}

// legacyPlaces are the fields of OFPXMC_NXM_0, by number. Never written to.
var legacyPlaces = [...]place{
	0: {slotInPort, 16}, 1: {slotEthDst, 48}, 2: {slotEthSrc, 48}, 3: {slotEthType, 16}, 6: {slotProto, 8},
	7: {slotSrc4, 32}, 8: {slotDst4, 32}, 9: {slotSrcPort, 16}, 10: {slotDstPort, 16}, 11: {slotSrcPort, 16},
	12: {slotDstPort, 16}, 13: {slotSrcPort, 8}, 14: {slotDstPort, 8}, 15: {slotProto, 16}, 16: {slotSrc4, 32}, 17: {slotDst4, 32},
}

// niciraPlaces are the fields of OFPXMC_NXM_1, but for the registers, by number. Never written to.
var niciraPlaces = [...]place{
	16: {slotTunnelID, 64}, 17: {slotHardwareSource, 48}, 18: {slotHardwareTarget, 48}, 19: {slotSrc6, 128}, 20: {slotDst6, 128},
	21: {slotSrcPort, 8}, 22: {slotDstPort, 8}, 23: {slotTarget6, 128}, 24: {slotHardwareSource, 48}, 25: {slotHardwareTarget, 48},
	26: {slotFrag, 8}, 29: {slotTTL, 8}, 37: {slotConjunction, 32},
	105: {slotCTState, 32}, 106: {slotCTZone, 16}, 107: {slotCTMark, 32}, 119: {slotCTProto, 8}, 120: {slotCTSrc4, 32}, 121: {slotCTDst4, 32},
	122: {slotCTSrc6, 128}, 123: {slotCTDst6, 128}, 124: {slotCTSrcPort, 16}, 125: {slotCTDstPort, 16},
}

// ericssonPlaces are the fields of class 0x1000, by number. Never written to.
var ericssonPlaces = [...]place{1: {slotNDReserved, 32}, 2: {slotNDOption, 8}}

// subfield is some bits of a place.
type subfield struct {
	place
	offset, width uint16
}

// get reads width bits, at most 64, from the given offset within the subfield.
func (k *key) get(s subfield, from, width uint16) uint64 {
	word, bit := s.locate(s.offset + from)
	value := k[word] >> bit
	if bit+width > 64 {
		value |= k[word-1] << (64 - bit)
	}
	return value & ones(width)
}

// set writes width bits, at most 64, at the given offset within the subfield.
func (k *key) set(s subfield, from, width uint16, value uint64) {
	for done := uint16(0); done < width; {
		word, bit := s.locate(s.offset + from + done)
		n := min(width-done, 64-bit)
		mask := ones(n) << bit
		k[word] = k[word]&^mask | value>>done<<bit&mask
		done += n
	}
}

// locate returns the slot and the bit in it of a bit of the place, counted from the lowest.
func (p place) locate(bit uint16) (slot, uint16) {
	if p.bits > 64 && bit < 64 {
		return p.slot + 1, bit
	}
	return p.slot, bit % 64
}

func ones(width uint16) uint64 {
	if width >= 64 {
		return ^uint64(0)
	}
	return 1<<width - 1
}

// clearConntrack makes the key that of a packet that the tracker has not seen.
func (k *key) clearConntrack() { clear(k[slotCTState : slotCTDstPort+1]) }

// setConnection loads what the tracker says.
func (k *key) setConnection(c Connection) {
	k.clearConntrack()
	k[slotCTState], k[slotCTZone], k[slotCTMark] = uint64(c.State), uint64(c.Zone), uint64(c.Mark)
	k[slotCTProto], k[slotCTSrcPort], k[slotCTDstPort] = uint64(c.Proto), uint64(c.SrcPort), uint64(c.DstPort)
	k.setAddress(slotCTSrc4, slotCTSrc6, c.Src)
	k.setAddress(slotCTDst4, slotCTDst6, c.Dst)
}

// setAddress loads an address into the slot of its family.
func (k *key) setAddress(v4, v6 slot, a netip.Addr) {
	switch a = a.Unmap(); {
	case a.Is4():
		b := a.As4()
		k[v4] = uint64(binary.BigEndian.Uint32(b[:]))
	case a.Is6():
		b := a.As16()
		k[v6], k[v6+1] = binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
	}
}

// address4 and address6 read addresses back.
func (k *key) address4(s slot) netip.Addr {
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, uint32(k[s]))))
}

func (k *key) address6(s slot) netip.Addr {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], k[s])
	binary.BigEndian.PutUint64(b[8:], k[s+1])
	return netip.AddrFrom16(b)
}

func fromMAC(m flow.MAC) uint64 {
	return uint64(m[0])<<40 | uint64(m[1])<<32 | uint64(m[2])<<24 | uint64(m[3])<<16 | uint64(m[4])<<8 | uint64(m[5])
}

func toMAC(v uint64) flow.MAC {
	return flow.MAC{byte(v >> 40), byte(v >> 32), byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)}
}
