package flowcompiler

import "poolwire/southbound/openflow/flow"

// walk is how a packet is judged in one direction.
type walk struct {
	table Table
	// allowed and denied are where a packet goes that no policy applies to.
	allowed, denied Table
	// own are the rules on connections opened in this direction, other those on the ones
	// that a packet of this direction answers.
	own, other Table
	verdict    Table
}

// outPolicyBase judges what VIFs send. What a network-wide rule denies of an uplink's
// packets may still be for the host.
func (e *emitter) outPolicyBase() {
	e.judge(walk{
		table: TableOutPolicy, allowed: TableLearn, denied: TableHostDelivery,
		own: TableMandatoryOut, other: TableMandatoryIn, verdict: TableOutVerdict,
	})
}

// neighborTypes are the ICMPv6 types of neighbour discovery.
var neighborTypes = [...]uint8{routerSolicitation, routerAdvertisement, neighborSolicitation, neighborAdvertisement, redirect}

// replying is the state of a packet that answers, on a connection that is known.
const (
	replying     = flow.CTTracked | flow.CTEstablished | flow.CTReply
	replyingMask = replying | flow.CTInvalid
)

// judge walks the rules of the subject. A reply is judged by those that let its
// connection in: what the present policy does not allow ends at once, in both directions.
// Where no rule looks at connections none has let it in: every packet is judged by the
// rules of its own direction, and only the default action asks what it answers.
func (e *emitter) judge(w walk) {
	base := Cookie{Kind: KindBase}
	at := func(priority uint16, m *flow.MatchBuilder, i flow.Instructions) {
		e.at(w.table, priority).emit(base, m, i)
	}
	unpoliced := func() *flow.MatchBuilder { return FieldPoliced.match(flow.NewMatch(), 0) }
	at(bandPolicyNone.High, FieldCompat.match(unpoliced(), compatDeny), e.goTo(w.denied))
	at(bandPolicyNone.Low, unpoliced(), e.goTo(w.allowed))

	neighbor := then(w.verdict, FieldNeighbor.load(1), resubmit(w.own))
	at(bandPolicyNeighbor.Low, flow.NewMatch().EthType(ethTypeARP), neighbor)
	for _, icmpType := range neighborTypes {
		at(bandPolicyNeighbor.Low, icmp6(flow.NewMatch(), icmpType), neighbor)
	}
	sessions := func() *flow.MatchBuilder { return FieldSessions.match(flow.NewMatch(), 1) }
	at(bandPolicyRelated.Low, sessions().CTState(flow.CTTracked|flow.CTRelated, flow.CTTracked|flow.CTRelated|flow.CTInvalid),
		then(w.verdict, FieldVerdict.load(verdictAllow)))
	at(bandPolicyReply.Low, sessions().CTState(replying, replyingMask), then(w.verdict, FieldAnswer.load(1), resubmit(w.other)))
	at(bandMiss.Low, flow.NewMatch(), then(w.verdict, resubmit(w.own)))
}
