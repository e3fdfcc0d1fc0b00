package flowcompiler

import (
	"cmp"
	"net/netip"
	"slices"

	"poolwire/southbound/openflow/flow"
)

// EtherTypes and IP protocol numbers.
const (
	ethTypeIPv4 = 0x0800
	ethTypeARP  = 0x0806
	ethTypeIPv6 = 0x86dd

	protoICMP   = 1
	protoTCP    = 6
	protoUDP    = 17
	protoICMPv6 = 58
)

// listedRule is a rule in one of its directions.
type listedRule struct {
	Rule
	kind Kind
	// end is To when prefix and port are the packet's destination, From when they
	// are its source.
	end Direction
}

// ruleList is a list of rules that are decided together.
type ruleList []listedRule

// add adds those of the rules that are for a direction.
func (l *ruleList) add(kind Kind, end Direction, rules []Rule) {
	for _, r := range rules {
		if r.is(end) {
			*l = append(*l, listedRule{r, kind, end})
		}
	}
}

// addNetwork adds network-wide rules: they hold for what enters the network,
// whichever end they describe.
func (l *ruleList) addNetwork(n *Network) {
	l.add(KindNetworkRule, To, n.Rules)
	l.add(KindNetworkRule, From, n.Rules)
}

func (r listedRule) rankKey() rankKey { return rankKey{r.Priority, r.Allow} }

// verdicts are the instructions for allowed packets, and for those that a rule denies.
type verdicts struct {
	allow flow.Instructions
	deny  func(rule uint32) flow.Instructions
}

// compatVerdicts note what a rule says, for the policy that decides in the end: it is
// reached by table next, after an allowed packet has been in allowed.
func (e *emitter) compatVerdicts(allowed, next Table, loads ...flow.Action) verdicts {
	return verdicts{
		allow: then(allowed, FieldCompat.load(compatAllow)),
		deny: func(rule uint32) flow.Instructions {
			return then(next, FieldCompat.load(compatDeny), FieldRule.load(rule), flow.Actions(loads...))
		},
	}
}

// scope returns a new match on the packets that a list of rules is about.
type scope func() *flow.MatchBuilder

// where is the scope of packets on which a register field has a given value.
func where(f Field, value uint32) scope {
	return func() *flow.MatchBuilder { return f.match(flow.NewMatch(), value) }
}

// rules emits a list of rules for the packets of a scope.
func (e *emitter) rules(t Table, on scope, list ruleList, v verdicts) {
	slices.SortFunc(list, func(a, b listedRule) int {
		return cmp.Or(compareRankKeys(a.rankKey(), b.rankKey()), cmp.Compare(a.ID, b.ID), cmp.Compare(a.end, b.end))
	})
	keys := make([]rankKey, len(list))
	for i, r := range list {
		keys[i] = r.rankKey()
	}
	ranks, err := rank(keys)
	if err != nil {
		e.err = err
		return
	}
	for _, r := range list {
		verdict := v.allow
		if !r.Allow {
			verdict = v.deny(r.ID)
		}
		for _, family := range r.families() {
			m := on()
			r.match(m, family)
			e.at(t, ranks[r.rankKey()]).emit(Cookie{r.kind, r.ID}, m, verdict)
		}
	}
}

// families returns the EtherTypes that the rule is about. None for a rule that
// can match nothing: a prefix that is no prefix, or ARP for IPv6.
func (r listedRule) families() []uint16 {
	anywhere, prefix := r.Prefix == netip.Prefix{}, unmapped(r.Prefix)
	is4, is6 := anywhere || prefix.Addr().Is4(), anywhere || prefix.Addr().Is6()
	var families []uint16
	switch {
	case !anywhere && !prefix.IsValid():
	case r.Protocol == ARP:
		if is4 {
			families = append(families, ethTypeARP)
		}
	default:
		if is4 {
			families = append(families, ethTypeIPv4)
		}
		if is6 {
			families = append(families, ethTypeIPv6)
		}
	}
	return families
}

// match adds what the rule matches in packets of one EtherType.
func (r listedRule) match(m *flow.MatchBuilder, family uint16) {
	m.EthType(family)
	prefix := unmapped(r.Prefix)
	switch {
	case family == ethTypeARP && r.end == To:
		m.ARPTPA(prefix)
	case family == ethTypeARP:
		m.ARPSPA(prefix)
	case family == ethTypeIPv4 && r.end == To:
		m.IPv4Dst(prefix)
	case family == ethTypeIPv4:
		m.IPv4Src(prefix)
	case r.end == To:
		m.IPv6Dst(prefix)
	default:
		m.IPv6Src(prefix)
	}
	r.matchProtocol(m, family)
}

// matchProtocol adds the protocol and, where the rule has one, the port.
func (r listedRule) matchProtocol(m *flow.MatchBuilder, family uint16) {
	switch r.Protocol {
	case ICMP:
		if family == ethTypeIPv4 {
			m.IPProto(protoICMP)
		} else {
			m.IPProto(protoICMPv6)
		}
	case TCP:
		m.IPProto(protoTCP)
		switch {
		case r.HasPort && r.end == To:
			m.TCPDst(r.Port)
		case r.HasPort:
			m.TCPSrc(r.Port)
		}
	case UDP:
		m.IPProto(protoUDP)
		switch {
		case r.HasPort && r.end == To:
			m.UDPDst(r.Port)
		case r.HasPort:
			m.UDPSrc(r.Port)
		}
	case IP, ARP:
	}
}

// unmapped returns an IPv4-mapped IPv6 prefix (::ffff:192.0.2.0/120) as the IPv4
// prefix it stands for, and any other prefix as it is.
func unmapped(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p
}
