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

// putNetwork changes the intent for a known network (setNetworkIntent). The rest
// stays as it was observed.
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
	setNetworkIntent(n, in)
	if t.meaning >= meaningPolicies {
		n.DefaultInboundAction, n.DefaultOutboundAction = actionDefault(n.GetDefaultInboundAction()), actionDefault(n.GetDefaultOutboundAction())
	}
	if n.GetDefaultLockingMode() != lockingDefault(old.GetDefaultLockingMode()) && !c.GetForce() {
		if err := t.checkUnattached(KindNetwork, n.GetUuid(), t.VifsByNetwork(n.GetUuid())); err != nil {
			return Result{}, err
		}
	}
	t.put(TableNetworks, n)
	t.tidyNetwork(n.GetUuid())
	return wrote(n.GetUuid()), nil
}

// setNetworkIntent copies what an operator may ask of a network.
func setNetworkIntent(n, in *poolwirev1.Network) {
	n.NameLabel = in.GetNameLabel()
	if n.GetNameLabel() == "" {
		n.NameLabel = n.GetBridge()
	}
	n.DefaultLockingMode = lockingDefault(in.GetDefaultLockingMode())
	n.DefaultInboundAction, n.DefaultOutboundAction = in.GetDefaultInboundAction(), in.GetDefaultOutboundAction()
	n.RaGuard, n.DhcpGuard = in.GetRaGuard(), in.GetDhcpGuard()
}

// actionDefault gives DefaultAction its default.
func actionDefault(a poolwirev1.DefaultAction) poolwirev1.DefaultAction {
	if a == poolwirev1.DefaultAction_DEFAULT_ACTION_UNSPECIFIED {
		return poolwirev1.DefaultAction_DEFAULT_ACTION_ALLOW
	}
	return a
}

// checkUnattached refuses to change what VIFs are held to while some are attached
// (XAPI: VIF_IN_USE).
func (t *tx) checkUnattached(kind Kind, uuid string, vifs []*poolwirev1.Vif) error {
	if t.meaning < meaningPolicies {
		return nil
	}
	for _, v := range vifs {
		if t.has(TablePorts, indexVif, indexKey(v.GetUuid())) {
			return &PreconditionError{Kind: kind, ID: uuid,
				Reason: "default_locking_mode cannot change while VIFs are attached, unless forced; attached is VIF " + v.GetUuid()}
		}
	}
	return nil
}

// networkIntent says whether an operator said anything about a network.
func (t *tx) networkIntent(n *poolwirev1.Network) bool {
	return n.GetNameLabel() != n.GetBridge() ||
		n.GetDefaultLockingMode() == poolwirev1.DefaultLockingMode_DEFAULT_LOCKING_MODE_DISABLED ||
		t.held(objectRef{TableNetworks, n.GetUuid()}) ||
		n.GetDefaultInboundAction() == poolwirev1.DefaultAction_DEFAULT_ACTION_DROP ||
		n.GetDefaultOutboundAction() == poolwirev1.DefaultAction_DEFAULT_ACTION_DROP || n.GetRaGuard() || n.GetDhcpGuard() ||
		t.hasPolicyRules(poolwirev1.PolicyLevel_POLICY_LEVEL_NETWORK, n.GetUuid()) ||
		t.has(TableRules, indexNetwork, indexKey(n.GetUuid()))
}

// tidyNetwork forgets a network after a command took the last intent for it away;
// one that may be undone leaves that to its confirmation.
func (t *tx) tidyNetwork(uuid string) {
	if !t.confirming {
		t.forgetNetwork(uuid)
	}
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
	n := &poolwirev1.Network{
		Uuid:               id,
		NameLabel:          row.GetName(),
		PoolUuid:           host.GetPoolUuid(),
		Bridge:             row.GetName(),
		DefaultLockingMode: poolwirev1.DefaultLockingMode_DEFAULT_LOCKING_MODE_UNLOCKED,
	}
	if t.meaning >= meaningPolicies {
		n.DefaultInboundAction, n.DefaultOutboundAction = poolwirev1.DefaultAction_DEFAULT_ACTION_ALLOW, poolwirev1.DefaultAction_DEFAULT_ACTION_ALLOW
	}
	return n
}

// usableNetworkUUID says whether a network may take the UUID a host tells: a
// UUID in canonical form that no network, private ones included, has.
func (t *tx) usableNetworkUUID(id string) bool {
	parsed, err := uuid.Parse(id)
	return err == nil && parsed.String() == id && !t.networkUUIDTaken(id)
}

// networkUUIDTaken says whether a network or private network has a UUID, or gets it
// back when a pending change is undone.
func (t *tx) networkUUIDTaken(id string) bool {
	return t.Network(id) != nil || t.PrivateNetwork(id) != nil || t.has(TablePendingChanges, indexClaim, claim(claimNetworkUUID, id))
}

// derivedNetworkUUID derives a UUID (RFC 9562, version 5) from pool and bridge
// name. A host may have claimed the result for another bridge; then the next
// one in a fixed sequence is taken.
func (t *tx) derivedNetworkUUID(poolUUID, bridge string) string {
	id := firstDerivedUUID(poolUUID, bridge)
	for i := 1; t.networkUUIDTaken(id); i++ {
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
