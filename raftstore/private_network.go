package raftstore

import (
	"fmt"
	"strconv"

	"google.golang.org/protobuf/proto"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// PrivateNetworks returns all private networks.
func (v *View) PrivateNetworks() []*poolwirev1.PrivateNetwork {
	return all[*poolwirev1.PrivateNetwork](v, TablePrivateNetworks)
}

// PrivateNetwork returns a private network by UUID.
func (v *View) PrivateNetwork(uuid string) *poolwirev1.PrivateNetwork {
	return get[*poolwirev1.PrivateNetwork](v, TablePrivateNetworks, uuid)
}

// PrivateNetworkByName returns a private network by name_label, which is
// unique.
func (v *View) PrivateNetworkByName(name string) *poolwirev1.PrivateNetwork {
	return find[*poolwirev1.PrivateNetwork](v, TablePrivateNetworks, indexName, indexKey(name))
}

// PrivateNetworkByVNI returns a private network by tunnel key, that of traffic to be
// passed on included: no two networks have the same.
func (v *View) PrivateNetworkByVNI(vni uint32) *poolwirev1.PrivateNetwork {
	if n := find[*poolwirev1.PrivateNetwork](v, TablePrivateNetworks, indexVNI, numberKey(uint64(vni))); n != nil {
		return n
	}
	return find[*poolwirev1.PrivateNetwork](v, TablePrivateNetworks, indexRelayVNI, numberKey(uint64(vni)))
}

func (t *tx) putPrivateNetwork(c *storev1.PutPrivateNetwork) (Result, error) {
	n := proto.CloneOf(c.GetPrivateNetwork())
	if n == nil {
		return Result{}, &InvalidError{Field: "private_network", Reason: "is required"}
	}
	n.Hosts, n.Realization, n.EffectiveMtu, n.Relays, n.Warnings = nil, nil, 0, nil, nil
	if err := firstError(checkKey("uuid", n.GetUuid()), checkName(n.GetNameLabel()), checkDescription(n.GetNameDescription())); err != nil {
		return Result{}, err
	}
	old := t.PrivateNetwork(n.GetUuid())
	switch {
	case c.GetCreate() && (old != nil || t.Network(n.GetUuid()) != nil):
		return Result{}, &ExistsError{Kind: KindPrivateNetwork, Field: "uuid", Value: n.GetUuid(), By: n.GetUuid()}
	case !c.GetCreate() && old == nil:
		return Result{}, &NotFoundError{Kind: KindPrivateNetwork, ID: n.GetUuid()}
	}
	if err := checkEtag(KindPrivateNetwork, n.GetUuid(), old.GetEtag(), n.GetEtag()); err != nil {
		return Result{}, err
	}
	if other := t.PrivateNetworkByName(n.GetNameLabel()); other != nil && other.GetUuid() != n.GetUuid() {
		return Result{}, &ExistsError{Kind: KindPrivateNetwork, Field: "name_label", Value: n.GetNameLabel(), By: other.GetUuid()}
	}
	if err := t.settlePrivateNetwork(n, old); err != nil {
		return Result{}, err
	}
	if err := t.checkMembers(n); err != nil {
		return Result{}, err
	}
	if err := t.settleOverlay(n, old); err != nil {
		return Result{}, err
	}
	if old != nil && n.GetDefaultLockingMode() != old.GetDefaultLockingMode() && !c.GetForce() {
		if err := t.checkUnattached(KindPrivateNetwork, n.GetUuid(), t.vifsOnPrivate(old)); err != nil {
			return Result{}, err
		}
	}
	t.put(TablePrivateNetworks, n)
	t.refreshCarriers(old)
	t.refreshCarriers(n)
	return wrote(n.GetUuid()), nil
}

// vifsOnPrivate are the VIFs on the networks that carry a private network.
func (t *tx) vifsOnPrivate(n *poolwirev1.PrivateNetwork) []*poolwirev1.Vif {
	var out []*poolwirev1.Vif
	for _, carrier := range t.Networks() {
		if carrier.GetPrivateNetworkUuid() == n.GetUuid() {
			out = append(out, t.VifsByNetwork(carrier.GetUuid())...)
		}
	}
	return out
}

// settlePrivateNetwork gives the fields that are fixed after creation their
// values, and the others their defaults.
func (t *tx) settlePrivateNetwork(n, old *poolwirev1.PrivateNetwork) error {
	n.DefaultLockingMode = lockingDefault(n.GetDefaultLockingMode())
	if t.meaning >= meaningPolicies {
		n.DefaultInboundAction, n.DefaultOutboundAction = actionDefault(n.GetDefaultInboundAction()), actionDefault(n.GetDefaultOutboundAction())
	}
	if old != nil {
		return t.keepFixed(n, old)
	}
	if n.GetEncapsulation() == poolwirev1.Encapsulation_ENCAPSULATION_UNSPECIFIED {
		n.Encapsulation = poolwirev1.Encapsulation_ENCAPSULATION_VXLAN
	}
	switch vni := n.GetVni(); {
	case vni == 0:
		free, err := t.lowestFreeVNI()
		if err != nil {
			return err
		}
		n.Vni = free
	case vni > maxVNI:
		return &InvalidError{Field: "vni", Value: strconv.FormatUint(uint64(vni), 10), Reason: "must be 1 to 16777215"}
	default:
		if other := t.PrivateNetworkByVNI(vni); other != nil {
			return &ExistsError{Kind: KindPrivateNetwork, Field: "vni", Value: strconv.FormatUint(uint64(vni), 10), By: other.GetUuid()}
		}
	}
	if n.GetBridge() == "" {
		n.Bridge = "pw" + strconv.FormatUint(uint64(n.GetVni()), 10)
	}
	return nil
}

// keepFixed fills what an update left out and refuses what it must not change.
func (t *tx) keepFixed(n, old *poolwirev1.PrivateNetwork) error {
	if n.GetVni() == 0 {
		n.Vni = old.GetVni()
	}
	if n.GetEncapsulation() == poolwirev1.Encapsulation_ENCAPSULATION_UNSPECIFIED {
		n.Encapsulation = old.GetEncapsulation()
	}
	if n.GetBridge() == "" {
		n.Bridge = old.GetBridge()
	}
	return firstError(
		checkUnchanged("vni", strconv.FormatUint(uint64(old.GetVni()), 10), strconv.FormatUint(uint64(n.GetVni()), 10)),
		checkUnchanged("encapsulation", old.GetEncapsulation().String(), n.GetEncapsulation().String()),
		checkUnchanged("bridge", old.GetBridge(), n.GetBridge()),
	)
}

// lowestFreeVNI walks the VNIs in order up to the first gap; relay VNIs and those that
// undoing a pending change gives back are in use.
func (t *tx) lowestFreeVNI() (uint32, error) {
	free := uint32(1)
	skip := func() {
		for key := numberKey(uint64(free)); t.has(TablePendingChanges, indexClaim, claim(claimVNI, key)) ||
			t.has(TablePrivateNetworks, indexRelayVNI, key); key = numberKey(uint64(free)) {
			free++
		}
	}
	for r := range t.each(resourceOf(TablePrivateNetworks).name, indexVNI, "") {
		vni := r.msg.(*poolwirev1.PrivateNetwork).GetVni()
		if free < vni {
			skip()
		}
		if free < vni {
			break
		}
		free = vni + 1
	}
	skip()
	if free > maxVNI {
		return 0, &InvalidError{Field: "vni", Value: "0", Reason: "cannot be chosen: all are in use"}
	}
	return free, nil
}

// deletePrivateNetwork removes a private network and the rules on it.
func (t *tx) deletePrivateNetwork(c *storev1.Delete) (Result, error) {
	uuid := c.GetUuid()
	n := t.PrivateNetwork(uuid)
	if n == nil {
		return Result{}, &NotFoundError{Kind: KindPrivateNetwork, ID: uuid}
	}
	if err := checkEtag(KindPrivateNetwork, uuid, n.GetEtag(), c.GetEtag()); err != nil {
		return Result{}, err
	}
	t.dropRules(t.RulesByNetwork(uuid))
	t.dropPolicyRules(poolwirev1.PolicyLevel_POLICY_LEVEL_NETWORK, uuid)
	t.del(TablePrivateNetworks, uuid)
	t.refreshCarriers(n)
	return wrote(uuid), nil
}

// checkMembers refuses members that do not exist, that appear twice or beside
// their own pool, and a second private network on one bridge of one host.
func (t *tx) checkMembers(n *poolwirev1.PrivateNetwork) error {
	seen := map[string]int{}
	for i, m := range n.GetMembers() {
		field := fmt.Sprintf("members[%d]", i)
		if len(m.GetBridge()) > maxBridgeName || len(n.GetBridge()) > maxBridgeName {
			return &InvalidError{Field: field + ".bridge", Value: memberBridge(n, m), Reason: "must have 1 to 15 characters"}
		}
		key, err := t.checkTarget(field, m, seen)
		if err != nil {
			return err
		}
		seen[key] = i
	}
	for i, m := range n.GetMembers() {
		if key := m.GetHostUuid(); key != "" {
			if at, ok := seen[memberPool+t.Host(key).GetPoolUuid()]; ok {
				return &InvalidError{Field: fmt.Sprintf("members[%d].host_uuid", i), Value: key,
					Reason: fmt.Sprintf("belongs to the pool of members[%d]", at)}
			}
		}
		if err := t.checkCarrier(n, m, fmt.Sprintf("members[%d]", i)); err != nil {
			return err
		}
	}
	return nil
}

// checkTarget returns the member key of a target that exists and is new.
func (t *tx) checkTarget(field string, m *poolwirev1.PrivateNetworkMember, seen map[string]int) (string, error) {
	var key, name, value string
	switch target := m.GetTarget().(type) {
	case *poolwirev1.PrivateNetworkMember_PoolUuid:
		name, value, key = field+".pool_uuid", target.PoolUuid, memberPool+target.PoolUuid
		if t.Pool(value) == nil {
			return "", &InvalidError{Field: name, Value: value, Reason: "names no pool"}
		}
	case *poolwirev1.PrivateNetworkMember_HostUuid:
		name, value, key = field+".host_uuid", target.HostUuid, memberHost+target.HostUuid
		if t.Host(value) == nil {
			return "", &InvalidError{Field: name, Value: value, Reason: "names no host"}
		}
	default:
		return "", &InvalidError{Field: field, Reason: "needs pool_uuid or host_uuid"}
	}
	if at, ok := seen[key]; ok {
		return "", &InvalidError{Field: name, Value: value, Reason: fmt.Sprintf("is members[%d] already", at)}
	}
	return key, nil
}

// checkCarrier refuses a member whose bridge carries another private network
// on any of the member's hosts, those that are yet to join a pool included.
func (t *tx) checkCarrier(n *poolwirev1.PrivateNetwork, m *poolwirev1.PrivateNetworkMember, field string) error {
	bridge := memberBridge(n, m)
	for _, key := range t.overlapping(m) {
		for _, other := range list[*poolwirev1.PrivateNetwork](&t.View, TablePrivateNetworks, indexMember, indexKey(key)) {
			if other.GetUuid() == n.GetUuid() {
				continue
			}
			for _, om := range other.GetMembers() {
				if memberKey(om) == key && memberBridge(other, om) == bridge {
					return &InvalidError{Field: field + ".bridge", Value: bridge,
						Reason: fmt.Sprintf("carries the private network %q there", other.GetNameLabel())}
				}
			}
		}
	}
	return nil
}
