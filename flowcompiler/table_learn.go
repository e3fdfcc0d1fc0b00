package flowcompiler

import "poolwire/southbound/openflow/flow"

// learnedTimeout is how long, in seconds, a learned MAC address is kept after the
// last packet from it. It is the switch's own default for NORMAL: both forget an
// address at about the same time.
const learnedTimeout = 300

// groupMAC is the bit that broadcast and multicast addresses have set.
var groupMAC = flow.MAC{0x01}

// learnBase lets pass what needs no learning. A group address is no station's,
// and learned it would draw the group's traffic to one port.
func (e *emitter) learnBase() {
	next := e.goTo(TableDestination)
	if e.compiler.bridge.Kind == OverlayBridge {
		next = e.goTo(TableForward)
	}
	e.emit(TableLearn, BandLearnNever.Low, Cookie{Kind: KindBase}, flow.NewMatch().EthSrcMasked(groupMAC, groupMAC), next)
	e.emit(TableLearn, BandMiss.Low, Cookie{Kind: KindBase}, flow.NewMatch(), next)
}

// learnFromVIF remembers the MAC addresses a VIF uses besides its own.
func (e *emitter) learnFromVIF(v pluggedVIF) {
	if !v.learned() {
		return
	}
	from := func() *flow.MatchBuilder { return FieldSourceVIF.match(flow.NewMatch(), v.ID) }
	if !v.MAC.IsZero() {
		e.emit(TableLearn, BandLearnKnown.Low, Cookie{KindVIF, v.ID}, from().EthSrc(v.MAC), e.goTo(TableDestination))
	}
	e.emit(TableLearn, BandLearn.Low, Cookie{KindVIF, v.ID}, from(),
		then(TableDestination, learnSource(v.ID, FieldDestination, FieldSourceVIF.bits())))
}

// learnFromPatch remembers which MAC addresses of a private network are on other
// hosts, so that packets for them stop being flooded here, and so that one that
// was learned here and moved away is found again at once.
func (e *emitter) learnFromPatch(n *Network) {
	m := FieldNetwork.match(FieldSource.match(flow.NewMatch(), sourcePatch), n.ID)
	e.emit(TableLearn, BandLearn.Low, Cookie{KindNetwork, n.ID}, m,
		then(TableDestination, learnSource(n.ID, FieldDestination, FieldSourceVIF.bits())))
}

// learnFromTunnels remembers, on the overlay bridge, by which tunnel a MAC
// address of a private network is reached.
func (e *emitter) learnFromTunnels(n *Network) {
	m := FieldNetwork.match(FieldSource.match(flow.NewMatch(), sourceTunnel), n.ID)
	e.emit(TableLearn, BandLearn.Low, Cookie{KindNetwork, n.ID}, m,
		then(TableForward, learnSource(n.ID, FieldTunnel, flow.Whole(flow.FieldInPort16))))
}

// learnNotRemote spares the switch from learning what the controller knows.
func (e *emitter) learnNotRemote(r *Remote, next Table) {
	for _, mac := range r.MACs {
		if !mac.IsZero() {
			m := FieldNetwork.match(flow.NewMatch(), r.Network).EthSrc(mac)
			e.emit(TableLearn, BandLearnKnown.Low, Cookie{KindRemote, r.Tunnel.Host}, m, e.goTo(next))
		}
	}
}

// learnSource returns the learn action
//
//	network = this packet's, dl_dst = this packet's dl_src: to := what from holds
//
// A station that moves is learned anew from its next packet: the learned flow has
// the same key and is replaced. What was learned goes with the flow that learned
// it, so nothing outlives the object.
func learnSource(object uint32, to Field, from flow.Subfield) flow.Action {
	return flow.Learn(flow.LearnSpec{
		Table:       uint8(TableLearned),
		Priority:    BandLearned.Low,
		Cookie:      Cookie{KindLearned, object}.Encode(),
		HardTimeout: learnedTimeout,
		Flags:       flow.LearnDeleteLearned,
		Steps: []flow.LearnStep{
			flow.LearnMatch(FieldNetwork.bits(), FieldNetwork.bits()),
			flow.LearnMatch(flow.Whole(flow.FieldEthDst), flow.Whole(flow.FieldEthSrc)),
			flow.LearnLoad(to.bits(), from),
		},
	})
}
