package raftstore

import (
	"strconv"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// PolicyRules returns all policy rules.
func (v *View) PolicyRules() []*poolwirev1.PolicyRule {
	return all[*poolwirev1.PolicyRule](v, TablePolicyRules)
}

// PolicyRule returns a policy rule by UUID.
func (v *View) PolicyRule(uuid string) *poolwirev1.PolicyRule {
	return get[*poolwirev1.PolicyRule](v, TablePolicyRules, uuid)
}

// PolicyRulesByName returns the policy rules with a name_label, which need not be unique.
func (v *View) PolicyRulesByName(name string) []*poolwirev1.PolicyRule {
	return list[*poolwirev1.PolicyRule](v, TablePolicyRules, indexName, indexKey(name))
}

// PolicyRulesByScope returns the policy rules of a scope; the UUID is empty for GLOBAL.
func (v *View) PolicyRulesByScope(level poolwirev1.PolicyLevel, scopeUUID string) []*poolwirev1.PolicyRule {
	return list[*poolwirev1.PolicyRule](v, TablePolicyRules, indexScope, scopeKey(level, scopeUUID))
}

func scopeKey(level poolwirev1.PolicyLevel, uuid string) string {
	return indexKey(strconv.Itoa(int(level)), uuid)
}

// remoteKeys are the groups that a rule names as its other end.
func remoteKeys(r *poolwirev1.PolicyRule) []string {
	var groups []string
	for _, g := range []string{r.GetRemoteAddressGroupUuid(), r.GetRemoteVifGroupUuid()} {
		if g != "" {
			groups = append(groups, g)
		}
	}
	return indexKeys(groups)
}

// indexKeys are the index keys of several values, each once.
func indexKeys(values []string) []string {
	seen := make(map[string]struct{}, len(values))
	keys := make([]string, 0, len(values))
	for _, v := range values {
		if _, again := seen[v]; !again && v != "" {
			seen[v] = struct{}{}
			keys = append(keys, indexKey(v))
		}
	}
	return keys
}

// maxPolicyRules bounds the rules of a VIF or of a VIF group.
const maxPolicyRules = 16_384

// mostRules bounds the rules of one scope: what one list of the switch can rank at its
// level. The levels further out apply to more VIFs, and have less room.
func mostRules(level poolwirev1.PolicyLevel) int {
	switch level {
	case poolwirev1.PolicyLevel_POLICY_LEVEL_GLOBAL, poolwirev1.PolicyLevel_POLICY_LEVEL_POOL:
		return 8_000
	case poolwirev1.PolicyLevel_POLICY_LEVEL_NETWORK:
		return 12_000
	}
	return maxPolicyRules
}

func (t *tx) putPolicyRule(c *storev1.PutPolicyRule) (Result, error) {
	r := proto.CloneOf(c.GetPolicyRule())
	if r == nil {
		return Result{}, &InvalidError{Field: "policy_rule", Reason: "is required"}
	}
	uuid := r.GetUuid()
	if err := firstError(checkKey("uuid", uuid), checkLabelAndText(r.GetNameLabel(), r.GetDescription()), checkRuleLists(r)); err != nil {
		return Result{}, err
	}
	old := t.PolicyRule(uuid)
	switch {
	case c.GetCreate() && old != nil:
		return Result{}, &ExistsError{Kind: KindPolicyRule, Field: "uuid", Value: uuid, By: uuid}
	case !c.GetCreate() && old == nil:
		return Result{}, &NotFoundError{Kind: KindPolicyRule, ID: uuid}
	}
	if err := checkEtag(KindPolicyRule, uuid, old.GetEtag(), r.GetEtag()); err != nil {
		return Result{}, err
	}
	if old != nil {
		if err := firstError(checkUnchanged("level", old.GetLevel().String(), r.GetLevel().String()),
			checkUnchanged("scope_uuid", old.GetScopeUuid(), r.GetScopeUuid())); err != nil {
			return Result{}, err
		}
	}
	if err := firstError(t.checkScope(r), t.checkRemotes(r)); err != nil {
		return Result{}, err
	}
	if old == nil && t.scopeIsFull(r) {
		return Result{}, &PreconditionError{Kind: KindPolicyRule, ID: uuid, Reason: "its scope has " + strconv.Itoa(mostRules(r.GetLevel())) + " rules already, the most there can be"}
	}
	t.settlePolicyRule(r, old)
	t.put(TablePolicyRules, r)
	return wrote(uuid), nil
}

// scopeIsFull says whether the scope of a rule takes no more. It counts only where as
// many objects were ever made.
func (t *tx) scopeIsFull(r *poolwirev1.PolicyRule) bool {
	if t.header.GetLastObjectId() < uint32(mostRules(r.GetLevel())) {
		return false
	}
	n := 0
	for range t.each(resourceOf(TablePolicyRules).name, indexScope, scopeKey(r.GetLevel(), r.GetScopeUuid())) {
		n++
	}
	return n >= mostRules(r.GetLevel())
}

// checkRuleLists refuses lists that are too long.
func checkRuleLists(r *poolwirev1.PolicyRule) error {
	return firstError(
		checkCount("remote_prefixes", len(r.GetRemotePrefixes()), maxRulePrefixes),
		checkCount("local_ports", len(r.GetLocalPorts()), maxRulePorts),
		checkCount("remote_ports", len(r.GetRemotePorts()), maxRulePorts),
		checkCount("vlans", len(r.GetVlans()), maxRuleVlans))
}

// settlePolicyRule fills in what is the store's. A rule that stays as it is keeps its
// author; one that has expired is in force again with another time to expire.
func (t *tx) settlePolicyRule(r, old *poolwirev1.PolicyRule) {
	if r.GetSection() == poolwirev1.PolicySection_POLICY_SECTION_UNSPECIFIED {
		r.Section = poolwirev1.PolicySection_POLICY_SECTION_DEFAULT
	}
	if r.Enabled == nil {
		r.Enabled = proto.Bool(true)
	}
	r.Realization, r.Warnings = nil, nil
	r.Expired = old.GetExpired() && proto.Equal(old.GetExpireTime(), r.GetExpireTime())
	t.expireDue(r)
	if old != nil {
		r.Author = old.GetAuthor()
		r.ObjectId, r.Etag, r.CreateTime = old.GetObjectId(), old.GetEtag(), old.GetCreateTime()
		if proto.Equal(r, old) {
			return
		}
	}
	r.Author = t.author
}

// expireDue takes a rule out of force whose time has come by the command's time, and
// says whether it is in force.
func (t *tx) expireDue(r *poolwirev1.PolicyRule) {
	r.Expired = r.GetExpired() || (r.GetExpireTime() != nil && !r.GetExpireTime().AsTime().After(t.time.AsTime()))
	r.Active = r.GetEnabled() && !r.GetExpired()
}

// checkLabelAndText refuses a name_label or description that is too long.
func checkLabelAndText(name, description string) error {
	switch {
	case utf8.RuneCountInString(name) > maxNameLabel:
		return &InvalidError{Field: "name_label", Value: name, Reason: "must have at most 128 characters"}
	case utf8.RuneCountInString(description) > maxDescription:
		return &InvalidError{Field: "description", Value: description, Reason: "must have at most 1024 characters"}
	}
	return nil
}

// checkScope refuses a scope that is not there.
func (t *tx) checkScope(r *poolwirev1.PolicyRule) error {
	id := r.GetScopeUuid()
	var known bool
	switch r.GetLevel() {
	case poolwirev1.PolicyLevel_POLICY_LEVEL_GLOBAL:
		if id != "" {
			return &InvalidError{Field: "scope_uuid", Value: id, Reason: "must be empty for GLOBAL"}
		}
		return nil
	case poolwirev1.PolicyLevel_POLICY_LEVEL_POOL:
		known = t.Pool(id) != nil
	case poolwirev1.PolicyLevel_POLICY_LEVEL_NETWORK:
		known = t.Network(id) != nil || t.PrivateNetwork(id) != nil
	case poolwirev1.PolicyLevel_POLICY_LEVEL_VIF_GROUP:
		known = t.VifGroup(id) != nil
	case poolwirev1.PolicyLevel_POLICY_LEVEL_VIF:
		known = t.Vif(id) != nil
	default:
		return &InvalidError{Field: "level", Value: r.GetLevel().String(), Reason: "is required"}
	}
	if !known {
		return &InvalidError{Field: "scope_uuid", Value: id, Reason: "names nothing of this level"}
	}
	return nil
}

// checkRemotes refuses groups that are not there.
func (t *tx) checkRemotes(r *poolwirev1.PolicyRule) error {
	if g := r.GetRemoteAddressGroupUuid(); g != "" && t.AddressGroup(g) == nil {
		return &InvalidError{Field: "remote_address_group_uuid", Value: g, Reason: "names no address group"}
	}
	if g := r.GetRemoteVifGroupUuid(); g != "" && t.VifGroup(g) == nil {
		return &InvalidError{Field: "remote_vif_group_uuid", Value: g, Reason: "names no VIF group"}
	}
	return nil
}

func (t *tx) deletePolicyRule(c *storev1.Delete) (Result, error) {
	uuid := c.GetUuid()
	r := t.PolicyRule(uuid)
	if r == nil {
		return Result{}, &NotFoundError{Kind: KindPolicyRule, ID: uuid}
	}
	if err := checkEtag(KindPolicyRule, uuid, r.GetEtag(), c.GetEtag()); err != nil {
		return Result{}, err
	}
	t.del(TablePolicyRules, uuid)
	t.forgetScope(r)
	return wrote(uuid), nil
}

// forgetScope drops a VIF or a network that was known for the sake of the rule only.
func (t *tx) forgetScope(r *poolwirev1.PolicyRule) {
	switch r.GetLevel() {
	case poolwirev1.PolicyLevel_POLICY_LEVEL_VIF:
		t.tidyVif(r.GetScopeUuid())
	case poolwirev1.PolicyLevel_POLICY_LEVEL_NETWORK:
		t.tidyNetwork(r.GetScopeUuid())
	}
}

// dropPolicyRules removes the rules of a scope, and nothing that hung on them.
func (t *tx) dropPolicyRules(level poolwirev1.PolicyLevel, scope string) {
	for _, r := range t.PolicyRulesByScope(level, scope) {
		t.del(TablePolicyRules, r.GetUuid())
	}
}

// hasPolicyRules says whether a scope has rules.
func (t *tx) hasPolicyRules(level poolwirev1.PolicyLevel, scope string) bool {
	return t.has(TablePolicyRules, indexScope, scopeKey(level, scope))
}

// expirePolicyRules takes the rules out of force whose time has come.
func (t *tx) expirePolicyRules(c *storev1.ExpirePolicyRules) (Result, error) {
	var res Result
	for _, uuid := range c.GetUuids() {
		old := t.PolicyRule(uuid)
		if old == nil || old.GetExpired() || old.GetExpireTime() == nil || old.GetExpireTime().AsTime().After(t.time.AsTime()) {
			continue
		}
		r := proto.CloneOf(old)
		r.Expired, r.Active = true, false
		t.put(TablePolicyRules, r)
		res.UUIDs = append(res.UUIDs, uuid)
	}
	return res, nil
}
