package flowcompiler

import "poolwire/southbound/openflow/flow"

// fromVIFBase lets pass what no rule is about.
func (e *emitter) fromVIFBase() {
	e.at(TableFromVIF, bandMiss.Low).emit(Cookie{Kind: KindBase}, flow.NewMatch(), e.goTo(TableFromTrunk))
}

// fromVIF holds the rules on what a VIF sends, when it has any of its own. Its
// network's rules are merged into the same list, so that priorities decide
// between the two. Which VLAN such a VIF tags a packet into, on a network that lets
// it, is for from_trunk to look at.
func (e *emitter) fromVIF(v pluggedVIF) {
	policy, own := v.policy()
	if !own {
		return
	}
	var list ruleList
	list.add(KindVIFRule, To, v.Rules)
	list.addNetwork(v.network)
	e.rules(TableFromVIF, where(FieldPolicy, policy), list, e.compatVerdicts(TableFromTrunk, TableOutPolicy))
}

// fromNetwork holds the network-wide rules, for uplinks and for VIFs without
// rules of their own.
func (e *emitter) fromNetwork(n *Network) {
	var list ruleList
	list.addNetwork(n)
	e.rules(TableFromVIF, where(FieldPolicy, n.ID), list, e.compatVerdicts(TableOutPolicy, TableOutPolicy))
}
