package raftstore

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// Relays returns who passes traffic on in a private network, ordered by pool UUID.
func (v *View) Relays(networkUUID string) []*storev1.Relay {
	return list[*storev1.Relay](v, TableRelays, indexNetwork, indexKey(networkUUID))
}

// RelaysOfHost returns the places where a host passes traffic on, or is prepared to.
func (v *View) RelaysOfHost(hostUUID string) []*storev1.Relay {
	return list[*storev1.Relay](v, TableRelays, indexHost, indexKey(hostUUID))
}

// relayHosts are the index keys of a relay by the hosts in it.
func relayHosts(r *storev1.Relay) []string {
	return indexKeys([]string{r.GetActive(), r.GetStandby()})
}

// putRelays replaces the relays of private networks. What was decided on an older state is
// passed over: networks that are gone, places that the topology does not have, and hosts that
// are no members there.
func (t *tx) putRelays(c *storev1.PutRelays) (Result, error) {
	named := map[string]bool{}
	for _, uuid := range c.GetPrivateNetworkUuids() {
		named[uuid] = true
	}
	wanted := map[string]bool{}
	for i, r := range c.GetRelays() {
		switch {
		case !named[r.GetPrivateNetworkUuid()]:
			return Result{}, &InvalidError{Field: fmt.Sprintf("relays[%d].private_network_uuid", i), Value: clip(r.GetPrivateNetworkUuid()), Reason: "is not among private_network_uuids"}
		case r.GetActive() != "" && r.GetActive() == r.GetStandby():
			return Result{}, &InvalidError{Field: fmt.Sprintf("relays[%d].standby", i), Value: clip(r.GetStandby()), Reason: "is active already"}
		}
		wanted[hostKey(r.GetPrivateNetworkUuid(), r.GetPoolUuid())] = true
	}
	for _, uuid := range c.GetPrivateNetworkUuids() {
		for _, r := range t.Relays(uuid) {
			if key := hostKey(uuid, r.GetPoolUuid()); !wanted[key] {
				t.del(TableRelays, key)
			}
		}
	}
	for _, r := range c.GetRelays() {
		if n := t.PrivateNetwork(r.GetPrivateNetworkUuid()); n != nil {
			t.fitRelay(n, r)
		}
	}
	return Result{}, nil
}

// fitRelay stores a relay as far as it fits the private network: in a place the topology has,
// with members of that place. A stand-in follows who is none any more.
func (t *tx) fitRelay(n *poolwirev1.PrivateNetwork, r *storev1.Relay) {
	if !t.hasPlace(n, r.GetPoolUuid()) {
		t.del(TableRelays, hostKey(n.GetUuid(), r.GetPoolUuid()))
		return
	}
	r = proto.CloneOf(r)
	if !t.mayRelay(n, r.GetPoolUuid(), r.GetStandby()) {
		r.Standby = ""
	}
	if !t.mayRelay(n, r.GetPoolUuid(), r.GetActive()) {
		r.Active, r.Standby = r.GetStandby(), ""
	}
	t.put(TableRelays, r)
}

// hasPlace says whether traffic of a private network is passed on in a place: a star has one
// that is no pool's, and hubs are of pools with members.
func (v *View) hasPlace(n *poolwirev1.PrivateNetwork, pool string) bool {
	switch n.GetTopology() {
	case poolwirev1.Topology_TOPOLOGY_STAR:
		return pool == ""
	case poolwirev1.Topology_TOPOLOGY_HUB:
		for _, m := range n.GetMembers() {
			if pool != "" && (m.GetPoolUuid() == pool || v.Host(m.GetHostUuid()).GetPoolUuid() == pool) {
				return true
			}
		}
	}
	return false
}

// mayRelay says whether a host is a member, and of the pool when one is given.
func (v *View) mayRelay(n *poolwirev1.PrivateNetwork, pool, hostUUID string) bool {
	h := v.Host(hostUUID)
	return h != nil && (pool == "" || h.GetPoolUuid() == pool) && isMember(n, h)
}

// isMember says whether a host is a member of a private network, by itself or by its pool.
func isMember(n *poolwirev1.PrivateNetwork, h *poolwirev1.Host) bool {
	for _, m := range n.GetMembers() {
		if key := memberKey(m); key == memberHost+h.GetUuid() || key == memberPool+h.GetPoolUuid() {
			return true
		}
	}
	return false
}
