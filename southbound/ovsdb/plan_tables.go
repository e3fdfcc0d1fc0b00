package ovsdb

import (
	"maps"
	"slices"

	libovsdb "github.com/ovn-kubernetes/libovsdb/ovsdb"
)

// tables names our OpenFlow tables. A number that someone else's row configures
// is left to them.
func (p *planner) tables(e *bridgeEdit, d DesiredBridge) {
	if !p.canNameTables() {
		return
	}
	for _, n := range sortedTables(d.TableNames) {
		name := d.TableNames[n]
		uuid, used := e.row.FlowTables[int64(n)]
		row := p.s.FlowTables[uuid]
		switch {
		case !used:
			e.addTables[int64(n)] = p.newTable(name)
		case row != nil && p.owned(row.ExternalIDs) && row.Name != name:
			p.rest = append(p.rest, updateOp(tableFlowTable, uuid, libovsdb.Row{"name": optionalString(name)}))
		}
	}
	p.dropTables(e, func(n int64) bool {
		_, wanted := d.TableNames[uint8(n)]
		return wanted
	})
}

// dropTables removes our names of tables that are not to be kept.
func (p *planner) dropTables(e *bridgeEdit, keep func(int64) bool) {
	for n, uuid := range e.row.FlowTables {
		row := p.s.FlowTables[uuid]
		if row != nil && p.owned(row.ExternalIDs) && !keep(n) {
			e.dropTables = append(e.dropTables, int(n))
		}
	}
}

func (p *planner) newTable(name string) uuidRef {
	return p.insert(tableFlowTable, libovsdb.Row{
		"name": optionalString(name), "external_ids": stringMap(p.marks(nil)),
	})
}

// canNameTables reports whether the schema has what it takes to name tables and
// to know the names for ours.
func (p *planner) canNameTables() bool {
	return p.s.schema.has(tableBridge, "flow_tables") && p.s.schema.has(tableFlowTable, "name") &&
		p.s.schema.has(tableFlowTable, "external_ids")
}

func sortedTables(m map[uint8]string) []uint8 { return slices.Sorted(maps.Keys(m)) }
