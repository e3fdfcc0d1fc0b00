package controller

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"poolwire/controller/listener"
	"poolwire/flowcompiler"
	"poolwire/flowcompiler/walk"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/southbound/openflow/flow"
)

// maxFollowed bounds how many copies of a packet for a group are followed.
const maxFollowed = 64

// groupAudience is whom a private network sends a packet to.
type groupAudience uint8

const (
	// toNobody: it is dropped before anybody asks who listens.
	toNobody groupAudience = iota
	toEverybody
	toListeners
	toRouters
	// toReported: it is a report of who listens, for routers and the controller.
	toReported
)

// isIPGroup says whether a MAC address is that of a multicast group of IPv4 or IPv6 (RFC 1112 section 6.4, RFC 2464 section 7).
func isIPGroup(m flow.MAC) bool {
	return m[0] == 0x33 && m[1] == 0x33 || m[0] == 0x01 && m[1] == 0x00 && m[2] == 0x5e && m[3]&0x80 == 0
}

// explainGroup says whom a packet goes to that a VIF sends to a multicast group on a private network; nil for other packets.
// Every copy is followed to whom it is for.
func (x *explanation) explainGroup(p walk.Packet) (*poolwirev1.ExplainMulticast, error) {
	if x.sender == nil || !isIPGroup(p.EthDst) {
		return nil, nil
	}
	pn := x.privateNetworkOf(x.sender)
	if pn == nil {
		return nil, nil
	}
	audience := x.audience()
	out := &poolwirev1.ExplainMulticast{
		PrivateNetworkUuid: pn.GetUuid(), PrivateNetworkNameLabel: pn.GetNameLabel(), MacAddress: p.EthDst.String(),
		GoesTo: goesTo(pn, audience, p), Querier: "Poolwire asks every VIF who listens",
	}
	if pn.GetFloodMulticast() {
		out.Querier = "nobody is asked who listens"
	}
	all := x.listenersOf(pn, p.EthDst, audience == toEverybody)
	for i, l := range all {
		if i == maxFollowed {
			out.More = uint32(len(all) - i)
			break
		}
		if err := x.followCopy(l); err != nil {
			return nil, err
		}
		out.Listeners = append(out.Listeners, l)
	}
	return out, nil
}

// privateNetworkOf is the private network that a VIF is plugged into; nil when it is into another, or none.
func (a *atlas) privateNetworkOf(v *poolwirev1.Vif) *poolwirev1.PrivateNetwork {
	for _, p := range a.view.PortsByVif(v.GetUuid()) {
		if pn := carriedNetwork(a.view, p.GetHostUuid(), p.GetNetworkBridge()); pn != nil {
			return pn
		}
	}
	return nil
}

// audience reads from the first walk, which is over the bridge of the sender, what table multicast made of the packet.
func (x *explanation) audience() groupAudience {
	j := x.journeys[0]
	steps := j.steps[j.fates[0].first:j.fates[0].last]
	at := slices.IndexFunc(steps, func(s walkStep) bool { return flowcompiler.Table(s.step.Table) == flowcompiler.TableMulticast })
	switch {
	case at < 0 && j.reached:
		return toEverybody
	case at < 0:
		return toNobody
	case slices.ContainsFunc(steps[at:], func(s walkStep) bool { return flowcompiler.Table(s.step.Table) == flowcompiler.TableDeliver }):
		return toEverybody
	case slices.ContainsFunc(steps[at:], func(s walkStep) bool { return flowcompiler.Table(s.step.Table) == flowcompiler.TableReports }):
		return toReported
	case steps[at].step.Flow != nil && flowcompiler.IsGroupJoined(*steps[at].step.Flow):
		return toListeners
	}
	return toRouters
}

// goesTo puts an audience into words.
func goesTo(pn *poolwirev1.PrivateNetwork, audience groupAudience, p walk.Packet) string {
	switch audience {
	case toListeners:
		return "those who listen to a group with this MAC address, and multicast routers"
	case toRouters:
		return "multicast routers only: nobody listens to a group with this MAC address"
	case toReported:
		return "multicast routers, and the controller: it says who listens"
	case toNobody:
		return "nobody: it is dropped before that"
	}
	switch {
	case pn.GetFloodMulticast():
		return "every VIF: the network is set to (flood_multicast)"
	case p.VLAN != 0:
		return "every VIF: it is in a VLAN that VMs have made within the network"
	case flowcompiler.GroupsFlooded(p.EthDst):
		return "every VIF: everybody gets groups with this MAC address, whoever has joined"
	case p.Proto == walk.ProtoICMPv6, p.Proto == protoIGMP, p.Proto == protoPIM:
		return "every VIF: it is what multicast routers say to all"
	}
	return "every VIF: more VIFs listen than are told apart"
}

// IP protocols of who listens to multicast (RFC 3376, RFC 7761).
const (
	protoIGMP = 2
	protoPIM  = 103
)

