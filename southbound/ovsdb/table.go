package ovsdb

import (
	"encoding/json"
	"maps"
	"reflect"
)

// rowText is a row as it came in: column names and undecoded values.
type rowText map[string]json.RawMessage

// changeKind says what a rowChange does to a row.
type changeKind int

const (
	// changeReplace: the text is the whole row; columns left out are empty.
	changeReplace changeKind = iota
	// changeModify: the text holds the changed columns only, those that may hold
	// more than one atom as differences.
	changeModify
	// changeDelete: the row is gone.
	changeDelete
)

type rowChange struct {
	kind changeKind
	text rowText
}

// anyTable is a table whatever its row type is.
type anyTable interface {
	// name of the table.
	name() string
	// request lists the columns to monitor under a schema, none when the table
	// does not exist there, and remembers their types.
	request(*schema) ([]string, error)
	// apply carries out one row's change and reports whether anything that is
	// kept of the row differs afterwards.
	apply(uuid string, c rowChange) (bool, error)
	// rows and weight are the present number of rows and their rough size.
	size() (rows, weight int)
}

// table holds the rows of one table. It is written by one goroutine; freeze
// hands the present rows to a snapshot, and the next write works on a copy of
// the map (never of the rows that stay the same).
type table[T any] struct {
	spec   tableSpec[T]
	types  map[string]columnType
	rows   map[string]*T
	total  int
	frozen bool
}

func newTable[T any](spec tableSpec[T]) *table[T] {
	return &table[T]{spec: spec, rows: map[string]*T{}}
}

func (t *table[T]) name() string { return t.spec.name }

func (t *table[T]) size() (rows, weight int) { return len(t.rows), t.total }

func (t *table[T]) freeze() map[string]*T {
	t.frozen = true
	return t.rows
}

func (t *table[T]) request(s *schema) ([]string, error) {
	t.types = map[string]columnType{}
	var names []string
	for _, c := range t.spec.columns {
		ct, ok := s.tables[t.spec.name][c.name]
		if !ok {
			if c.need {
				return nil, violation("schema %.32q has no column %s in table %s", s.version, c.name, t.spec.name)
			}
			continue
		}
		t.types[c.name] = ct
		names = append(names, c.name)
	}
	return names, nil
}

func (t *table[T]) apply(uuid string, c rowChange) (bool, error) {
	if !isUUID(uuid) {
		return false, violation("table %s: row %.64q is not a uuid", t.spec.name, uuid)
	}
	old, had := t.rows[uuid]
	switch {
	case c.kind == changeDelete:
		if had {
			t.thaw()
			delete(t.rows, uuid)
			t.total -= t.weigh(old)
		}
		return had, nil
	case c.kind == changeModify && !had:
		return false, violation("table %s: row %s is modified but was never reported", t.spec.name, uuid)
	}
	next := new(T)
	if had {
		*next = *old
	}
	if err := t.decode(next, c); err != nil {
		return false, violation("table %s row %s: %v", t.spec.name, uuid, err)
	}
	*t.spec.uuid(next) = uuid
	if had && reflect.DeepEqual(old, next) {
		return false, nil
	}
	t.thaw()
	t.rows[uuid] = next
	t.total += t.weigh(next)
	if had {
		t.total -= t.weigh(old)
	}
	return true, nil
}

// decode changes the fields of row as c says.
func (t *table[T]) decode(row *T, c rowChange) error {
	for _, col := range t.spec.columns {
		ct, monitored := t.types[col.name]
		if !monitored {
			continue
		}
		field := col.at(row)
		raw, given := c.text[col.name]
		switch {
		case given:
			if err := assign(field, ct, raw, c.kind == changeModify); err != nil {
				return &columnError{column: col.name, err: err}
			}
			keepKeys(field, col.keep)
		case c.kind == changeReplace:
			zero(field)
		}
	}
	return nil
}

type columnError struct {
	column string
	err    error
}

func (e *columnError) Error() string { return "column " + e.column + ": " + e.err.Error() }
func (e *columnError) Unwrap() error { return e.err }

// thaw makes the map writable again after a freeze.
func (t *table[T]) thaw() {
	if t.frozen {
		t.rows = maps.Clone(t.rows)
		t.frozen = false
	}
}

func (t *table[T]) weigh(row *T) int {
	n := 256
	for _, c := range t.spec.columns {
		n += weight(c.at(row))
	}
	return n
}
