package ovsdb

import (
	"slices"

	libovsdb "github.com/ovn-kubernetes/libovsdb/ovsdb"
)

// uuidRef refers to a row: by its uuid, or by the name it is inserted under in
// the same transaction.
type uuidRef = libovsdb.UUID

// reference to an existing row.
func reference(uuid string) uuidRef { return uuidRef{GoUUID: uuid} }

func uuidSet(refs []uuidRef) libovsdb.OvsSet {
	set := libovsdb.OvsSet{GoSet: make([]any, 0, len(refs))}
	for _, r := range refs {
		set.GoSet = append(set.GoSet, r)
	}
	return set
}

func stringSet(values []string) libovsdb.OvsSet {
	set := libovsdb.OvsSet{GoSet: make([]any, 0, len(values))}
	for _, v := range values {
		set.GoSet = append(set.GoSet, v)
	}
	return set
}

// optionalString is the set of one string, or the empty set.
func optionalString(value string) libovsdb.OvsSet {
	if value == "" {
		return stringSet(nil)
	}
	return stringSet([]string{value})
}

// optionalInt is the set of one integer, or the empty set for 0.
func optionalInt(value int64) libovsdb.OvsSet {
	if value == 0 {
		return stringSet(nil)
	}
	return libovsdb.OvsSet{GoSet: []any{int(value)}}
}

func stringMap(m map[string]string) libovsdb.OvsMap {
	out := libovsdb.OvsMap{GoMap: make(map[any]any, len(m))}
	for k, v := range m {
		out.GoMap[k] = v
	}
	return out
}

func tableMap(m map[int64]uuidRef) libovsdb.OvsMap {
	out := libovsdb.OvsMap{GoMap: make(map[any]any, len(m))}
	for n, ref := range m {
		out.GoMap[int(n)] = ref
	}
	return out
}

func whereUUID(uuid string) []libovsdb.Condition {
	return []libovsdb.Condition{libovsdb.NewCondition("_uuid", libovsdb.ConditionEqual, reference(uuid))}
}

func insertOp(table, name string, row libovsdb.Row) Operation {
	return Operation{Op: libovsdb.OperationInsert, Table: table, UUIDName: name, Row: row}
}

func updateOp(table, uuid string, row libovsdb.Row) Operation {
	return Operation{Op: libovsdb.OperationUpdate, Table: table, Where: whereUUID(uuid), Row: row}
}

func mutateOp(table, uuid string, mutations ...libovsdb.Mutation) Operation {
	return Operation{Op: libovsdb.OperationMutate, Table: table, Where: whereUUID(uuid), Mutations: mutations}
}

// waitIncludes passes when the root row's external_ids hold all pairs, whatever else
// they hold, and fails the transaction at once otherwise.
func waitIncludes(rootUUID string, pairs map[string]string) Operation {
	now := 0
	where := append(whereUUID(rootUUID), libovsdb.NewCondition("external_ids", libovsdb.ConditionIncludes, stringMap(pairs)))
	return Operation{
		Op: libovsdb.OperationWait, Table: tableOpenVSwitch, Where: where, Timeout: &now,
		Columns: []string{"_uuid"}, Until: string(libovsdb.WaitConditionEqual),
		Rows: []libovsdb.Row{{"_uuid": reference(rootUUID)}},
	}
}

// mapEdit is a change of a string map, key by key, so that keys of others stay
// even when they change at the same time.
type mapEdit struct {
	remove []string
	put    map[string]string
}

// toward plans the change from have to a map that holds all of want, and of the
// keys that mine reports no others.
func (e *mapEdit) toward(have, want map[string]string, mine func(string) bool) {
	for _, k := range names(have) {
		if _, wanted := want[k]; !wanted && mine(k) {
			e.remove = append(e.remove, k)
		}
	}
	for _, k := range names(want) {
		if was, had := have[k]; !had || was != want[k] {
			e.set(have, k, want[k])
		}
	}
}

// set plans one pair. Inserting never replaces a value, so the key goes first.
func (e *mapEdit) set(have map[string]string, key, value string) {
	if _, had := have[key]; had {
		e.remove = append(e.remove, key)
	}
	if e.put == nil {
		e.put = map[string]string{}
	}
	e.put[key] = value
}

// mutations of a column, none when nothing changes.
func (e *mapEdit) mutations(column string) []libovsdb.Mutation {
	var out []libovsdb.Mutation
	if len(e.remove) > 0 {
		slices.Sort(e.remove)
		out = append(out, *libovsdb.NewMutation(column, libovsdb.MutateOperationDelete, stringSet(e.remove)))
	}
	if len(e.put) > 0 {
		out = append(out, *libovsdb.NewMutation(column, libovsdb.MutateOperationInsert, stringMap(e.put)))
	}
	return out
}

// setEdit is a change of a set of references.
type setEdit struct{ remove, add []uuidRef }

func (e *setEdit) mutations(column string) []libovsdb.Mutation {
	var out []libovsdb.Mutation
	if len(e.remove) > 0 {
		out = append(out, *libovsdb.NewMutation(column, libovsdb.MutateOperationDelete, uuidSet(e.remove)))
	}
	if len(e.add) > 0 {
		out = append(out, *libovsdb.NewMutation(column, libovsdb.MutateOperationInsert, uuidSet(e.add)))
	}
	return out
}
