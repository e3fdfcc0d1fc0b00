package raftstore

import (
	"google.golang.org/protobuf/proto"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// cascade takes away what does not stand any more after the changes of a command: keys, proofs,
// relays and multicast memberships of what is gone or has changed. Whatever brings the change
// about, an operator, a report, or undoing, it comes to the same.
func (t *tx) cascade() {
	// What is taken away here goes to the end of the list; it has no consequences of its own.
	for _, c := range t.changes {
		t.follow(c)
	}
}

// follow draws the consequences of one change.
func (t *tx) follow(c Change) {
	switch c.Table {
	case TableHosts:
		before, _ := c.Before.(*poolwirev1.Host)
		after, _ := c.After.(*poolwirev1.Host)
		t.followHost(before, after)
	case TableHostFacts:
		before, _ := c.Before.(*storev1.HostFacts)
		after, _ := c.After.(*storev1.HostFacts)
		if before.GetTransportAddress() != after.GetTransportAddress() {
			t.dropProtections(c.Key)
		}
	case TablePrivateNetworks:
		before, _ := c.Before.(*poolwirev1.PrivateNetwork)
		after, _ := c.After.(*poolwirev1.PrivateNetwork)
		t.followPrivateNetwork(before, after)
	case TablePools, TableNetworks:
		if c.After == nil {
			t.dropGrants(c.Key)
		}
	case TableVifs:
		before, _ := c.Before.(*poolwirev1.Vif)
		after, _ := c.After.(*poolwirev1.Vif)
		t.followVif(before, after)
		if c.After == nil {
			t.keepSubscriptions(t.SubscriptionsOfVif(c.Key))
		}
	case TablePorts:
		for _, m := range []proto.Message{c.Before, c.After} {
			if p, _ := m.(*storev1.Port); p.GetVifUuid() != "" {
				t.keepSubscriptions(t.SubscriptionsOfVif(p.GetVifUuid()))
			}
		}
	}
}

// followHost draws the consequences of a host's change.
func (t *tx) followHost(before, after *poolwirev1.Host) {
	switch {
	case before == nil:
	case after == nil:
		uuid := before.GetUuid()
		t.dropProtections(uuid)
		for _, k := range t.PairKeysOfHost(uuid) {
			t.del(TablePairKeys, pairKey(k.GetHostA(), k.GetHostB()))
		}
		for _, r := range t.RelaysOfHost(uuid) {
			t.refitRelay(r)
		}
	case unguards(before, after):
		t.dropProtections(after.GetUuid())
	}
}

// followPrivateNetwork draws the consequences of a private network's change.
func (t *tx) followPrivateNetwork(before, after *poolwirev1.PrivateNetwork) {
	if before == nil {
		return
	}
	if after == nil {
		t.dropGrants(before.GetUuid())
	}
	for _, r := range t.Relays(before.GetUuid()) {
		t.refitRelay(r)
	}
	if after == nil || !sameMembers(before, after) {
		t.keepSubscriptions(t.Subscriptions(before.GetUuid()))
	}
}

// refitRelay brings a stored relay in line with its private network.
func (t *tx) refitRelay(r *storev1.Relay) {
	n := t.PrivateNetwork(r.GetPrivateNetworkUuid())
	if n == nil {
		t.del(TableRelays, hostKey(r.GetPrivateNetworkUuid(), r.GetPoolUuid()))
		return
	}
	t.fitRelay(n, r)
}

func sameMembers(a, b *poolwirev1.PrivateNetwork) bool {
	if len(a.GetMembers()) != len(b.GetMembers()) {
		return false
	}
	for i, m := range a.GetMembers() {
		if !proto.Equal(m, b.GetMembers()[i]) {
			return false
		}
	}
	return true
}
