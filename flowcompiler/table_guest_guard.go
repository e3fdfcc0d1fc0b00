package flowcompiler

import "poolwire/southbound/openflow/flow"

// guestGuardBase lets pass what no guard is about.
func (e *emitter) guestGuardBase() {
	e.at(TableGuestGuard, bandMiss.Low).emit(Cookie{Kind: KindBase}, flow.NewMatch(), e.goTo(TableOutState))
}

// guestService is something that only some guests may send.
type guestService struct {
	// guarded tells whether a network wants it dropped, may whether a VIF is exempt.
	guarded func(*Network) bool
	may     func(*VIF) bool
	// match adds the packets to a match.
	match func(*flow.MatchBuilder) *flow.MatchBuilder
}

// guestServices lists router advertisements and redirects (RFC 6105), and what DHCP
// servers answer (RFC 7610).
func guestServices() []guestService {
	advertises := func(v *VIF) bool { return v.MayAdvertise }
	serves := func(v *VIF) bool { return v.MayServeDHCP }
	ra := func(n *Network) bool { return n.RAGuard }
	dhcp := func(n *Network) bool { return n.DHCPGuard }
	icmp := func(icmpType uint8) func(*flow.MatchBuilder) *flow.MatchBuilder {
		return func(m *flow.MatchBuilder) *flow.MatchBuilder { return icmp6(m, icmpType) }
	}
	return []guestService{
		{ra, advertises, icmp(routerAdvertisement)},
		{ra, advertises, icmp(redirect)},
		{dhcp, serves, dhcpAnswer},
		{dhcp, serves, dhcp6Answer},
	}
}

// guestGuardOfNetwork drops what a guard of the network is against, of any VIF: also of
// one on the untagged network that tags packets into this one.
func (e *emitter) guestGuardOfNetwork(n *Network) {
	for _, s := range guestServices() {
		if s.guarded(n) {
			m := FieldNetwork.match(FieldSource.match(flow.NewMatch(), sourceVIF), n.ID)
			e.at(TableGuestGuard, bandGuestService.Low).emit(Cookie{KindNetwork, n.ID}, s.match(m), drop)
		}
	}
}

// guestGuardOfVIF drops the tags that a VIF has no part in, and lets pass what others
// may not send where it may. What is let pass has met all guards: it carries no tag, or
// one of its trunks.
func (e *emitter) guestGuardOfVIF(v pluggedVIF) {
	cookie, next := Cookie{KindLocking, v.ID}, e.goTo(TableOutState)
	from := func() *flow.MatchBuilder { return FieldSourceVIF.match(flow.NewMatch(), v.ID) }
	tags := []func() *flow.MatchBuilder{from}
	switch {
	case v.tagless():
		for _, tag := range nestedTags {
			e.at(TableGuestGuard, bandGuestNested.Low).emit(cookie, from().EthType(tag), drop)
		}
		e.at(TableGuestGuard, bandGuestTagged.Low).emit(cookie, from().VLANPresent(), drop)
		tags = []func() *flow.MatchBuilder{func() *flow.MatchBuilder { return from().VLANAbsent() }}
		for _, tag := range v.trunks() {
			own := func() *flow.MatchBuilder { return from().VLAN(tag) }
			e.at(TableGuestGuard, bandGuestExempt.Low).emit(cookie, own(), next)
			tags = append(tags, own)
		}
	case v.network.VLAN != 0 && !v.network.Private:
		// NORMAL refuses a tag from a port of a tagged network, but for a priority tag.
		e.at(TableGuestGuard, bandGuestTagged.Low).emit(cookie, from().VLANPresent(), drop)
		e.at(TableGuestGuard, bandGuestExempt.Low).emit(cookie, from().VLAN(0), next)
	}
	for _, s := range guestServices() {
		if !s.may(v.VIF) {
			continue
		}
		for _, tagged := range tags {
			e.at(TableGuestGuard, bandGuestService.High).emit(cookie, s.match(tagged()), next)
		}
	}
}

// tagless tells whether the VIF takes part in no tagged traffic but that of its trunks.
func (v pluggedVIF) tagless() bool { return v.Locking == Locked || v.policed() || v.restricted() }

// trunks lists the VLANs that the VIF may tag packets into: only from the untagged
// network, which no other network's packets could be told from.
func (v pluggedVIF) trunks() []uint16 {
	if v.network == nil || v.network.Private || v.network.VLAN != 0 {
		return nil
	}
	return v.Trunks
}
