package policytext

import (
	"strconv"

	v1 "poolwire/proto/poolwire/v1"
)

// defaultPriority is a rule's priority when none is set.
const defaultPriority = 32768

// Entry describes a policy rule as a line of an effective policy. Its match is
// that of the rule's own direction. warnings are left to the caller.
func Entry(names Names, r *v1.PolicyRule) *v1.PolicyEntry {
	return &v1.PolicyEntry{
		RuleUuid: r.GetUuid(), NameLabel: r.GetNameLabel(), Level: r.GetLevel(), Section: section(r), Scope: Scope(names, r),
		Priority: priority(r.Priority), Action: r.GetAction(), Match: Match(names, r, r.GetDirection()),
		Author: r.GetAuthor(), Revision: revision(r.GetEtag()),
	}
}

// CompatEntry describes a rule of XCP-ng's form as a line of an effective policy.
func CompatEntry(names Names, r *v1.Rule) *v1.PolicyEntry {
	return &v1.PolicyEntry{
		RuleUuid: r.GetUuid(), Compat: true, Scope: compatScope(names, r), Priority: priority(r.Priority),
		Action: compatAction(r), Match: CompatMatch(r, r.GetDirection()), Author: r.GetAuthor(), Revision: revision(r.GetEtag()),
	}
}

// Scope is what the scope of a policy rule is called: the name_label of the pool,
// network, group or VIF, or its UUID when it has none; empty for GLOBAL.
func Scope(names Names, r *v1.PolicyRule) string {
	id := r.GetScopeUuid()
	switch r.GetLevel() {
	case v1.PolicyLevel_POLICY_LEVEL_POOL:
		return nameOr(id, names.Pool(id))
	case v1.PolicyLevel_POLICY_LEVEL_NETWORK:
		return network(names, id)
	case v1.PolicyLevel_POLICY_LEVEL_VIF_GROUP:
		return nameOr(id, names.VifGroup(id))
	case v1.PolicyLevel_POLICY_LEVEL_VIF:
		return nameOr(id, names.Vif(id))
	}
	return ""
}

// network is what a network or a private network is called.
func network(names Names, id string) string {
	if n := names.Network(id); n != nil {
		return nameOr(id, n)
	}
	return nameOr(id, names.PrivateNetwork(id))
}

func compatScope(names Names, r *v1.Rule) string {
	if id := r.GetVifUuid(); id != "" {
		return nameOr(id, names.Vif(id))
	}
	if r.GetMac() != "" {
		return r.GetMac() + " on " + network(names, r.GetNetworkUuid())
	}
	return network(names, r.GetNetworkUuid())
}

// section gives the section its default.
func section(r *v1.PolicyRule) v1.PolicySection {
	if r.GetSection() == v1.PolicySection_POLICY_SECTION_UNSPECIFIED {
		return v1.PolicySection_POLICY_SECTION_DEFAULT
	}
	return r.GetSection()
}

func priority(p *uint32) uint32 {
	if p == nil {
		return defaultPriority
	}
	return *p
}

// revision is the revision of an object's last change.
func revision(etag string) uint64 {
	n, err := strconv.ParseUint(etag, 10, 64)
	if err != nil {
		return 0
	}
	return n
}
