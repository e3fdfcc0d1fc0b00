package controller

import (
	"fmt"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

func putPolicyRule(r *poolwirev1.PolicyRule, create bool) *storev1.Command {
	return &storev1.Command{Body: &storev1.Command_PutPolicyRule{PutPolicyRule: &storev1.PutPolicyRule{PolicyRule: r, Create: create}}}
}

func deletePolicyRule(uuid string) *storev1.Command {
	return &storev1.Command{Body: &storev1.Command_DeletePolicyRule{DeletePolicyRule: &storev1.Delete{Uuid: uuid}}}
}

func putAddressGroup(g *poolwirev1.AddressGroup, create bool) *storev1.Command {
	return &storev1.Command{Body: &storev1.Command_PutAddressGroup{PutAddressGroup: &storev1.PutAddressGroup{AddressGroup: g, Create: create}}}
}

func putVifGroup(g *poolwirev1.VifGroup, create bool) *storev1.Command {
	return &storev1.Command{Body: &storev1.Command_PutVifGroup{PutVifGroup: &storev1.PutVifGroup{VifGroup: g, Create: create}}}
}

func modifyGroup(uuid string, add, remove []string) *storev1.Command {
	return &storev1.Command{Body: &storev1.Command_ModifyGroup{ModifyGroup: &storev1.ModifyGroup{Uuid: uuid, Add: add, Remove: remove}}}
}

// few are the address groups, and the VIF groups, of a random world.
const few = 3

func addressGroup(n int) string { return uuidOf("abab", n) }
func vifGroup(n int) string     { return uuidOf("cdcd", n) }

// randomVif is the whole intent for a VIF.
func (w *world) randomVif(t *rapid.T, uuid string) *poolwirev1.Vif {
	v := &poolwirev1.Vif{
		Uuid: uuid, LockingMode: poolwirev1.LockingMode(rapid.IntRange(1, 4).Draw(t, "mode")),
		Ipv4Allowed: rapid.SampledFrom([][]string{nil, {"10.9.0.1"}, {"10.9.0.1", "10.9.0.2"}, {"10.9.0.2"}, {"10.9.0.0/24"}}).Draw(t, "allowed"),
		Labels:      rapid.SampledFrom([]map[string]string{nil, {"app": "web"}, {"app": "db", "tier": "back"}}).Draw(t, "labels"),
		Isolation:   poolwirev1.Isolation(rapid.IntRange(1, 3).Draw(t, "isolation")),
		Qos:         &poolwirev1.Qos{OutboundBps: uint64(1000 * rapid.IntRange(0, 2).Draw(t, "limit"))},
	}
	if v.Isolation == poolwirev1.Isolation_ISOLATION_COMMUNITY {
		v.Community = rapid.SampledFrom([]string{"a", "b"}).Draw(t, "community")
	}
	if rapid.IntRange(0, 2).Draw(t, "pair") == 0 {
		v.AllowedAddressPairs = []*poolwirev1.AddressPair{{Mac: macOf(9), Address: rapid.SampledFrom([]string{"10.9.0.9", "10.9.0.2"}).Draw(t, "pair address")}}
		v.VirtualRouters = []*poolwirev1.VirtualRouter{{Vrid: 5, Addresses: []string{"10.9.0.254"}}}
	}
	return v
}

// randomPolicyRule makes, changes or removes a policy rule.
func (w *world) randomPolicyRule(t *rapid.T, vif string) *storev1.Command {
	r := &poolwirev1.PolicyRule{
		Uuid: uuidOf("efef", rapid.IntRange(1, 12).Draw(t, "policy rule")), NameLabel: "r",
		Action:    poolwirev1.RuleAction(rapid.IntRange(1, 3).Draw(t, "action")),
		Section:   poolwirev1.PolicySection(rapid.IntRange(1, 2).Draw(t, "section")),
		Direction: poolwirev1.TrafficDirection(rapid.IntRange(1, 3).Draw(t, "direction")),
		Protocol:  rapid.SampledFrom([]string{"tcp", "tcp", "tcp", "arp"}).Draw(t, "protocol"), Stateless: rapid.Bool().Draw(t, "stateless"), Enabled: proto.Bool(rapid.IntRange(0, 3).Draw(t, "disabled") > 0),
		Level: poolwirev1.PolicyLevel(rapid.IntRange(1, 5).Draw(t, "level")),
	}
	switch rapid.IntRange(0, 3).Draw(t, "remote") {
	case 0:
		r.RemotePrefixes = []string{"10.0.0.0/8"}
	case 1:
		r.RemoteAddressGroupUuid = addressGroup(rapid.IntRange(1, few).Draw(t, "address group"))
	case 2:
		r.RemoteVifGroupUuid = vifGroup(rapid.IntRange(1, few).Draw(t, "VIF group"))
	}
	old := w.view().PolicyRule(r.Uuid)
	if old != nil {
		if rapid.IntRange(0, 2).Draw(t, "remove") == 0 {
			return deletePolicyRule(r.Uuid)
		}
		r.Level, r.ScopeUuid = old.GetLevel(), old.GetScopeUuid()
		return putPolicyRule(r, false)
	}
	switch r.Level {
	case poolwirev1.PolicyLevel_POLICY_LEVEL_POOL:
		r.ScopeUuid = uuidOf("aaaa", rapid.IntRange(1, 2).Draw(t, "pool"))
	case poolwirev1.PolicyLevel_POLICY_LEVEL_NETWORK:
		r.ScopeUuid = uuidOf("cccc", rapid.IntRange(1, 2).Draw(t, "private network"))
		if networks := w.view().Networks(); len(networks) > 0 && rapid.Bool().Draw(t, "external") {
			r.ScopeUuid = pick(t, "network", networks).GetUuid()
		}
	case poolwirev1.PolicyLevel_POLICY_LEVEL_VIF_GROUP:
		r.ScopeUuid = vifGroup(rapid.IntRange(1, few).Draw(t, "scope"))
	case poolwirev1.PolicyLevel_POLICY_LEVEL_VIF:
		r.ScopeUuid = vif
	}
	return putPolicyRule(r, true)
}

// randomGroup makes or changes a group.
func (w *world) randomGroup(t *rapid.T, vif string) *storev1.Command {
	n := rapid.IntRange(1, few).Draw(t, "group")
	if rapid.Bool().Draw(t, "of addresses") {
		uuid := addressGroup(n)
		if w.view().AddressGroup(uuid) != nil && rapid.Bool().Draw(t, "modify") {
			return modifyGroup(uuid, []string{fmt.Sprintf("10.7.0.%d", rapid.IntRange(1, 3).Draw(t, "member"))}, []string{"10.8.0.0/24"})
		}
		g := &poolwirev1.AddressGroup{Uuid: uuid, NameLabel: fmt.Sprintf("addresses%d", n), Addresses: []string{"10.8.0.0/24"}}
		if n > 1 && rapid.Bool().Draw(t, "nested") {
			g.Groups = []string{addressGroup(n - 1)}
		}
		return putAddressGroup(g, w.view().AddressGroup(uuid) == nil)
	}
	uuid := vifGroup(n)
	if w.view().VifGroup(uuid) != nil && rapid.Bool().Draw(t, "modify") {
		if rapid.Bool().Draw(t, "add") {
			return modifyGroup(uuid, []string{vif}, nil)
		}
		return modifyGroup(uuid, nil, []string{vif})
	}
	g := &poolwirev1.VifGroup{
		Uuid: uuid, NameLabel: fmt.Sprintf("vifs%d", n), Selector: rapid.SampledFrom([]string{"", "app=web", "tier,app!=web", "!app"}).Draw(t, "selector"),
		VifUuids: rapid.SampledFrom([][]string{nil, {vif}}).Draw(t, "members"),
	}
	if n > 1 && rapid.Bool().Draw(t, "nested") {
		g.Groups = []string{vifGroup(n - 1)}
	}
	return putVifGroup(g, w.view().VifGroup(uuid) == nil)
}

// randomRemoval removes a group, if nothing names it.
func (w *world) randomRemoval(t *rapid.T) *storev1.Command {
	n := rapid.IntRange(1, few).Draw(t, "group")
	if rapid.Bool().Draw(t, "of addresses") {
		return &storev1.Command{Body: &storev1.Command_DeleteAddressGroup{DeleteAddressGroup: &storev1.Delete{Uuid: addressGroup(n)}}}
	}
	return &storev1.Command{Body: &storev1.Command_DeleteVifGroup{DeleteVifGroup: &storev1.Delete{Uuid: vifGroup(n)}}}
}
