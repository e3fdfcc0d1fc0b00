package reference

import (
	"slices"

	"poolwire/flowcompiler"
	"poolwire/flowcompiler/walk"
)

// question is one packet before one VIF's policy.
type question struct {
	world  *World
	vif    *flowcompiler.VIF
	packet walk.Packet
	// inbound: the packet reaches the VIF, which else has sent it.
	inbound bool
	// sessions: a stateful rule reaches the VIF. tracked: connection says to which
	// connection the packet belongs.
	sessions   bool
	tracked    bool
	connection walk.Connection
}

// answers reports whether the packet is judged as the connection it replies to: where
// rules judge sessions. Else every packet is judged by itself.
func (q *question) answers() bool {
	return q.sessions && q.state(walk.CTEstablished|walk.CTReply)
}

func (q *question) state(bits uint32) bool { return q.tracked && q.connection.State&bits == bits }

// Judge works out what the policy of a VIF says of a packet that it sends, or that
// reaches it: rules of both forms, and the network's default action. connection is what
// the connection tracker says, where the VIF is tracked and the packet is IP.
func (w *World) Judge(v *flowcompiler.VIF, p walk.Packet, inbound bool, connection walk.Connection) Verdict {
	q := question{world: w, vif: v, packet: p, inbound: inbound, connection: connection}
	if !w.Policed(v) {
		if r, equals := q.compat(); r != nil && !r.Allow {
			return Verdict{Rule: r.ID, Equals: equals, Because: "rule of XCP-ng's form"}
		}
		return pass("nothing denies it")
	}
	q.sessions = w.JudgesSessions(v)
	q.tracked = w.Tracked(v) && p.IsIP() && !w.isNeighborDiscovery(&p) && !w.isMembership(&p)
	verdict := q.judge()
	verdict.Policed = true
	return verdict
}

// allow lets pass, and remembers a new connection; an error about one is none.
func (q *question) allow(because string) Verdict {
	opens := q.state(walk.CTNew) && !q.state(walk.CTRelated) && !q.state(walk.CTInvalid)
	return Verdict{Pass: true, Because: because, Commit: opens}
}

func (q *question) judge() Verdict {
	invalid := q.state(walk.CTInvalid)
	if q.sessions && q.state(walk.CTRelated) && !invalid {
		return pass("related")
	}
	opened := q.inbound
	if q.answers() {
		opened = !opened
	}
	inwards := []flowcompiler.Level{flowcompiler.Global, flowcompiler.Pool, flowcompiler.OfNetwork, flowcompiler.OfGroup, flowcompiler.OfVIF}
	for _, level := range inwards {
		if verdict, decided := q.list(level, flowcompiler.Mandatory, opened); decided {
			return verdict
		}
	}
	if r, equals := q.compat(); r != nil {
		if !r.Allow {
			return Verdict{Rule: r.ID, Equals: equals, Because: "rule of XCP-ng's form"}
		}
		return q.allow("rule of XCP-ng's form")
	}
	for _, level := range slices.Backward(inwards) {
		if verdict, decided := q.list(level, flowcompiler.Default, opened); decided {
			return verdict
		}
	}
	if q.exempt(opened) {
		return q.allow("exempt from the default action")
	}
	if q.sessions && invalid {
		return drop("fits no connection")
	}
	return q.defaultAction(opened)
}

// list asks the rules of one level and section.
func (q *question) list(level flowcompiler.Level, section flowcompiler.Section, opened bool) (Verdict, bool) {
	var first *flowcompiler.PolicyRule
	var equals []uint32
	for _, r := range q.world.reaching(q.vif, level, section) {
		if q.matches(&r, opened) && (first == nil || ties(*first, r)) {
			first, equals = &r, append(equals, r.ID)
		}
	}
	if first == nil {
		return Verdict{}, false
	}
	return Verdict{
		Pass: first.Action == flowcompiler.Allow, Rule: equals[0], Equals: equals, Because: "policy rule",
		Commit: first.Action == flowcompiler.Allow && !first.Stateless && q.state(walk.CTNew),
	}, true
}

// defaultAction is asked when no rule decides, for the direction in which the connection
// was opened. Without rules on sessions that of the packet's own direction is asked first;
// when it drops, that of the other one still lets pass what belongs to a session that may
// be opened there.
func (q *question) defaultAction(opened bool) Verdict {
	n := q.world.network(q.vif)
	if opened && !n.DropInbound || !opened && !n.DropOutbound {
		return q.allow("default action")
	}
	belongs := (q.state(walk.CTReply) || q.state(walk.CTRelated)) && !q.state(walk.CTInvalid)
	if !q.sessions && belongs && (!n.DropInbound || !n.DropOutbound) {
		return pass("belongs to a session that the default action allows")
	}
	return drop("default action")
}

// exempt reports what every station needs, and passes whatever the default action says:
// ARP, ND (133..136), IGMP, MLD (130, 131, 132, 143), DHCP client.
func (q *question) exempt(opened bool) bool {
	p := &q.packet
	if p.EtherType == walk.EtherTypeARP {
		return true
	}
	e := q.ends(opened, q.tracked && !q.state(walk.CTInvalid))
	if !e.ip {
		return false
	}
	switch {
	case e.proto == 2 && p.EtherType == walk.EtherTypeIPv4:
		return true
	case e.proto == walk.ProtoICMPv6 && e.hasPorts && p.EtherType == walk.EtherTypeIPv6:
		return slices.Contains([]uint16{130, 131, 132, 143, 133, 134, 135, 136}, e.icmpType)
	case e.proto == walk.ProtoUDP && e.hasPorts:
		client, server := uint16(68), uint16(67)
		if p.EtherType == walk.EtherTypeIPv6 {
			client, server = 546, 547
		}
		return e.localPort == client && e.remotePort == server
	}
	return false
}
