package flowcompiler

import (
	"slices"

	"poolwire/southbound/openflow/flow"
)

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
