package controller

import (
	"slices"

	"poolwire/flowcompiler"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// vifPolicy fills in what a VIF may do besides sending from its addresses.
func (m model) vifPolicy(v *flowcompiler.VIF, stored *poolwirev1.Vif, n bridgeNetwork) {
	v.Pairs = addressPairs(stored, v.MAC)
	for _, r := range stored.GetVirtualRouters() {
		if r.GetVrid() >= 1 && r.GetVrid() <= 255 {
			v.VRRP = append(v.VRRP, uint8(r.GetVrid()))
		}
	}
	slices.Sort(v.VRRP)
	v.VRRP = slices.Compact(v.VRRP)
	if n.VLAN == 0 {
		for _, t := range stored.GetTrunks() {
			if t >= 1 && t <= maxVLAN {
				v.Trunks = append(v.Trunks, uint16(t))
			}
		}
		slices.Sort(v.Trunks)
		v.Trunks = slices.Compact(v.Trunks)
	}
	v.MayAdvertise, v.MayServeDHCP = stored.GetAllowRouterAdvertisements(), stored.GetAllowDhcpServer()
	v.Isolation, v.Community = m.restrict(stored, n)
	v.Inbound = limit(stored.GetQos().GetInboundBps(), stored.GetQos().GetInboundBurstBits())
	v.Outbound = limit(stored.GetQos().GetOutboundBps(), stored.GetQos().GetOutboundBurstBits())
	for _, g := range m.view.VifGroupsOf(stored.GetUuid()) {
		v.Groups = append(v.Groups, g.GetObjectId())
		m.groupUUIDs[g.GetObjectId()] = g.GetUuid()
	}
	slices.Sort(v.Groups)
	v.Groups = slices.Compact(v.Groups)
}

// leastBurst is the smallest default burst, in bits: ten full Ethernet frames.
const leastBurst = 120_000

// limit is a limit on a rate with its burst, a fifth of a second's worth when none is
// given.
func limit(bps, burst uint64) flowcompiler.Limit {
	if bps == 0 {
		return flowcompiler.Limit{}
	}
	if burst == 0 {
		burst = max(bps/5, leastBurst)
	}
	return flowcompiler.Limit{BitsPerSecond: bps, Burst: burst}
}