// listenersOf lists the VIFs that a packet for a group is for, other than the sender, ordered by name: those who listen to a group with
// its MAC address, those who get all groups of its family, and with everybody all that are plugged into the network.
func (x *explanation) listenersOf(pn *poolwirev1.PrivateNetwork, group flow.MAC, everybody bool) []*poolwirev1.ExplainListener {
	by := map[string]*poolwirev1.ExplainListener{}
	note := func(vif string) *poolwirev1.ExplainListener {
		v := x.view.Vif(vif)
		if v == nil || vif == x.sender.GetUuid() {
			return &poolwirev1.ExplainListener{}
		}
		if by[vif] == nil {
			by[vif] = &poolwirev1.ExplainListener{VifUuid: vif, VifNameLabel: v.GetNameLabel()}
		}
		return by[vif]
	}
	for _, s := range x.view.Subscriptions(pn.GetUuid()) {
		joined, err := netip.ParseAddr(s.GetGroup())
		switch {
		case err != nil:
		case joined.IsUnspecified() && joined.Is4() == (group[0] == 0x01):
			note(s.GetVifUuid()).AllGroups = true
		case !joined.IsUnspecified() && listener.GroupMAC(joined) == group:
			l := note(s.GetVifUuid())
			l.Groups = append(l.Groups, joined.String())
		}
	}
	if everybody {
		for _, m := range x.view.PrivateNetworkMembers(pn) {
			for _, p := range x.view.Ports(m.Host.GetUuid()) {
				if p.GetVifUuid() != "" && carriedNetwork(x.view, p.GetHostUuid(), p.GetNetworkBridge()).GetUuid() == pn.GetUuid() {
					note(p.GetVifUuid())
				}
			}
		}
	}
	var out []*poolwirev1.ExplainListener
	for _, l := range by {
		out = append(out, l)
	}
	slices.SortFunc(out, func(a, b *poolwirev1.ExplainListener) int {
		return strings.Compare(a.GetVifNameLabel()+"\x00"+a.GetVifUuid(), b.GetVifNameLabel()+"\x00"+b.GetVifUuid())
	})
	return out
}

// followCopy follows the packet to one VIF, and notes whether it gets there, by which hosts, and else why not.
func (x *explanation) followCopy(l *poolwirev1.ExplainListener) error {
	other := *x
	other.receiver, other.unknown, other.out = x.view.Vif(l.GetVifUuid()), "", new(poolwirev1.ExplainResponse)
	p := x.question.header.packet(x.from, x.to)
	first, err := x.fromVIF(x.sender, p)
	if err != nil {
		return err
	}
	j := &journey{atlas: x.atlas, ctx: x.ctx, receiver: other.receiver, connection: sessionOf(p, x.question.reply, x.question.established)}
	other.journeys = []*journey{j}
	if err := j.follow(first); err != nil {
		return err
	}
	for _, f := range j.fates {
		if host := hostLabel(x.view.Host(f.at.host)); f.onwards && !slices.Contains(l.Hosts, host) {
			l.Hosts = append(l.Hosts, host)
		}
	}
	if l.Gets = j.reached; l.Gets {
		return nil
	}
	if id, found := other.decision(); found {
		other.out.DecidedBy = x.entryOf(id)
	}
	other.out.Verdict = j.verdict()
	if l.Reason = other.summary(); len(x.view.PortsByVif(l.GetVifUuid())) == 0 {
		l.Reason = "it is plugged in nowhere"
	}
	return nil
}

// answerGroup puts into the answer what multicast has to do with it.
func (x *explanation) answerGroup(m *poolwirev1.ExplainMulticast) {
	if x.out.Multicast = m; m == nil || x.out.GetDecidedBy() != nil || x.audience() == toNobody {
		return
	}
	got, group := 0, x.to.addr.String()
	if !x.to.addr.IsValid() {
		group = m.GetMacAddress()
	}
	mine := false
	for _, l := range m.GetListeners() {
		if l.GetGets() {
			got++
		}
		mine = mine || x.receiver != nil && l.GetVifUuid() == x.receiver.GetUuid()
	}
	join := []string{
		"let the VM join the group: poolwire private-network groups " + m.GetPrivateNetworkUuid() + " shows who has",
		"or send multicast to everybody: poolwire private-network update " + m.GetPrivateNetworkUuid() + " --flood-multicast",
	}
	switch {
	case x.receiver != nil && (x.final().reached || mine || m.GetMore() > 0):
	case x.receiver != nil:
		x.out.Summary, x.out.Remedies = fmt.Sprintf("VIF %s does not listen to %s on %s", vifLabel(x.receiver), group, m.GetPrivateNetworkNameLabel()), join
	case len(m.GetListeners()) == 0:
		x.out.Verdict = poolwirev1.Verdict_VERDICT_DROPPED
		x.out.Summary, x.out.Remedies = fmt.Sprintf("nobody else listens to %s on %s", group, m.GetPrivateNetworkNameLabel()), join
	case got == 0 && m.GetMore() == 0:
		x.out.Verdict = poolwirev1.Verdict_VERDICT_DROPPED
		x.out.Summary, x.out.Remedies = fmt.Sprintf("none of the VIFs that it is for on %s gets it", m.GetPrivateNetworkNameLabel()), nil
	default:
		x.out.Summary = fmt.Sprintf("%d of the %d VIFs that it is for on %s get it", got, len(m.GetListeners()), m.GetPrivateNetworkNameLabel())
		if m.GetMore() > 0 {
			x.out.Summary += fmt.Sprintf("; %d more were not asked", m.GetMore())
		}
	}
}
