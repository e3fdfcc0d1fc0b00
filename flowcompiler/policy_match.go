package flowcompiler

import (
	"net/netip"

	"poolwire/southbound/openflow/flow"
)

// oneOf is one of the things of which a packet has to match one: an other end, a set of
// ports, a VLAN.
type oneOf struct {
	// family, and prefix or mac, are of an other end.
	family uint16
	prefix netip.Prefix
	mac    flow.MAC
	end    end
	// ports are of a set of ports; vlan is a VLAN id, which is never 0. network is the
	// network of that VLAN, and the packet has yet to get its tag; 0: it has one.
	ports   portMask
	vlan    uint16
	network uint32
}

// end says in which field of a packet an address is.
type end uint8

const (
	noEnd end = iota
	atSource
	atDestination
)

// The dimensions of a rule. A packet matches when it matches in each; the number is that
// of the clause in a conjunction.
const (
	byRemote = iota
	byLocalPort
	byRemotePort
	byVLAN
	dimensions
)

// shape is what one variant of a rule matches: one of each dimension.
type shape struct {
	rule    *PolicyRule
	variant variant
	way     direction
	by      [dimensions][]oneOf
}

// shapesOf returns the variants of a rule in one direction with their dimensions, those
// left out that can match nothing.
func (s *state) shapesOf(r *PolicyRule, way direction) []shape {
	var shapes []shape
	anything := []oneOf{{}}
	local, remote, vlans := anything, anything, anything
	if len(r.LocalPorts) > 0 {
		local = asChoices(portMasks(r.LocalPorts))
	}
	if len(r.RemotePorts) > 0 {
		remote = asChoices(portMasks(r.RemotePorts))
	}
	if len(r.VLANs) > 0 {
		vlans = s.tags(r.VLANs)
	}
	for _, v := range r.variants() {
		s := shape{rule: r, variant: v, way: way, by: [dimensions][]oneOf{v.remotes(r.Remote, way), local, remote, vlans}}
		if len(s.by[byRemote]) > 0 {
			shapes = append(shapes, s)
		}
	}
	return shapes
}

// tags returns how packets look that have one of the tags when the VM sees them. What comes
// from a port of a VLAN itself, another VIF's, gets its tag at the very end only.
func (s *state) tags(vlans []uint16) []oneOf {
	var choices []oneOf
	for _, vlan := range vlans {
		choices = append(choices, oneOf{vlan: vlan})
		for _, n := range s.networks {
			if n.VLAN == vlan && !n.Private {
				choices = append(choices, oneOf{vlan: vlan, network: n.ID})
			}
		}
	}
	return choices
}

func asChoices(masks []portMask) []oneOf {
	choices := make([]oneOf, len(masks))
	for i, m := range masks {
		choices[i].ports = m
	}
	return choices
}

// remotes returns the other ends that match. The MAC address of the other end is not
// among what is known of a connection: it is where the packet's own direction puts it,
// which is the other one for a reply.
func (v variant) remotes(remote PolicyRemote, way direction) []oneOf {
	var choices []oneOf
	if remote.Any {
		for _, family := range v.families() {
			choices = append(choices, oneOf{family: family})
		}
		return choices
	}
	there, back := atDestination, atSource
	if way == inwards {
		there, back = back, there
	}
	for _, prefix := range remote.Prefixes {
		prefix = unmapped(prefix)
		if family := familyOf(v, prefix); family != 0 {
			choices = append(choices, oneOf{family: family, prefix: prefix.Masked(), end: there})
		}
	}
	for _, mac := range remote.MACs {
		for _, family := range v.families() {
			choices = append(choices, oneOf{family: family, mac: mac, end: there})
			if v.tuple {
				choices = append(choices, oneOf{family: family, mac: mac, end: back})
			}
		}
	}
	return choices
}

// familyOf returns the EtherType of packets that have addresses of a prefix and that the
// variant can match; 0 when there are none.
func familyOf(v variant, prefix netip.Prefix) uint16 {
	family := uint16(ethTypeIPv6)
	switch {
	case !prefix.IsValid():
		return 0
	case prefix.Addr().Is4() && v.family == ethTypeARP:
		family = ethTypeARP
	case prefix.Addr().Is4():
		family = ethTypeIPv4
	}
	if !v.takes(family) {
		return 0
	}
	return family
}

