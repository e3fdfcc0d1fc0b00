package raftstore

import (
	"slices"

	"google.golang.org/protobuf/proto"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// auditChanges puts into a record what a command has changed of what was asked for.
func (t *tx) auditChanges(r *storev1.AuditRecord, c *storev1.Command, res Result) {
	if restore := c.GetRestoreBackup(); restore != nil {
		// The whole state is another one; its objects are not written down one by one.
		r.Break = restore.GetStep() == storev1.RestoreStep_RESTORE_STEP_COMMIT
		r.ReplacedSequence, r.ReplacedHash = t.replaced.Head, t.replaced.HeadHash
		return
	}
	bytes := 0
	for _, change := range t.changes {
		if !isAudited(change, c, res) {
			continue
		}
		a := t.auditChange(change)
		bytes += proto.Size(a)
		if len(r.GetChanges()) == maxAuditChanges || bytes > maxAuditRecord {
			bytes = maxAuditRecord // what follows would be out of order
			r.Omitted++
			r.Break = r.GetBreak() || intentOf(change.Table) != nil
			continue
		}
		r.Changes = append(r.Changes, a)
	}
}

// auditing is what is recorded of the objects of a table.
type auditing int

const (
	// auditUnsettled is for tables that nobody has thought about: that an object was made, changed or removed is recorded,
	// and what it is called.
	auditUnsettled auditing = iota
	// auditNothing is for what hosts report, and for what the store itself needs.
	auditNothing
	// auditWhole records the object before and after, as auditImage gives it.
	auditWhole
)

func auditingOf(t Table) auditing {
	switch t {
	case TableBridges, TablePorts, TableHostFacts, TableRequests, TablePendingChanges, TableRelays, TableProtections,
		TableSubscriptions, TableBackupParts, TableAudit:
		return auditNothing
	case TablePools, TableHosts, TableNetworks, TablePrivateNetworks, TableVifs, TableRules, TablePolicyRules, TableAddressGroups,
		TableVifGroups, TableNodes, TablePairKeys, TableSettings, TableCertificates, TableTrustAnchors, TableTokens, TableGrants:
		return auditWhole
	}
	return auditUnsettled
}

// AuditedTable tells whether changes of a table's objects are recorded.
func AuditedTable(t Table) bool { return auditingOf(t) != auditNothing }

// isAudited tells whether a change is of what somebody asked for, the controller included. What hosts report is not,
// but for the certificate that a host is known by from now on.
func isAudited(c Change, cmd *storev1.Command, res Result) bool {
	if c.Before == nil && c.After == nil {
		return false
	}
	if auditingOf(c.Table) == auditNothing {
		return false
	}
	asked := cmd.GetOrigin() != nil
	switch c.Table {
	case TablePairKeys:
		return asked
	case TableNodes:
		return asked || c.Before == nil || c.After == nil
	case TableHosts:
		was, _ := c.Before.(*poolwirev1.Host)
		is, _ := c.After.(*poolwirev1.Host)
		return cmd.GetObserveHost() == nil || was.GetCertificateSha256() != is.GetCertificateSha256()
	case TableVifs, TableNetworks:
		switch {
		case cmd.GetObserveHost() != nil:
			return false
		case c.Before != nil && c.After != nil:
			return isIntent(c, false)
		}
		return slices.Contains(res.UUIDs, c.Key) || hasIntent(c.Before) || hasIntent(c.After)
	}
	return true
}

// hasIntent tells whether anything was asked for of a VIF or a network.
func hasIntent(m proto.Message) bool {
	switch m := m.(type) {
	case *poolwirev1.Vif:
		none := proto.CloneOf(m)
		setVifIntent(none, &poolwirev1.Vif{})
		return !proto.Equal(none, m)
	case *poolwirev1.Network:
		none := proto.CloneOf(m)
		setNetworkIntent(none, &poolwirev1.Network{
			DefaultInboundAction: actionDefault(0), DefaultOutboundAction: actionDefault(0),
		})
		return !proto.Equal(none, m)
	}
	return false
}

// auditChange is what is recorded of a change.
func (t *tx) auditChange(c Change) *storev1.AuditChange {
	a := &storev1.AuditChange{Table: uint32(c.Table), Key: clipWord(c.Key), Made: c.Before == nil, Removed: c.After == nil, Name: clipWord(nameOf(c.After))}
	if c.After == nil {
		a.Name = clipWord(nameOf(c.Before))
	}
	before, after := auditImage(c.Before), auditImage(c.After)
	if c.Before != nil && c.After != nil {
		before, after = delta(a, before, after)
	}
	if before != nil {
		a.Before = t.encode(before)
	}
	if after != nil {
		a.After = t.encode(after)
	}
	return a
}

// auditImage is what of an object is recorded: never a secret, and nothing that hosts report over and over. nil for
// objects of which only the key and the name are.
func auditImage(m proto.Message) proto.Message {
	switch m := m.(type) {
	case *poolwirev1.Vif:
		v := proto.CloneOf(m)
		v.Locations, v.ObservedLabels, v.Realization, v.Warnings = nil, nil, nil, nil
		return v
	case *storev1.PairKey:
		return &storev1.PairKey{HostA: m.GetHostA(), HostB: m.GetHostB(), Generation: m.GetGeneration(), CreateTime: m.GetCreateTime(), RotatedBy: m.GetRotatedBy()}
	case *storev1.Token:
		return &storev1.Token{Token: m.GetToken()} // without the hash of its secret
	case *poolwirev1.Grant, *poolwirev1.Pool, *poolwirev1.Host, *poolwirev1.Network, *poolwirev1.PrivateNetwork, *poolwirev1.Rule, *poolwirev1.PolicyRule,
		*poolwirev1.AddressGroup, *poolwirev1.VifGroup, *poolwirev1.Node, *poolwirev1.ClusterSettings, *poolwirev1.Certificate, *storev1.TrustAnchors:
		return m
	}
	return nil
}

// delta replaces the members of a group by those that have come and gone, and returns the rest of the group.
func delta(c *storev1.AuditChange, before, after proto.Message) (restBefore, restAfter proto.Message) {
	was, is := membersOf(before), membersOf(after)
	if was == nil || is == nil {
		return before, after
	}
	added, lost := without(*is, *was), without(*was, *is)
	if earlier, err := replay(before, *is, added, lost); err != nil || !slices.Equal(earlier, *was) {
		return before, after // a list that cannot be made from the other one is kept
	}
	restBefore, restAfter = proto.Clone(before), proto.Clone(after)
	*membersOf(restBefore), *membersOf(restAfter) = nil, nil
	c.Added, c.Lost, c.Apart = added, lost, true
	return restBefore, restAfter
}

// membersOf is the list of a group that may be long; nil for other objects.
func membersOf(m proto.Message) *[]string {
	switch g := m.(type) {
	case *poolwirev1.AddressGroup:
		return &g.Addresses
	case *poolwirev1.VifGroup:
		return &g.VifUuids
	}
	return nil
}

// replay is the list of members of a group before some came and others went, in the order of the store.
func replay(group proto.Message, now, added, lost []string) ([]string, error) {
	out := append(without(now, added), lost...)
	if _, addresses := group.(*poolwirev1.AddressGroup); addresses {
		return canonicalAddresses("addresses", out)
	}
	return sortedOnce(out), nil
}
