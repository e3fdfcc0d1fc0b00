package flowcompiler

import "poolwire/southbound/openflow/flow"

// direction is a way of what a rule matches, as the subject sees it.
type direction uint8

const (
	outwards direction = iota
	inwards
)

// protoSCTP is the IP protocol number of SCTP.
const protoSCTP = 132

// variant is one way in which a rule looks at packets: at the connection that a packet
// belongs to, or at the packet itself.
type variant struct {
	// tuple: addresses, ports and protocol are those of the connection's first packet.
	tuple bool
	// state and mask are bits of ct_state.
	state, mask uint32
	// own: only packets that walk the rules of their own direction.
	own bool
	// neighbor is the value of FieldNeighbor; -1 for any.
	neighbor int8
	// family is the EtherType; 0 for any.
	family uint16
	// proto is the IP protocol; -1 for any.
	proto int16
}

// connection is the variant that looks at connections.
func (r *PolicyRule) connection() variant {
	v := variant{tuple: true, state: flow.CTTracked, mask: flow.CTTracked | flow.CTInvalid, neighbor: -1, proto: r.ipProto()}
	if r.KeepEstablished && r.Action != Allow {
		v.mask |= flow.CTEstablished
	}
	return v
}

// packet is the variant that looks at packets that have none of some bits of ct_state.
func (r *PolicyRule) packet(without uint32, neighbor int8) variant {
	return variant{mask: without, neighbor: neighbor, proto: r.ipProto()}
}

// ipProto returns the IP protocol that the rule names, -1 for none.
func (r *PolicyRule) ipProto() int16 {
	if r.Protocol > 0xff {
		return -1
	}
	return int16(r.Protocol)
}

// variants returns how the rule looks at packets. A rule on connections looks at packets
// that are not tracked by themselves; a rule on packets leaves alone those that walk the
// rules of the direction in which their connection was opened. ARP and neighbour discovery are for rules that name
// them.
func (r *PolicyRule) variants() []variant {
	discovery := r.Protocol == protoICMPv6 && r.ICMPType >= routerSolicitation && r.ICMPType <= redirect
	listening := r.Protocol == protoICMPv6 && r.ICMPType >= 0 && isMLD(uint8(r.ICMPType))
	untyped := r.Protocol == AnyProtocol || r.Protocol == protoICMPv6 && r.ICMPType < 0
	untracked := r.packet(flow.CTTracked, 0)
	switch {
	case r.Protocol == ARPProtocol:
		v := r.packet(0, 1)
		v.family, v.proto = ethTypeARP, -1
		return []variant{v}
	case discovery:
		return []variant{r.packet(0, 1)}
	case r.Stateless:
		v := r.packet(0, 0)
		v.own = true
		if r.KeepEstablished && r.Action != Allow {
			v.mask |= flow.CTEstablished
		}
		if !untyped {
			v.neighbor = -1
		}
		return []variant{v}
	case listening || r.Protocol == protoIGMP:
		return []variant{untracked}
	case untyped:
		return []variant{r.connection(), untracked}
	default:
		return []variant{r.connection()}
	}
}

// isMLD tells whether an ICMPv6 type is of multicast listener discovery.
func isMLD(icmpType uint8) bool {
	return icmpType == mldQuery || icmpType == mldReport || icmpType == mldDone || icmpType == mldv2Report
}

// families returns the EtherTypes to which the variant has to be narrowed down, where the
// address of the other end does not say: to match a protocol of packets takes one.
func (v variant) families() []uint16 {
	switch {
	case v.family != 0:
		return []uint16{v.family}
	case v.proto == protoICMP:
		return []uint16{ethTypeIPv4}
	case v.proto == protoICMPv6:
		return []uint16{ethTypeIPv6}
	case v.proto >= 0 && !v.tuple:
		return []uint16{ethTypeIPv4, ethTypeIPv6}
	default:
		return []uint16{0}
	}
}

// takes tells whether packets of an EtherType can match the variant.
func (v variant) takes(family uint16) bool {
	switch {
	case v.family != 0:
		return v.family == family
	case v.proto == protoICMP:
		return family == ethTypeIPv4
	case v.proto == protoICMPv6:
		return family == ethTypeIPv6
	default:
		return family != ethTypeARP
	}
}
