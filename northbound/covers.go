package northbound

import (
	"slices"
	"strconv"
	"strings"

	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// hiddenBy finds a rule in force of the same scope and section that is looked at
// before a rule and matches all that it matches; nil when there is none. Rules of
// other levels, and several that only together match as much, are not looked for.
func hiddenBy(v *raftstore.View, r *v1.PolicyRule) *v1.PolicyRule {
	for _, other := range v.PolicyRulesByScope(r.GetLevel(), r.GetScopeUuid()) {
		if other.GetUuid() != r.GetUuid() && isActive(other) && other.GetSection() == r.GetSection() &&
			precedence(other) < precedence(r) && covers(other, r) {
			return other
		}
	}
	return nil
}

// covers tells whether a rule surely matches all that another one matches.
func covers(a, b *v1.PolicyRule) bool {
	switch {
	case a.GetDirection() != b.GetDirection() && a.GetDirection() != v1.TrafficDirection_TRAFFIC_DIRECTION_BOTH,
		a.GetStateless() != b.GetStateless(),
		a.GetEstablishedSessions() == v1.EstablishedSessions_ESTABLISHED_SESSIONS_KEEP,
		!coversProtocol(a, b),
		!coversPorts(a.GetLocalPorts(), b.GetLocalPorts()),
		!coversPorts(a.GetRemotePorts(), b.GetRemotePorts()),
		!coversVLANs(a.GetVlans(), b.GetVlans()):
		return false
	}
	return coversRemote(a, b)
}

// coversProtocol: "any" is everything but ARP and neighbour discovery, which have
// to be named.
func coversProtocol(a, b *v1.PolicyRule) bool {
	neighbour := b.GetProtocol() == protoICMPv6 && b.IcmpType != nil && b.GetIcmpType() >= 133 && b.GetIcmpType() <= 137
	if a.GetProtocol() == protoAny {
		return b.GetProtocol() != protoARP && !neighbour
	}
	if a.GetProtocol() != b.GetProtocol() || a.IcmpType == nil && neighbour {
		return false
	}
	return (a.IcmpType == nil || b.IcmpType != nil && a.GetIcmpType() == b.GetIcmpType()) &&
		(a.IcmpCode == nil || b.IcmpCode != nil && a.GetIcmpCode() == b.GetIcmpCode())
}

// coversPorts: no ports are any. Each range has to be in one of the others.
func coversPorts(a, b []string) bool {
	if len(a) == 0 {
		return true
	}
	return len(b) > 0 && !slices.ContainsFunc(b, func(inner string) bool {
		first, last := portRange(inner)
		return !slices.ContainsFunc(a, func(outer string) bool {
			from, to := portRange(outer)
			return from <= first && last <= to
		})
	})
}

// portRange reads a port or a range in canonical form.
func portRange(s string) (first, last uint64) {
	from, to, isRange := strings.Cut(s, "-")
	if !isRange {
		to = from
	}
	first, _ = strconv.ParseUint(from, 10, 16)
	last, _ = strconv.ParseUint(to, 10, 16)
	return first, last
}

// coversVLANs: no tags are any, and none.
func coversVLANs(a, b []uint32) bool {
	if len(a) == 0 {
		return true
	}
	return len(b) > 0 && !slices.ContainsFunc(b, func(tag uint32) bool { return !slices.Contains(a, tag) })
}

// coversRemote: no remote is any. Groups are compared by name, not by members.
func coversRemote(a, b *v1.PolicyRule) bool {
	switch {
	case len(a.GetRemotePrefixes()) > 0:
		return len(b.GetRemotePrefixes()) > 0 && !slices.ContainsFunc(b.GetRemotePrefixes(), func(inner string) bool {
			in, _, _ := parseRange(inner)
			return !slices.ContainsFunc(a.GetRemotePrefixes(), func(outer string) bool {
				out, _, _ := parseRange(outer)
				return out.Bits() <= in.Bits() && out.Contains(in.Addr())
			})
		})
	case a.GetRemoteAddressGroupUuid() != "":
		return a.GetRemoteAddressGroupUuid() == b.GetRemoteAddressGroupUuid()
	case a.GetRemoteVifGroupUuid() != "":
		return a.GetRemoteVifGroupUuid() == b.GetRemoteVifGroupUuid()
	case a.GetRemoteMac() != "":
		return a.GetRemoteMac() == b.GetRemoteMac()
	}
	return true
}
