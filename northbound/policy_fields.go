package northbound

import (
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	v1 "poolwire/proto/poolwire/v1"
)

// Limits of a policy rule, stated in the proto comments.
const (
	maxRulePorts    = 256
	maxRulePrefixes = 1024
	maxRuleVLANs    = 64
	maxICMP         = 1<<8 - 1 // type and code: 8 bits each
	maxVLAN         = 4094     // 4095 is reserved (IEEE 802.1Q, 9.6)
)

// policyRuleFields are the fields of a policy rule that a client may set. What
// fields mean for each other is checked by checkPolicyRule.
func policyRuleFields() []fieldRow[*v1.PolicyRule] {
	return []fieldRow[*v1.PolicyRule]{
		{path: "uuid", when: onCreate, check: func(r *v1.PolicyRule, at place) { at.uuid(&r.Uuid) }},
		{path: "name_label", when: always, check: func(r *v1.PolicyRule, at place) { at.optionalName(r.GetNameLabel()) }},
		{path: "description", when: always, check: func(r *v1.PolicyRule, at place) { at.description(r.GetDescription()) }},
		{path: "level", when: onCreate, check: func(r *v1.PolicyRule, at place) { requiredEnum(at, r.GetLevel()) }},
		// What hosts call a VIF need not be a UUID: the state knows what exists.
		{path: "scope_uuid", when: onCreate},
		{path: "section", when: always, check: func(r *v1.PolicyRule, at place) {
			checkEnum(at, r.GetSection())
			if r.Section == v1.PolicySection_POLICY_SECTION_UNSPECIFIED {
				r.Section = v1.PolicySection_POLICY_SECTION_DEFAULT
			}
		}},
		{path: "priority", when: always, check: func(r *v1.PolicyRule, at place) {
			if r.Priority == nil {
				r.Priority = proto.Uint32(defaultPriority)
			}
			if r.GetPriority() > maxPort {
				at.refuseNumber(r.GetPriority(), "must be 0 to %d; the default is %d", maxPort, defaultPriority)
			}
		}},
		{path: "action", when: always, check: func(r *v1.PolicyRule, at place) { requiredEnum(at, r.GetAction()) }},
		{path: "direction", when: always, check: func(r *v1.PolicyRule, at place) { requiredEnum(at, r.GetDirection()) }},
		{path: "protocol", when: always, check: func(r *v1.PolicyRule, at place) { at.policyProtocol(&r.Protocol) }},
		{path: "local_ports", when: always, check: func(r *v1.PolicyRule, at place) { r.LocalPorts = at.ports(r.GetLocalPorts()) }},
		{path: "remote_ports", when: always, check: func(r *v1.PolicyRule, at place) { r.RemotePorts = at.ports(r.GetRemotePorts()) }},
		{path: "icmp_type", when: always, check: func(r *v1.PolicyRule, at place) { at.icmp(r.IcmpType) }},
		{path: "icmp_code", when: always, check: func(r *v1.PolicyRule, at place) { at.icmp(r.IcmpCode) }},
		{path: "remote_prefixes", when: always, check: func(r *v1.PolicyRule, at place) {
			r.RemotePrefixes = at.prefixes(r.GetRemotePrefixes(), maxRulePrefixes)
		}},
		{path: "remote_address_group_uuid", when: always, check: func(r *v1.PolicyRule, at place) { at.uuid(&r.RemoteAddressGroupUuid) }},
		{path: "remote_vif_group_uuid", when: always, check: func(r *v1.PolicyRule, at place) { at.uuid(&r.RemoteVifGroupUuid) }},
		{path: "remote_mac", when: always, check: checkRemoteMAC},
		{path: "vlans", when: always, check: func(r *v1.PolicyRule, at place) { r.Vlans = at.vlans(r.GetVlans(), maxRuleVLANs) }},
		{path: "stateless", when: always},
		{path: "established_sessions", when: always, check: func(r *v1.PolicyRule, at place) {
			checkEnum(at, r.GetEstablishedSessions())
			if r.EstablishedSessions == v1.EstablishedSessions_ESTABLISHED_SESSIONS_UNSPECIFIED {
				r.EstablishedSessions = v1.EstablishedSessions_ESTABLISHED_SESSIONS_CUT
			}
		}},
		{path: "enabled", when: always, check: func(r *v1.PolicyRule, _ place) {
			if r.Enabled == nil {
				r.Enabled = proto.Bool(true)
			}
		}},
		{path: "expire_time", when: always, check: func(r *v1.PolicyRule, at place) {
			if t := r.GetExpireTime(); t != nil && t.CheckValid() != nil {
				at.say("is no time: %v", t.CheckValid())
			}
		}},
	}
}

