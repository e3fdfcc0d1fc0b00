package controller

import (
	"net/netip"

	"poolwire/flowcompiler"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// compileRule splits a rule by direction.
func compileRule(r *poolwirev1.Rule) []flowcompiler.Rule {
	c := flowcompiler.Rule{
		ID: r.GetObjectId(), Allow: r.GetAllow(), Priority: uint16(r.GetPriority()),
		Protocol: compileProtocol(r.GetProtocol()),
	}
	if r.GetIpRange() != "" {
		c.Prefix = parsePrefix(r.GetIpRange())
	}
	if r.Port != nil {
		c.HasPort, c.Port = true, uint16(r.GetPort())
	}
	var out []flowcompiler.Rule
	if d := r.GetDirection(); d == poolwirev1.Direction_DIRECTION_TO || d == poolwirev1.Direction_DIRECTION_FROM_TO {
		c.Direction = flowcompiler.To
		out = append(out, c)
	}
	if d := r.GetDirection(); d == poolwirev1.Direction_DIRECTION_FROM || d == poolwirev1.Direction_DIRECTION_FROM_TO {
		c.Direction = flowcompiler.From
		out = append(out, c)
	}
	return out
}

func compileProtocol(p poolwirev1.Protocol) flowcompiler.Protocol {
	switch p {
	case poolwirev1.Protocol_PROTOCOL_TCP:
		return flowcompiler.TCP
	case poolwirev1.Protocol_PROTOCOL_UDP:
		return flowcompiler.UDP
	case poolwirev1.Protocol_PROTOCOL_ICMP:
		return flowcompiler.ICMP
	case poolwirev1.Protocol_PROTOCOL_ARP:
		return flowcompiler.ARP
	}
	return flowcompiler.IP
}

// prefixes parses stored address lists; they were validated on the way in.
func prefixes(in []string) []netip.Prefix {
	out := make([]netip.Prefix, 0, len(in))
	for _, s := range in {
		if p := parsePrefix(s); p.IsValid() {
			out = append(out, p)
		}
	}
	return out
}

// parsePrefix reads an address or a prefix; host bits are cleared.
func parsePrefix(s string) netip.Prefix {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Masked()
	}
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a, a.BitLen())
	}
	return netip.Prefix{}
}
