package reference

import (
	"net/netip"
	"slices"

	"poolwire/flowcompiler"
	"poolwire/flowcompiler/walk"
	"poolwire/southbound/openflow/flow"
)

// ends is a packet, or the connection it belongs to, seen from the subject.
type ends struct {
	ip                    bool
	proto                 uint8
	remote                netip.Addr
	hasPorts              bool
	localPort, remotePort uint16
	icmpType, icmpCode    uint16
}

// ends returns how a rule for connections in one direction sees the packet: a stateful
// rule its connection, where it has one, a stateless one the packet itself.
func (q *question) ends(opened, asConnection bool) ends {
	p := &q.packet
	e := ends{ip: p.IsIP(), proto: p.Proto}
	src, dst := p.Src, p.Dst
	srcPort, dstPort, ok := q.world.ports(p)
	if asConnection {
		c := &q.connection
		e.proto, src, dst, srcPort, dstPort, ok = c.Proto, c.Src, c.Dst, c.SrcPort, c.DstPort, hasPorts(c.Proto)
	}
	e.hasPorts, e.icmpType, e.icmpCode = ok, srcPort, dstPort
	if opened {
		e.remote, e.remotePort, e.localPort = src, srcPort, dstPort
	} else {
		e.remote, e.remotePort, e.localPort = dst, dstPort, srcPort
	}
	return e
}

func hasPorts(proto uint8) bool {
	return slices.Contains([]uint8{walk.ProtoTCP, walk.ProtoUDP, walk.ProtoSCTP, walk.ProtoICMP, walk.ProtoICMPv6}, proto)
}

// matches reports whether a rule matches, among those for connections that are opened
// to the VIF (opened) or by it.
func (q *question) matches(r *flowcompiler.PolicyRule, opened bool) bool {
	if opened && !r.Inbound || !opened && !r.Outbound {
		return false
	}
	if r.KeepEstablished && r.Action != flowcompiler.Allow && q.state(walk.CTEstablished) {
		return false
	}
	asConnection := false
	switch {
	case r.Stateless:
		if q.answers() {
			return false
		}
	case q.tracked:
		if q.state(walk.CTInvalid) {
			return false
		}
		asConnection = true
	}
	e := q.ends(opened, asConnection)
	return q.protocol(r, e) && q.remote(r, e) && q.tag(r) && portsMatch(r, e)
}

// protocol reports whether a rule's protocol is the packet's.
func (q *question) protocol(r *flowcompiler.PolicyRule, e ends) bool {
	p := &q.packet
	neighbor := q.world.isNeighborDiscovery(p)
	switch {
	case r.Protocol == flowcompiler.ARPProtocol:
		return p.EtherType == walk.EtherTypeARP
	case r.Protocol == flowcompiler.AnyProtocol:
		return p.EtherType != walk.EtherTypeARP && !neighbor
	case !e.ip || flowcompiler.PolicyProtocol(e.proto) != r.Protocol:
		return false
	case r.Protocol == walk.ProtoICMP && p.EtherType != walk.EtherTypeIPv4, r.Protocol == walk.ProtoICMPv6 && p.EtherType != walk.EtherTypeIPv6:
		return false
	case neighbor:
		return r.ICMPType >= 133 && r.ICMPType <= 137
	}
	return true
}

// remote reports whether the other end is one of the rule's.
func (q *question) remote(r *flowcompiler.PolicyRule, e ends) bool {
	if r.Remote.Any {
		return true
	}
	p := &q.packet
	other := p.EthDst
	if q.inbound {
		other = p.EthSrc
	}
	if slices.Contains(r.Remote.MACs, other) {
		return true
	}
	if p.EtherType == walk.EtherTypeARP {
		if e.remote = p.Dst; q.inbound {
			e.remote = p.Src
		}
		return within(r.Remote.Prefixes, e.remote)
	}
	return e.ip && within(r.Remote.Prefixes, e.remote)
}

// tag reports whether the packet's VLAN tag, as the VIF sees it, is one of the rule's.
func (q *question) tag(r *flowcompiler.PolicyRule) bool {
	return len(r.VLANs) == 0 || q.packet.VLAN != 0 && slices.Contains(r.VLANs, q.packet.VLAN&0xfff)
}

// portsMatch compares ports, ICMP type and code.
func portsMatch(r *flowcompiler.PolicyRule, e ends) bool {
	named := len(r.LocalPorts) > 0 || len(r.RemotePorts) > 0 || r.ICMPType >= 0 || r.ICMPCode >= 0
	if !named {
		return true
	}
	return e.hasPorts && among(r.LocalPorts, e.localPort) && among(r.RemotePorts, e.remotePort) &&
		(r.ICMPType < 0 || uint16(r.ICMPType) == e.icmpType) && (r.ICMPCode < 0 || uint16(r.ICMPCode) == e.icmpCode)
}

func among(list []flowcompiler.PortRange, port uint16) bool {
	return len(list) == 0 || slices.ContainsFunc(list, func(r flowcompiler.PortRange) bool { return r.First <= port && port <= r.Last })
}

// Hears reports whether a VIF hears a sender of its network: an isolated one nobody but
// promiscuous ones, a member of a community also its own. nil stands for uplinks, the
// host and ports that are no VIF.
func Hears(v, sender *flowcompiler.VIF) bool {
	if sender == nil || !Restricted(v) || !Restricted(sender) {
		return true
	}
	return v.Isolation == flowcompiler.Community && sender.Isolation == flowcompiler.Community && v.Community == sender.Community
}

// linkLocal is the link-local address that a MAC address makes (RFC 4291 appendix A).
func linkLocal(m flow.MAC) netip.Addr {
	return netip.AddrFrom16([16]byte{0xfe, 0x80, 0, 0, 0, 0, 0, 0, m[0] ^ 2, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]})
}