// checkRemoteMAC checks the MAC address of the other end: a group's only for what
// is sent to it.
func checkRemoteMAC(r *v1.PolicyRule, at place) {
	if r.GetRemoteMac() == "" {
		return
	}
	mac, ok := anyMAC(r.GetRemoteMac())
	switch {
	case !ok:
		at.refuse(r.GetRemoteMac(), macForm)
	case mac.IsZero():
		at.refuse(r.GetRemoteMac(), "is all zeros, which no station has; "+macForm)
	case mac[0]&1 != 0 && r.GetDirection() != v1.TrafficDirection_TRAFFIC_DIRECTION_OUTBOUND:
		at.refuse(r.GetRemoteMac(), "is the address of a group, which nothing is sent from; accepted with direction OUTBOUND only")
	default:
		r.RemoteMac = mac.String()
	}
}

// checkExpiry refuses a time that has passed.
func checkExpiry(r *v1.PolicyRule, now time.Time, at place) {
	if t := r.GetExpireTime(); t != nil && t.CheckValid() == nil && !t.AsTime().After(now) {
		at.field("expire_time").refuseNumber(t.AsTime().Format(time.RFC3339), "is in the past: it is %s now; leave it out for a rule that does not expire",
			now.UTC().Format(time.RFC3339))
	}
}

// checkPolicyRule holds the fields of a rule against each other.
func checkPolicyRule(r *v1.PolicyRule, at place) {
	checkRulePorts(r, at)
	checkRuleICMP(r, at)
	checkRuleRemote(r, at)
	if r.GetEstablishedSessions() == v1.EstablishedSessions_ESTABLISHED_SESSIONS_KEEP {
		here := at.field("established_sessions")
		switch {
		case r.GetAction() == v1.RuleAction_RULE_ACTION_ALLOW:
			here.refuse("KEEP", "says which sessions a DROP or REJECT spares; leave it out of an ALLOW rule")
		case r.GetStateless():
			here.refuse("KEEP", "spares sessions, and a stateless rule looks at every packet by itself; leave one of the two out")
		case r.GetProtocol() == protoARP:
			here.refuse("KEEP", "spares sessions, and ARP has none; leave it out")
		}
	}
}

// checkRulePorts: ports belong to TCP, UDP and SCTP.
func checkRulePorts(r *v1.PolicyRule, at place) {
	if slices.Contains([]string{protoTCP, protoUDP, protoSCTP}, r.GetProtocol()) {
		return
	}
	for _, f := range []struct {
		path  string
		ports []string
	}{{"local_ports", r.GetLocalPorts()}, {"remote_ports", r.GetRemotePorts()}} {
		if len(f.ports) > 0 {
			at.field(f.path).refuse(f.ports[0], "must be empty for protocol %s; tcp, udp and sctp have ports", r.GetProtocol())
		}
	}
}

// checkRuleICMP: a type belongs to ICMP and ICMPv6, a code to a type.
func checkRuleICMP(r *v1.PolicyRule, at place) {
	icmp := r.GetProtocol() == protoICMP || r.GetProtocol() == protoICMPv6
	if r.IcmpType != nil && !icmp {
		at.field("icmp_type").refuseNumber(r.GetIcmpType(), "must be absent for protocol %s; icmp and icmpv6 have types", r.GetProtocol())
	}
	switch {
	case r.IcmpCode == nil:
	case !icmp:
		at.field("icmp_code").refuseNumber(r.GetIcmpCode(), "must be absent for protocol %s; icmp and icmpv6 have codes", r.GetProtocol())
	case r.IcmpType == nil:
		at.field("icmp_code").refuseNumber(r.GetIcmpCode(), "needs icmp_type: a code means something for one type only")
	}
}

// checkRuleRemote: one kind of other end, of a family the protocol has.
func checkRuleRemote(r *v1.PolicyRule, at place) {
	var kinds []string
	for _, k := range []struct {
		path string
		set  bool
	}{
		{"remote_prefixes", len(r.GetRemotePrefixes()) > 0}, {"remote_address_group_uuid", r.GetRemoteAddressGroupUuid() != ""},
		{"remote_vif_group_uuid", r.GetRemoteVifGroupUuid() != ""}, {"remote_mac", r.GetRemoteMac() != ""},
	} {
		if k.set {
			kinds = append(kinds, k.path)
		}
	}
	if len(kinds) > 1 {
		at.field(kinds[1]).say("must be empty beside %s: a rule has one kind of remote; make two rules, or a group of all", kinds[0])
	}
	here := at.field("remote_prefixes")
	for i, p := range r.GetRemotePrefixes() {
		prefix, _, ok := parseRange(p)
		switch {
		case !ok:
		case prefix.Addr().Is6() && r.GetProtocol() == protoICMP:
			here.index(i).refuse(p, "is IPv6, and protocol icmp is IPv4's; use icmpv6")
		case prefix.Addr().Is6() && r.GetProtocol() == protoARP:
			here.index(i).refuse(p, "is IPv6, and protocol arp is about IPv4 addresses; IPv6 neighbours are found with icmpv6, types 133 to 137")
		case prefix.Addr().Is4() && r.GetProtocol() == protoICMPv6:
			here.index(i).refuse(p, "is IPv4, and protocol icmpv6 is IPv6's; use icmp")
		}
	}
}
