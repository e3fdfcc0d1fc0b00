package flowcompiler

import "poolwire/southbound/openflow/flow"

// ruleTables are the rule tables of one direction: that in which a connection is opened.
type ruleTables struct{ mandatory, defaults Table }

var (
	outbound = ruleTables{TableMandatoryOut, TableDefaultOut}
	inbound  = ruleTables{TableMandatoryIn, TableDefaultIn}
)

// of returns the table of a section.
func (t ruleTables) of(s Section) Table {
	if s == Mandatory {
		return t.mandatory
	}
	return t.defaults
}

// ruleTablesBase holds what is no user's rule: between mandatory and default rules what
// rules of XCP-ng's form said, which is final, and after all others what every station
// needs.
func (e *emitter) ruleTablesBase() {
	base := Cookie{Kind: KindBase}
	for _, t := range []ruleTables{outbound, inbound} {
		e.at(t.mandatory, bandCompat.Low).emit(base, FieldCompat.match(flow.NewMatch(), compatAllow), flow.Apply(FieldVerdict.load(verdictCommit)))
		e.at(t.mandatory, bandCompat.Low).emit(base, FieldCompat.match(flow.NewMatch(), compatDeny), flow.Apply(FieldVerdict.load(verdictDrop)))
		e.at(t.mandatory, bandMiss.Low).emit(base, flow.NewMatch(), e.goTo(t.defaults))
		e.at(t.defaults, bandMiss.Low).emit(base, flow.NewMatch(), drop)
	}
	e.exempt()
}
