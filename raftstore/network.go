package raftstore

import (
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// Networks returns all networks.
func (v *View) Networks() []*poolwirev1.Network { return all[*poolwirev1.Network](v, TableNetworks) }

// NetworksByPool returns the networks of a pool.
func (v *View) NetworksByPool(poolUUID string) []*poolwirev1.Network {
	return list[*poolwirev1.Network](v, TableNetworks, indexPool, indexKey(poolUUID))
}

// Network returns a network by UUID.
func (v *View) Network(uuid string) *poolwirev1.Network {
	return get[*poolwirev1.Network](v, TableNetworks, uuid)
}

// NetworksByBridge returns the networks of a bridge name over all pools.
func (v *View) NetworksByBridge(bridge string) []*poolwirev1.Network {
	return list[*poolwirev1.Network](v, TableNetworks, indexBridge, indexKey(bridge))
}

// NetworkByPoolBridge returns the network of a bridge name in a pool.
func (v *View) NetworkByPoolBridge(poolUUID, bridge string) *poolwirev1.Network {
	return find[*poolwirev1.Network](v, TableNetworks, indexPoolBridge, indexKey(poolUUID, bridge))
}

// putNetwork changes the intent for a known network: name_label and
// default_locking_mode. The rest stays as it was observed.
func (t *tx) putNetwork(c *storev1.PutNetwork) (Result, error) {
	in := c.GetNetwork()
	old := t.Network(in.GetUuid())
	if old == nil {
		return Result{}, &NotFoundError{Kind: KindNetwork, ID: in.GetUuid()}
	}
	if err := checkEtag(KindNetwork, in.GetUuid(), old.GetEtag(), in.GetEtag()); err != nil {
		return Result{}, err
	}
	if utf8.RuneCountInString(in.GetNameLabel()) > maxNameLabel {
		return Result{}, &InvalidError{Field: "name_label", Value: in.GetNameLabel(), Reason: "must have at most 128 characters"}
	}
	n := proto.CloneOf(old)
	n.NameLabel = in.GetNameLabel()
	if n.GetNameLabel() == "" {
		n.NameLabel = n.GetBridge()
	}
	n.DefaultLockingMode = lockingDefault(in.GetDefaultLockingMode())
	t.put(TableNetworks, n)
	t.forgetNetwork(n.GetUuid())
	return wrote(n.GetUuid()), nil
}

// networkIntent says whether an operator said anything about a network.
func (t *tx) networkIntent(n *poolwirev1.Network) bool {
	return n.GetNameLabel() != n.GetBridge() ||
		n.GetDefaultLockingMode() == poolwirev1.DefaultLockingMode_DEFAULT_LOCKING_MODE_DISABLED ||
		t.has(TableRules, indexNetwork, indexKey(n.GetUuid()))
}

// forgetNetwork drops a network that no host has and nobody cares about.
func (t *tx) forgetNetwork(uuid string) {
	n := t.Network(uuid)
	if n != nil && len(n.GetHostUuids()) == 0 && !t.networkIntent(n) {
		t.del(TableNetworks, uuid)
		t.refreshVifsOf(n)
	}
}

// refreshNetwork brings the network of a bridge name in line with what one
// host of the pool reports of it.
func (t *tx) refreshNetwork(host *poolwirev1.Host, bridge string) {
	n := t.NetworkByPoolBridge(host.GetPoolUuid(), bridge)
	row := t.Bridge(host.GetUuid(), bridge)
	present := row != nil && !row.GetOverlay()
	switch {
	case n == nil && !present:
		return
	case n == nil:
		n = t.newNetwork(host, row)
	case present && t.renames(n, row):
		t.del(TableNetworks, n.GetUuid())
		hosts := n.GetHostUuids()
		n = t.newNetwork(host, row)
		n.HostUuids = slices.Clone(hosts)
	default:
		n = proto.CloneOf(n)
	}
	known := t.Network(n.GetUuid()) != nil
	at, in := slices.BinarySearch(n.HostUuids, host.GetUuid())
	switch {
	case present && !in:
		n.HostUuids = slices.Insert(n.HostUuids, at, host.GetUuid())
	case !present && in:
		n.HostUuids = slices.Delete(n.HostUuids, at, at+1)
	}
	t.measureNetwork(n)
	t.put(TableNetworks, n)
	t.forgetNetwork(n.GetUuid())
	if !known {
		t.refreshVifsOf(n)
	}
}

// measureNetwork derives MTU, VLAN and the private network from the bridges
// of the network's hosts. Of a network no host has, the last values stay.
func (t *tx) measureNetwork(n *poolwirev1.Network) {
	n.PrivateNetworkUuid = ""
	if len(n.GetHostUuids()) == 0 {
		return
	}
	n.Mtu = 0
	for i, h := range n.GetHostUuids() {
		b := t.Bridge(h, n.GetBridge())
		if i == 0 {
			n.Vlan = b.GetVlan()
		}
		if m := b.GetMtu(); m != 0 && (n.Mtu == 0 || m < n.Mtu) {
			n.Mtu = m
		}
		if n.PrivateNetworkUuid == "" {
			n.PrivateNetworkUuid = t.PrivateNetworkOfBridge(h, n.GetBridge()).GetUuid()
		}
	}
}

// newNetwork makes the record of a bridge name that is new in the pool.
func (t *tx) newNetwork(host *poolwirev1.Host, row *storev1.Bridge) *poolwirev1.Network {
	id := row.GetXapiNetworkUuid()
	if !t.usableNetworkUUID(id) {
		id = t.derivedNetworkUUID(host.GetPoolUuid(), row.GetName())
	}
	return &poolwirev1.Network{
		Uuid:               id,
		NameLabel:          row.GetName(),
		PoolUuid:           host.GetPoolUuid(),
		Bridge:             row.GetName(),
		DefaultLockingMode: poolwirev1.DefaultLockingMode_DEFAULT_LOCKING_MODE_UNLOCKED,
	}
}

// usableNetworkUUID says whether a network may take the UUID a host tells: a
// UUID in canonical form that no network, private ones included, has.
func (t *tx) usableNetworkUUID(id string) bool {
	parsed, err := uuid.Parse(id)
	return err == nil && parsed.String() == id && t.Network(id) == nil && t.PrivateNetwork(id) == nil
}

// derivedNetworkUUID derives a UUID (RFC 9562, version 5) from pool and bridge
// name. A host may have claimed the result for another bridge; then the next
// one in a fixed sequence is taken.
func (t *tx) derivedNetworkUUID(poolUUID, bridge string) string {
	id := firstDerivedUUID(poolUUID, bridge)
	for i := 1; t.Network(id) != nil || t.PrivateNetwork(id) != nil; i++ {
		id = firstDerivedUUID(poolUUID, bridge+"#"+strconv.Itoa(i))
	}
	return id
}

func firstDerivedUUID(poolUUID, bridge string) string {
	space, err := uuid.Parse(poolUUID)
	if err != nil {
		space = uuid.NewSHA1(uuid.NameSpaceOID, []byte(poolUUID))
	}
	return uuid.NewSHA1(space, []byte(bridge)).String()
}

// renames says whether a network that got a derived UUID, because no host had
// told XAPI's yet, may still take it: nobody has referred to the network.
func (t *tx) renames(n *poolwirev1.Network, row *storev1.Bridge) bool {
	return n.GetUuid() == firstDerivedUUID(n.GetPoolUuid(), n.GetBridge()) &&
		t.usableNetworkUUID(row.GetXapiNetworkUuid()) && !t.networkIntent(n)
}
