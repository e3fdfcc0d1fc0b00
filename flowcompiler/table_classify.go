package flowcompiler

import "poolwire/southbound/openflow/flow"

// classifyBase decides over ports that nothing else knows. The bridge's own port
// is the host's until it is described better: the host must never be cut off
// because its description is late.
func (e *emitter) classifyBase() {
	c := e.compiler
	unknown := drop
	if c.hasNormal() && c.bridge.AdmitUnclassified {
		unknown = e.goTo(TableForward)
	}
	e.at(TableClassify, bandClassifyDefault.Low).emit(Cookie{Kind: KindBase}, flow.NewMatch(), unknown)
	if c.hasNormal() {
		e.at(TableClassify, bandClassifyLocal.Low).emit(Cookie{Kind: KindBase}, flow.NewMatch().InPort(flow.PortLocal),
			then(TableVLAN, FieldSource.load(sourceHost), FieldPinned.load(pinned)))
	}
}

// classifyVIF loads what is known of a VIF from each of its ports: tap and vif
// are the same VIF. From the untagged network a VM can send tagged packets,
// which is for table vlan to sort out.
func (e *emitter) classifyVIF(v pluggedVIF) {
	policy, own := v.policy()
	loads := []flow.Action{
		FieldSource.load(sourceVIF), FieldSourceVIF.load(v.ID), FieldNetwork.load(v.Network), FieldPolicy.load(policy),
		FieldSubject.load(v.ID),
	}
	if own {
		loads = append(loads, FieldPinned.load(pinned))
	}
	if v.Locking == Locked || v.restricted() {
		loads = append(loads, FieldLocked.load(1))
	}
	if v.restricted() {
		loads = append(loads, FieldRestricted.load(1))
		if v.Isolation == Community {
			loads = append(loads, FieldCommunity.load(uint32(v.Community)))
		}
	}
	if v.policed() {
		loads = append(loads, e.subject(v)...)
	}
	next := TableSpoofGuard
	if v.network.VLAN == 0 && !v.network.Private {
		next = TableVLAN
	}
	instructions := then(next, loads...)
	if meter, ok := e.compiler.outboundMeter(v); ok {
		instructions = flow.Meter(meter) + instructions
	}
	for _, port := range v.Ports {
		e.at(TableClassify, bandClassifyPort.Low).emit(Cookie{KindVIF, v.ID}, flow.NewMatch().InPort(port), instructions)
	}
}

// classifyDisabledVIF drops what a disabled VIF sends.
func (e *emitter) classifyDisabledVIF(v pluggedVIF) {
	for _, port := range v.Ports {
		e.at(TableClassify, bandClassifyPort.Low).emit(Cookie{KindVIF, v.ID}, flow.NewMatch().InPort(port), drop)
	}
}

// classifyPort loads what is known of a port that belongs to no VIF.
func (e *emitter) classifyPort(p *Port) {
	var instructions flow.Instructions
	switch e.compiler.roleOf(p) {
	case roleUplink:
		loads := []flow.Action{FieldSource.load(sourceUplink)}
		if p.Inactive {
			loads = append(loads, FieldDuplicate.load(1))
		}
		instructions = then(TableVLAN, loads...)
	case roleHost:
		next, ok := e.afterHost(p)
		if !ok {
			return
		}
		instructions = then(next, FieldSource.load(sourceHost), FieldPinned.load(pinned), FieldNetwork.load(p.Network))
	case rolePatch:
		instructions = e.afterPatch(p)
	case roleForeign:
		instructions = e.afterForeign(p)
	case roleForeignTunnel:
		instructions = e.afterForeignTunnel(p)
		e.deliverForeignTunnel(p)
	case roleRelieved:
		instructions = e.afterRelieved(p)
	case roleTunnel:
		return
	}
	e.at(TableClassify, bandClassifyPort.Low).emit(Cookie{KindPort, p.OFPort}, flow.NewMatch().InPort(p.OFPort), instructions)
}

// afterHost returns where packets from the host go on. They skip all rules on
// what enters a network. ok is false where the host has no part.
func (e *emitter) afterHost(p *Port) (next Table, ok bool) {
	n := e.compiler.networks[p.Network]
	switch {
	case e.compiler.bridge.Kind == OverlayBridge || n == nil && e.compiler.privateOnly:
		return 0, false
	case n == nil || n.VLAN == 0 && !n.Private:
		return TableVLAN, true
	default:
		return TableDestination, true
	}
}

