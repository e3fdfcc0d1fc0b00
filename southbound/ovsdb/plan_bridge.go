package ovsdb

import (
	"slices"
	"strings"

	libovsdb "github.com/ovn-kubernetes/libovsdb/ovsdb"
)

// bridge plans one desired bridge.
func (p *planner) bridge(d DesiredBridge) {
	row := p.bridges[d.Name]
	switch {
	case row == nil && d.Create:
		p.newBridge(d)
		return
	case row == nil:
		return
	case d.Create && !p.owned(row.ExternalIDs):
		p.conflict(d.Name, "", "a bridge of this name exists and is not ours")
		return
	}
	e := p.edit(row)
	p.controllers(e, d)
	p.tables(e, d)
	p.protocols(e, d)
	if p.owned(row.ExternalIDs) {
		p.ownBridge(e, d)
	} else {
		p.foreignFailMode(e, d.FailMode)
	}
	for _, port := range d.Ports {
		if ref, isNew := p.port(d.Name, row, port); isNew {
			e.ports.add = append(e.ports.add, ref)
		}
	}
	p.dropPorts(e)
}

// newBridge inserts a bridge with everything on it. Bridge.protocols stays empty:
// the defaults allow OpenFlow 1.3 since Open vSwitch 2.3, and 1.0 for the tools
// on the host.
func (p *planner) newBridge(d DesiredBridge) {
	if who := p.holder(d.Name); who != "" {
		p.conflict(d.Name, "", "the name belongs to %s", who)
		return
	}
	row := libovsdb.Row{
		"name":          d.Name,
		"datapath_type": d.DatapathType,
		"external_ids":  stringMap(p.marks(d.ExternalIDs)),
	}
	if d.FailMode != "" {
		row["fail_mode"] = optionalString(d.FailMode)
	}
	if !d.InBand {
		row["other_config"] = stringMap(map[string]string{keyDisableInBand: "true"})
	}
	ports := []uuidRef{p.newPort(DesiredPort{Name: d.Name, Type: "internal", MTURequest: d.MTURequest})}
	for _, port := range d.Ports {
		if ref, ok := p.port(d.Name, nil, port); ok {
			ports = append(ports, ref)
		}
	}
	row["ports"] = uuidSet(ports)
	var controllers []uuidRef
	for _, target := range sorted(d.Controllers) {
		controllers = append(controllers, p.insert(tableController, p.controllerRow(target, d)))
	}
	row["controller"] = uuidSet(controllers)
	if p.canNameTables() && len(d.TableNames) > 0 {
		tables := map[int64]uuidRef{}
		for _, n := range sortedTables(d.TableNames) {
			tables[int64(n)] = p.newTable(d.TableNames[n])
		}
		row["flow_tables"] = tableMap(tables)
	}
	p.root.add = append(p.root.add, p.insert(tableBridge, row))
}

// ownBridge keeps the columns of an owned bridge as desired.
func (p *planner) ownBridge(e *bridgeEdit, d DesiredBridge) {
	row := e.row
	if row.DatapathType != d.DatapathType {
		e.set["datapath_type"] = d.DatapathType
	}
	if d.FailMode != "" && row.FailMode != d.FailMode {
		e.set["fail_mode"] = optionalString(d.FailMode)
	}
	e.ids.toward(row.ExternalIDs, p.marks(d.ExternalIDs), ourKey)
	config := map[string]string{}
	if !d.InBand {
		config[keyDisableInBand] = "true"
	}
	e.config.toward(row.OtherConfig, config, func(k string) bool { return k == keyDisableInBand })

	local := p.ports[d.Name]
	if local == nil {
		if p.interfaces[d.Name] == nil {
			e.ports.add = append(e.ports.add, p.newPort(DesiredPort{Name: d.Name, Type: "internal", MTURequest: d.MTURequest}))
		}
		return
	}
	p.markRow(tablePort, local.UUID, local.ExternalIDs, nil)
	if i := p.interfaces[d.Name]; i != nil {
		p.markRow(tableInterface, i.UUID, i.ExternalIDs, nil)
		if p.s.schema.has(tableInterface, "mtu_request") && i.MTURequest.Value != int64(d.MTURequest) {
			p.rest = append(p.rest, updateOp(tableInterface, i.UUID, libovsdb.Row{"mtu_request": optionalInt(int64(d.MTURequest))}))
		}
	}
}

// foreignFailMode sets the fail mode of someone else's bridge where that is asked
// for, remembering what it was, and puts it back where it is no longer. An empty
// fail mode is standalone by another name.
func (p *planner) foreignFailMode(e *bridgeEdit, want string) {
	have := e.row.FailMode
	before, changed := e.row.ExternalIDs[KeyFailModeBefore]
	switch {
	case want == "" && changed:
		if have != before && (before == "" || before == failSecure || before == failStandalone) {
			e.set["fail_mode"] = optionalString(before)
		}
		e.ids.remove = append(e.ids.remove, KeyFailModeBefore)
	case want == "" || want == have || want == failStandalone && have == "":
	default:
		e.set["fail_mode"] = optionalString(want)
		if !changed {
			e.ids.set(e.row.ExternalIDs, KeyFailModeBefore, have)
		}
	}
}

// protocols extends a set of protocols. On someone else's bridge it is noted what
// was added.
func (p *planner) protocols(e *bridgeEdit, d DesiredBridge) {
	have := e.row.Protocols
	if len(have) == 0 {
		return
	}
	for _, proto := range sorted(d.Protocols) {
		if !slices.Contains(have, proto) {
			e.protocols = append(e.protocols, proto)
		}
	}
	if len(e.protocols) == 0 || p.owned(e.row.ExternalIDs) {
		return
	}
	added := sorted(append(addedProtocols(e.row), e.protocols...))
	if note := strings.Join(added, ","); note != e.row.ExternalIDs[KeyProtocolsAdded] {
		e.ids.set(e.row.ExternalIDs, KeyProtocolsAdded, note)
	}
}

func addedProtocols(row *BridgeRow) []string {
	if note := row.ExternalIDs[KeyProtocolsAdded]; note != "" {
		return strings.Split(note, ",")
	}
	return nil
}

// marks are the external_ids of an owned row.
func (p *planner) marks(own map[string]string) map[string]string {
	out := make(map[string]string, len(own)+1)
	for k, v := range own {
		out[k] = v
	}
	out[KeyOwner] = p.cluster
	return out
}

// markRow keeps the marks of an owned row.
func (p *planner) markRow(table, uuid string, have, own map[string]string) {
	var e mapEdit
	e.toward(have, p.marks(own), ourKey)
	if m := e.mutations("external_ids"); len(m) > 0 {
		p.rest = append(p.rest, mutateOp(table, uuid, m...))
	}
}

// sorted returns the distinct members of a list in order.
func sorted(in []string) []string {
	out := slices.Clone(in)
	slices.Sort(out)
	return slices.Compact(out)
}