// match adds to a match what a packet has to be like: the variant itself, and for each
// dimension the one chosen. Dimensions without a choice are left out; a family that none
// of the choices gives is the caller's.
func (s *shape) match(m *flow.MatchBuilder, family uint16, chosen [dimensions]*oneOf) {
	v := s.variant
	state, mask := v.state, v.mask
	if remote := chosen[byRemote]; remote != nil {
		family = remote.family
		s.matchRemote(m, *remote)
		if v.tuple && !remote.mac.IsZero() {
			mask |= flow.CTReply
			if answering := (remote.end == atSource) == (s.way == outwards); answering {
				state |= flow.CTReply
			}
		}
	}
	m.CTState(state, mask)
	if v.own {
		FieldAnswer.match(m, 0)
	}
	if v.neighbor >= 0 {
		FieldNeighbor.match(m, uint32(v.neighbor))
	}
	if family != 0 {
		m.EthType(family)
	}
	s.matchProtocol(m)
	if c := chosen[byLocalPort]; c != nil && c.ports.mask != 0 {
		s.matchPorts(m, c.ports, s.way == outwards)
	}
	if c := chosen[byRemotePort]; c != nil && c.ports.mask != 0 {
		s.matchPorts(m, c.ports, s.way == inwards)
	}
	if c := chosen[byVLAN]; c != nil && c.vlan != 0 {
		FieldTags.match(m, 1)
		if c.network == 0 {
			m.VLAN(c.vlan)
		} else {
			FieldNetwork.match(m, c.network).VLANAbsent()
		}
	}
}

// matchRemote adds the other end's address.
func (s *shape) matchRemote(m *flow.MatchBuilder, remote oneOf) {
	source := remote.end == atSource
	switch {
	case remote.end == noEnd:
	case !remote.mac.IsZero() && source:
		m.EthSrc(remote.mac)
	case !remote.mac.IsZero():
		m.EthDst(remote.mac)
	case remote.family == ethTypeARP && source:
		m.ARPSPA(remote.prefix)
	case remote.family == ethTypeARP:
		m.ARPTPA(remote.prefix)
	case s.variant.tuple:
		matchTuple(m, remote, source)
	case remote.family == ethTypeIPv4 && source:
		m.IPv4Src(remote.prefix)
	case remote.family == ethTypeIPv4:
		m.IPv4Dst(remote.prefix)
	case source:
		m.IPv6Src(remote.prefix)
	default:
		m.IPv6Dst(remote.prefix)
	}
}

// matchTuple adds the address of the end that opened the connection, or of the other.
func matchTuple(m *flow.MatchBuilder, remote oneOf, source bool) {
	switch {
	case remote.family == ethTypeIPv4 && source:
		m.CTIPv4Src(remote.prefix)
	case remote.family == ethTypeIPv4:
		m.CTIPv4Dst(remote.prefix)
	case source:
		m.CTIPv6Src(remote.prefix)
	default:
		m.CTIPv6Dst(remote.prefix)
	}
}

// matchProtocol adds IP protocol, ICMP type and code. What matches ports or a type is no
// later fragment: those have neither, and the switch reads them as 0.
func (s *shape) matchProtocol(m *flow.MatchBuilder) {
	r, v := s.rule, s.variant
	if v.proto < 0 {
		return
	}
	if v.tuple {
		m.CTProto(uint8(v.proto))
	} else {
		m.IPProto(uint8(v.proto))
		if len(r.LocalPorts) > 0 || len(r.RemotePorts) > 0 || r.ICMPType >= 0 {
			m.NotLaterFragment()
		}
	}
	icmp := v.proto == protoICMP || v.proto == protoICMPv6
	if icmp && r.ICMPType >= 0 {
		matchICMPType(m, v, uint8(r.ICMPType))
		if r.ICMPCode >= 0 {
			matchICMPCode(m, v, uint8(r.ICMPCode))
		}
	}
}

func matchICMPType(m *flow.MatchBuilder, v variant, icmpType uint8) {
	switch {
	case v.tuple:
		m.CTPortSrc(uint16(icmpType), 0xffff)
	case v.proto == protoICMP:
		m.ICMPv4Type(icmpType)
	default:
		m.ICMPv6Type(icmpType)
	}
}

func matchICMPCode(m *flow.MatchBuilder, v variant, code uint8) {
	switch {
	case v.tuple:
		m.CTPortDst(uint16(code), 0xffff)
	case v.proto == protoICMP:
		m.ICMPv4Code(code)
	default:
		m.ICMPv6Code(code)
	}
}

// matchPorts adds ports of the packet's, or the connection's, source or destination.
func (s *shape) matchPorts(m *flow.MatchBuilder, p portMask, source bool) {
	type match func(uint16, uint16) *flow.MatchBuilder
	pick := func(ofSource, ofDestination match) {
		if source {
			ofSource(p.value, p.mask)
		} else {
			ofDestination(p.value, p.mask)
		}
	}
	switch {
	case s.variant.tuple:
		pick(m.CTPortSrc, m.CTPortDst)
	case s.variant.proto == protoTCP:
		pick(m.TCPSrcMasked, m.TCPDstMasked)
	case s.variant.proto == protoUDP:
		pick(m.UDPSrcMasked, m.UDPDstMasked)
	case s.variant.proto == protoSCTP:
		pick(m.SCTPSrcMasked, m.SCTPDstMasked)
	}
}
