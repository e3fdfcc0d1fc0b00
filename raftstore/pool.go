package raftstore

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// Pools returns all pools.
func (v *View) Pools() []*poolwirev1.Pool { return all[*poolwirev1.Pool](v, TablePools) }

// Pool returns a pool by UUID.
func (v *View) Pool(uuid string) *poolwirev1.Pool { return get[*poolwirev1.Pool](v, TablePools, uuid) }

// PoolByName returns a pool by name_label, which is unique.
func (v *View) PoolByName(name string) *poolwirev1.Pool {
	return find[*poolwirev1.Pool](v, TablePools, indexName, indexKey(name))
}

// defaultGrace is Pool.controller_grace when it is not set.
const defaultGrace = time.Minute

func (t *tx) putPool(c *storev1.PutPool) (Result, error) {
	p := proto.CloneOf(c.GetPool())
	if p == nil {
		return Result{}, &InvalidError{Field: "pool", Reason: "is required"}
	}
	if err := firstError(checkKey("uuid", p.GetUuid()), checkName(p.GetNameLabel()), checkDescription(p.GetNameDescription())); err != nil {
		return Result{}, err
	}
	old := t.Pool(p.GetUuid())
	switch {
	case c.GetCreate() && old != nil:
		return Result{}, &ExistsError{Kind: KindPool, Field: "uuid", Value: p.GetUuid(), By: p.GetUuid()}
	case !c.GetCreate() && old == nil:
		return Result{}, &NotFoundError{Kind: KindPool, ID: p.GetUuid()}
	}
	if err := checkEtag(KindPool, p.GetUuid(), old.GetEtag(), p.GetEtag()); err != nil {
		return Result{}, err
	}
	if other := t.PoolByName(p.GetNameLabel()); other != nil && other.GetUuid() != p.GetUuid() {
		return Result{}, &ExistsError{Kind: KindPool, Field: "name_label", Value: p.GetNameLabel(), By: other.GetUuid()}
	}
	if p.GetFailMode() == poolwirev1.FailMode_FAIL_MODE_UNSPECIFIED {
		p.FailMode = poolwirev1.FailMode_FAIL_MODE_STANDALONE
	}
	if p.GetControllerGrace() == nil {
		p.ControllerGrace = durationpb.New(defaultGrace)
	}
	t.put(TablePools, p)
	return wrote(p.GetUuid()), nil
}

// deletePool removes a pool without hosts, with everything that only hung on
// it: memberships in private networks, networks kept by intent, their rules.
func (t *tx) deletePool(c *storev1.Delete) (Result, error) {
	uuid := c.GetUuid()
	p := t.Pool(uuid)
	if p == nil {
		return Result{}, &NotFoundError{Kind: KindPool, ID: uuid}
	}
	if err := checkEtag(KindPool, uuid, p.GetEtag(), c.GetEtag()); err != nil {
		return Result{}, err
	}
	if n := len(t.HostsByPool(uuid)); n > 0 {
		return Result{}, &PreconditionError{Kind: KindPool, ID: uuid, Reason: fmt.Sprintf("%d hosts belong to it", n)}
	}
	t.dropMember(memberPool, uuid)
	for _, n := range t.NetworksByPool(uuid) {
		t.dropRules(t.RulesByNetwork(n.GetUuid()))
		t.dropPolicyRules(poolwirev1.PolicyLevel_POLICY_LEVEL_NETWORK, n.GetUuid())
		t.del(TableNetworks, n.GetUuid())
	}
	t.dropPolicyRules(poolwirev1.PolicyLevel_POLICY_LEVEL_POOL, uuid)
	t.del(TablePools, uuid)
	return wrote(uuid), nil
}
