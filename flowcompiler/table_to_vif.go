package flowcompiler

import "poolwire/southbound/openflow/flow"

// toVIFBase lets pass what no rule is about.
func (e *emitter) toVIFBase() {
	e.at(TableToVIF, bandMiss.Low).emit(Cookie{Kind: KindBase}, flow.NewMatch(), e.goTo(TableInPolicy))
}

// toVIF holds the rules on what reaches a VIF.
func (e *emitter) toVIF(v pluggedVIF) {
	var list ruleList
	list.add(KindVIFRule, From, v.Rules)
	e.rules(TableToVIF, where(FieldDestination, v.ID), list, e.compatVerdicts(TableInPolicy, TableInPolicy, FieldInbound.load(1), FieldSubject.load(v.ID)))
}
