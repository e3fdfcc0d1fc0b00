package ovsdb

import (
	"encoding/json"
	"slices"
	"strings"
)

// Snapshot is the monitored part of a host's database at one moment. It never
// changes; rows and maps are shared between snapshots and must not be written.
type Snapshot struct {
	// OpenVSwitch is the root row, nil before the host has made one.
	OpenVSwitch *OpenVSwitchRow
	// Rows by uuid.
	Bridges     map[string]*BridgeRow
	Ports       map[string]*PortRow
	Interfaces  map[string]*InterfaceRow
	Controllers map[string]*ControllerRow
	Managers    map[string]*ManagerRow
	SSL         map[string]*SSLRow
	FlowTables  map[string]*FlowTableRow

	schema *schema
}

// SchemaVersion is the version of the host's schema, for example "7.12.1" for
// Open vSwitch 2.5.3 and "8.3.1" for 3.1; empty when not known.
func (s *Snapshot) SchemaVersion() string {
	if s.schema == nil {
		return ""
	}
	return s.schema.version
}

// store is the writable database behind the snapshots of one session.
type store struct {
	openVSwitch *table[OpenVSwitchRow]
	bridges     *table[BridgeRow]
	ports       *table[PortRow]
	interfaces  *table[InterfaceRow]
	controllers *table[ControllerRow]
	managers    *table[ManagerRow]
	ssl         *table[SSLRow]
	flowTables  *table[FlowTableRow]

	schema *schema
	byName map[string]anyTable
	// latest is the snapshot of the present state, nil when there is none yet.
	latest *Snapshot
	// maxRows and maxWeight bound what the host may make us hold.
	maxRows, maxWeight int
	// weight is the rough size of all rows, in bytes.
	weight int
}

func newStore(s *schema, maxRows, maxWeight int) *store {
	st := &store{
		openVSwitch: newTable(openVSwitchSpec()), bridges: newTable(bridgeSpec()), ports: newTable(portSpec()),
		interfaces: newTable(interfaceSpec()), controllers: newTable(controllerSpec()),
		managers: newTable(managerSpec()), ssl: newTable(sslSpec()), flowTables: newTable(flowTableSpec()),
		schema: s, byName: map[string]anyTable{}, maxRows: maxRows, maxWeight: maxWeight,
	}
	for _, t := range []anyTable{st.openVSwitch, st.bridges, st.ports, st.interfaces, st.controllers, st.managers, st.ssl, st.flowTables} {
		st.byName[t.name()] = t
	}
	return st
}

// monitorRequest is one table's part of a monitor request (RFC 7047, 4.1.5).
type monitorRequest struct {
	Columns []string      `json:"columns"`
	Select  monitorSelect `json:"select"`
}

// monitorSelect asks for everything. That is the default, but libovsdb's server
// has to be told.
type monitorSelect struct {
	Initial bool `json:"initial"`
	Insert  bool `json:"insert"`
	Delete  bool `json:"delete"`
	Modify  bool `json:"modify"`
}

// requests is what to monitor under the host's schema.
func (st *store) requests() (map[string]monitorRequest, error) {
	out := map[string]monitorRequest{}
	for name, t := range st.byName {
		columns, err := t.request(st.schema)
		if err != nil {
			return nil, err
		}
		if len(columns) > 0 {
			out[name] = monitorRequest{Columns: columns, Select: monitorSelect{Initial: true, Insert: true, Delete: true, Modify: true}}
		}
	}
	return out, nil
}

// snapshot returns the present state. It costs nothing when nothing changed.
func (st *store) snapshot() *Snapshot {
	if st.latest != nil {
		return st.latest
	}
	st.latest = &Snapshot{
		OpenVSwitch: first(st.openVSwitch.rows), Bridges: st.bridges.freeze(), Ports: st.ports.freeze(),
		Interfaces: st.interfaces.freeze(), Controllers: st.controllers.freeze(), Managers: st.managers.freeze(),
		SSL: st.ssl.freeze(), FlowTables: st.flowTables.freeze(), schema: st.schema,
	}
	return st.latest
}

// first returns the row of a table that holds one; the schema sees to that
// (maxRows), so more than one is a host's fault and any will do.
func first(rows map[string]*OpenVSwitchRow) *OpenVSwitchRow {
	var out *OpenVSwitchRow
	for _, r := range rows {
		if out == nil || strings.Compare(r.UUID, out.UUID) < 0 {
			out = r
		}
	}
	return out
}

// apply carries out the <table-updates> of an update notification, the answer to
// monitor included. It reports whether anything differs afterwards.
func (st *store) apply(raw json.RawMessage, format updateFormat) (bool, error) {
	var tables map[string]map[string]json.RawMessage
	if err := strict(raw, &tables); err != nil {
		return false, violation("table updates: %v", err)
	}
	changed := false
	for name, rows := range tables {
		t := st.byName[name]
		if t == nil {
			return false, violation("update of table %.64q, which is not monitored", name)
		}
		for uuid, raw := range rows {
			c, err := format.change(raw)
			if err != nil {
				return false, violation("table %s row %.64q: %v", name, uuid, err)
			}
			differs, err := t.apply(uuid, c)
			if err != nil {
				return false, err
			}
			changed = changed || differs
		}
	}
	if changed {
		st.latest = nil
	}
	return changed, st.bounded()
}

func (st *store) bounded() error {
	rows, weight := 0, 0
	for _, t := range st.byName {
		r, w := t.size()
		rows += r
		weight += w
	}
	st.weight = weight
	if rows > st.maxRows {
		return violation("host reports %d rows, at most %d are accepted", rows, st.maxRows)
	}
	if weight > st.maxWeight {
		return violation("host reports rows of %d bytes, at most %d are accepted", weight, st.maxWeight)
	}
	return nil
}

// names returns the keys of a map, sorted.
func names[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
