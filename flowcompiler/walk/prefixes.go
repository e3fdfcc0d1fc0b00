package walk

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// addressBits is how many bits the IP address in a place has: of packets, of ARP, of
// neighbour discovery and of connections. 0 when there is none.
func addressBits(s slot) int {
	switch s {
	case slotSrc4, slotDst4, slotCTSrc4, slotCTDst4:
		return 32
	case slotSrc6, slotDst6, slotCTSrc6, slotCTDst6, slotTarget6:
		return 128
	default:
		return 0
	}
}

// Prefixes lists the IP prefixes by which the flows of a table tell packets apart,
// whichever of a packet's addresses they look at. One may be listed more than once.
func (t *Tables) Prefixes(table uint8) []netip.Prefix {
	var out []netip.Prefix
	for _, group := range t.tables[table].tuples {
		if !group.addressed() {
			continue
		}
		for _, entries := range group.entries {
			// The conditions could be read when the tables were made.
			match, err := parseMatch(entries[0].flow.Match)
			if err != nil {
				continue
			}
			out = append(out, prefixesOf(match)...)
		}
	}
	return out
}

// addressed tells whether the flows of a tuple look at an address.
func (t *tuple) addressed() bool {
	for _, c := range t.mask {
		if addressBits(c.slot) != 0 {
			return true
		}
	}
	return false
}

// prefixesOf reads the addresses of a match. Of an IPv6 prefix the low half is not there
// when nothing of it is looked at.
func prefixesOf(match []condition) []netip.Prefix {
	var out []netip.Prefix
	for i, c := range match {
		switch addressBits(c.slot) {
		case 128:
			var low condition
			if i+1 < len(match) && match[i+1].slot == c.slot+1 {
				low = match[i+1]
			}
			var b [16]byte
			binary.BigEndian.PutUint64(b[:8], c.value)
			binary.BigEndian.PutUint64(b[8:], low.value)
			out = append(out, netip.PrefixFrom(netip.AddrFrom16(b), bits.OnesCount64(c.mask)+bits.OnesCount64(low.mask)))
		case 32:
			b := [4]byte(binary.BigEndian.AppendUint32(nil, uint32(c.value)))
			out = append(out, netip.PrefixFrom(netip.AddrFrom4(b), bits.OnesCount32(uint32(c.mask))))
		}
	}
	return out
}
