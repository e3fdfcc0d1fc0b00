package raftstore

import (
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Table numbers a table of the state. The numbers are written into snapshots:
// they start at 1, only grow and are never reused.
type Table uint32

// The tables, and what Change.Key and the messages of a Change are in each.
const (
	// TablePools holds *poolwirev1.Pool by UUID.
	TablePools Table = 1
	// TableHosts holds *poolwirev1.Host by UUID.
	TableHosts Table = 2
	// TableNetworks holds *poolwirev1.Network by UUID.
	TableNetworks Table = 3
	// TablePrivateNetworks holds *poolwirev1.PrivateNetwork by UUID.
	TablePrivateNetworks Table = 4
	// TableVifs holds *poolwirev1.Vif by UUID.
	TableVifs Table = 5
	// TableRules holds *poolwirev1.Rule by UUID.
	TableRules Table = 6
	// TableBridges holds *storev1.Bridge by host UUID, "/" and name.
	TableBridges Table = 7
	// TablePorts holds *storev1.Port by host UUID, "/" and interface name.
	TablePorts Table = 8
	// TableHostFacts holds *storev1.HostFacts by host UUID.
	TableHostFacts Table = 9
	// TableNodes holds *poolwirev1.Node by id.
	TableNodes Table = 10
	// TableRequests holds *storev1.Request by author and request id. Its changes are not
	// part of change sets.
	TableRequests Table = 11
	// TablePolicyRules holds *poolwirev1.PolicyRule by UUID.
	TablePolicyRules Table = 12
	// TableAddressGroups holds *poolwirev1.AddressGroup by UUID.
	TableAddressGroups Table = 13
	// TableVifGroups holds *poolwirev1.VifGroup by UUID.
	TableVifGroups Table = 14
	// TablePendingChanges holds *storev1.PendingChange by id.
	TablePendingChanges Table = 15
	// TablePairKeys holds *storev1.PairKey by the UUIDs of its hosts, the lesser one, "/" and
	// the other.
	TablePairKeys Table = 16
	// TableRelays holds *storev1.Relay by private network UUID, "/" and pool UUID.
	TableRelays Table = 17
	// TableProtections holds *storev1.Protection by the UUIDs of its hosts as in TablePairKeys,
	// "/" and Interface.type.
	TableProtections Table = 18
	// TableSubscriptions holds *storev1.Subscription by private network UUID, "/", group, "/" and
	// VIF UUID.
	TableSubscriptions Table = 19
	// TableSettings holds one *poolwirev1.ClusterSettings.
	TableSettings Table = 20
	// TableBackupParts holds *storev1.BackupPart by restore, "/" and number. Its changes are not
	// part of change sets.
	TableBackupParts Table = 21
	// TableAudit holds *storev1.AuditEntry by number. Its changes are not part of change sets.
	TableAudit Table = 22
	// TableTokens holds *storev1.Token by id.
	TableTokens Table = 23
	// TableGrants holds *poolwirev1.Grant by UUID.
	TableGrants Table = 24
	// TableCertificates holds *poolwirev1.Certificate by issuer, "/" and serial.
	TableCertificates Table = 25
	// TableTrustAnchors holds one *storev1.TrustAnchors.
	TableTrustAnchors Table = 26
)

// String returns the table's name, "table N" for an unknown one.
func (t Table) String() string {
	if r := resourceOf(t); r != nil {
		return r.name
	}
	return fmt.Sprintf("table %d", uint32(t))
}

// stamps points at the output fields the store itself keeps in a message.
type stamps struct {
	etag    *string
	id      *uint32
	created **timestamppb.Timestamp // nil where the kind has no create_time
}

// resource declares one table: everything the generic code needs to know.
type resource struct {
	table Table
	// name is the table's name, for people too.
	name string
	// blank makes an empty message, for restoring.
	blank func() proto.Message
	// key derives the key from the message. nil where the message does not
	// hold its key (HostFacts); wrap and unwrap then carry it in snapshots.
	key func(proto.Message) string
	// indexes by name; each gives the encoded keys of a message.
	indexes map[string]func(proto.Message) []string
	// stamps finds the output fields; nil where the kind has none.
	stamps func(proto.Message) stamps
	// wrap and unwrap change between a row and the message kept in snapshots;
	// nil where they are the same.
	wrap   func(*row) proto.Message
	unwrap func(proto.Message) *row
	// silent tables do not appear in change sets.
	silent bool
}

// resourceOf returns the declaration of a table, nil for an unknown one.
func resourceOf(t Table) *resource {
	if t == 0 || int(t) > len(resources) {
		return nil
	}
	return &resources[t-1]
}
