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
	// answered are the IPv4 addresses for which the VIF may be answered for, if nobody else claims them.
	answered []netip.Addr
	// others are all others: ranges, those of VIFs that are restricted or not locked, and those that may be
	// at another MAC address or move from VIF to VIF.
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
		if certain && prefix.IsSingleIP() && prefix.Addr().Is4() {
			c.answered = append(c.answered, prefix.Addr())
		} else {
			c.others = append(c.others, prefix)
		}
	}
	return c
}

// claimsDiffer tells whether a VIF claims something else than before, wherever it is plugged.
func claimsDiffer(a, b *poolwirev1.Vif) bool {
	return a.GetLockingMode() != b.GetLockingMode() || isolation(a) != isolation(b) || a.GetObjectId() != b.GetObjectId() || !sameAddresses(a, b)
}

// namesARP and policyNamesARP tell whether a rule decides over ARP. Only one that names it does.
func namesARP(r *poolwirev1.Rule) bool { return r.GetProtocol() == poolwirev1.Protocol_PROTOCOL_ARP }

func policyNamesARP(r *poolwirev1.PolicyRule) bool { return strings.EqualFold(r.GetProtocol(), "arp") }
