package controller

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"poolwire/flowcompiler/walk"
	"poolwire/policytext"
	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
	"poolwire/southbound/openflow/flow"
)

// maxSessionLine bounds one line of a dump of connections.
const maxSessionLine = 1024

// PreviewSessions says, for live sessions of a host, which of them a change would cut.
// Each is a line of `ovs-appctl dpctl/dump-conntrack`; its zone tells whose it is. Lines
// that are no session of a VIF are left out.
func (c *Controller) PreviewSessions(ctx context.Context, before, after *raftstore.View, host string, lines []string) ([]*poolwirev1.SessionVerdict, error) {
	owners := map[uint16]*storev1.Port{}
	for _, p := range after.Ports(host) {
		if p.GetZone() != 0 && p.GetVifUuid() != "" && reportedNumber(p) != 0 {
			owners[uint16(p.GetZone())] = p
		}
	}
	was, will := newJudge(ctx, before), newJudge(ctx, after)
	var out []*poolwirev1.SessionVerdict
	for _, line := range lines {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		s, ok := parseSession(line)
		owner := owners[s.zone]
		if !ok || owner == nil {
			continue
		}
		v, err := judgeSession(was, will, owner, s)
		if err != nil {
			return nil, fmt.Errorf("session %q: %w", line, err)
		}
		v.Session = strings.TrimSpace(line)
		out = append(out, v)
	}
	return out, nil
}

// newJudge is an explanation that is asked about many packets of one state.
func newJudge(ctx context.Context, view *raftstore.View) *explanation {
	return &explanation{ctx: ctx, view: view, tables: map[bridgeAt]*walk.Tables{}, out: &poolwirev1.ExplainResponse{}}
}

// judgeSession compares what becomes of a session's packets before and after.
func judgeSession(was, will *explanation, owner *storev1.Port, s trackedSession) (*poolwirev1.SessionVerdict, error) {
	v := &poolwirev1.SessionVerdict{VifUuid: owner.GetVifUuid()}
	// Nothing tells who of the two has opened it but what may be opened: the VIF, if it may.
	for _, outbound := range []bool{true, false} {
		passed, _, err := was.judge(owner, s, outbound)
		if err != nil {
			return nil, err
		}
		if !passed {
			continue
		}
		passes, rule, err := will.judge(owner, s, outbound)
		if err != nil {
			return nil, err
		}
		v.Cut = !passes
		if e := will.entryOf(rule); e != nil {
			v.RuleUuid, v.RuleText = e.GetRuleUuid(), policytext.Action(e.GetAction())+" "+e.GetMatch()
		}
		return v, nil
	}
	return v, nil
}

// judge says whether the packets of a VIF's session pass its bridge, and which rule
// decided.
func (x *explanation) judge(owner *storev1.Port, s trackedSession, outbound bool) (passes bool, rule uint32, err error) {
	vif := x.view.Vif(owner.GetVifUuid())
	if vif == nil {
		return false, 0, nil
	}
	local := end{vif: vif, addr: s.src}
	local.mac = x.endOf(vif, s.src, false, "").mac
	remote := end{mac: routerMAC, addr: s.dst}
	h := header{protocol: s.protocol, srcPort: s.srcPort, dstPort: s.dstPort}
	var start hop
	at := bridgeAt{owner.GetHostUuid(), owner.GetBridge()}
	ok := true
	if outbound {
		start = arriving(at, reportedNumber(owner), h.packet(local, remote))
	} else {
		local.addr, remote.addr = s.dst, s.src
		x.receiver = vif
		start, ok = x.fromOutside(owner, h.packet(remote, local))
	}
	if !ok {
		return false, 0, nil
	}
	x.connection = start.packet.OwnTuple(walk.CTTracked | walk.CTEstablished)
	tables, err := x.tablesOf(at)
	if err != nil {
		return false, 0, err
	}
	trace := tables.Run(start.packet, walk.Options{FragmentPorts: true, CT: func(uint16, walk.Packet) walk.Connection { return x.connection }})
	x.steps, x.fates, x.reached = nil, []fate{{at: at, trace: trace, last: len(trace.Steps)}}, false
	for _, st := range trace.Steps {
		x.steps = append(x.steps, walkStep{at, st})
	}
	rule, _ = x.decision()
	return goesOn(trace), rule, nil
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

// trackedSession is one entry of a connection table: its original direction and its zone.
type trackedSession struct {
	protocol         uint8
	src, dst         netip.Addr
	srcPort, dstPort uint16
	zone             uint16
}

// sessionProtocol is a protocol by the name that dpctl/dump-conntrack prints.
func sessionProtocol(name string) (uint8, bool) {
	switch name {
	case "tcp":
		return walk.ProtoTCP, true
	case "udp":
		return walk.ProtoUDP, true
	case "icmp":
		return walk.ProtoICMP, true
	case "icmpv6":
		return walk.ProtoICMPv6, true
	case "sctp":
		return walk.ProtoSCTP, true
	}
	n, err := strconv.ParseUint(name, 10, 8)
	return uint8(n), err == nil
}

// parseSession reads a line as
//
//	tcp,orig=(src=10.0.0.1,dst=10.0.0.2,sport=33000,dport=80),reply=(...),zone=3,protoinfo=(...)
func parseSession(line string) (s trackedSession, ok bool) {
	line = strings.TrimSpace(line)
	if len(line) > maxSessionLine {
		return s, false
	}
	name, rest, _ := strings.Cut(line, ",")
	if s.protocol, ok = sessionProtocol(name); !ok {
		return s, false
	}
	tuple, tail, found := cutParenthesis(rest, "orig=(")
	if !found {
		return s, false
	}
	if _, behind, replied := cutParenthesis(tail, "reply=("); replied {
		tail = behind
	}
	for _, field := range strings.Split(tuple, ",") {
		key, value, _ := strings.Cut(field, "=")
		if !s.set(key, value) {
			return s, false
		}
	}
	for _, field := range strings.Split(tail, ",") {
		if value, isZone := strings.CutPrefix(field, "zone="); isZone {
			zone, err := strconv.ParseUint(value, 10, 16)
			if err != nil {
				return s, false
			}
			s.zone = uint16(zone)
		}
	}
	return s, s.src.IsValid() && s.dst.IsValid()
}

// cutParenthesis returns what is within the parenthesis that a prefix opens, and what
// comes behind it.
func cutParenthesis(s, prefix string) (within, behind string, found bool) {
	_, rest, found := strings.Cut(s, prefix)
	if !found {
		return "", s, false
	}
	within, behind, found = strings.Cut(rest, ")")
	return within, behind, found
}

// set takes one field of a tuple; fields that are not known are passed over.
func (s *trackedSession) set(key, value string) bool {
	var err error
	number := func(into *uint16) {
		var n uint64
		n, err = strconv.ParseUint(value, 10, 16)
		*into = uint16(n)
	}
	switch key {
	case "src":
		s.src, err = netip.ParseAddr(value)
	case "dst":
		s.dst, err = netip.ParseAddr(value)
	case "sport", "type":
		number(&s.srcPort)
	case "dport", "code":
		number(&s.dstPort)
	}
	return err == nil
}