// afterPatch returns the instructions for packets from a patch port: on a network
// bridge from elsewhere, on the overlay bridge on their way there.
func (e *emitter) afterPatch(p *Port) flow.Instructions {
	source, network := FieldSource.load(sourcePatch), FieldNetwork.load(p.Network)
	if e.compiler.bridge.Kind == OverlayBridge {
		return then(TableDestination, source, network)
	}
	return then(TableLearn, source, FieldSourceVIF.load(Elsewhere), network)
}

// afterForeign returns the instructions for packets from a foreign port: the
// rules of its network hold, unless nothing may pass at all.
func (e *emitter) afterForeign(p *Port) flow.Instructions {
	if e.compiler.shut(p) {
		return drop
	}
	next := TableSpoofGuard
	if e.compiler.networks[p.Network].VLAN == 0 {
		next = TableVLAN
	}
	return then(next, FieldSource.load(sourceForeign), FieldNetwork.load(p.Network), FieldPolicy.load(p.Network))
}

// classifyTunnel admits one private network from the other end of a tunnel. A VNI that a
// tunnel does not carry has no flow and is dropped.
func (e *emitter) classifyTunnel(l *Link, n *Network, port uint32) {
	e.at(TableClassify, bandClassifyPort.Low).emit(Cookie{KindRemote, l.Tunnel.Host},
		flow.NewMatch().InPort(port).TunnelID(uint64(n.VNI)),
		then(TableLearn, FieldSource.load(sourceTunnel), FieldNetwork.load(n.ID)))
}

// classifyPass admits what this host passes on for others.
func (e *emitter) classifyPass(p *Pass, n *Network) {
	for _, t := range p.From {
		if port, ok := e.compiler.tunnelPort(t); ok {
			e.at(TableClassify, bandClassifyPort.Low).emit(Cookie{KindRemote, t.Host},
				flow.NewMatch().InPort(port).TunnelID(uint64(n.RelayVNI)),
				then(TableLearn, FieldSource.load(sourceTunnel), FieldNetwork.load(n.ID), FieldPass.load(uint32(p.Class))))
		}
	}
}

// What probes of tunnels look like: frames of a protocol of their own (IEEE 802, table 2: local
// experimental) under the VNI that no network has.
const (
	ProbeEtherType = 0x88b5
	ProbeVNI       = 0
	// probeSample is how much of one the controller gets: all that is not padding.
	probeSample = 128
)

// classifyProbe hands probes that arrive by a tunnel to the controller.
func (e *emitter) classifyProbe(p *Port) {
	to := flow.Apply(flow.Controller(probeSample))
	if !e.compiler.bridge.NoMeters {
		to = flow.Meter(meterProbe) + to
	}
	e.at(TableClassify, bandClassifyPort.Low).emit(Cookie{KindRemote, p.Tunnel.Host},
		flow.NewMatch().InPort(p.OFPort).TunnelID(ProbeVNI).EthType(ProbeEtherType), to)
}

// afterForeignTunnel returns the instructions for packets from hosts that a private network being taken over reaches by
// a foreign tunnel: they come from elsewhere, and what is sent to their addresses goes back there.
func (e *emitter) afterForeignTunnel(p *Port) flow.Instructions {
	return then(TableLearn, FieldSource.load(sourcePatch), FieldSourceVIF.load(foreignStation(p.OFPort)), FieldNetwork.load(p.Network))
}

// afterRelieved returns the instructions for packets that still arrive by a foreign tunnel from a member. They are taken
// for what comes by the patch port, which they must not leave by: the overlay bridge would hand them on to other
// members, and back. OpenFlow never outputs to the port a packet came in by, and this one is said to have.
func (e *emitter) afterRelieved(p *Port) flow.Instructions {
	patch, ok := e.compiler.patchPort(p.Network)
	if !ok {
		return drop
	}
	return then(TableLearn, flow.LoadField(flow.Whole(flow.FieldInPort16), uint64(patch)),
		FieldSource.load(sourcePatch), FieldSourceVIF.load(Elsewhere), FieldNetwork.load(p.Network))
}
