package northbound

import (
	"slices"
	"strconv"
	"strings"

	"poolwire/southbound/openflow/flow"
)

// Protocols of policy rules by name, in canonical form.
const (
	protoAny    = "any"
	protoTCP    = "tcp"
	protoUDP    = "udp"
	protoSCTP   = "sctp"
	protoICMP   = "icmp"
	protoICMPv6 = "icmpv6"
	protoARP    = "arp"
)

// protocolName is the name of an IP protocol that has one here, by its number
// (IANA, Protocol Numbers); else the number in decimal.
func protocolName(number uint64) string {
	switch number {
	case 1:
		return protoICMP
	case 6:
		return protoTCP
	case 17:
		return protoUDP
	case 58:
		return protoICMPv6
	case 132:
		return protoSCTP
	}
	return strconv.FormatUint(number, 10)
}

// policyProtocol checks the protocol of a rule and makes it canonical: a name in
// lower case where there is one.
func (p place) policyProtocol(s *string) {
	switch low := strings.ToLower(*s); low {
	case "":
		*s = protoAny
	case protoAny, protoTCP, protoUDP, protoSCTP, protoICMP, protoICMPv6, protoARP:
		*s = low
	default:
		n, err := strconv.ParseUint(low, 10, 8)
		if err != nil {
			p.refuse(*s, "must be any, tcp, udp, icmp, icmpv6, arp, sctp, or an IP protocol number, 0 to 255")
			return
		}
		*s = protocolName(n)
	}
}

// ports checks a list of ports and ranges and returns it in canonical form, each
// entry once.
func (p place) ports(list []string) []string {
	if len(list) > maxRulePorts {
		p.say("has %d entries; at most %d are accepted (a range stands for many ports)", len(list), maxRulePorts)
		return list
	}
	var out []string
	for i, s := range list {
		first, last, isRange := strings.Cut(s, "-")
		if !isRange {
			last = first
		}
		a, errA := strconv.ParseUint(first, 10, 16)
		b, errB := strconv.ParseUint(last, 10, 16)
		if errA != nil || errB != nil {
			p.index(i).refuse(s, `must be a port like "22" or a range like "8000-8080", 0 to %d`, maxPort)
			continue
		}
		if a > b {
			p.index(i).refuse(s, "is a range from its end to its beginning; write %d-%d", b, a)
			continue
		}
		canonical := strconv.FormatUint(a, 10)
		if a != b {
			canonical += "-" + strconv.FormatUint(b, 10)
		}
		if !slices.Contains(out, canonical) {
			out = append(out, canonical)
		}
	}
	return out
}

// icmp checks an optional ICMP type or code.
func (p place) icmp(n *uint32) {
	if n != nil && *n > maxICMP {
		p.refuseNumber(*n, "must be 0 to %d", maxICMP)
	}
}

// vlans checks a list of 802.1Q tags and returns it sorted, each once.
func (p place) vlans(list []uint32, most int) []uint32 {
	if len(list) > most {
		p.say("has %d entries; at most %d are accepted", len(list), most)
		return list
	}
	for i, tag := range list {
		if tag < 1 || tag > maxVLAN {
			p.index(i).refuseNumber(tag, "must be 1 to %d", maxVLAN)
		}
	}
	out := slices.Clone(list)
	slices.Sort(out)
	return slices.Compact(out)
}

// prefixes checks a list of addresses and prefixes of both families and returns
// it in canonical form, each entry once.
func (p place) prefixes(list []string, most int) []string {
	if len(list) > most {
		p.say("has %d entries; at most %d are accepted", len(list), most)
		return list
	}
	var out []string
	seen := make(map[string]bool, len(list))
	for i, s := range list {
		if s == "" {
			p.index(i).say(`is empty; an IP address or prefix like "192.0.2.7" or "2001:db8::/64" is accepted`)
			continue
		}
		canonical := s
		if prefix := p.index(i).ipRange(&canonical); !prefix.IsValid() || seen[canonical] {
			continue
		}
		seen[canonical] = true
		out = append(out, canonical)
	}
	return out
}

// anyMAC reads a MAC address, separated by colons or hyphens.
func anyMAC(s string) (flow.MAC, bool) {
	m, err := flow.ParseMAC(strings.ToLower(strings.ReplaceAll(s, "-", ":")))
	return m, err == nil
}
