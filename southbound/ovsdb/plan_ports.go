package ovsdb

import (
	"maps"
	"slices"

	libovsdb "github.com/ovn-kubernetes/libovsdb/ovsdb"
)

// port plans one desired port on a bridge; row is nil when the bridge is new. It
// returns the reference that must be added to the bridge, if one must.
func (p *planner) port(bridge string, row *BridgeRow, d DesiredPort) (uuidRef, bool) {
	have := p.ports[d.Name]
	switch {
	case have != nil && !p.owned(have.ExternalIDs):
		p.conflict(bridge, d.Name, "a port of this name exists and is not ours")
		return uuidRef{}, false
	case have == nil || p.isLocal(have):
		if who := p.holder(d.Name); who != "" {
			p.conflict(bridge, d.Name, "the name belongs to %s", who)
			return uuidRef{}, false
		}
		return p.newPort(d), true
	case len(have.Interfaces) != 1 || p.s.Interfaces[have.Interfaces[0]] == nil:
		p.drop(have)
		return p.newPort(d), true
	}
	p.keepPort(have, d)
	if row != nil && p.bridgeOf[have.UUID] == row {
		return uuidRef{}, false
	}
	p.drop(have)
	return reference(have.UUID), true
}

// drop takes a port out of its bridge. It is gone then, unless another bridge
// takes it in.
func (p *planner) drop(port *PortRow) {
	if b := p.bridgeOf[port.UUID]; b != nil && p.stays(b) {
		e := p.edit(b)
		e.ports.remove = append(e.ports.remove, reference(port.UUID))
	}
}

// newPort inserts a port and its interface.
func (p *planner) newPort(d DesiredPort) uuidRef {
	ids := stringMap(p.marks(d.ExternalIDs))
	row := libovsdb.Row{"name": d.Name, "type": d.Type, "options": stringMap(d.options()), "external_ids": ids}
	if d.MTURequest != 0 && p.s.schema.has(tableInterface, "mtu_request") {
		row["mtu_request"] = optionalInt(int64(d.MTURequest))
	}
	if len(d.BFD) > 0 && p.s.schema.has(tableInterface, "bfd") {
		row["bfd"] = stringMap(d.BFD)
	}
	i := p.insert(tableInterface, row)
	return p.insert(tablePort, libovsdb.Row{
		"name": d.Name, "interfaces": uuidSet([]uuidRef{i}), "external_ids": ids, "tag": optionalInt(int64(d.Tag)),
	})
}

// keepPort changes what differs on an existing port of ours.
func (p *planner) keepPort(port *PortRow, d DesiredPort) {
	i := p.s.Interfaces[port.Interfaces[0]]
	row := libovsdb.Row{}
	if i.Type != d.Type {
		row["type"] = d.Type
	}
	if options := d.options(); !maps.Equal(i.Options, options) {
		row["options"] = stringMap(options)
	}
	if p.s.schema.has(tableInterface, "bfd") && !maps.Equal(i.BFD, d.BFD) {
		row["bfd"] = stringMap(d.BFD)
	}
	if p.s.schema.has(tableInterface, "mtu_request") && i.MTURequest.Value != int64(d.MTURequest) {
		row["mtu_request"] = optionalInt(int64(d.MTURequest))
	}
	if len(row) > 0 {
		p.rest = append(p.rest, updateOp(tableInterface, i.UUID, row))
	}
	p.markRow(tableInterface, i.UUID, i.ExternalIDs, d.ExternalIDs)
	p.markRow(tablePort, port.UUID, port.ExternalIDs, d.ExternalIDs)
	if port.Tag.Set != (d.Tag != 0) || port.Tag.Set && port.Tag.Value != int64(d.Tag) {
		p.rest = append(p.rest, updateOp(tablePort, port.UUID, libovsdb.Row{"tag": optionalInt(int64(d.Tag))}))
	}
}

// dropPorts removes our ports of a bridge that are not desired anywhere. Ports
// that are desired elsewhere have been moved.
func (p *planner) dropPorts(e *bridgeEdit) {
	for _, uuid := range e.row.Ports {
		port := p.s.Ports[uuid]
		if port != nil && p.owned(port.ExternalIDs) && !p.isLocal(port) && !p.wantedPorts[port.Name] {
			e.ports.remove = append(e.ports.remove, reference(uuid))
		}
	}
}

// retire removes tunnels of Xen Orchestra's plugin: ports of one interface, a tunnel, that carry the very mark. It is
// the only place where a row of somebody else's goes, and nobody gets here but who asks for it by name.
func (p *planner) retire(retired map[string]string) {
	for _, name := range names(retired) {
		i := p.interfaces[name]
		if i == nil || !isTunnel(i.Type) {
			continue
		}
		port := p.portOf[i.UUID]
		if port == nil || len(port.Interfaces) != 1 || p.owned(port.ExternalIDs) || retired[name] == "" || port.OtherConfig[keyXONetwork] != retired[name] {
			continue
		}
		if b := p.bridgeOf[port.UUID]; b != nil {
			e := p.edit(b)
			e.ports.remove = append(e.ports.remove, reference(port.UUID))
		}
	}
}

// isLocal reports the port that a bridge has of its own.
func (p *planner) isLocal(port *PortRow) bool {
	b := p.bridgeOf[port.UUID]
	return b != nil && b.Name == port.Name
}

// holder says who will still have a name after this plan, empty for nobody.
// Bridges, ports and interfaces share the names of devices.
func (p *planner) holder(name string) string {
	if b := p.bridges[name]; b != nil && p.stays(b) {
		return "another bridge"
	}
	if port := p.ports[name]; port != nil && p.portStays(port) {
		return "a port of bridge " + p.bridgeName(port)
	}
	if i := p.interfaces[name]; i != nil {
		if port := p.portOf[i.UUID]; port != nil && p.portStays(port) {
			return "an interface of port " + port.Name
		}
	}
	return ""
}

func (p *planner) bridgeName(port *PortRow) string {
	if b := p.bridgeOf[port.UUID]; b != nil {
		return b.Name
	}
	return ""
}

// stays reports whether a bridge will still be there after this plan.
func (p *planner) stays(b *BridgeRow) bool {
	return p.wanted[b.Name] || !p.owned(b.ExternalIDs) || p.hosts(b)
}

func (p *planner) portStays(port *PortRow) bool {
	b := p.bridgeOf[port.UUID]
	switch {
	case b == nil || !p.stays(b):
		return false
	case p.isLocal(port) || !p.owned(port.ExternalIDs):
		return true
	}
	return p.wantedPorts[port.Name]
}

// hosts reports whether anyone else has a port on a bridge.
func (p *planner) hosts(b *BridgeRow) bool {
	if answer, known := p.foreignPorts[b.UUID]; known {
		return answer
	}
	answer := slices.ContainsFunc(b.Ports, func(uuid string) bool {
		port := p.s.Ports[uuid]
		return port != nil && port.Name != b.Name && !p.owned(port.ExternalIDs)
	})
	p.foreignPorts[b.UUID] = answer
	return answer
}
