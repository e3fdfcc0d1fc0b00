package raftstore

import (
	"google.golang.org/protobuf/proto"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// intentOf returns the function that takes an object back to what an operator had
// asked for: it copies the intent of an earlier version into the present one and
// keeps what has been observed since. nil for tables that hold no intent. The
// arguments are not changed; the result may be the earlier version itself.
func intentOf(t Table) func(now, before proto.Message) proto.Message {
	switch t {
	case TablePools, TableHosts, TablePrivateNetworks, TableRules, TablePolicyRules, TableAddressGroups, TableVifGroups:
		return func(_, before proto.Message) proto.Message { return before }
	case TableNetworks:
		return func(now, before proto.Message) proto.Message {
			n := proto.CloneOf(now.(*poolwirev1.Network))
			setNetworkIntent(n, before.(*poolwirev1.Network))
			return n
		}
	case TableVifs:
		return func(now, before proto.Message) proto.Message {
			v := proto.CloneOf(now.(*poolwirev1.Vif))
			setVifIntent(v, before.(*poolwirev1.Vif))
			return v
		}
	}
	return nil
}

// imageOf decodes what an object was before a change; nil when the change made it,
// or when it is no object of a table with intent.
func imageOf(o *storev1.ChangedObject) proto.Message {
	if len(o.GetBefore()) == 0 {
		return nil
	}
	var m proto.Message
	switch Table(o.GetTable()) {
	case TablePools:
		m = new(poolwirev1.Pool)
	case TableHosts:
		m = new(poolwirev1.Host)
	case TableNetworks:
		m = new(poolwirev1.Network)
	case TablePrivateNetworks:
		m = new(poolwirev1.PrivateNetwork)
	case TableVifs:
		m = new(poolwirev1.Vif)
	case TableRules:
		m = new(poolwirev1.Rule)
	case TablePolicyRules:
		m = new(poolwirev1.PolicyRule)
	case TableAddressGroups:
		m = new(poolwirev1.AddressGroup)
	case TableVifGroups:
		m = new(poolwirev1.VifGroup)
	default:
		return nil
	}
	if proto.Unmarshal(o.GetBefore(), m) != nil {
		return nil
	}
	return m
}

// claim is a value that no two objects may have, as an index key.
func claim(kind, value string) string { return indexKey(kind, value) }

// Kinds of claims that observation asks about.
const (
	claimSystemID    = "system_id"
	claimCertificate = "certificate_sha256"
	claimNetworkUUID = "network uuid"
	claimVNI         = "vni"
	claimAdopted     = "adopted_from"
)

// claimsOf are the values that an object keeps others from having.
func claimsOf(m proto.Message) []string {
	switch m := m.(type) {
	case *poolwirev1.Pool:
		return []string{claim("pool", m.GetNameLabel())}
	case *poolwirev1.Host:
		out := []string{claim("host", m.GetNameLabel())}
		for _, c := range []struct{ kind, value string }{
			{"address", m.GetAddress()}, {claimSystemID, m.GetSystemId()}, {claimCertificate, m.GetCertificateSha256()},
		} {
			if c.value != "" {
				out = append(out, claim(c.kind, c.value))
			}
		}
		return out
	case *poolwirev1.Network:
		return []string{claim(claimNetworkUUID, m.GetUuid())}
	case *poolwirev1.PrivateNetwork:
		out := []string{claim("private network", m.GetNameLabel()), claim(claimVNI, numberKey(uint64(m.GetVni()))), claim(claimNetworkUUID, m.GetUuid())}
		for _, key := range relayVNIKeys(m) {
			out = append(out, claim(claimVNI, key))
		}
		if m.GetAdoptedFrom() != "" {
			out = append(out, claim(claimAdopted, m.GetAdoptedFrom()))
		}
		return out
	case *poolwirev1.Rule:
		return []string{claim("rule", ruleIdentity(m))}
	case *poolwirev1.AddressGroup:
		return []string{claim("address group", m.GetNameLabel())}
	case *poolwirev1.VifGroup:
		return []string{claim("VIF group", m.GetNameLabel())}
	}
	return nil
}

// objectRef names an object.
type objectRef struct {
	table Table
	key   string
}

// needsOf are the objects that an object cannot be without. Of a network that may be
// a private one, both are named.
func needsOf(m proto.Message) []objectRef {
	switch m := m.(type) {
	case *poolwirev1.Host:
		return []objectRef{{TablePools, m.GetPoolUuid()}}
	case *poolwirev1.Network:
		return []objectRef{{TablePools, m.GetPoolUuid()}}
	case *poolwirev1.PrivateNetwork:
		var out []objectRef
		for _, member := range m.GetMembers() {
			if uuid := member.GetPoolUuid(); uuid != "" {
				out = append(out, objectRef{TablePools, uuid})
			} else {
				out = append(out, objectRef{TableHosts, member.GetHostUuid()})
			}
			out = append(out, refsTo(TableHosts, member.GetPreferredHubs())...)
		}
		if center := m.GetPreferredCenter(); center != "" {
			out = append(out, objectRef{TableHosts, center})
		}
		return out
	case *poolwirev1.Rule:
		if m.GetVifUuid() != "" {
			return []objectRef{{TableVifs, m.GetVifUuid()}}
		}
		return networkRefs(m.GetNetworkUuid())
	case *poolwirev1.PolicyRule:
		out := scopeRefs(m)
		if g := m.GetRemoteAddressGroupUuid(); g != "" {
			out = append(out, objectRef{TableAddressGroups, g})
		}
		if g := m.GetRemoteVifGroupUuid(); g != "" {
			out = append(out, objectRef{TableVifGroups, g})
		}
		return out
	case *poolwirev1.AddressGroup:
		return refsTo(TableAddressGroups, m.GetGroups())
	case *poolwirev1.VifGroup:
		return refsTo(TableVifGroups, m.GetGroups())
	}
	return nil
}

// scopeRefs is the scope of a policy rule.
func scopeRefs(r *poolwirev1.PolicyRule) []objectRef {
	switch r.GetLevel() {
	case poolwirev1.PolicyLevel_POLICY_LEVEL_POOL:
		return []objectRef{{TablePools, r.GetScopeUuid()}}
	case poolwirev1.PolicyLevel_POLICY_LEVEL_NETWORK:
		return networkRefs(r.GetScopeUuid())
	case poolwirev1.PolicyLevel_POLICY_LEVEL_VIF_GROUP:
		return []objectRef{{TableVifGroups, r.GetScopeUuid()}}
	case poolwirev1.PolicyLevel_POLICY_LEVEL_VIF:
		return []objectRef{{TableVifs, r.GetScopeUuid()}}
	}
	return nil
}

func networkRefs(uuid string) []objectRef {
	return []objectRef{{TableNetworks, uuid}, {TablePrivateNetworks, uuid}}
}

func refsTo(table Table, keys []string) []objectRef {
	out := make([]objectRef, len(keys))
	for i, key := range keys {
		out[i] = objectRef{table, key}
	}
	return out
}
