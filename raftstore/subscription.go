package raftstore

import (
	"fmt"
	"net/netip"

	storev1 "poolwire/proto/poolwire/store/v1"
)

// Bounds of multicast: how many groups a VIF may have joined, and how many memberships a
// private network may have. VMs decide about them; what is beyond is passed over.
const (
	MaxVifGroups     = 64
	MaxSubscriptions = 4096
)

// Subscriptions returns the multicast memberships in a private network, ordered by group and
// VIF.
func (v *View) Subscriptions(networkUUID string) []*storev1.Subscription {
	return list[*storev1.Subscription](v, TableSubscriptions, indexNetwork, indexKey(networkUUID))
}

// SubscriptionsOfVif returns the multicast memberships of a VIF, ordered by group.
func (v *View) SubscriptionsOfVif(vifUUID string) []*storev1.Subscription {
	return list[*storev1.Subscription](v, TableSubscriptions, indexVif, indexKey(vifUUID))
}

// subscriptionKey is unambiguous: neither a private network's UUID nor a group holds a "/",
// whatever a VIF's UUID, which a host tells, may hold.
func subscriptionKey(s *storev1.Subscription) string {
	return hostKey(hostKey(s.GetPrivateNetworkUuid(), s.GetGroup()), s.GetVifUuid())
}

// observeMulticast records who has left and then who has joined. VIFs that are not plugged
// into the private network, any more or yet, are passed over, and so is what is too much.
func (t *tx) observeMulticast(c *storev1.ObserveMulticast) (Result, error) {
	left, err := canonicalSubscriptions("left", c.GetLeft())
	if err != nil {
		return Result{}, err
	}
	joined, err := canonicalSubscriptions("joined", c.GetJoined())
	if err != nil {
		return Result{}, err
	}
	for _, s := range left {
		t.del(TableSubscriptions, subscriptionKey(s))
	}
	have := map[string]int{} // by private network
	for _, s := range joined {
		network := s.GetPrivateNetworkUuid()
		if _, counted := have[network]; !counted {
			have[network] = len(t.Subscriptions(network))
		}
		switch {
		case t.message(TableSubscriptions, subscriptionKey(s)) != nil:
		case have[network] >= MaxSubscriptions, len(t.SubscriptionsOfVif(s.GetVifUuid())) >= MaxVifGroups:
		case t.PrivateNetwork(network) == nil, !t.pluggedInto(s):
		default:
			t.put(TableSubscriptions, s)
			have[network]++
		}
	}
	return Result{}, nil
}

// canonicalSubscriptions copies subscriptions with their groups in canonical form.
func canonicalSubscriptions(field string, in []*storev1.Subscription) ([]*storev1.Subscription, error) {
	out := make([]*storev1.Subscription, len(in))
	for i, s := range in {
		at := fmt.Sprintf("%s[%d]", field, i)
		if err := checkKey(at+".private_network_uuid", s.GetPrivateNetworkUuid()); err != nil {
			return nil, err
		}
		if n := len(s.GetVifUuid()); n == 0 || n > maxKey {
			return nil, &InvalidError{Field: at + ".vif_uuid", Value: clip(s.GetVifUuid()), Reason: "must have 1 to 128 bytes"}
		}
		group, err := netip.ParseAddr(s.GetGroup())
		if err != nil || group.Zone() != "" || group.Is4In6() || (!group.IsMulticast() && !group.IsUnspecified()) {
			return nil, &InvalidError{Field: at + ".group", Value: clip(s.GetGroup()), Reason: `must be a multicast address, or "0.0.0.0" or "::" for a router`}
		}
		out[i] = &storev1.Subscription{VifUuid: s.GetVifUuid(), PrivateNetworkUuid: s.GetPrivateNetworkUuid(), Group: group.String()}
	}
	return out, nil
}

// pluggedInto says whether a port of the VIF is on a bridge that carries the private network.
func (t *tx) pluggedInto(s *storev1.Subscription) bool {
	for _, p := range t.PortsByVif(s.GetVifUuid()) {
		if t.PrivateNetworkOfBridge(p.GetHostUuid(), p.GetNetworkBridge()).GetUuid() == s.GetPrivateNetworkUuid() {
			return true
		}
	}
	return false
}

// keepSubscriptions drops those of the memberships whose VIF is plugged in elsewhere, or gone.
// One that is unplugged for a moment keeps them: a VM that moves from pool to pool may be.
func (t *tx) keepSubscriptions(of []*storev1.Subscription) {
	for _, s := range of {
		unplugged := t.Vif(s.GetVifUuid()) != nil && !t.has(TablePorts, indexVif, indexKey(s.GetVifUuid()))
		if t.PrivateNetwork(s.GetPrivateNetworkUuid()) == nil || (!unplugged && !t.pluggedInto(s)) {
			t.del(TableSubscriptions, subscriptionKey(s))
		}
	}
}
