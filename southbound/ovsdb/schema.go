package ovsdb

import (
	"encoding/json"
	"fmt"
)

// database is the only database Poolwire uses.
const database = "Open_vSwitch"

// atomType is a scalar type of RFC 7047, 3.1.
type atomType string

const (
	atomString  atomType = "string"
	atomInteger atomType = "integer"
	atomReal    atomType = "real"
	atomBoolean atomType = "boolean"
	atomUUID    atomType = "uuid"
)

// columnType is what is needed of a column's type: that of its atoms, whether
// it is a map, and whether it may hold more than one of them. The last decides
// how update2 writes a change: as the new value, or as a difference.
type columnType struct {
	key, value atomType
	many       bool
}

// schema says which tables and columns a host's database has.
type schema struct {
	version string
	tables  map[string]map[string]columnType
}

// has reports whether a column exists. The nil schema has everything, so that
// a Snapshot made by hand stands for a current host.
func (s *schema) has(table, column string) bool {
	if s == nil {
		return true
	}
	_, ok := s.tables[table][column]
	return ok
}

// parseSchema reads the answer to get_schema (RFC 7047, 3.2).
func parseSchema(raw json.RawMessage) (*schema, error) {
	var in struct {
		Name    string `json:"name"`
		Version string `json:"version"`
		Tables  map[string]struct {
			Columns map[string]struct {
				Type json.RawMessage `json:"type"`
			} `json:"columns"`
		} `json:"tables"`
	}
	if err := json.Unmarshal(raw, &in); err != nil {
		return nil, violation("schema: %v", err)
	}
	if in.Name != database {
		return nil, violation("asked for the schema of %s, got that of %.64q", database, in.Name)
	}
	s := &schema{version: in.Version, tables: make(map[string]map[string]columnType, len(in.Tables))}
	for name, t := range in.Tables {
		columns := make(map[string]columnType, len(t.Columns))
		for column, c := range t.Columns {
			ct, err := parseColumnType(c.Type)
			if err != nil {
				return nil, violation("schema of %.64q column %.64q: %v", name, column, err)
			}
			columns[column] = ct
		}
		s.tables[name] = columns
	}
	return s, nil
}

func parseColumnType(raw json.RawMessage) (columnType, error) {
	var short atomType
	if json.Unmarshal(raw, &short) == nil {
		return columnType{key: short}, short.check()
	}
	var full struct {
		Key   json.RawMessage `json:"key"`
		Value json.RawMessage `json:"value"`
		Max   json.RawMessage `json:"max"`
	}
	if err := json.Unmarshal(raw, &full); err != nil {
		return columnType{}, err
	}
	key, err := parseBaseType(full.Key)
	if err != nil {
		return columnType{}, err
	}
	// Any max other than the default, 1, is more: an integer or "unlimited".
	ct := columnType{key: key, many: full.Max != nil && string(full.Max) != "1"}
	if full.Value != nil {
		ct.value, err = parseBaseType(full.Value)
	}
	return ct, err
}

func parseBaseType(raw json.RawMessage) (atomType, error) {
	var short atomType
	if json.Unmarshal(raw, &short) == nil {
		return short, short.check()
	}
	var full struct {
		Type atomType `json:"type"`
	}
	if err := json.Unmarshal(raw, &full); err != nil {
		return "", err
	}
	return full.Type, full.Type.check()
}

func (t atomType) check() error {
	switch t {
	case atomString, atomInteger, atomReal, atomBoolean, atomUUID:
		return nil
	}
	return fmt.Errorf("unknown type %.64q", string(t))
}
