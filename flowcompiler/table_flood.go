package flowcompiler

import (
	"slices"

	"poolwire/southbound/openflow/flow"
)

// floodBase makes no copy where a page is empty.
func (e *emitter) floodBase() {
	e.at(TableFlood, bandMiss.Low).emit(Cookie{Kind: KindBase}, flow.NewMatch(), drop)
}

// floodPageFlows copies a packet to the ports of one page of a private network. A
// guarded VIF gets its copy through in_state and what follows, which run within the
// resubmit and come back. They change no bit of the packet, and load every register
// that they read. So no copy depends on the one before. The copy for the port the packet
// came in by is dropped by OpenFlow itself.
func (e *emitter) floodPageFlows(on floodPage) {
	if n := e.compiler.networks[on.network]; n == nil || !n.Private {
		e.copyPageFlows(on.network, on.page)
		return
	}
	var plain []uint32
	var guarded []flow.Action
	for _, id := range e.compiler.vifPages.sorted(on) {
		switch v := e.compiler.plugged(e.compiler.vifs[id]); {
		case v.disabled():
		case v.guarded():
			guarded = append(guarded, copyTo(v))
		default:
			plain = append(plain, v.Ports...)
		}
	}
	plain = append(plain, e.compiler.portPages.sorted(on)...)
	e.floodPage(on, append(outputs(plain), e.copies(guarded, false)...))
}

// copyPageFlows copies a packet to the guarded VIFs of one page that NORMAL leaves out:
// those of an external network, and those that have it among their trunks. Network 0
// stands for the VLANs that are no network.
//
// On a tagged network a copy may have its tag changed in table forward, which the rules
// of the next must not see. On the untagged one only a priority tag comes off, for all.
func (e *emitter) copyPageFlows(network, page uint32) {
	n := e.compiler.networks[network]
	tagged := n != nil && n.VLAN != 0
	var actions []flow.Action
	for _, v := range e.compiler.copiesOn(network, page) {
		actions = append(actions, copyTo(v))
		if tagged && v.Network != network {
			e.forwardIntoTrunk(v, n)
		}
	}
	e.floodPage(floodPage{network, page}, e.copies(actions, tagged))
}

// copies gives each copy a packet of its own where it may meet a meter: a full one drops
// the packet with all that was still to be done with it, and one VIF over its limit would
// cost all others their copies. So would the log's meter, after what one VIF denies.
// Without meters only changes matter, which a clone undoes.
func (e *emitter) copies(each []flow.Action, changed bool) []flow.Action {
	switch {
	case !e.compiler.bridge.NoMeters:
		return []flow.Action{flow.Copies(each...)}
	case changed:
		clones := make([]flow.Action, len(each))
		for i, action := range each {
			clones[i] = flow.Clone(action)
		}
		return clones
	}
	return each
}

// floodPage emits the flow of a page, if there is anything on it.
func (e *emitter) floodPage(on floodPage, actions []flow.Action) {
	if len(flow.Actions(actions...)) == 0 {
		return
	}
	m := FieldFloodPage.match(FieldNetwork.match(flow.NewMatch(), on.network), on.page)
	e.at(TableFlood, bandFlood.Low).emit(Cookie{KindFlood, on.network}, m, flow.Apply(actions...))
}

// copyTo returns the action that gives a guarded VIF a copy.
func copyTo(v pluggedVIF) flow.Action {
	return flow.Actions(FieldDestination.load(v.ID), FieldCopy.load(1), resubmit(TableInState))
}

// copied tells whether the VIF gets copies of its own of what an external network floods.
func (v pluggedVIF) copied() bool {
	return v.Copies && !v.disabled() && !v.network.Private && v.guarded()
}

// copiesOn lists the VIFs of a page that get a copy of what a network floods.
func (c *Compiler) copiesOn(network, page uint32) []pluggedVIF {
	var vifs []pluggedVIF
	n := c.networks[network]
	for _, from := range c.floodedTo(network) {
		for _, id := range c.vifPages.sorted(floodPage{from, page}) {
			v := c.plugged(c.vifs[id])
			if !v.copied() {
				continue
			}
			trunk := n == nil && len(v.trunks()) > 0 || n != nil && slices.Contains(v.trunks(), n.VLAN)
			if from == network || trunk {
				vifs = append(vifs, v)
			}
		}
	}
	return vifs
}

// copyPages lists the pages of copiesOn that are not empty, ascending.
func (c *Compiler) copyPages(network uint32) []uint32 {
	var pages []uint32
	for _, from := range c.floodedTo(network) {
		for page := range c.pagesOn[from] {
			if len(c.copiesOn(network, page)) > 0 {
				pages = append(pages, page)
			}
		}
	}
	slices.Sort(pages)
	return slices.Compact(pages)
}

// floodedTo lists the networks with VIFs that may get a copy of what a network floods:
// itself, and for a tagged one, and for VLANs that are no network, the untagged ones.
func (c *Compiler) floodedTo(network uint32) []uint32 {
	var from []uint32
	n := c.networks[network]
	switch {
	case n != nil && n.Private:
		return nil
	case n != nil:
		from = append(from, network)
		if n.VLAN == 0 {
			return from
		}
	case network != 0:
		return nil
	}
	return append(from, c.untagged()...)
}

// untagged lists the untagged external networks, ascending. Of a real bridge there is
// one.
func (c *Compiler) untagged() []uint32 {
	var ids []uint32
	for id, n := range c.networks {
		if n.VLAN == 0 && !n.Private {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}
