package controller

import (
	"net/netip"
	"strconv"
	"strings"

	"poolwire/flowcompiler/walk"
)

// maxSessionLine bounds one line of a dump of connections.
const maxSessionLine = 1024

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
