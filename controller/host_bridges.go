package controller

import (
	"slices"

	"poolwire/raftstore"
	"poolwire/southbound/ovsdb"
)

// followBridges starts an actor for every bridge to be programmed and stops
// those of bridges that are gone.
func (h *hostActor) followBridges(view *raftstore.View) {
	wanted := map[string]uint64{}
	for _, b := range managedBridges(view, h.uuid) {
		if b.GetDatapathId() != 0 {
			wanted[b.GetName()] = b.GetDatapathId()
		}
	}
	var gone []*bridgeActor
	since := map[string]uint64{}
	h.mu.Lock()
	for name, a := range h.bridges {
		if wanted[name] != a.datapathID {
			gone = append(gone, a)
			since[name] = a.pendingRevision() // passed on if another actor takes its place
			delete(h.bridges, name)
		}
	}
	for name, id := range wanted {
		if h.bridges[name] == nil {
			a := newBridgeActor(h, name, id)
			// Whatever the host has not confirmed, this bridge has not; nor, at the least,
			// what made it known.
			revision := older(since[name], h.marks.oldest())
			if revision == 0 {
				revision = max(view.Revision(), 1)
			}
			if !h.fresh {
				revision = 1
			}
			a.marks.add(markSet{revision: revision, all: true})
			h.bridges[name] = a
			a.start(h.lead.ctx)
		}
	}
	h.mu.Unlock()
	for _, a := range gone {
		a.stop()
	}
}

// stopBridges ends the actors of all bridges.
func (h *hostActor) stopBridges() {
	h.mu.Lock()
	actors := h.bridges
	h.bridges = map[string]*bridgeActor{}
	h.mu.Unlock()
	for _, a := range actors {
		a.stop()
	}
}

// unmetered names the bridges whose switches have said that they have no meters, or
// are too old for flows with them. Of one that has not been asked yet it goes by what
// was planned before.
func (h *hostActor) unmetered(t ovsdb.Topology) map[string]bool {
	out := map[string]bool{}
	for _, a := range h.bridgeActors() {
		switch known := a.state.Load().meters; {
		case known == metersMissing || noPolicies(t.OVSVersion):
			out[a.name] = true
		case known == metersUnknown:
			out[a.name] = slices.ContainsFunc(t.Ports, func(p ovsdb.Port) bool {
				_, limited := p.ExternalIDs[ovsdb.KeyPolicingBefore]
				return limited && p.Bridge == a.name
			})
		}
	}
	return out
}
