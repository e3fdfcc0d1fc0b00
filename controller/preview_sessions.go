package controller

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"poolwire/flowcompiler/walk"
	"poolwire/policytext"
	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
	"poolwire/southbound/openflow/flow"
)

// PreviewSessions says, for live sessions of a host, which of them a change would cut.
// Each is a line of `ovs-appctl dpctl/dump-conntrack`; its zone tells whose it is. Lines
// that are no session of a VIF are counted, and left out.
func (c *Controller) PreviewSessions(ctx context.Context, before, after *raftstore.View, host string, lines []string) ([]*poolwirev1.SessionVerdict, *poolwirev1.SessionCounts, error) {
	owners := map[uint16]*storev1.Port{}
	for _, p := range after.Ports(host) {
		if p.GetZone() != 0 && p.GetVifUuid() != "" && reportedNumber(p) != 0 {
			owners[uint16(p.GetZone())] = p
		}
	}
	k := judge{was: newAtlas(before), will: newAtlas(after)}
	for _, p := range owners {
		k.was.learnAll(p.GetVifUuid())
		k.will.learnAll(p.GetVifUuid())
	}
	counts := &poolwirev1.SessionCounts{}
	var out []*poolwirev1.SessionVerdict
	for _, line := range lines {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		counts.Given++
		s, ok := parseSession(line)
		if !ok {
			continue
		}
		counts.Understood++
		owner := owners[s.zone]
		if owner == nil {
			continue
		}
		counts.Owned++
		v, err := k.session(owner, s)
		if err != nil {
			return nil, nil, fmt.Errorf("session %q: %w", line, err)
		}
		v.Session = line
		out = append(out, v)
	}
	return out, counts, nil
}

// judge compares what becomes of sessions under two states.
type judge struct{ was, will *atlas }

// session says whether a session of the VIF at a port would be cut. That depends on who
// opened it, as rules have the direction in which a session is opened: the VIF, when the
// first packet was sent from its address. Where no address is known both are possible.
func (k judge) session(owner *storev1.Port, s trackedSession) (*poolwirev1.SessionVerdict, error) {
	out := &poolwirev1.SessionVerdict{VifUuid: owner.GetVifUuid()}
	var whole, cut []ended
	for _, outbound := range k.was.openers(owner, s) {
		e, err := k.ends(owner, s, outbound)
		if err != nil {
			return nil, err
		}
		whole = append(whole, e)
		if e.cut {
			cut = append(cut, e)
		}
	}
	if len(cut) == 0 {
		return out, nil
	}
	out.Cut = true
	if e := cut[0]; e.rule != nil {
		out.RuleUuid, out.RuleText = e.rule.GetRuleUuid(), policytext.Action(e.rule.GetAction())+" "+e.rule.GetMatch()
	}
	if len(cut) < len(whole) {
		out.OnlyIf = fmt.Sprintf("the other end (%s) opened it: %s is the VIF's address", s.src, s.dst)
		if cut[0].outbound {
			out.OnlyIf = fmt.Sprintf("the VIF opened it: %s is its address", s.src)
		}
	}
	return out, nil
}

// ended is what becomes of a session that was opened in one direction.
type ended struct {
	outbound, cut bool
	// rule is what decides; nil for none.
	rule *poolwirev1.PolicyEntry
}

// ends compares what becomes of a session's packets, those of its opener and the answers,
// before and after. A session is cut when the packets of one end pass no more.
func (k judge) ends(owner *storev1.Port, s trackedSession, outbound bool) (ended, error) {
	out := ended{outbound: outbound}
	for _, answer := range []bool{false, true} {
		passed, _, err := k.was.passes(owner, s, outbound, answer)
		if err != nil {
			return out, err
		}
		if !passed {
			continue
		}
		passes, rule, err := k.will.passes(owner, s, outbound, answer)
		if err != nil {
			return out, err
		}
		if !passes {
			out.cut, out.rule = true, rule
			return out, nil
		}
	}
	return out, nil
}

// openers lists who can have opened a session, true for the VIF at a port: its own
// addresses tell, those of its neighbours, and that nobody sends from a group's.
func (a *atlas) openers(owner *storev1.Port, s trackedSession) []bool {
	vif := a.view.Vif(owner.GetVifUuid())
	mine := func(addr netip.Addr) bool { return a.isOwn(vif, addr) }
	another := func(addr netip.Addr) bool { return a.neighbourAt(vif, addr) != nil }
	src, dst := mine(s.src), mine(s.dst)
	if src == dst {
		// Where both or none is its own, it is whatever is nobody else's.
		src, dst = another(s.dst), another(s.src)
	}
	switch {
	case src && !dst:
		return []bool{true}
	case dst && !src:
		return []bool{false}
	}
	return []bool{true, false}
}

