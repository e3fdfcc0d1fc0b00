package raftstore

import (
	"google.golang.org/protobuf/proto"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// resources declares all tables in the order of their numbers, which is also
// the order in a snapshot.
var resources = [...]resource{
	{
		table: TablePools, name: "pools", blank: blank[poolwirev1.Pool],
		key: keyed((*poolwirev1.Pool).GetUuid),
		indexes: map[string]func(proto.Message) []string{
			indexName:     byString((*poolwirev1.Pool).GetNameLabel),
			indexObjectID: byObjectID((*poolwirev1.Pool).GetObjectId),
		},
		stamps: func(m proto.Message) stamps {
			p := m.(*poolwirev1.Pool)
			return stamps{&p.Etag, &p.ObjectId, &p.CreateTime}
		},
	},
	{
		table: TableHosts, name: "hosts", blank: blank[poolwirev1.Host],
		key: keyed((*poolwirev1.Host).GetUuid),
		indexes: map[string]func(proto.Message) []string{
			indexName:        byString((*poolwirev1.Host).GetNameLabel),
			indexPool:        byString((*poolwirev1.Host).GetPoolUuid),
			indexSystemID:    byString((*poolwirev1.Host).GetSystemId),
			indexAddress:     byString((*poolwirev1.Host).GetAddress),
			indexCertificate: byString((*poolwirev1.Host).GetCertificateSha256),
			indexObjectID:    byObjectID((*poolwirev1.Host).GetObjectId),
		},
		stamps: func(m proto.Message) stamps {
			h := m.(*poolwirev1.Host)
			return stamps{&h.Etag, &h.ObjectId, &h.CreateTime}
		},
	},
	{
		table: TableNetworks, name: "networks", blank: blank[poolwirev1.Network],
		key: keyed((*poolwirev1.Network).GetUuid),
		indexes: map[string]func(proto.Message) []string{
			indexName:       byString((*poolwirev1.Network).GetNameLabel),
			indexPool:       byString((*poolwirev1.Network).GetPoolUuid),
			indexBridge:     byString((*poolwirev1.Network).GetBridge),
			indexPoolBridge: by(func(n *poolwirev1.Network) []string { return []string{indexKey(n.GetPoolUuid(), n.GetBridge())} }),
			indexObjectID:   byObjectID((*poolwirev1.Network).GetObjectId),
		},
		stamps: func(m proto.Message) stamps {
			n := m.(*poolwirev1.Network)
			return stamps{&n.Etag, &n.ObjectId, nil}
		},
	},
	{
		table: TablePrivateNetworks, name: "private_networks", blank: blank[poolwirev1.PrivateNetwork],
		key: keyed((*poolwirev1.PrivateNetwork).GetUuid),
		indexes: map[string]func(proto.Message) []string{
			indexName: byString((*poolwirev1.PrivateNetwork).GetNameLabel),
			indexVNI: by(func(n *poolwirev1.PrivateNetwork) []string {
				return []string{numberKey(uint64(n.GetVni()))}
			}),
			indexRelayVNI: by(relayVNIKeys),
			indexAdopted:  byString((*poolwirev1.PrivateNetwork).GetAdoptedFrom),
			indexMember:   by(memberKeys),
			indexObjectID: byObjectID((*poolwirev1.PrivateNetwork).GetObjectId),
		},
		stamps: func(m proto.Message) stamps {
			n := m.(*poolwirev1.PrivateNetwork)
			return stamps{&n.Etag, &n.ObjectId, &n.CreateTime}
		},
	},
	{
		table: TableVifs, name: "vifs", blank: blank[poolwirev1.Vif],
		key: keyed((*poolwirev1.Vif).GetUuid),
		indexes: map[string]func(proto.Message) []string{
			indexName:       byString((*poolwirev1.Vif).GetNameLabel),
			indexNetwork:    byString((*poolwirev1.Vif).GetNetworkUuid),
			indexMAC:        byString((*poolwirev1.Vif).GetMac),
			indexVM:         byString((*poolwirev1.Vif).GetVmUuid),
			indexLabel:      by(labelKeys),
			indexRestricted: by(restrictedKeys),
			indexBound:      by(boundKeys),
			indexObjectID:   byObjectID((*poolwirev1.Vif).GetObjectId),
		},
		stamps: func(m proto.Message) stamps {
			v := m.(*poolwirev1.Vif)
			return stamps{&v.Etag, &v.ObjectId, nil}
		},
	},
	{
		table: TableRules, name: "rules", blank: blank[poolwirev1.Rule],
		key: keyed((*poolwirev1.Rule).GetUuid),
		indexes: map[string]func(proto.Message) []string{
			indexVif:      byString((*poolwirev1.Rule).GetVifUuid),
			indexNetwork:  byString((*poolwirev1.Rule).GetNetworkUuid),
			indexCookie:   by(cookieKeys),
			indexIdentity: by(func(r *poolwirev1.Rule) []string { return []string{ruleIdentity(r)} }),
			indexObjectID: byObjectID((*poolwirev1.Rule).GetObjectId),
		},
		stamps: func(m proto.Message) stamps {
			r := m.(*poolwirev1.Rule)
			return stamps{&r.Etag, &r.ObjectId, &r.CreateTime}
		},
	},
	{
		table: TableBridges, name: "bridges", blank: blank[storev1.Bridge],
		key: keyed(func(b *storev1.Bridge) string { return hostKey(b.GetHostUuid(), b.GetName()) }),
		indexes: map[string]func(proto.Message) []string{
			indexHost: byString((*storev1.Bridge).GetHostUuid),
			indexName: byString((*storev1.Bridge).GetName),
		},
	},
	{
		table: TablePorts, name: "ports", blank: blank[storev1.Port],
		key: keyed(func(p *storev1.Port) string { return hostKey(p.GetHostUuid(), p.GetName()) }),
		indexes: map[string]func(proto.Message) []string{
			indexHost:          byString((*storev1.Port).GetHostUuid),
			indexVif:           byString((*storev1.Port).GetVifUuid),
			indexClaim:         byString((*storev1.Port).GetClaimedVifUuid),
			indexMAC:           by(addressKeys),
			indexAdoptable:     byString((*storev1.Port).GetAdoptableUuid),
			indexBridge:        by(func(p *storev1.Port) []string { return []string{indexKey(p.GetHostUuid(), p.GetBridge())} }),
			indexNetworkBridge: by(func(p *storev1.Port) []string { return []string{indexKey(p.GetHostUuid(), p.GetNetworkBridge())} }),
		},
	},
	{
		table: TableHostFacts, name: "host_facts", blank: blank[storev1.ObserveHost],
		wrap: func(r *row) proto.Message {
			return &storev1.ObserveHost{HostUuid: r.key, Facts: r.msg.(*storev1.HostFacts)}
		},
		unwrap: func(m proto.Message) *row {
			o := m.(*storev1.ObserveHost)
			return &row{key: o.GetHostUuid(), msg: o.GetFacts()}
		},
	},
	{
		table: TableNodes, name: "nodes", blank: blank[poolwirev1.Node],
		key: keyed((*poolwirev1.Node).GetId),
	},
	{
		table: TableRequests, name: "requests", blank: blank[storev1.Request],
		key: keyed(func(r *storev1.Request) string { return requestKey(r.GetAuthor(), r.GetId()) }),
		indexes: map[string]func(proto.Message) []string{
			indexRevision: by(func(r *storev1.Request) []string { return []string{numberKey(r.GetRevision())} }),
			indexOwner: by(func(r *storev1.Request) []string {
				return []string{indexKey(r.GetAuthor()) + numberKey(r.GetRevision())}
			}),
		},
		silent: true,
	},
	{
		table: TablePolicyRules, name: "policy_rules", blank: blank[poolwirev1.PolicyRule],
		key: keyed((*poolwirev1.PolicyRule).GetUuid),
		indexes: map[string]func(proto.Message) []string{
			indexName:     byString((*poolwirev1.PolicyRule).GetNameLabel),
			indexScope:    by(func(r *poolwirev1.PolicyRule) []string { return []string{scopeKey(r.GetLevel(), r.GetScopeUuid())} }),
			indexRemote:   by(remoteKeys),
			indexObjectID: byObjectID((*poolwirev1.PolicyRule).GetObjectId),
		},
		stamps: func(m proto.Message) stamps {
			r := m.(*poolwirev1.PolicyRule)
			return stamps{&r.Etag, &r.ObjectId, &r.CreateTime}
		},
	},
	{
		table: TableAddressGroups, name: "address_groups", blank: blank[poolwirev1.AddressGroup],
		key: keyed((*poolwirev1.AddressGroup).GetUuid),
		indexes: map[string]func(proto.Message) []string{
			indexName:     byString((*poolwirev1.AddressGroup).GetNameLabel),
			indexNested:   by(func(g *poolwirev1.AddressGroup) []string { return indexKeys(g.GetGroups()) }),
			indexObjectID: byObjectID((*poolwirev1.AddressGroup).GetObjectId),
		},
		stamps: func(m proto.Message) stamps {
			g := m.(*poolwirev1.AddressGroup)
			return stamps{&g.Etag, &g.ObjectId, &g.CreateTime}
		},
	},
	{
		table: TableVifGroups, name: "vif_groups", blank: blank[poolwirev1.VifGroup],
		key: keyed((*poolwirev1.VifGroup).GetUuid),
		indexes: map[string]func(proto.Message) []string{
			indexName:     byString((*poolwirev1.VifGroup).GetNameLabel),
			indexNested:   by(func(g *poolwirev1.VifGroup) []string { return indexKeys(g.GetGroups()) }),
			indexObjectID: byObjectID((*poolwirev1.VifGroup).GetObjectId),
		},
		stamps: func(m proto.Message) stamps {
			g := m.(*poolwirev1.VifGroup)
			return stamps{&g.Etag, &g.ObjectId, &g.CreateTime}
		},
	},
	{
		table: TablePendingChanges, name: "pending_changes", blank: blank[storev1.PendingChange],
		key: keyed((*storev1.PendingChange).GetId),
		indexes: map[string]func(proto.Message) []string{
			indexObject: by(pendingObjects),
			indexClaim:  by(pendingClaims),
			indexNeed:   by(pendingNeeds),
		},
	},
	{
		table: TablePairKeys, name: "pair_keys", blank: blank[storev1.PairKey],
		key: keyed(func(k *storev1.PairKey) string { return hostKey(k.GetHostA(), k.GetHostB()) }),
		indexes: map[string]func(proto.Message) []string{
			indexHost: by(func(k *storev1.PairKey) []string { return indexKeys([]string{k.GetHostA(), k.GetHostB()}) }),
		},
	},
	{
		table: TableRelays, name: "relays", blank: blank[storev1.Relay],
		key: keyed(func(r *storev1.Relay) string { return hostKey(r.GetPrivateNetworkUuid(), r.GetPoolUuid()) }),
		indexes: map[string]func(proto.Message) []string{
			indexNetwork: byString((*storev1.Relay).GetPrivateNetworkUuid),
			indexHost:    by(relayHosts),
		},
	},
	{
		table: TableProtections, name: "protections", blank: blank[storev1.Protection],
		key: keyed(func(p *storev1.Protection) string {
			return protectionKey(p.GetHostA(), p.GetHostB(), p.GetEncapsulation())
		}),
		indexes: map[string]func(proto.Message) []string{
			indexHost: by(func(p *storev1.Protection) []string { return indexKeys([]string{p.GetHostA(), p.GetHostB()}) }),
		},
	},
	{
		table: TableSubscriptions, name: "subscriptions", blank: blank[storev1.Subscription],
		key: keyed(subscriptionKey),
		indexes: map[string]func(proto.Message) []string{
			indexNetwork: byString((*storev1.Subscription).GetPrivateNetworkUuid),
			indexVif:     byString((*storev1.Subscription).GetVifUuid),
		},
	},
	{
		table: TableSettings, name: "settings", blank: blank[poolwirev1.ClusterSettings],
		key: keyed(func(*poolwirev1.ClusterSettings) string { return settingsKey }),
	},
	{
		table: TableBackupParts, name: "backup_parts", blank: blank[storev1.BackupPart],
		key:    keyed(func(p *storev1.BackupPart) string { return partKey(p.GetId(), p.GetIndex()) }),
		silent: true,
	},
	{
		table: TableAudit, name: "audit", blank: blank[storev1.AuditEntry],
		key:    keyed(func(e *storev1.AuditEntry) string { return auditKey(e.GetSequence()) }),
		silent: true,
	},
	{
		table: TableTokens, name: "tokens", blank: blank[storev1.Token],
		key:     keyed(func(t *storev1.Token) string { return t.GetToken().GetId() }),
		indexes: map[string]func(proto.Message) []string{indexOwner: by(func(t *storev1.Token) []string { return []string{indexKey(t.GetToken().GetOwner())} })},
	},
	{
		table: TableGrants, name: "grants", blank: blank[poolwirev1.Grant],
		key: keyed((*poolwirev1.Grant).GetUuid),
		indexes: map[string]func(proto.Message) []string{
			indexOwner: byString((*poolwirev1.Grant).GetPrincipal),
			indexScope: by(func(g *poolwirev1.Grant) []string { return indexKeys(grantScope(g)) }),
		},
	},
	{
		table: TableCertificates, name: "certificates", blank: blank[poolwirev1.Certificate],
		key: keyed(func(c *poolwirev1.Certificate) string { return certificateKey(c.GetIssuer(), c.GetSerial()) }),
		indexes: map[string]func(proto.Message) []string{
			indexName: byString((*poolwirev1.Certificate).GetName),
		},
	},
	{
		table: TableTrustAnchors, name: "trust_anchors", blank: blank[storev1.TrustAnchors],
		key: keyed(func(*storev1.TrustAnchors) string { return settingsKey }),
	},
}
