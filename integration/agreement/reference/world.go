// Package reference works out what a policy means for one packet by going through all
// rules one by one, in the order in which docs/policy.md gives them. It knows no
// tables and no flows, and nothing in it is quick.
//
// It shares the objects that describe networks, VIFs and rules with package
// flowcompiler, and nothing else: the two have been written apart, from the same text,
// to be held against each other.
package reference

import (
	"net/netip"
	"slices"

	"poolwire/flowcompiler"
	"poolwire/flowcompiler/walk"
	"poolwire/southbound/openflow/flow"
)

// World is all that decides about the packets of one bridge.
type World struct {
	Networks []flowcompiler.Network
	VIFs     []flowcompiler.VIF
	// Policies are the rules of the hierarchy, in any order.
	Policies map[flowcompiler.PolicyScope][]flowcompiler.PolicyRule
	// Neighbors are who may be answered for, unless NoAnswers (ARP) or NoAdverts (neighbour discovery) says otherwise.
	Neighbors            []flowcompiler.Neighbor
	NoAnswers, NoAdverts bool
	// Elsewhere are the MAC addresses of VIFs of other hosts.
	Elsewhere []flow.MAC
	// FragmentPorts is true of a switch that sees the ports of a first fragment.
	FragmentPorts bool
}

// Verdict is what becomes of a packet at one VIF.
type Verdict struct {
	Pass bool
	// Rule is the object id of the rule that decided; 0 when none did. Equals are the ids
	// of it and of the rules that tie with it: which of them is named is left open.
	Rule   uint32
	Equals []uint32
	// Policed is true when the rules of the hierarchy had a say: only then does Rule
	// tell a rule that lets pass.
	Policed bool
	// Commit is true when the connection is to be remembered.
	Commit bool
	// Because says in a few words what decided.
	Because string
}

func pass(because string) Verdict { return Verdict{Pass: true, Because: because} }
func drop(because string) Verdict { return Verdict{Because: because} }

// network returns the network a VIF is plugged into.
func (w *World) network(v *flowcompiler.VIF) *flowcompiler.Network {
	i := slices.IndexFunc(w.Networks, func(n flowcompiler.Network) bool { return n.ID == v.Network })
	return &w.Networks[i]
}

// VIF returns the VIF with an id.
func (w *World) VIF(id uint32) *flowcompiler.VIF {
	i := slices.IndexFunc(w.VIFs, func(v flowcompiler.VIF) bool { return v.ID == id })
	return &w.VIFs[i]
}

// reaching returns the rules of a level and section that reach a VIF, of its groups all
// in one list: the highest priority first, and at equal priority REJECT and DROP before
// ALLOW.
func (w *World) reaching(v *flowcompiler.VIF, level flowcompiler.Level, section flowcompiler.Section) []flowcompiler.PolicyRule {
	var objects []uint32
	switch level {
	case flowcompiler.Global, flowcompiler.Pool:
		objects = []uint32{0}
	case flowcompiler.OfNetwork:
		objects = []uint32{v.Network}
	case flowcompiler.OfGroup:
		objects = v.Groups
	case flowcompiler.OfVIF:
		objects = []uint32{v.ID}
	}
	var list []flowcompiler.PolicyRule
	for _, object := range objects {
		for _, r := range w.Policies[flowcompiler.PolicyScope{Level: level, Object: object}] {
			if r.Section == section {
				list = append(list, r)
			}
		}
	}
	slices.SortStableFunc(list, func(a, b flowcompiler.PolicyRule) int {
		if a.Priority != b.Priority {
			return int(b.Priority) - int(a.Priority)
		}
		return strictness(b) - strictness(a)
	})
	return list
}

// strictness orders rules of equal priority: a rule that remembers connections comes
// before one that lets single packets pass.
func strictness(r flowcompiler.PolicyRule) int {
	strict := map[flowcompiler.Action]int{flowcompiler.Allow: 0, flowcompiler.Drop: 2, flowcompiler.Reject: 3}[r.Action]
	if r.Action == flowcompiler.Allow && !r.Stateless {
		strict++
	}
	return strict
}

