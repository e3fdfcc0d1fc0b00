package controller

import "poolwire/raftstore"

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
