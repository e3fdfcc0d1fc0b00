package flowcompiler

import (
	"slices"

	"poolwire/overlay"
	"poolwire/southbound/openflow/flow"
)

// Protocols, and types of ICMPv6 (RFC 2710, RFC 3810), of who listens to multicast.
const (
	protoPIM = 103

	listenerQuery    = 130
	listenerReport   = 131
	listenerDone     = 132
	listenerReportV2 = 143
)

// allSystems is the MAC address of 224.0.0.1, to which queries of IGMP are sent.
var allSystems = flow.MAC{0x01, 0x00, 0x5e, 0x00, 0x00, 0x01}

// multicastBase decides what goes to everyone on every network: frames with a tag, which are of networks that the VMs make
// among themselves, what routers say, and groups that all need.
func (e *emitter) multicastBase() {
	if !e.compiler.snoops() {
		return
	}
	c, at := Cookie{Kind: KindBase}, func(b Band) place { return e.at(TableMulticast, b.Low) }
	at(bandMiss).emit(c, flow.NewMatch(), e.goTo(e.everyone()))
	at(bandMulticastTagged).emit(c, flow.NewMatch().VLANPresent(), e.goTo(e.everyone()))
	igmp := func() *flow.MatchBuilder { return flow.NewMatch().EthType(ethTypeIPv4).IPProto(protoIGMP) }
	at(bandMulticastQuery).emit(c, igmp().EthDst(allSystems), e.toldAndFlooded())
	for _, ethType := range []uint16{ethTypeIPv4, ethTypeIPv6} {
		at(bandMulticastQuery).emit(c, flow.NewMatch().EthType(ethType).IPProto(protoPIM), e.toldAndFlooded())
	}
	at(bandMulticastQuery).emit(c, icmp6(flow.NewMatch(), listenerQuery), e.toldAndFlooded())
	for _, r := range floodedGroups() {
		at(bandMulticastFlooded).emit(c, flow.NewMatch().EthDstMasked(r.mac, r.mask), e.goTo(e.everyone()))
	}
}

// IsGroupJoined tells whether a flow of table multicast is that of a group that somebody listens to.
func IsGroupJoined(f flow.Flow) bool {
	return f.Table == uint8(TableMulticast) && bandMulticastGroup.Low <= f.Priority && f.Priority <= bandMulticastGroup.High
}

// everyone is the table that floods.
func (e *emitter) everyone() Table {
	if e.compiler.bridge.Kind == OverlayBridge {
		return TableTunnelOut
	}
	return TableDeliver
}

// toldAndFlooded floods what the controller hears of as well, if a VIF of this host has sent it.
func (e *emitter) toldAndFlooded() flow.Instructions {
	if e.compiler.bridge.Kind == OverlayBridge {
		return e.goTo(TableTunnelOut)
	}
	return then(TableDeliver, e.copies([]flow.Action{resubmit(TableReports)}, false)...)
}

// compileGroup emits the flows of one group, or of a family's routers.
func (c *Compiler) compileGroup(e *emitter, key groupKey) {
	n, mac := c.networks[key.network], macOfNumber(key.mac)
	if n == nil || !n.Private || !n.Snooping {
		return
	}
	for _, family := range families() {
		if family.mac == mac {
			e.multicastFamily(n, family)
			return
		}
	}
	if c.groups[key] == nil || GroupsFlooded(mac) {
		return
	}
	match := func() *flow.MatchBuilder { return e.to(n.ID, mac) }
	e.multicast(n, c.heard(n.ID, mac), bandMulticastGroup, match)
}

// multicastFamily sends multicast of a family by way of table multicast, and reports, and what nobody has joined, to
// routers only. A report that other listeners heard would keep those from sending theirs (RFC 2236 section 3).
func (e *emitter) multicastFamily(n *Network, family macRange) {
	all := func() *flow.MatchBuilder {
		return FieldNetwork.match(flow.NewMatch(), n.ID).EthDstMasked(family.mac, family.mask)
	}
	e.at(TableDestination, prioritySnooped).emit(Cookie{KindMulticast, n.ID}, all(), e.goTo(TableMulticast))
	routers := e.compiler.heard(n.ID, family.mac)
	e.multicast(n, routers, bandMulticastOther, all)
	routers.Flood = false
	if family.mac == RoutersIPv4 {
		e.multicastQueries(n, routers)
		e.multicast(n, routers, bandMulticastReport, func() *flow.MatchBuilder {
			return FieldNetwork.match(flow.NewMatch(), n.ID).EthType(ethTypeIPv4).IPProto(protoIGMP)
		})
		return
	}
	for _, report := range []uint8{listenerReport, listenerDone, listenerReportV2} {
		e.multicast(n, routers, bandMulticastReport, func() *flow.MatchBuilder {
			return icmp6(FieldNetwork.match(flow.NewMatch(), n.ID), report)
		})
	}
}

