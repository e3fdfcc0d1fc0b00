package flowcompiler

import "poolwire/southbound/openflow/flow"

// learnedTimeout is how long, in seconds, a learned MAC address is kept after the
// last packet from it. It is the switch's own default for NORMAL: both forget an
// address at about the same time.
const learnedTimeout = 300

// learnedPerVIF and learnedElsewhere bound how many MAC addresses the switch
// learns from one VIF, and from other hosts on one private network: a VM could
// send from ever new ones. What is for an address that was not learned is flooded on
// a private network; on an external one nothing may be sent from it (see admitFromVIF).
const (
	learnedPerVIF    = 1024
	learnedElsewhere = 16384
)

// groupMAC is the bit that broadcast and multicast addresses have set.
var groupMAC = flow.MAC{0x01}

// learnBase lets pass what needs no learning. A group address is no station's,
// and learned it would draw the group's traffic to one port.
func (e *emitter) learnBase() {
	next := e.goTo(e.compiler.beforeDestination())
	e.at(TableLearn, bandLearnNever.Low).emit(Cookie{Kind: KindBase}, flow.NewMatch().EthSrcMasked(groupMAC, groupMAC), next)
	e.at(TableLearn, bandMiss.Low).emit(Cookie{Kind: KindBase}, flow.NewMatch(), next)
	if e.compiler.hasNormal() {
		e.learnNotHostMAC(e.compiler.bridge.LocalMAC, Cookie{Kind: KindBase})
	}
}

// learnNotHost keeps VIFs from using the MAC address of one of the host's ports.
func (e *emitter) learnNotHost(p *Port) {
	if n := e.compiler.networks[p.Network]; e.compiler.hasNormal() && (n == nil || !n.Private) {
		e.learnNotHostMAC(p.MAC, Cookie{KindPort, p.OFPort})
	}
}

// learnNotHostMAC drops what a VIF sends from a MAC address of the host: one such
// packet, and NORMAL sends to the VIF what is for the host.
func (e *emitter) learnNotHostMAC(mac flow.MAC, c Cookie) {
	if !mac.IsZero() {
		e.at(TableLearn, bandLearnHost.Low).emit(c, FieldSource.match(flow.NewMatch(), sourceVIF).EthSrc(mac), drop)
	}
}

// learnFromVIF remembers the MAC addresses a VIF uses besides its own, and its own while it is migrating.
func (e *emitter) learnFromVIF(v pluggedVIF) {
	if !v.learned() {
		return
	}
	next := TableDestination
	if v.network.Private {
		next = e.compiler.beforeDestination()
	}
	from := func() *flow.MatchBuilder { return FieldSourceVIF.match(flow.NewMatch(), v.ID) }
	if !v.MAC.IsZero() && !v.moving() {
		e.at(TableLearn, bandLearnKnown.Low).emit(Cookie{KindVIF, v.ID}, from().EthSrc(v.MAC), e.goTo(next))
	}
	actions := learning{object: v.ID, limit: learnedPerVIF, to: FieldDestination, from: FieldSourceVIF.bits()}.action(e.compiler.bridge)
	if !v.network.Private {
		next = TableAdmit
		if !e.compiler.bridge.NoLearnLimit {
			actions = flow.Actions(actions, reverse())
			e.admitFromVIF(v)
		}
	}
	e.at(TableLearn, bandLearn.Low).emit(Cookie{KindVIF, v.ID}, from(), then(next, actions))
}

// learnFromPatch remembers which MAC addresses of a private network are on other
// hosts, so that packets for them stop being flooded here, and so that one that
// was learned here and moved away is found again at once.
func (e *emitter) learnFromPatch(n *Network) {
	m := FieldNetwork.match(FieldSource.match(flow.NewMatch(), sourcePatch), n.ID)
	e.at(TableLearn, bandLearn.Low).emit(Cookie{KindNetwork, n.ID}, m, then(TableDestination, e.learnElsewhere(n)))
}

// learnElsewhere returns the action that remembers a MAC address as one of another host.
func (e *emitter) learnElsewhere(n *Network) flow.Action {
	return learning{object: n.ID, limit: learnedElsewhere, to: FieldDestination, from: FieldSourceVIF.bits()}.action(e.compiler.bridge)
}

// learnFromTunnel remembers, on the overlay bridge, that a MAC address of a private network is
// reached by a tunnel. The cookie of what is learned names the tunnel's port, so that what was
// learned from one host can be forgotten alone.
func (e *emitter) learnFromTunnel(l *Link, port uint32) {
	m := FieldNetwork.match(FieldSource.match(flow.NewMatch(), sourceTunnel), l.Network).InPort(port)
	how := learning{object: l.Network, limit: learnedElsewhere, to: FieldTunnel, from: flow.Whole(flow.FieldInPort16), port: uint16(port)}
	e.at(TableLearn, bandLearn.Low).emit(Cookie{KindRemote, l.Tunnel.Host}, m, then(TableDestination, how.action(e.compiler.bridge)))
}

// learnNotRemote spares the switch from learning what the controller knows.
func (e *emitter) learnNotRemote(r *Remote) {
	for _, mac := range r.MACs {
		if !mac.IsZero() {
			m := FieldNetwork.match(flow.NewMatch(), r.Network).EthSrc(mac)
			e.at(TableLearn, bandLearnKnown.Low).emit(Cookie{KindRemote, r.Host}, m, e.goTo(TableDestination))
		}
	}
}

// learning is what is learned from a packet.
type learning struct {
	// object is what the address is learned of, limit how many of it.
	object uint32
	limit  uint32
	// to gets, in packets for the address, what from holds now.
	to   Field
	from flow.Subfield
	// port tells in the cookie what was learned from one tunnel; 0 elsewhere.
	port uint16
}

// action returns the learn action
//
//	network = this packet's, dl_dst = this packet's dl_src: to := what from holds
//
// A station that moves is learned anew from its next packet: the learned flow has
// the same key and is replaced. What was learned goes with the flow that learned
// it, so nothing outlives the object.
func (l learning) action(b Bridge) flow.Action {
	spec := flow.LearnSpec{
		Table:       uint8(TableLearned),
		Priority:    bandLearned.Low,
		Cookie:      LearnedCookie(l.object, l.port),
		HardTimeout: learnedTimeout,
		Flags:       flow.LearnDeleteLearned,
		Steps: []flow.LearnStep{
			flow.LearnMatch(FieldNetwork.bits(), FieldNetwork.bits()),
			flow.LearnMatch(flow.Whole(flow.FieldEthDst), flow.Whole(flow.FieldEthSrc)),
			flow.LearnLoad(l.to.bits(), l.from),
		},
	}
	if !b.NoLearnLimit {
		spec.Limit = l.limit
	}
	return flow.Learn(spec)
}
