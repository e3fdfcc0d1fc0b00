package flowcompiler

import (
	"errors"
	"maps"
	"slices"

	"poolwire/southbound/openflow/flow"
)

// Delta is what changed between two Commits.
type Delta struct {
	Flows flow.Delta
	// Replaced are flows that others of the same key take the place of, by Flows.Add: what
	// they have counted is lost with them, as it is with those that are deleted.
	Replaced []flow.Flow
	// Ports holds the configuration of the ports for which it changed. A port that
	// is no longer ours to configure appears only if it had a setting to undo; it
	// may be gone from the switch.
	Ports map[uint32]PortConfig
	// Meters are the meters that are new or changed, and have to be in place before the
	// flows; MetersGone are no longer named by a flow once the flows are in place.
	Meters     map[uint32]Meter
	MetersGone []uint32
}

// Empty tells whether there is nothing to do.
func (d Delta) Empty() bool {
	return d.Flows.Empty() && len(d.Ports) == 0 && len(d.Meters) == 0 && len(d.MetersGone) == 0
}

// Commit compiles what was touched since the last Commit and returns what that
// changes. On an error (a RowError, ErrTooManyRanks, ErrTooLong) nothing has
// changed, and the next Commit tries the same again. Lists of policy rules that do
// not fit are no error where they are about some of the VIFs only: see Crowded.
func (c *Compiler) Commit() (Delta, error) {
	if private := c.onlyPrivateNetworks(); private != c.privateOnly {
		c.privateOnly = private
		c.touchAll()
	}
	c.settleGroups()
	compiled := make(map[partID][]flow.Flow, len(c.dirty))
	// Policies first: one that does not fit, or fits again, marks the VIFs it is about.
	err := errors.Join(c.compileDirty(compiled, true), c.compileDirty(compiled, false))
	if err != nil {
		return Delta{}, err
	}
	for _, id := range slices.SortedFunc(maps.Keys(compiled), comparePartIDs) {
		c.program.replace(id, compiled[id])
	}
	clear(c.dirty)
	d := Delta{Ports: c.takePorts()}
	d.Flows, d.Replaced = c.program.take()
	d.Flows.Forget = c.takeMoved()
	d.Meters, d.MetersGone = c.takeMeters()
	return d, nil
}

// compileDirty compiles those of the marked parts that are policies, or those that are not.
func (c *Compiler) compileDirty(compiled map[partID][]flow.Flow, policies bool) error {
	var errs []error
	for _, id := range slices.SortedFunc(maps.Keys(c.dirty), comparePartIDs) {
		if policies != (id.kind == partPolicy) {
			continue
		}
		e := emitter{compiler: c}
		c.compilePart(&e, id)
		compiled[id] = e.flows
		errs = append(errs, e.err)
		if policies {
			c.setCrowded(id, e.excesses)
		}
	}
	return errors.Join(errs...)
}

// compilePart emits the flows of one part: none when its object is gone.
func (c *Compiler) compilePart(e *emitter, id partID) {
	switch id.kind {
	case partBase:
		c.compileBase(e)
	case partNetwork:
		if n := c.networks[id.major]; n != nil {
			c.compileNetwork(e, n)
		}
	case partVIF:
		if v := c.vifs[id.major]; v != nil && c.bridge.Kind == NetworkBridge {
			c.compileVIF(e, c.plugged(v))
		}
	case partPort:
		if p := c.ports[id.major]; p != nil {
			c.compilePort(e, p)
		}
	case partRemote:
		r, n := c.remotes[remoteKey{id.major, uint32(id.minor)}], c.networks[id.major]
		if r != nil && n != nil && n.Private {
			c.compileRemote(e, r)
		}
	case partFlood:
		c.compileFlood(e, id.major)
	case partFloodPage:
		if c.bridge.Kind == NetworkBridge {
			e.floodPageFlows(floodPage{id.major, uint32(id.minor)})
		}
	case partPeers:
		if n := c.networks[id.major]; n != nil && c.bridge.Kind == NetworkBridge {
			e.learnPeers(n)
		}
	case partPolicy:
		if c.bridge.Kind == NetworkBridge && !c.bridge.NoPolicies {
			c.compilePolicy(e, id.major, Level(id.minor))
		}
	case partLink, partPass, partLocal, partGuard:
		c.compileOverlayPart(e, id)
	case partGroup:
		c.compileGroup(e, groupKey{id.major, id.minor})
	case partNeighbor:
		c.compileNeighbor(e, id.minor)
	}
}

