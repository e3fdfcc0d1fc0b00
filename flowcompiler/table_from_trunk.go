package flowcompiler

import "poolwire/southbound/openflow/flow"

// fromTrunkBase lets pass what no rule is about.
func (e *emitter) fromTrunkBase() {
	e.at(TableFromTrunk, bandMiss.Low).emit(Cookie{Kind: KindBase}, flow.NewMatch(), e.goTo(TableOutPolicy))
}

// fromTrunk holds the network-wide rules of a VLAN for packets that a VM has tagged
// itself, where from_vif applied the VIF's own rules: they are merged with those of
// the VIF's network, and know nothing of another. A VIF without rules of its own
// needs none of this: table vlan gives it the rules of the VLAN.
func (e *emitter) fromTrunk(n *Network) {
	if n.VLAN == 0 {
		return
	}
	var list ruleList
	list.addNetwork(n)
	tagged := func() *flow.MatchBuilder {
		return FieldPinned.match(FieldSource.match(flow.NewMatch(), sourceVIF), pinned).VLAN(n.VLAN)
	}
	e.rules(TableFromTrunk, tagged, list, e.compatVerdicts(TableOutPolicy, TableOutPolicy))
}
