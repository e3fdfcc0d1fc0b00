package controller

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"poolwire/flowcompiler"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/southbound/openflow/flow"
)

// scopeKey names one scope of policy rules: its level and its UUID, which is empty
// for the global one.
type scopeKey struct {
	level poolwirev1.PolicyLevel
	uuid  string
}

// globalScope is the scope of all VIFs of all pools.
var globalScope = scopeKey{level: poolwirev1.PolicyLevel_POLICY_LEVEL_GLOBAL}

func scopeOf(r *poolwirev1.PolicyRule) scopeKey {
	return scopeKey{r.GetLevel(), r.GetScopeUuid()}
}

// policiesApply reports whether VIFs of this bridge can have a policy.
func (m model) policiesApply() bool { return !m.isOverlay() }

// policyRules are the rules in force of some scopes, in the compiler's words.
func (m model) policyRules(scopes ...scopeKey) []flowcompiler.PolicyRule {
	var out []flowcompiler.PolicyRule
	for _, s := range scopes {
		for _, r := range m.view.PolicyRulesByScope(s.level, s.uuid) {
			if inForce(r) {
				out = append(out, m.policyRule(r))
			}
		}
	}
	return out
}

// inForce reports a rule that is enabled and not expired.
func inForce(r *poolwirev1.PolicyRule) bool {
	return (r.Enabled == nil || r.GetEnabled()) && !r.GetExpired()
}

// defaultPriority is PolicyRule.priority when it is not set.
const defaultPriority = 32768

// policyRule translates a rule. It was validated on the way in: what makes no sense
// here matches nothing.
func (m model) policyRule(r *poolwirev1.PolicyRule) flowcompiler.PolicyRule {
	out := flowcompiler.PolicyRule{
		ID: r.GetObjectId(), Section: flowcompiler.Default, Priority: defaultPriority,
		Protocol: policyProtocol(r.GetProtocol()), ICMPType: -1, ICMPCode: -1,
		LocalPorts: portRanges(r.GetLocalPorts()), RemotePorts: portRanges(r.GetRemotePorts()),
		Remote: m.policyRemote(r), Stateless: r.GetStateless(),
		KeepEstablished: r.GetEstablishedSessions() == poolwirev1.EstablishedSessions_ESTABLISHED_SESSIONS_KEEP,
	}
	if r.GetSection() == poolwirev1.PolicySection_POLICY_SECTION_MANDATORY {
		out.Section = flowcompiler.Mandatory
	}
	if r.Priority != nil {
		out.Priority = uint16(min(r.GetPriority(), 0xffff))
	}
	switch r.GetAction() {
	case poolwirev1.RuleAction_RULE_ACTION_ALLOW:
		out.Action = flowcompiler.Allow
	case poolwirev1.RuleAction_RULE_ACTION_REJECT:
		out.Action = flowcompiler.Reject
	default:
		out.Action = flowcompiler.Drop
	}
	switch r.GetDirection() {
	case poolwirev1.TrafficDirection_TRAFFIC_DIRECTION_INBOUND:
		out.Inbound = true
	case poolwirev1.TrafficDirection_TRAFFIC_DIRECTION_OUTBOUND:
		out.Outbound = true
	case poolwirev1.TrafficDirection_TRAFFIC_DIRECTION_BOTH:
		out.Inbound, out.Outbound = true, true
	}
	if r.IcmpType != nil {
		out.ICMPType = int16(r.GetIcmpType() & 0xff)
	}
	if r.IcmpCode != nil {
		out.ICMPCode = int16(r.GetIcmpCode() & 0xff)
	}
	for _, v := range r.GetVlans() {
		if v >= 1 && v <= maxVLAN {
			out.VLANs = append(out.VLANs, uint16(v))
		}
	}
	slices.Sort(out.VLANs)
	out.VLANs = slices.Compact(out.VLANs)
	return out
}

// maxVLAN is the highest VLAN id that can be used.
const maxVLAN = 4094

// policyProtocol reads PolicyRule.protocol.
func policyProtocol(text string) flowcompiler.PolicyProtocol {
	switch strings.ToLower(text) {
	case "", "any":
		return flowcompiler.AnyProtocol
	case "arp":
		return flowcompiler.ARPProtocol
	case "icmp":
		return 1
	case "tcp":
		return 6
	case "udp":
		return 17
	case "icmpv6":
		return 58
	case "sctp":
		return 132
	}
	n, err := strconv.ParseUint(text, 10, 8)
	if err != nil {
		return flowcompiler.AnyProtocol
	}
	return flowcompiler.PolicyProtocol(n)
}