// isOwn says whether an address is one of a VIF's: that it may use under any of its MAC
// addresses, or the link-local one that its MAC address makes.
func (a *atlas) isOwn(v *poolwirev1.Vif, addr netip.Addr) bool {
	if len(a.macsOf(v, addr)) > 0 {
		return true
	}
	mac, err := flow.ParseMAC(v.GetMac())
	return err == nil && addr == linkLocalOf(mac)
}

// macFor is the MAC address that a VIF uses with an address: its own, unless it may use
// the address under others only.
func (a *atlas) macFor(v *poolwirev1.Vif, addr netip.Addr) flow.MAC {
	own, _ := flow.ParseMAC(v.GetMac())
	if others := a.macsOf(v, addr); len(others) > 0 && !slices.Contains(others, own) {
		return others[0]
	}
	return own
}

// learnAll assumes that the switches know all MAC addresses of a VIF: they have passed
// sessions of theirs.
func (a *atlas) learnAll(vif string) {
	v := a.view.Vif(vif)
	seen := map[flow.MAC]bool{}
	for _, s := range a.stations(v) {
		if s.mac.String() != v.GetMac() && !seen[s.mac] {
			seen[s.mac] = true
			a.learned = append(a.learned, a.learns(v, s.mac)...)
		}
	}
}

// linkLocalOf is the link-local address that a MAC address makes (RFC 4291 appendix A).
func linkLocalOf(m flow.MAC) netip.Addr {
	return netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 8: m[0] ^ 0x02, 9: m[1], 10: m[2], 11: 0xff, 12: 0xfe, 13: m[3], 14: m[4], 15: m[5]})
}

// passes says whether packets of a session of the VIF at a port pass its bridge: those of
// the end that opened it or, with answer, those of the other one. rule is what decided.
func (a *atlas) passes(owner *storev1.Port, s trackedSession, outbound, answer bool) (passes bool, rule *poolwirev1.PolicyEntry, err error) {
	vif := a.view.Vif(owner.GetVifUuid())
	at := bridgeAt{owner.GetHostUuid(), owner.GetBridge()}
	if vif == nil || a.view.Bridge(at.host, at.bridge) == nil {
		return false, nil, nil
	}
	bridge, err := a.chart(at)
	if err != nil {
		return false, nil, err
	}
	h := header{protocol: s.protocol, srcPort: s.srcPort, dstPort: s.dstPort}
	opener, other := end{addr: s.src}, end{addr: s.dst}
	local, remote := &opener, &other
	if !outbound {
		local, remote = &other, &opener
	}
	local.mac = a.macFor(vif, local.addr)
	remote.mac = routerMAC
	if v := a.neighbourAt(vif, remote.addr); v != nil {
		remote.mac, _ = flow.ParseMAC(v.GetMac())
	}
	p := h.packet(opener, other)
	connection := p.OwnTuple(walk.CTTracked | walk.CTEstablished)
	if answer {
		p, connection = answerTo(h, opener, other, connection)
	}
	start := arriving(at, reportedNumber(owner), p)
	if outbound == answer {
		var ok bool
		if start, ok = a.fromOutside(vif, owner, p); !ok {
			return false, nil, nil
		}
	}
	j := &journey{atlas: a, connection: connection, receiver: vif}
	f := fate{at: at, trace: bridge.run(start.packet, connection)}
	for _, st := range f.trace.Steps {
		j.steps = append(j.steps, walkStep{at, st})
	}
	f.last = len(j.steps)
	j.fates = []fate{f}
	if id, ok := j.decision(); ok {
		rule = a.entryOf(id)
	}
	return goesOn(f.trace) && (outbound != answer || !bridge.shut(reportedNumber(owner))), rule, nil
}

// answerTo is what answers a session's packets, and what the trackers say of it.
func answerTo(h header, opener, other end, c walk.Connection) (walk.Packet, walk.Connection) {
	switch h.protocol {
	case walk.ProtoICMP, walk.ProtoICMPv6:
		h.srcPort = answerOf(h.protocol, h.srcPort)
	default:
		h.srcPort, h.dstPort = h.dstPort, h.srcPort
	}
	c.State |= walk.CTReply
	return h.packet(other, opener), c
}

// goesOn says whether a walk ended with more than a sample for the controller.
func goesOn(t walk.Trace) bool {
	for _, out := range t.Outputs {
		if out.Port != flow.PortController {
			return true
		}
	}
	return false
}
