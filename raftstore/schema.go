package raftstore

import (
	"github.com/hashicorp/go-memdb"
	"google.golang.org/protobuf/proto"
)

// Names of indexes. None ends in "_prefix", which memdb takes for a request.
const (
	indexID            = "id"
	indexName          = "name"
	indexPool          = "pool"
	indexHost          = "host"
	indexSystemID      = "system_id"
	indexAddress       = "address"
	indexCertificate   = "certificate"
	indexBridge        = "bridge"
	indexPoolBridge    = "pool_bridge"
	indexNetworkBridge = "network_bridge"
	indexVNI           = "vni"
	indexMember        = "member"
	indexNetwork       = "network"
	indexMAC           = "mac"
	indexVM            = "vm"
	indexVif           = "vif"
	indexCookie        = "cookie"
	indexIdentity      = "identity"
	indexRevision      = "revision"
	indexObjectID      = "object_id"
	indexScope         = "scope"
	indexRemote        = "remote"
	indexNested        = "nested"
	indexObject        = "object"
	indexClaim         = "claim"
	indexNeed          = "need"
	indexLabel         = "label"
	indexRelayVNI      = "relay_vni"
	indexAdopted       = "adopted_from"
	indexAdoptable     = "adoptable"
)

// metaTable holds one row, the snapshot header of the state: revision, cluster
// and last object id. It is the header of a snapshot, not one of its records.
const metaTable = "meta"

// schema builds the memdb schema from the declarations. Only the primary index
// is unique for memdb: it would overwrite silently, so commands check first.
func schema() *memdb.DBSchema {
	s := &memdb.DBSchema{Tables: map[string]*memdb.TableSchema{
		metaTable: tableSchema(metaTable, nil),
	}}
	for _, r := range resources {
		s.Tables[r.name] = tableSchema(r.name, r.indexes)
	}
	return s
}

func tableSchema(name string, indexes map[string]func(proto.Message) []string) *memdb.TableSchema {
	t := &memdb.TableSchema{Name: name, Indexes: map[string]*memdb.IndexSchema{
		indexID: {Name: indexID, Unique: true, Indexer: idIndexer{}},
	}}
	for n, keys := range indexes {
		t.Indexes[n] = &memdb.IndexSchema{Name: n, AllowMissing: true, Indexer: valueIndexer{keys}}
	}
	return t
}

// message is a pointer to T that is a protobuf message.
type message[T any] interface {
	*T
	proto.Message
}

func blank[T any, M message[T]]() proto.Message { return M(new(T)) }

func keyed[M proto.Message](get func(M) string) func(proto.Message) string {
	return func(m proto.Message) string { return get(m.(M)) }
}

func by[M proto.Message](keys func(M) []string) func(proto.Message) []string {
	return func(m proto.Message) []string { return keys(m.(M)) }
}

// byString indexes by one string field; empty values are left out.
func byString[M proto.Message](get func(M) string) func(proto.Message) []string {
	return func(m proto.Message) []string {
		if v := get(m.(M)); v != "" {
			return []string{indexKey(v)}
		}
		return nil
	}
}

func byObjectID[M proto.Message](get func(M) uint32) func(proto.Message) []string {
	return func(m proto.Message) []string { return []string{numberKey(uint64(get(m.(M))))} }
}

// hostKey is the key of what a host has by name. A host's UUID holds no "/".
func hostKey(hostUUID, name string) string { return hostUUID + "/" + name }
