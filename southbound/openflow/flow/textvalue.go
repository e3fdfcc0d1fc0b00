package flow

import (
	"math/bits"
	"net/netip"
)

// value prints a field's value, and its mask if it has one, in the field's format.
func (p *printer) value(info *fieldInfo, v fieldValue) {
	switch info.format {
	case formatEthernet:
		p.b = MAC(v.value).appendText(p.b)
		if v.mask != nil {
			p.str("/")
			p.b = MAC(v.mask).appendText(p.b)
		}
	case formatIPv4, formatIPv6:
		p.address(v)
	case formatPort:
		if len(v.value) == 2 {
			p.port16(uint16(getUint(v.value)))
		} else {
			p.port(uint32(getUint(v.value)))
		}
	case formatFrag:
		p.fragment(v)
	case formatTunnelFlags:
		p.flags(v, 1, tunnelFlagName)
	case formatTCPFlags:
		p.flags(v, 0x0fff, tcpFlagName)
	case formatCTState:
		p.flags(v, ctStateBits, ctStateName)
	default:
		p.numeric(info.format, v)
	}
}

func (p *printer) numeric(format fieldFormat, v fieldValue) {
	switch {
	case v.mask != nil:
		p.hexBytes(v.value).str("/").hexBytes(v.mask)
	case format == formatHex || len(v.value) > 8:
		p.hexBytes(v.value)
	default:
		p.dec(getUint(v.value))
	}
}

// address prints an IPv4 or IPv6 address with a prefix length or, when the mask is not a prefix, a mask.
func (p *printer) address(v fieldValue) {
	p.ip(v.value)
	if v.mask == nil {
		return
	}
	p.str("/")
	if length, ok := prefixLength(v.mask); ok {
		p.dec(uint64(length))
		return
	}
	p.ip(v.mask)
}

// ip prints an address as the C library does, which writes ::10.0.0.1 where
// netip writes ::a00:1.
func (p *printer) ip(b []byte) *printer {
	addr, ok := netip.AddrFromSlice(b)
	if !ok {
		return p.hexBytes(b)
	}
	if len(b) == 16 && allZero(b[:12]) && (b[12] != 0 || b[13] != 0) {
		p.str("::")
		addr = netip.AddrFrom4([4]byte(b[12:]))
	}
	p.b = addr.AppendTo(p.b)
	return p
}

func prefixLength(mask []byte) (int, bool) {
	length := 0
	for i, octet := range mask {
		length += bits.LeadingZeros8(^octet)
		if octet != 0xff {
			return length, octet<<bits.LeadingZeros8(^octet) == 0 && allZero(mask[i+1:])
		}
	}
	return length, true
}

// fragment prints nw_frag: bit 0 any fragment, bit 1 a later one.
func (p *printer) fragment(v fieldValue) {
	const anyFragment, later = 1, 2
	value, mask := getUint(v.value), uint64(anyFragment|later)
	if v.mask != nil {
		mask = getUint(v.mask) & mask
	}
	names := map[uint64][4]string{
		anyFragment | later: {"no", "first", "<error>", "later"},
		anyFragment:         {"no", "yes", "no", "yes"},
		later:               {"not_later", "not_later", "later", "later"},
	}
	if name, ok := names[mask]; ok {
		p.str(name[value&(anyFragment|later)])
		return
	}
	p.numeric(formatHex, v)
}

// flags prints bits by name: a|b when all of them count, else +a-b for those that do.
func (p *printer) flags(v fieldValue, all uint64, name func(bit int) string) {
	value, mask := getUint(v.value), all
	if v.mask != nil {
		mask = getUint(v.mask) & all
	}
	if mask == all {
		p.flagList(value&all, name)
		return
	}
	p.signedFlags(value, mask, name)
}

// signedFlags prints each bit of mask as +name or -name.
func (p *printer) signedFlags(value, mask uint64, name func(bit int) string) *printer {
	for bit := 0; bit < 64; bit++ {
		if mask>>bit&1 == 0 {
			continue
		}
		sign := "-"
		if value>>bit&1 != 0 {
			sign = "+"
		}
		p.str(sign)
		if flag := name(bit); flag != "" {
			p.str(flag)
		} else {
			p.str("[Unknown]")
		}
	}
	return p
}

func (p *printer) flagList(value uint64, name func(bit int) string) {
	if value == 0 {
		p.str("0")
		return
	}
	separator := ""
	for bit := 0; bit < 64 && value != 0; bit++ {
		if value>>bit&1 == 0 {
			continue
		}
		if name(bit) == "" {
			break
		}
		p.str(separator).str(name(bit))
		separator = "|"
		value &^= 1 << bit
	}
	if value != 0 {
		p.str(separator).hex(value)
	}
}

func pick(names []string, i int) string {
	if i < 0 || i >= len(names) {
		return ""
	}
	return names[i]
}

func tunnelFlagName(bit int) string { return pick([]string{"oam"}, bit) }

func tcpFlagName(bit int) string {
	return pick([]string{"fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr", "ns", "[200]", "[400]", "[800]"}, bit)
}

func ctStateName(bit int) string {
	return pick([]string{"new", "est", "rel", "rpl", "inv", "trk", "snat", "dnat"}, bit)
}
