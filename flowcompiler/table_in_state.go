package flowcompiler

import "poolwire/southbound/openflow/flow"

// inStateBase takes the sender's policy off what is for a VIF without one.
func (e *emitter) inStateBase() {
	e.at(TableInState, bandMiss.Low).emit(Cookie{Kind: KindBase}, flow.NewMatch(),
		then(TableToVIF, FieldPoliced.load(0), FieldTracked.load(0), FieldCompat.load(compatNone), FieldVerdict.load(verdictNone)))
}

// inStateOfVIF makes a policed VIF the subject of what reaches it.
func (e *emitter) inStateOfVIF(v pluggedVIF) {
	if v.policed() {
		e.inSubject(v, bandInSubject, where(FieldDestination, v.ID))
	}
}

// inSubject makes a VIF the subject of what m matches. What the sender's policy has noted
// goes.
func (e *emitter) inSubject(v pluggedVIF, band Band, m scope) {
	loads := []flow.Action{
		FieldCompat.load(compatNone), FieldVerdict.load(verdictNone), FieldNeighbor.load(0), FieldAnswer.load(0), FieldRule.load(0),
		FieldInbound.load(1), FieldSubject.load(v.ID),
	}
	next := TableToVIF
	switch {
	case !v.policed():
		loads = append(loads, FieldPoliced.load(0), FieldTracked.load(0))
	case v.tracked():
		loads = append(loads, e.subject(v)...)
		next = TableInTrack
	default:
		loads = append(loads, e.subject(v)...)
	}
	e.at(TableInState, band.Low).emit(Cookie{KindVIF, v.ID}, m(), then(next, loads...))
}

// subject loads what the rule tables know a policed VIF by.
func (e *emitter) subject(v pluggedVIF) []flow.Action {
	var tracked, sessions, tags uint32
	if v.tracked() {
		tracked = 1
	}
	if v.sessions() {
		sessions = 1
	}
	if v.network.VLAN == 0 {
		tags = 1
	}
	return []flow.Action{
		FieldPoliced.load(1), FieldTracked.load(tracked), FieldSubjectNetwork.load(v.Network),
		FieldSubjectGroups.load(e.compiler.groupNumber(v.VIF)), FieldZone.load(uint32(v.Zone)), FieldTags.load(tags),
		FieldSessions.load(sessions),
	}
}
