package flowcompiler

import (
	"net/netip"

	"pgregory.net/rapid"

	"poolwire/southbound/openflow/flow"
)

// scope draws the scope of a list of policy rules.
func (w world) scope() PolicyScope {
	s := PolicyScope{Level: rapid.SampledFrom([]Level{Global, Pool, OfNetwork, OfGroup, OfVIF}).Draw(w.t, "level")}
	switch s.Level {
	case OfNetwork:
		s.Object = w.id("network", 1, 3)
	case OfGroup:
		s.Object = w.id("group", 300, 3)
	case OfVIF:
		s.Object = w.id("vif", 100, 5)
	case Global, Pool:
	}
	return s
}

func (w world) groups() []uint32 {
	return rapid.SliceOfNDistinct(rapid.Uint32Range(300, 302), 0, 3, rapid.ID).Draw(w.t, "groups")
}

func (w world) portRanges(label string) []PortRange {
	return rapid.SampledFrom([][]PortRange{nil, nil, {{22, 22}}, {{0, 1023}, {8080, 8080}}, {{1, 65534}}, {{0, 65535}}}).Draw(w.t, label)
}

func (w world) policyRemote() PolicyRemote {
	if rapid.Bool().Draw(w.t, "any") {
		return PolicyRemote{Any: true}
	}
	return PolicyRemote{
		Prefixes: w.prefixes("remotes"),
		MACs:     rapid.SliceOfN(rapid.SampledFrom([]flow.MAC{macA, macB, macX}), 0, 2).Draw(w.t, "remoteMACs"),
	}
}

// manyPrefixes makes conjunctions likely.
func manyPrefixes(n int) []netip.Prefix {
	list := make([]netip.Prefix, n)
	for i := range list {
		list[i] = netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)}), 32)
	}
	return list
}

func (w world) policyRule() PolicyRule {
	protocol := rapid.SampledFrom([]PolicyProtocol{AnyProtocol, ARPProtocol, protoTCP, protoUDP, protoSCTP, protoICMP, protoICMPv6, protoIGMP, 47}).Draw(w.t, "protocol")
	r := PolicyRule{
		ID: w.id("rule", 400, 12), Section: rapid.SampledFrom([]Section{Mandatory, Default}).Draw(w.t, "section"),
		Priority: rapid.SampledFrom([]uint16{0, 1, 100, 101, 32768, 65535}).Draw(w.t, "priority"),
		Action:   rapid.SampledFrom([]Action{Allow, Drop, Reject}).Draw(w.t, "action"),
		Inbound:  rapid.Bool().Draw(w.t, "inbound"), Protocol: protocol, ICMPType: -1, ICMPCode: -1,
		Remote:          w.policyRemote(),
		VLANs:           rapid.SampledFrom([][]uint16{nil, nil, {10}, {10, 20, 30}}).Draw(w.t, "vlans"),
		Stateless:       rapid.Bool().Draw(w.t, "stateless"),
		KeepEstablished: rapid.Bool().Draw(w.t, "keep"),
	}
	r.Outbound = !r.Inbound || rapid.Bool().Draw(w.t, "outbound")
	switch protocol {
	case protoTCP, protoUDP, protoSCTP:
		r.LocalPorts, r.RemotePorts = w.portRanges("local"), w.portRanges("remote")
		if !r.Remote.Any && rapid.Bool().Draw(w.t, "many") {
			r.Remote.Prefixes = append(r.Remote.Prefixes, manyPrefixes(12)...)
		}
	case protoICMP, protoICMPv6:
		r.ICMPType = rapid.SampledFrom([]int16{-1, 0, 8, 128, 130, 135}).Draw(w.t, "icmpType")
		if r.ICMPType >= 0 {
			r.ICMPCode = rapid.Int16Range(-1, 1).Draw(w.t, "icmpCode")
		}
	default:
	}
	return r
}

func (w world) policyRules() []PolicyRule {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) PolicyRule { return world{t}.policyRule() }), 0, 4).Draw(w.t, "policy")
}

// changePolicy draws one call about policies and makes it.
func (w world) changePolicy(c *Compiler) {
	switch rapid.IntRange(0, 5).Draw(w.t, "change of a policy") {
	case 0:
		c.SetPeers(w.id("network", 1, 3), w.peers())
	case 1:
		c.RemovePolicy(w.scope())
	default:
		c.SetPolicy(w.scope(), w.policyRules())
	}
}

func (w world) limit(label string) Limit {
	return rapid.SampledFrom([]Limit{{}, {}, {BitsPerSecond: 10_000_000}, {BitsPerSecond: 1_000_000, Burst: 500_000}}).Draw(w.t, label)
}

func (w world) peers() []Peer {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Peer {
		isolation := rapid.SampledFrom([]Isolation{Promiscuous, Isolated, Community}).Draw(t, "isolation")
		return Peer{MAC: world{t}.mac(), Isolation: isolation, Community: rapid.Uint16Range(0, 2).Draw(t, "community")}
	}), 0, 3).Draw(w.t, "peers")
}