// takePorts returns the port configuration that changed.
func (c *Compiler) takePorts() map[uint32]PortConfig {
	var changed map[uint32]PortConfig
	for ofport := range c.dirtyPorts {
		before := c.configs[ofport]
		after, ours := c.portConfig(ofport)
		if ours {
			c.configs[ofport] = after
		} else {
			delete(c.configs, ofport)
		}
		if before != after {
			if changed == nil {
				changed = make(map[uint32]PortConfig)
			}
			changed[ofport] = after
		}
	}
	clear(c.dirtyPorts)
	return changed
}

// portConfig returns a port's configuration, and whether it is ours to set.
func (c *Compiler) portConfig(ofport uint32) (config PortConfig, ours bool) {
	if c.bridge.Kind == OverlayBridge {
		return PortConfig{}, false
	}
	if id, claimed := c.vifsAt.least(ofport); claimed {
		v := c.plugged(c.vifs[id])
		noFlood := !v.disabled() && !v.network.Private && v.guarded()
		return PortConfig{NoForward: v.disabled(), NoFlood: noFlood}, true
	}
	// A port of the host's or a NIC is never shut, whatever is asked of its bridge:
	// a port's configuration outlives flows and fail-open, the host would be gone.
	if p := c.ports[ofport]; p != nil && p.Kind == PortForeign && c.roleOf(p) == roleForeign {
		return PortConfig{NoForward: c.shut(p)}, true
	}
	return PortConfig{}, false
}

// emitter collects the flows of one part.
type emitter struct {
	compiler *Compiler
	flows    []flow.Flow
	// excesses are the lists of policy rules that do not fit.
	excesses []Excess
	err      error
}

// add emits a flow, unless it breaks the row of its table.
func (e *emitter) add(f flow.Flow) {
	if err := check(f); err != nil {
		e.err = errors.Join(e.err, err)
		return
	}
	e.flows = append(e.flows, f)
}

// place is where in the pipeline a flow goes.
type place struct {
	emitter  *emitter
	table    Table
	priority uint16
}

// at returns the place of a priority in a table.
func (e *emitter) at(t Table, priority uint16) place { return place{e, t, priority} }

// emit emits a flow there.
func (p place) emit(c Cookie, m *flow.MatchBuilder, i flow.Instructions) {
	p.emitter.add(flow.Flow{Table: uint8(p.table), Priority: p.priority, Cookie: c.Encode(), Match: m.Build(), Instructions: i})
}

// drop are the instructions of a flow that drops.
const drop flow.Instructions = ""

// goTo returns the instructions "goto_table".
func (e *emitter) goTo(t Table) flow.Instructions { return e.compiler.gotos[t] }

// then returns the instructions "actions, goto_table".
func then(t Table, actions ...flow.Action) flow.Instructions {
	return flow.ApplyGoto(uint8(t), actions...)
}

// resubmit returns the action that looks a packet up in a table and comes back.
func resubmit(t Table) flow.Action { return flow.Resubmit(uint8(t)) }

// Input is everything a bridge should know, for Compile.
type Input struct {
	Bridge   Bridge
	Networks []Network
	VIFs     []VIF
	Ports    []Port
	Remotes  []Remote
	Links    []Link
	Floods   map[uint32][]Hop // by network
	Passes   []Pass
	Locals   map[uint32][]flow.MAC // by network
	Guards   []Guard
	// Neighbors are in no order.
	Neighbors []Neighbor
	Groups    []Group
	Policies  map[PolicyScope][]PolicyRule
	Peers     map[uint32][]Peer // by network
}

// Compile compiles a bridge from scratch. The Compiler it returns can be fed
// changes.
func Compile(in Input) (*Compiler, error) {
	c := New()
	c.SetBridge(in.Bridge)
	for _, n := range in.Networks {
		c.SetNetwork(n)
	}
	for _, v := range in.VIFs {
		c.SetVIF(v)
	}
	for _, p := range in.Ports {
		c.SetPort(p)
	}
	for _, r := range in.Remotes {
		c.SetRemote(r)
	}
	for _, l := range in.Links {
		c.SetLink(l)
	}
	for network, hops := range in.Floods {
		c.SetFlood(network, hops)
	}
	for _, p := range in.Passes {
		c.SetPass(p)
	}
	for network, macs := range in.Locals {
		c.SetLocal(network, macs)
	}
	for _, g := range in.Guards {
		c.SetGuard(g)
	}
	for _, n := range in.Neighbors {
		c.SetNeighbor(n)
	}
	for _, g := range in.Groups {
		c.SetGroup(g)
	}
	for s, rules := range in.Policies {
		c.SetPolicy(s, rules)
	}
	for network, peers := range in.Peers {
		c.SetPeers(network, peers)
	}
	_, err := c.Commit()
	return c, err
}
