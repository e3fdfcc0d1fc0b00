package raftstore

import (
	"slices"

	"google.golang.org/protobuf/proto"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

// MemberHost is a host that takes part in a private network.
type MemberHost struct {
	// Host is the stored host.
	Host *poolwirev1.Host
	// Bridge carries the private network on the host.
	Bridge string
}

// PrivateNetworkMembers resolves pools to hosts: all members of a private
// network, each once, in the order of its member list and of UUIDs.
func (v *View) PrivateNetworkMembers(n *poolwirev1.PrivateNetwork) []MemberHost {
	var out []MemberHost
	for _, m := range n.GetMembers() {
		for _, h := range v.memberHosts(m) {
			out = append(out, MemberHost{Host: h, Bridge: memberBridge(n, m)})
		}
	}
	return out
}

// PrivateNetworkOfBridge returns the private network that a bridge of a host
// carries by intent, or nil.
func (v *View) PrivateNetworkOfBridge(hostUUID, bridge string) *poolwirev1.PrivateNetwork {
	h := v.Host(hostUUID)
	if h == nil {
		return nil
	}
	for _, key := range []string{memberHost + h.GetUuid(), memberPool + h.GetPoolUuid()} {
		for _, n := range list[*poolwirev1.PrivateNetwork](v, TablePrivateNetworks, indexMember, indexKey(key)) {
			for _, m := range n.GetMembers() {
				if memberKey(m) == key && memberBridge(n, m) == bridge {
					return n
				}
			}
		}
	}
	return nil
}

// PrivateNetworksOfHost returns the private networks a host is a member of,
// ordered by UUID.
func (v *View) PrivateNetworksOfHost(hostUUID string) []*poolwirev1.PrivateNetwork {
	h := v.Host(hostUUID)
	if h == nil {
		return nil
	}
	out := list[*poolwirev1.PrivateNetwork](v, TablePrivateNetworks, indexMember, indexKey(memberHost+h.GetUuid()))
	out = append(out, list[*poolwirev1.PrivateNetwork](v, TablePrivateNetworks, indexMember, indexKey(memberPool+h.GetPoolUuid()))...)
	slices.SortFunc(out, func(a, b *poolwirev1.PrivateNetwork) int {
		switch {
		case a.GetUuid() < b.GetUuid():
			return -1
		case a.GetUuid() > b.GetUuid():
			return 1
		}
		return 0
	})
	return slices.Compact(out)
}

// A member key is one of these followed by a UUID.
const (
	memberPool = "pool "
	memberHost = "host "
)

func memberKey(m *poolwirev1.PrivateNetworkMember) string {
	if m.GetPoolUuid() != "" {
		return memberPool + m.GetPoolUuid()
	}
	return memberHost + m.GetHostUuid()
}

// memberKeys are the index keys of a private network by its members.
func memberKeys(n *poolwirev1.PrivateNetwork) []string {
	var out []string
	for _, m := range n.GetMembers() {
		out = append(out, indexKey(memberKey(m)))
	}
	return out
}

// memberBridge is the bridge that carries the network on a member's hosts.
func memberBridge(n *poolwirev1.PrivateNetwork, m *poolwirev1.PrivateNetworkMember) string {
	if m.GetBridge() != "" {
		return m.GetBridge()
	}
	return n.GetBridge()
}

// memberHosts returns the hosts a member stands for.
func (v *View) memberHosts(m *poolwirev1.PrivateNetworkMember) []*poolwirev1.Host {
	if m.GetPoolUuid() != "" {
		return v.HostsByPool(m.GetPoolUuid())
	}
	if h := v.Host(m.GetHostUuid()); h != nil {
		return []*poolwirev1.Host{h}
	}
	return nil
}

// overlapping returns the keys of all members that can share a host with m:
// itself, the pool of a host, the hosts of a pool.
func (v *View) overlapping(m *poolwirev1.PrivateNetworkMember) []string {
	keys := []string{memberKey(m)}
	if m.GetPoolUuid() == "" {
		return append(keys, memberPool+v.Host(m.GetHostUuid()).GetPoolUuid())
	}
	for _, h := range v.HostsByPool(m.GetPoolUuid()) {
		keys = append(keys, memberHost+h.GetUuid())
	}
	return keys
}

// dropMember takes a pool or host that is going away out of all private
// networks that name it. Its bridges are gone already.
func (t *tx) dropMember(kind, uuid string) {
	key := kind + uuid
	for _, old := range list[*poolwirev1.PrivateNetwork](&t.View, TablePrivateNetworks, indexMember, indexKey(key)) {
		n := proto.CloneOf(old)
		n.Members = slices.DeleteFunc(n.Members, func(m *poolwirev1.PrivateNetworkMember) bool { return memberKey(m) == key })
		t.put(TablePrivateNetworks, n)
	}
}

// refreshCarriers brings Network.private_network_uuid in line for the networks
// whose bridges a private network uses, or used.
func (t *tx) refreshCarriers(n *poolwirev1.PrivateNetwork) {
	for _, m := range n.GetMembers() {
		pool := m.GetPoolUuid()
		if pool == "" {
			pool = t.Host(m.GetHostUuid()).GetPoolUuid()
		}
		if carrier := t.NetworkByPoolBridge(pool, memberBridge(n, m)); carrier != nil {
			carrier = proto.CloneOf(carrier)
			t.measureNetwork(carrier)
			t.put(TableNetworks, carrier)
		}
	}
}
