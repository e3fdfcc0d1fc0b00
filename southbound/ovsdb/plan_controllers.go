package ovsdb

import (
	"cmp"
	"slices"

	libovsdb "github.com/ovn-kubernetes/libovsdb/ovsdb"
)

// Values of Controller.connection_mode.
const (
	modeInBand    = "in-band"
	modeOutOfBand = "out-of-band"
)

// controllers replaces our controllers of a bridge, all in one mutation of the
// set, and leaves those of others. A target that someone else has set already is
// connected anyway and not added again.
func (p *planner) controllers(e *bridgeEdit, d DesiredBridge) {
	if len(d.Controllers) == 0 {
		return
	}
	wanted := sorted(d.Controllers)
	present := map[string]bool{}
	for _, c := range p.controllersOf(e.row) {
		if !p.owned(c.ExternalIDs) {
			continue
		}
		if present[c.Target] || !slices.Contains(wanted, c.Target) {
			e.controllers.remove = append(e.controllers.remove, reference(c.UUID))
			continue
		}
		present[c.Target] = true
		p.updateController(c, d)
	}
	for _, c := range p.controllersOf(e.row) {
		present[c.Target] = present[c.Target] || !p.owned(c.ExternalIDs)
	}
	for _, target := range wanted {
		if !present[target] {
			e.controllers.add = append(e.controllers.add, p.insert(tableController, p.controllerRow(target, d)))
		}
	}
}

// controllersOf lists the controllers of a bridge by target.
func (p *planner) controllersOf(b *BridgeRow) []*ControllerRow {
	var out []*ControllerRow
	for _, uuid := range b.Controllers {
		if c := p.s.Controllers[uuid]; c != nil {
			out = append(out, c)
		}
	}
	slices.SortFunc(out, func(a, b *ControllerRow) int {
		return cmp.Or(cmp.Compare(a.Target, b.Target), cmp.Compare(a.UUID, b.UUID))
	})
	return out
}

func (p *planner) controllerRow(target string, d DesiredBridge) libovsdb.Row {
	return libovsdb.Row{
		"target":           target,
		"inactivity_probe": optionalInt(d.InactivityProbe.Milliseconds()),
		"connection_mode":  optionalString(connectionMode(d)),
		"external_ids":     stringMap(p.marks(nil)),
	}
}

func (p *planner) updateController(c *ControllerRow, d DesiredBridge) {
	row := libovsdb.Row{}
	probe := d.InactivityProbe.Milliseconds()
	if c.InactivityProbe.Set != (probe != 0) || c.InactivityProbe.Value != probe {
		row["inactivity_probe"] = optionalInt(probe)
	}
	if mode := connectionMode(d); c.ConnectionMode != mode {
		row["connection_mode"] = optionalString(mode)
	}
	if len(row) > 0 {
		p.rest = append(p.rest, updateOp(tableController, c.UUID, row))
	}
	p.markRow(tableController, c.UUID, c.ExternalIDs, nil)
}

func connectionMode(d DesiredBridge) string {
	if d.InBand {
		return modeInBand
	}
	return modeOutOfBand
}
