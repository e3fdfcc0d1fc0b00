package ovsdb

import (
	"slices"
)

// unmanage plans for a bridge that is not desired (any more): one of ours goes,
// unless someone else has a port on it; someone else's is put back as it was.
func (p *planner) unmanage(b *BridgeRow) {
	switch {
	case !p.owned(b.ExternalIDs):
		p.strip(b)
	case p.hosts(b):
		p.dropPorts(p.edit(b))
	default:
		p.root.remove = append(p.root.remove, reference(b.UUID))
	}
}

// strip takes everything of ours off a bridge that stays.
func (p *planner) strip(b *BridgeRow) {
	e := p.edit(b)
	for _, c := range p.controllersOf(b) {
		if p.owned(c.ExternalIDs) {
			e.controllers.remove = append(e.controllers.remove, reference(c.UUID))
		}
	}
	p.dropTables(e, func(int64) bool { return false })
	p.dropPorts(e)
	if claimant := p.s.OpenVSwitch.ExternalIDs[KeyCluster]; claimant != "" && claimant != p.cluster {
		// The notes are the other cluster's by now.
		return
	}
	p.foreignFailMode(e, "")
	if _, noted := b.ExternalIDs[KeyProtocolsAdded]; noted {
		e.ids.remove = append(e.ids.remove, KeyProtocolsAdded)
		for _, proto := range addedProtocols(b) {
			if slices.Contains(b.Protocols, proto) {
				e.without = append(e.without, proto)
			}
		}
	}
}

// Release returns the operations, for one transaction, that take everything of a
// cluster off a host: its controllers, ports, bridges, table names and marks. Fail
// mode and protocols of others' bridges become what they were. A bridge of ours on
// which someone else has a port stays, as theirs. None when there is nothing.
//
// A bridge that loses its last controller drops its flows; one that keeps somebody
// else's does not, and the flows on it are for the caller to remove first.
func Release(s *Snapshot, cluster string) []Operation {
	root := s.OpenVSwitch
	if root == nil || cluster == "" {
		return nil
	}
	p := newPlanner(s, cluster)
	for _, name := range names(p.bridges) {
		b := p.bridges[name]
		if p.owned(b.ExternalIDs) && p.hosts(b) {
			p.giveAway(b)
			continue
		}
		p.unmanage(b)
	}
	if claimant := root.ExternalIDs[KeyCluster]; claimant == "" || claimant == cluster {
		p.policing(nil)
	}
	var head []Operation
	if root.ExternalIDs[KeyCluster] == cluster {
		p.rootIDs.remove = []string{KeyCluster}
		pair := map[string]string{KeyCluster: cluster}
		if epoch, had := root.ExternalIDs[KeyEpoch]; had {
			pair[KeyEpoch] = epoch
			p.rootIDs.remove = append(p.rootIDs.remove, KeyEpoch)
		}
		head = []Operation{waitIncludes(root.UUID, pair)}
	}
	return append(head, p.operations()...)
}

// giveAway makes a bridge of ours into one of nobody's, for the ports on it that
// are not ours.
func (p *planner) giveAway(b *BridgeRow) {
	p.strip(b)
	e := p.edit(b)
	if b.FailMode != "" {
		e.set["fail_mode"] = optionalString("")
	}
	e.ids = mapEdit{}
	e.ids.toward(b.ExternalIDs, nil, ourKey)
	e.config.toward(b.OtherConfig, nil, func(k string) bool { return k == keyDisableInBand })
	if local := p.ports[b.Name]; local != nil {
		p.unmark(tablePort, local.UUID, local.ExternalIDs)
	}
	if i := p.interfaces[b.Name]; i != nil {
		p.unmark(tableInterface, i.UUID, i.ExternalIDs)
	}
}

func (p *planner) unmark(table, uuid string, have map[string]string) {
	var e mapEdit
	e.toward(have, nil, ourKey)
	if m := e.mutations("external_ids"); len(m) > 0 {
		p.rest = append(p.rest, mutateOp(table, uuid, m...))
	}
}
