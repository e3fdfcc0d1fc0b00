package controller

import (
	"net/netip"

	"poolwire/controller/listener"
	"poolwire/flowcompiler"
	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// subscription marks a group on all members of its private network. How many memberships there are decides what
// becomes of all groups, which goes with the routers.
func (k *marker) subscription(s *storev1.Subscription) {
	group, err := netip.ParseAddr(s.GetGroup())
	pn := k.view.PrivateNetwork(s.GetPrivateNetworkUuid())
	if err != nil || pn == nil {
		return
	}
	groups := map[groupKey]struct{}{
		{pn.GetUuid(), listener.GroupMAC(group)}: {},
		{pn.GetUuid(), flowcompiler.RoutersIPv4}: {},
		{pn.GetUuid(), flowcompiler.RoutersIPv6}: {},
	}
	for _, m := range k.view.PrivateNetworkMembers(pn) {
		for _, bridge := range []string{m.Bridge, overlayBridge} {
			s := k.at(m.Host.GetUuid(), bridge)
			s.groups = union(s.groups, groups)
		}
	}
}

// subscriber marks the groups of a VIF that is plugged in, or gone, or another object.
func (k *marker) subscriber(vif string) {
	for _, s := range k.view.SubscriptionsOfVif(vif) {
		k.subscription(s)
	}
}

func (k *marker) vifAsSubscriber(uuid string, before, after *poolwirev1.Vif) {
	if before.GetObjectId() != after.GetObjectId() {
		k.subscriber(uuid)
	}
}
