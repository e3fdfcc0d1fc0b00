package flowcompiler

import "poolwire/southbound/openflow/flow"

// admitBase drops what is not let pass. A switch that cannot limit what it learns
// remembers every address, and lets all others pass.
func (e *emitter) admitBase() {
	others := drop
	if e.compiler.bridge.NoLearnLimit {
		others = e.goTo(TableDestination)
	}
	e.at(TableAdmit, bandMiss.Low).emit(Cookie{Kind: KindBase}, flow.NewMatch(), others)
}

// admitNotAs keeps guarded VIFs from sending from the MAC address of one that is not:
// what is sent to it is not looked at, wherever NORMAL believes it to be.
func (e *emitter) admitNotAs(v pluggedVIF) {
	if v.MAC.IsZero() || v.network.Private || v.guarded() {
		return
	}
	m := FieldNetwork.match(flow.NewMatch(), v.Network).EthSrc(v.MAC)
	e.at(TableAdmit, bandAdmitNever.Low).emit(Cookie{KindVIF, v.ID}, m, drop)
}

// admitFromVIF lets pass what a guarded VIF sends from a MAC address that
// the switch remembers as one of this VIF's. From any other NORMAL would learn where
// to send, and what is sent there would get around the VIF's rules. Its own MAC
// address does not come here.
//
// Table learn has looked the address up, after learning it. A lookup does not see what
// the same packet has taught the switch, so the first packet from an address is
// dropped, like each from an address beyond the VIF's share. The learn action could
// say in a register whether it succeeded, and let the first packet pass. But it also
// says so whenever the switch translates anew, without learning, what it keeps in its
// cache; NORMAL then learns the address from packets that were in fact dropped.
func (e *emitter) admitFromVIF(v pluggedVIF) {
	m := FieldDestination.match(FieldSourceVIF.match(flow.NewMatch(), v.ID), v.ID)
	e.at(TableAdmit, bandAdmit.Low).emit(Cookie{KindVIF, v.ID}, m, then(TableDestination, FieldDestination.load(0)))
}

// reverse returns the actions that look up in table learned where a packet that is
// sent back goes: the destination is the source for as long as that takes.
func reverse() flow.Action {
	source, destination := flow.Whole(flow.FieldEthSrc), flow.Whole(flow.FieldEthDst)
	return flow.Actions(flow.Push(destination), flow.MoveField(source, destination), resubmit(TableLearned), flow.Pop(destination))
}
