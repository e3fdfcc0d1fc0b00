package flowcompiler

import (
	"net/netip"

	"poolwire/southbound/openflow/flow"
)

// The addresses that tests use.
var (
	hostMAC = flow.MAC{0x00, 0x16, 0x3e, 0x00, 0x00, 0x01}
	macA    = flow.MAC{0x02, 0x00, 0x00, 0x00, 0x00, 0x0a}
	macB    = flow.MAC{0x02, 0x00, 0x00, 0x00, 0x00, 0x0b}
	macC    = flow.MAC{0x02, 0x00, 0x00, 0x00, 0x00, 0x0c}
	macD    = flow.MAC{0x02, 0x00, 0x00, 0x00, 0x00, 0x0d}
	macX    = flow.MAC{0x02, 0x00, 0x00, 0x00, 0x00, 0x99}
)

// prefixes parses addresses and prefixes; a bare address is a prefix of one.
func prefixes(texts ...string) []netip.Prefix {
	var list []netip.Prefix
	for _, text := range texts {
		list = append(list, prefix(text))
	}
	return list
}

func prefix(text string) netip.Prefix {
	if addr, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(addr, addr.BitLen())
	}
	return netip.MustParsePrefix(text)
}

// vmMAC returns the MAC address of the nth of many VMs.
func vmMAC(n int) flow.MAC {
	return flow.MAC{0x02, 0x00, 0x01, byte(n >> 16), byte(n >> 8), byte(n)}
}
