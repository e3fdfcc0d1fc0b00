package controller

import (
	"net/netip"
	"strings"

	"poolwire/flowcompiler"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/southbound/openflow/flow"
)

// claim is which addresses a VIF, plugged on one host into a private network, may send from.
type claim struct {
	vif uint32 // object id
	mac flow.MAC
	// answered are the addresses for which the VIF may be answered for, if nobody else claims them.
	answered []netip.Addr
	// others are all others: ranges, those of VIFs that are restricted or not locked, those that may be
	// at another MAC address or move from VIF to VIF, and IPv6 addresses of routers.
	others []netip.Prefix
}

// claimsOn lists what the VIFs claim that a host has on a private network; none when the host takes no part.
func (m model) claimsOn(networkUUID, hostUUID string) []claim {
	pn, host := m.view.PrivateNetwork(networkUUID), m.view.Host(hostUUID)
	if pn == nil || host == nil || !host.GetManaged() {
		return nil
	}
	bridge, isMember := carrierOn(pn, host)
	if !isMember {
		return nil
	}
	var out []claim
	for _, p := range m.view.PortsByBridge(hostUUID, bridge) {
		v := m.view.Vif(p.GetVifUuid())
		if v == nil || p.GetNetworkBridge() != bridge {
			continue
		}
		mac, _ := flow.ParseMAC(p.GetAttachedMac())
		out = append(out, claimOf(v, mac))
	}
	return out
}

// claimOf is what a VIF claims that has a MAC address. The allowed addresses of a VIF that is not locked are not
// all that it may use, but they are known to be its.
func claimOf(v *poolwirev1.Vif, mac flow.MAC) claim {
	c := claim{vif: v.GetObjectId(), mac: mac}
	for _, pair := range addressPairs(v, mac) {
		c.others = append(c.others, pair.Prefix)
	}
	certain := v.GetLockingMode() == poolwirev1.LockingMode_LOCKING_MODE_LOCKED && isolation(v) == flowcompiler.Promiscuous && !mac.IsZero()
	for _, prefix := range prefixes(v.GetIpv4Allowed()) {
		c.claim(prefix, certain && prefix.Addr().Is4())
	}
	host := certain && !mayRoute(v)
	for _, prefix := range prefixes(v.GetIpv6Allowed()) {
		c.claim(prefix, host && prefix.Addr().Is6() && !prefix.Addr().Is4In6())
	}
	if v.GetLockingMode() == poolwirev1.LockingMode_LOCKING_MODE_LOCKED && !mac.IsZero() {
		local := linkLocalOf(mac) // allowed without a word
		c.claim(netip.PrefixFrom(local, local.BitLen()), host)
	}
	return c
}

// claim adds a prefix. With certain the VIF may be answered for there, if it is one address.
func (c *claim) claim(prefix netip.Prefix, certain bool) {
	if certain && prefix.IsSingleIP() {
		c.answered = append(c.answered, prefix.Addr())
	} else {
		c.others = append(c.others, prefix)
	}
}

// mayRoute tells whether others may have the VIF as a router. What answers in its place would tell them that it is none.
func mayRoute(v *poolwirev1.Vif) bool {
	return v.GetAllowRouterAdvertisements() || len(v.GetVirtualRouters()) > 0
}

// claimsDiffer tells whether a VIF claims something else than before, wherever it is plugged.
func claimsDiffer(a, b *poolwirev1.Vif) bool {
	return a.GetLockingMode() != b.GetLockingMode() || isolation(a) != isolation(b) || a.GetObjectId() != b.GetObjectId() ||
		mayRoute(a) != mayRoute(b) || !sameAddresses(a, b)
}

// namesARP and policyNamesARP tell whether a rule decides over ARP. Only one that names it does.
func namesARP(r *poolwirev1.Rule) bool { return r.GetProtocol() == poolwirev1.Protocol_PROTOCOL_ARP }

func policyNamesARP(r *poolwirev1.PolicyRule) bool { return strings.EqualFold(r.GetProtocol(), "arp") }

// policyNamesND tells whether a rule decides over neighbour solicitations or advertisements. Only one that names them does.
func policyNamesND(r *poolwirev1.PolicyRule) bool {
	return strings.EqualFold(r.GetProtocol(), "icmpv6") && r.IcmpType != nil && (r.GetIcmpType() == 135 || r.GetIcmpType() == 136)
}

// deniesND tells whether a rule of XCP-ng's form keeps neighbour discovery back: it is IPv6 like any other to it. What
// such a rule lets pass would pass without.
func deniesND(r *poolwirev1.Rule) bool {
	if r.GetAllow() || r.GetProtocol() != poolwirev1.Protocol_PROTOCOL_IP && r.GetProtocol() != poolwirev1.Protocol_PROTOCOL_ICMP {
		return false
	}
	prefix := parsePrefix(r.GetIpRange())
	return !prefix.IsValid() || prefix.Addr().Is6()
}