// ties reports whether it makes no difference which of two rules of a list decides.
func ties(a, b flowcompiler.PolicyRule) bool {
	return a.Priority == b.Priority && strictness(a) == strictness(b)
}

// everyRule calls yield for each rule that reaches the VIF.
func (w *World) everyRule(v *flowcompiler.VIF, yield func(flowcompiler.PolicyRule)) {
	for level := flowcompiler.Global; level <= flowcompiler.OfVIF; level++ {
		for _, section := range []flowcompiler.Section{flowcompiler.Mandatory, flowcompiler.Default} {
			for _, r := range w.reaching(v, level, section) {
				yield(r)
			}
		}
	}
}

// Policed reports whether the hierarchy has anything to say about the VIF.
func (w *World) Policed(v *flowcompiler.VIF) bool {
	n := w.network(v)
	policed := n.DropInbound || n.DropOutbound
	w.everyRule(v, func(flowcompiler.PolicyRule) { policed = true })
	return policed
}

// JudgesSessions reports whether a stateful rule reaches the VIF.
func (w *World) JudgesSessions(v *flowcompiler.VIF) bool {
	judges := false
	w.everyRule(v, func(r flowcompiler.PolicyRule) { judges = judges || !r.Stateless })
	return judges
}

// Tracked reports whether the VIF's connections are tracked: a stateful rule reaches it,
// or its network lets sessions be opened one way and drops the other by default. For the
// latter no VIF is shut that has no zone.
func (w *World) Tracked(v *flowcompiler.VIF) bool {
	n := w.network(v)
	oneWay := n.DropInbound && !n.DropOutbound || n.DropOutbound && !n.DropInbound
	return w.JudgesSessions(v) || oneWay && v.Zone > 0
}

// Shut reports whether nothing passes to or from the VIF: it is disabled, or rules judge
// its sessions and it has no zone to track them in.
func (w *World) Shut(v *flowcompiler.VIF) bool {
	return v.Locking == flowcompiler.Disabled || v.Zone == 0 && w.JudgesSessions(v)
}

// Restricted reports whether the VIF talks to some of its network only.
func Restricted(v *flowcompiler.VIF) bool { return v.Isolation != flowcompiler.Promiscuous }

// Guarded reports whether what reaches the VIF is looked at.
func (w *World) Guarded(v *flowcompiler.VIF) bool {
	return w.Policed(v) || Restricted(v) || v.Inbound != flowcompiler.Limit{} ||
		slices.ContainsFunc(v.Rules, func(r flowcompiler.Rule) bool { return r.Direction != flowcompiler.To })
}

// isNeighborDiscovery: ICMPv6 types 133 to 137.
func (w *World) isNeighborDiscovery(p *walk.Packet) bool {
	icmpType, _, ok := w.ports(p)
	return ok && p.EtherType == walk.EtherTypeIPv6 && p.Proto == walk.ProtoICMPv6 && icmpType >= 133 && icmpType <= 137
}

// isMembership: IGMP, and multicast listener discovery (ICMPv6 types 130 to 132 and
// 143), are no connections; trackers call them invalid.
func (w *World) isMembership(p *walk.Packet) bool {
	return p.Proto == 2 || w.isICMP6(p, 130, 131, 132, 143)
}

// ports returns the ports, or ICMP's type and code, of a packet that has them.
func (w *World) ports(p *walk.Packet) (src, dst uint16, ok bool) {
	if !p.IsIP() || p.Fragment == walk.LaterFragment || p.Fragment == walk.FirstFragment && !w.FragmentPorts {
		return 0, 0, false
	}
	switch p.Proto {
	case walk.ProtoTCP, walk.ProtoUDP, walk.ProtoSCTP:
		return p.SrcPort, p.DstPort, true
	case walk.ProtoICMP:
		return p.SrcPort, p.DstPort, p.EtherType == walk.EtherTypeIPv4
	case walk.ProtoICMPv6:
		return p.SrcPort, p.DstPort, p.EtherType == walk.EtherTypeIPv6
	}
	return 0, 0, false
}

func within(list []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(a) })
}
