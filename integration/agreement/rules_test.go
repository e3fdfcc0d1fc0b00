package agreement

import (
	"net/netip"
	"slices"

	"poolwire/flowcompiler"
	"poolwire/flowcompiler/walk"
	"poolwire/southbound/openflow/flow"
)

func (w *world) compatRules() []flowcompiler.Rule {
	var list []flowcompiler.Rule
	for range 1 + w.IntN(3) {
		r := flowcompiler.Rule{
			ID: w.id(), Direction: pick(w.Rand, []flowcompiler.Direction{flowcompiler.To, flowcompiler.From, flowcompiler.Both}),
			Protocol: pick(w.Rand, []flowcompiler.Protocol{flowcompiler.IP, flowcompiler.TCP, flowcompiler.UDP, flowcompiler.ICMP, flowcompiler.ARP}),
			Allow:    w.chance(2), Priority: uint16(10 * w.IntN(4)),
		}
		if w.chance(2) {
			r.Prefix = w.prefix()
		}
		if (r.Protocol == flowcompiler.TCP || r.Protocol == flowcompiler.UDP) && w.chance(2) {
			r.Port, r.HasPort = pick(w.Rand, w.transports), true
		}
		list = append(list, r)
	}
	return list
}

// policies gives some of the scopes rules.
func (w *world) policies() {
	w.ref.Policies = make(map[flowcompiler.PolicyScope][]flowcompiler.PolicyRule)
	scopes := []flowcompiler.PolicyScope{{Level: flowcompiler.Global}, {Level: flowcompiler.Pool}}
	for _, n := range w.ref.Networks {
		scopes = append(scopes, flowcompiler.PolicyScope{Level: flowcompiler.OfNetwork, Object: n.ID})
	}
	for group := uint32(60); group < 63; group++ {
		scopes = append(scopes, flowcompiler.PolicyScope{Level: flowcompiler.OfGroup, Object: group})
	}
	for _, v := range w.ref.VIFs {
		scopes = append(scopes, flowcompiler.PolicyScope{Level: flowcompiler.OfVIF, Object: v.ID})
	}
	stateless := w.chance(4)
	for _, s := range scopes {
		n := w.IntN(4)
		if s.Level < flowcompiler.OfGroup {
			n = w.IntN(8) - 5
		}
		var rules []flowcompiler.PolicyRule
		for range n {
			r := w.rule()
			r.Stateless = r.Stateless || stateless
			r.KeepEstablished = r.KeepEstablished && !r.Stateless
			rules = append(rules, r)
		}
		if len(rules) > 0 {
			w.ref.Policies[s] = rules
		}
	}
}

// rule makes a rule that may well match.
func (w *world) rule() flowcompiler.PolicyRule {
	r := flowcompiler.PolicyRule{
		ID: w.id(), Section: pick(w.Rand, []flowcompiler.Section{flowcompiler.Mandatory, flowcompiler.Default, flowcompiler.Default}),
		Priority: uint16(10 * w.IntN(4)), Action: pick(w.Rand, []flowcompiler.Action{flowcompiler.Allow, flowcompiler.Allow, flowcompiler.Drop, flowcompiler.Reject}),
		Inbound: w.chance(2), Protocol: flowcompiler.AnyProtocol, ICMPType: -1, ICMPCode: -1,
		Remote: flowcompiler.PolicyRemote{Any: true}, Stateless: w.chance(3),
	}
	r.Outbound = !r.Inbound || w.chance(3)
	r.KeepEstablished = r.Action != flowcompiler.Allow && w.chance(4)
	w.protocol(&r)
	if w.chance(2) || len(r.LocalPorts)+len(r.RemotePorts) > 3 {
		w.remote(&r)
	}
	if w.chance(10) {
		r.VLANs = []uint16{7, vlanTen}[:1+w.IntN(2)]
	}
	return r
}

// protocol chooses a protocol, and what goes with it.
func (w *world) protocol(r *flowcompiler.PolicyRule) {
	switch w.IntN(9) {
	case 0:
		r.Protocol = flowcompiler.ARPProtocol
	case 1:
		r.Protocol = walk.ProtoICMP
		if w.chance(2) {
			r.ICMPType = int16(pick(w.Rand, []int{0, 3, 8}))
		}
	case 2:
		r.Protocol = walk.ProtoICMPv6
		if !w.chance(3) {
			r.ICMPType = int16(pick(w.Rand, []int{1, 128, 133, 134, 135, 136, 137}))
		}
	case 3:
		r.Protocol = flowcompiler.PolicyProtocol(pick(w.Rand, []int{2, 47, 50, 112}))
	case 4, 5, 6:
		r.Protocol = flowcompiler.PolicyProtocol(pick(w.Rand, []int{walk.ProtoTCP, walk.ProtoTCP, walk.ProtoUDP, walk.ProtoSCTP}))
		if !w.chance(3) {
			r.LocalPorts = w.portRanges()
		}
		if w.chance(3) {
			r.RemotePorts = w.portRanges()
		}
	}
	if r.ICMPType >= 0 && w.chance(3) {
		r.ICMPCode = int16(w.IntN(2))
	}
}

// portRanges makes ranges, sorted and apart.
func (w *world) portRanges() []flowcompiler.PortRange {
	switch w.IntN(4) {
	case 0:
		return []flowcompiler.PortRange{{First: 1, Last: 79}, {First: 81, Last: 442}, {First: 8000, Last: 8080}}
	case 1:
		return []flowcompiler.PortRange{{First: 0, Last: 65535}}
	case 2:
		return []flowcompiler.PortRange{{First: 22, Last: 22}, {First: 80, Last: 80}, {First: 443, Last: 443}}
	}
	port := pick(w.Rand, w.transports)
	return []flowcompiler.PortRange{{First: port, Last: port}}
}

// remote chooses the other end, of the families that the protocol has.
func (w *world) remote(r *flowcompiler.PolicyRule) {
	r.Remote.Any = false
	n := w.IntN(6)
	if w.chance(3) {
		// With ports enough for a conjunction.
		n = 12
	}
	for range n {
		p := w.prefix()
		only4 := r.Protocol == flowcompiler.ARPProtocol || r.Protocol == walk.ProtoICMP
		if only4 && !p.Addr().Is4() || r.Protocol == walk.ProtoICMPv6 && p.Addr().Is4() {
			continue
		}
		r.Remote.Prefixes = append(r.Remote.Prefixes, p)
	}
	slices.SortFunc(r.Remote.Prefixes, func(a, b netip.Prefix) int {
		if c := a.Addr().Compare(b.Addr()); c != 0 {
			return c
		}
		return a.Bits() - b.Bits()
	})
	r.Remote.Prefixes = slices.Compact(r.Remote.Prefixes)
	if w.chance(3) {
		r.Remote.MACs = []flow.MAC{pick(w.Rand, w.macs)}
	}
}