// portRanges reads ports, single ("22") or ranges ("8000-8080"), and joins what
// touches.
func portRanges(texts []string) []flowcompiler.PortRange {
	var in []flowcompiler.PortRange
	for _, text := range texts {
		first, last, isRange := strings.Cut(text, "-")
		if !isRange {
			last = first
		}
		a, errA := strconv.ParseUint(strings.TrimSpace(first), 10, 16)
		b, errB := strconv.ParseUint(strings.TrimSpace(last), 10, 16)
		if errA == nil && errB == nil && a <= b {
			in = append(in, flowcompiler.PortRange{First: uint16(a), Last: uint16(b)})
		}
	}
	slices.SortFunc(in, func(a, b flowcompiler.PortRange) int {
		return cmp.Or(cmp.Compare(a.First, b.First), cmp.Compare(a.Last, b.Last))
	})
	var out []flowcompiler.PortRange
	for _, r := range in {
		if n := len(out); n > 0 && int(r.First) <= int(out[n-1].Last)+1 {
			out[n-1].Last = max(out[n-1].Last, r.Last)
			continue
		}
		out = append(out, r)
	}
	return out
}

// policyRemote resolves the other end of a rule.
func (m model) policyRemote(r *poolwirev1.PolicyRule) flowcompiler.PolicyRemote {
	switch {
	case len(r.GetRemotePrefixes()) > 0:
		return flowcompiler.PolicyRemote{Prefixes: distinctPrefixes(prefixes(r.GetRemotePrefixes()))}
	case r.GetRemoteAddressGroupUuid() != "":
		return flowcompiler.PolicyRemote{Prefixes: m.view.AddressGroupMembers(r.GetRemoteAddressGroupUuid())}
	case r.GetRemoteVifGroupUuid() != "":
		return m.vifGroupRemote(r.GetRemoteVifGroupUuid())
	case r.GetRemoteMac() != "":
		mac, err := flow.ParseMAC(r.GetRemoteMac())
		if err != nil {
			return flowcompiler.PolicyRemote{}
		}
		return flowcompiler.PolicyRemote{MACs: []flow.MAC{mac}}
	}
	return flowcompiler.PolicyRemote{Any: true}
}

// vifGroupRemote is a VIF group as the other end: a member with allowed addresses is
// known by them, any other by its MAC address. A group that several rules name is
// resolved once.
func (m model) vifGroupRemote(group string) flowcompiler.PolicyRemote {
	if r, known := m.groups[group]; known {
		return r
	}
	var out flowcompiler.PolicyRemote
	for _, uuid := range m.view.VifGroupMembers(group) {
		v := m.view.Vif(uuid)
		if v == nil {
			continue
		}
		own := ownAddresses(v)
		out.Prefixes = append(out.Prefixes, own...)
		if mac, err := flow.ParseMAC(v.GetMac()); len(own) == 0 && err == nil {
			out.MACs = append(out.MACs, mac)
		}
	}
	out.Prefixes = distinctPrefixes(out.Prefixes)
	slices.SortFunc(out.MACs, func(a, b flow.MAC) int { return slices.Compare(a[:], b[:]) })
	out.MACs = slices.Compact(out.MACs)
	m.groups[group] = out
	return out
}

// ownAddresses are the addresses that a VIF is known to use.
func ownAddresses(v *poolwirev1.Vif) []netip.Prefix {
	out := append(prefixes(v.GetIpv4Allowed()), prefixes(v.GetIpv6Allowed())...)
	for _, p := range addressPairs(v, flow.MAC{}) {
		out = append(out, p.Prefix)
	}
	return out
}

// distinctPrefixes sorts prefixes and drops repeats.
func distinctPrefixes(in []netip.Prefix) []netip.Prefix {
	slices.SortFunc(in, netip.Prefix.Compare)
	return slices.Compact(in)
}

// virtualMAC is the MAC address of a virtual router of VRRP (RFC 9568, 7.3) or CARP:
// its id is the last byte, the family the one before.
func virtualMAC(vrid uint32, of netip.Addr) flow.MAC {
	family := byte(1)
	if of.Is6() {
		family = 2
	}
	return flow.MAC{0x00, 0x00, 0x5e, 0x00, family, byte(vrid)}
}

// addressPairs lists the address pairs of a VIF, those of its virtual routers
// included. own is its MAC address, for pairs that name none.
func addressPairs(v *poolwirev1.Vif, own flow.MAC) []flowcompiler.AddressPair {
	var out []flowcompiler.AddressPair
	for _, p := range v.GetAllowedAddressPairs() {
		prefix := parsePrefix(p.GetAddress())
		mac := own
		if p.GetMac() != "" {
			var err error
			if mac, err = flow.ParseMAC(p.GetMac()); err != nil {
				continue
			}
		}
		if prefix.IsValid() {
			out = append(out, flowcompiler.AddressPair{MAC: mac, Prefix: prefix})
		}
	}
	for _, r := range v.GetVirtualRouters() {
		for _, text := range r.GetAddresses() {
			prefix := parsePrefix(text)
			if !prefix.IsValid() || r.GetVrid() < 1 || r.GetVrid() > 255 {
				continue
			}
			out = append(out, flowcompiler.AddressPair{MAC: virtualMAC(r.GetVrid(), prefix.Addr()), Prefix: prefix})
		}
	}
	slices.SortFunc(out, func(a, b flowcompiler.AddressPair) int {
		return cmp.Or(slices.Compare(a.MAC[:], b.MAC[:]), a.Prefix.Compare(b.Prefix))
	})
	return slices.Compact(out)
}
