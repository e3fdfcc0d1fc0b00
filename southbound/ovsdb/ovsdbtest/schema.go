package ovsdbtest

import (
	"encoding/json"
	"fmt"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"
)

// Column types of the schema, by the words of tables.
const (
	text     = `"string"`
	boolean  = `"boolean"`
	optText  = `{"key":"string","min":0,"max":1}`
	optInt   = `{"key":"integer","min":0,"max":1}`
	texts    = `{"key":"string","min":0,"max":"unlimited"}`
	integers = `{"key":"integer","min":0,"max":"unlimited"}`
	textMap  = `{"key":"string","value":"string","min":0,"max":"unlimited"}`
)

func refs(table string) string {
	return fmt.Sprintf(`{"key":{"type":"uuid","refTable":%q},"min":0,"max":"unlimited"}`, table)
}

// tables is the part of vswitch.ovsschema(5) that Poolwire reads and writes.
func tables() map[string]map[string]string {
	return map[string]map[string]string{
		"Open_vSwitch": {
			"bridges": refs("Bridge"), "manager_options": refs("Manager"), "ovs_version": optText, "db_version": optText,
			"external_ids": textMap, "other_config": textMap,
		},
		"Bridge": {
			"name": text, "datapath_id": optText, "datapath_type": text, "fail_mode": optText, "ports": refs("Port"),
			"controller": refs("Controller"), "protocols": texts, "external_ids": textMap, "other_config": textMap,
			"flow_tables": `{"key":"integer","value":{"type":"uuid","refTable":"Flow_Table"},"min":0,"max":"unlimited"}`,
		},
		"Port": {
			"name": text, "interfaces": refs("Interface"), "tag": optInt, "trunks": integers, "fake_bridge": boolean,
			"external_ids": textMap,
		},
		"Interface": {
			"name": text, "type": text, "options": textMap, "external_ids": textMap, "ofport": optInt, "mac_in_use": optText,
			"error": optText, "link_state": optText, "mtu": optInt, "mtu_request": optInt, "status": textMap,
		},
		"Controller": {
			"target": text, "inactivity_probe": optInt, "connection_mode": optText, "external_ids": textMap,
			"is_connected": boolean, "role": optText, "status": textMap,
		},
		"Manager":    {"target": text, "is_connected": boolean, "external_ids": textMap, "status": textMap},
		"Flow_Table": {"name": optText, "external_ids": textMap},
	}
}

// schema builds the schema; only the root table's rows live by themselves.
func schema() (ovsdb.DatabaseSchema, error) {
	type column struct {
		Type json.RawMessage `json:"type"`
	}
	type table struct {
		Columns map[string]column `json:"columns"`
		Indexes [][]string        `json:"indexes,omitempty"`
		IsRoot  bool              `json:"isRoot,omitempty"`
	}
	all := map[string]table{}
	for name, columns := range tables() {
		t := table{Columns: map[string]column{}, IsRoot: name == "Open_vSwitch"}
		for c, kind := range columns {
			t.Columns[c] = column{Type: json.RawMessage(kind)}
		}
		switch name {
		case "Bridge", "Port", "Interface":
			t.Indexes = [][]string{{"name"}}
		}
		all[name] = t
	}
	raw, err := json.Marshal(map[string]any{"name": database, "version": "8.3.0", "tables": all})
	if err != nil {
		return ovsdb.DatabaseSchema{}, err
	}
	var out ovsdb.DatabaseSchema
	return out, json.Unmarshal(raw, &out)
}
