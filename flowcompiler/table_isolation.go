package flowcompiler

import (
	"slices"

	"poolwire/southbound/openflow/flow"
)

// nestedTags are the EtherTypes of VLAN tags (IEEE 802.1Q, 802.1ad). Open vSwitch shows
// them where a frame has more tags than it looks behind: no rule can see what is in there,
// and a VM that takes the tags off would be given it.
var nestedTags = [...]uint16{0x8100, 0x88a8}

// isolationOfVIF decides, before any rule does, whom a VIF does not hear: itself, and
// when it is isolated or in a community the others that are.
//
// A VIF hears itself where a copy of a flooded packet comes back to it: by its other
// port, or from the switch at the other end of a bond, which sends by one member what it
// got from another. NORMAL drops that; as a copy it would tell the VM that its address is
// in use.
func (e *emitter) isolationOfVIF(v pluggedVIF) {
	if !v.guarded() {
		return
	}
	cookie := Cookie{KindVIF, v.ID}
	to := func() *flow.MatchBuilder { return FieldDestination.match(flow.NewMatch(), v.ID) }
	for _, tag := range nestedTags {
		e.at(TableInState, bandInOwn.Low).emit(cookie, to().EthType(tag), drop)
	}
	e.at(TableInState, bandInOwn.Low).emit(cookie, FieldSourceVIF.match(to(), v.ID), drop)
	if !v.network.Private && !v.MAC.IsZero() {
		e.at(TableInState, bandInOwn.Low).emit(cookie, FieldSource.match(to(), sourceUplink).EthSrc(v.MAC), drop)
	}
	if !v.restricted() {
		return
	}
	restricted := func() *flow.MatchBuilder { return FieldRestricted.match(to(), 1) }
	e.at(TableInState, bandInRestricted.Low).emit(cookie, restricted(), drop)
	if v.Isolation == Community && v.Community != 0 {
		e.inSubject(v, bandInCommunity, func() *flow.MatchBuilder { return FieldCommunity.match(restricted(), uint32(v.Community)) })
	}
}

// learnPeers notes that a packet comes from a restricted VIF of another host, which is
// known by its MAC address: a VIF that is restricted sends from no other.
func (e *emitter) learnPeers(n *Network) {
	if e.compiler.bridge.Kind != NetworkBridge || e.compiler.bridge.NoPolicies {
		return
	}
	source := uint32(sourceUplink)
	var learn []flow.Action
	if n.Private {
		source = sourcePatch
		learn = append(learn, e.learnElsewhere(n))
	}
	communities := make(map[flow.MAC]uint16)
	for _, p := range e.compiler.peers[n.ID] {
		if p.Isolation == Promiscuous || p.MAC.IsZero() {
			continue
		}
		community := p.Community
		if other, twice := communities[p.MAC]; p.Isolation == Isolated || twice && other != community {
			community = 0
		}
		communities[p.MAC] = community
	}
	for mac, community := range communities {
		m := FieldNetwork.match(FieldSource.match(flow.NewMatch(), source), n.ID).EthSrc(mac)
		e.at(TableLearn, bandLearnPeer.Low).emit(Cookie{KindPeer, n.ID}, m,
			then(TableDestination, append(slices.Clone(learn), FieldRestricted.load(1), FieldCommunity.load(uint32(community)))...))
	}
}