// multicastQueries floods IGMP of routers: what they ask about one group is sent to it, as reports are, and no flow can
// tell them apart but by who has sent them.
func (e *emitter) multicastQueries(n *Network, routers Group) {
	for _, mac := range routers.MACs {
		if mac.IsZero() {
			continue
		}
		m := FieldNetwork.match(flow.NewMatch(), n.ID).EthSrc(mac).EthType(ethTypeIPv4).IPProto(protoIGMP)
		e.at(TableMulticast, bandMulticastQuery.Low).emit(Cookie{KindMulticast, n.ID}, m, e.toldAndFlooded())
	}
}

// multicast sends what match selects to those of a group. Reports are told to the controller too.
func (e *emitter) multicast(n *Network, g Group, band Band, match func() *flow.MatchBuilder) {
	at, cookie := e.at(TableMulticast, band.Low), Cookie{KindMulticast, n.ID}
	if g.Flood {
		at.emit(cookie, match(), e.goTo(e.everyone()))
		return
	}
	if e.compiler.bridge.Kind == OverlayBridge {
		at.emit(cookie, match(), flow.Apply(e.hops(n, e.hopsTowards(g, e.compiler.floods[n.ID], (*Remote).via))...))
		for _, class := range e.compiler.passesOn.sorted(n.ID) {
			e.multicastPass(n, g, e.at(TableMulticast, band.High), match, overlay.Class(class))
		}
		return
	}
	actions, few := e.listeners(n, g)
	if !few {
		at.emit(cookie, match(), e.goTo(TableDeliver))
		return
	}
	if band == bandMulticastReport {
		actions = append(actions, resubmit(TableReports))
	}
	at.emit(cookie, match(), flow.Apply(actions...))
}

// multicastPass does what tunnelOutPass does with a broadcast, towards the hosts of a group only.
func (e *emitter) multicastPass(n *Network, g Group, at place, match func() *flow.MatchBuilder, class overlay.Class) {
	p := e.compiler.passes[passKey{n.ID, class}]
	if p == nil {
		return
	}
	actions := e.hops(n, e.hopsTowards(g, p.To, (*Remote).pass))
	if patch, ok := e.compiler.patchPort(n.ID); ok && len(g.VIFs) > 0 {
		actions = append(actions, flow.Output(patch))
	}
	at.emit(Cookie{KindMulticast, n.ID}, FieldPass.match(match(), uint32(class)), flow.Apply(actions...))
}

func (r *Remote) via() Hop  { return r.Via }
func (r *Remote) pass() Hop { return r.Pass }

// hopsTowards returns those of the hops of a broadcast that lead to hosts of a group. As they are a part of those, nobody
// gets a copy twice and nothing goes in circles where broadcasts do not.
func (e *emitter) hopsTowards(g Group, flood []Hop, way func(*Remote) Hop) []Hop {
	wanted := make(map[Tunnel]bool)
	for _, host := range g.Hosts {
		if r := e.compiler.remotes[remoteKey{g.Network, host}]; r != nil && way(r) != (Hop{}) {
			wanted[way(r).Tunnel] = true
		}
	}
	var hops []Hop
	for _, h := range flood {
		if wanted[h.Tunnel] {
			hops = append(hops, h)
		}
	}
	return hops
}

// listeners returns the actions that give a copy to the VIFs of a group, to the host itself, which takes part in all of
// them, and to the other hosts if any has listeners. What came from there does not go back: OpenFlow never outputs to
// the port a packet came in by. few is false when a flow should not list them all.
func (e *emitter) listeners(n *Network, g Group) (actions []flow.Action, few bool) {
	c := e.compiler
	var plain []uint32
	var guarded []flow.Action
	for _, id := range g.VIFs {
		v := c.vifs[id]
		if v == nil || v.Network != n.ID || len(v.Ports) == 0 {
			continue
		}
		switch p := c.plugged(v); {
		case p.disabled():
		case p.guarded():
			guarded = append(guarded, copyTo(p))
		default:
			plain = append(plain, p.Ports...)
		}
	}
	if len(plain)+len(guarded) > maxListed {
		return nil, false
	}
	for _, port := range c.portsOn.sorted(n.ID) {
		if p := c.ports[port]; p != nil && p.Kind == PortHost {
			plain = append(plain, port)
		}
	}
	if patch, ok := c.patchPort(n.ID); ok && len(g.Hosts) > 0 {
		plain = append(plain, patch)
	}
	slices.Sort(plain)
	return append(outputs(slices.Compact(plain)), e.copies(guarded, false)...), true
}
