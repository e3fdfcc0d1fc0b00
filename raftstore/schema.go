package raftstore

import (
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"
)

// Names of indexes.
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
	indexRestricted    = "restricted"
	indexBound         = "bound"
	indexOwner         = "owner"
)

// metaTable holds one row, the snapshot header of the state: revision, cluster
// and last object id. It is the header of a snapshot, not one of its records.
const metaTable = "meta"

// schema says which indexes the tables have.
type schema struct {
	tables map[string]*tableSchema
	// size is the number of indexes of all tables.
	size int
}

// tableSchema is one table.
type tableSchema struct {
	// primary is the index by the rows' keys. It alone is unique: a row replaces the one
	// with its key, and commands check before whether they may.
	primary indexSchema
	others  []indexSchema
}

// indexSchema is one index.
type indexSchema struct {
	name string
	// at is its place among those of all tables.
	at int
	// keys computes the encoded keys of a message; nil for the primary one. A message without
	// keys is left out.
	keys func(proto.Message) []string
}

// newSchema builds the schema from the declarations.
func newSchema() *schema {
	s := &schema{tables: map[string]*tableSchema{}}
	s.add(metaTable, nil)
	for i := range resources {
		s.add(resources[i].name, resources[i].indexes)
	}
	return s
}

func (s *schema) add(table string, indexes map[string]func(proto.Message) []string) {
	t := &tableSchema{primary: indexSchema{name: indexID, at: s.size}}
	s.size++
	for _, name := range slices.Sorted(maps.Keys(indexes)) {
		t.others = append(t.others, indexSchema{name: name, at: s.size, keys: indexes[name]})
		s.size++
	}
	s.tables[table] = t
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
