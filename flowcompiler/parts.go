package flowcompiler

import "slices"

// pluggedVIF is a VIF together with the network it is on.
type pluggedVIF struct {
	*VIF
	// network is nil when it has not been set.
	network *Network
}

func (c *Compiler) plugged(v *VIF) pluggedVIF { return pluggedVIF{v, c.networks[v.Network]} }

// disabled tells whether nothing passes to or from the VIF. A VIF on an unknown
// network is disabled: nobody knows what may reach it.
func (v pluggedVIF) disabled() bool { return v.network == nil || v.Locking == Disabled }

// filtered tells whether rules decide what reaches the VIF.
func (v pluggedVIF) filtered() bool { return hasRules(v.Rules, From) }

// policy returns the list of rules for what the VIF sends: its own, which
// includes its network's, or its network's.
func (v pluggedVIF) policy() (id uint32, own bool) {
	if hasRules(v.Rules, To) {
		return v.ID, true
	}
	return v.Network, false
}

// learned tells whether the switch must remember which other MAC addresses the
// VIF uses: on a private network to reach them at all, on an external one to
// filter what is sent to them. A locked VIF uses none.
func (v pluggedVIF) learned() bool {
	return v.Locking != Locked && (v.network.Private || v.filtered())
}

// compileVIF emits the flows of one VIF, in the order of the tables.
func (c *Compiler) compileVIF(e *emitter, v pluggedVIF) {
	if len(v.Ports) == 0 {
		return
	}
	if v.disabled() {
		e.classifyDisabledVIF(v)
		e.destinationOfDisabledVIF(v)
		return
	}
	e.classifyVIF(v)
	e.spoofGuardOfVIF(v)
	e.fromVIF(v)
	e.learnFromVIF(v)
	e.admitNotAs(v)
	e.destinationOfVIF(v)
	e.deliverToVIF(v)
	e.toVIF(v)
	e.forwardToVIF(v)
}

// compileNetwork emits the flows of a network as a whole.
func (c *Compiler) compileNetwork(e *emitter, n *Network) {
	switch {
	case c.bridge.Kind == OverlayBridge:
		if n.Private {
			e.learnFromTunnels(n)
			e.destinationOnOverlay(n)
			e.forwardToPatch(n)
		}
	case n.Private:
		e.fromNetwork(n)
		e.learnFromPatch(n)
		e.destinationOnPrivate(n)
		e.deliverElsewhere(n)
		e.forwardPrivate(n)
	default:
		e.vlanOfNetwork(n)
		e.fromNetwork(n)
		e.fromTrunk(n)
		e.hostDelivery(n)
	}
}

// compileBase emits the flows of the bridge as a whole.
func (c *Compiler) compileBase(e *emitter) {
	e.classifyBase()
	e.learnBase()
	e.destinationBase()
	e.forwardBase()
	if c.bridge.Kind == OverlayBridge {
		e.tunnelOutBase()
		return
	}
	e.vlanBase()
	e.spoofGuardBase()
	e.fromVIFBase()
	e.fromTrunkBase()
	e.admitBase()
	e.deliverBase()
	e.floodBase()
	e.toVIFBase()
	e.hostDeliveryBase()
}

// compilePort emits the flows of a port that belongs to no VIF.
func (c *Compiler) compilePort(e *emitter, p *Port) {
	e.classifyPort(p)
	if c.roleOf(p) == roleHost {
		e.vlanToHost(p)
		e.learnNotHost(p)
		e.destinationOfHost(p)
		e.hostReflected(p)
	}
}

// compileRemote emits the flows of another host's membership in a private
// network.
func (c *Compiler) compileRemote(e *emitter, r *Remote, n *Network) {
	if c.bridge.Kind == NetworkBridge {
		e.learnNotRemote(r, TableDestination)
		e.destinationElsewhere(r)
		return
	}
	port, ok := c.tunnelPort(r.Tunnel)
	if !ok {
		return
	}
	e.classifyTunnel(r, n, port)
	e.learnNotRemote(r, TableForward)
	e.destinationByTunnel(r, port)
	e.tunnelOutToHost(r, n, port)
}

// compileFlood emits the flow that copies a packet to everyone on a private
// network.
func (c *Compiler) compileFlood(e *emitter, n *Network) {
	if c.bridge.Kind == OverlayBridge {
		e.tunnelOutFlood(n)
		return
	}
	e.deliverFlood(n)
}

// portRole is what a port is treated as.
type portRole uint8

const (
	// roleForeign ports are held like VIFs without rules of their own.
	roleForeign portRole = iota
	roleUplink
	roleHost
	rolePatch
	// roleTunnel ports get their flows from the remotes behind them.
	roleTunnel
)

// hasNormal tells whether the bridge has networks that NORMAL switches, or may yet
// get them.
func (c *Compiler) hasNormal() bool { return c.bridge.Kind == NetworkBridge && !c.privateOnly }

// roleOf returns what a port is treated as. On a bridge of external networks
// whatever leads out of the host counts as an uplink, so that tunnels and patch
// ports made by others keep working; a bridge of private networks has no way
// out but the patch port, and treats anything else as foreign.
func (c *Compiler) roleOf(p *Port) portRole {
	n := c.networks[p.Network]
	switch {
	case p.Kind == PortHost:
		return roleHost
	case p.Kind == PortPatch && (c.bridge.Kind == OverlayBridge || n != nil && n.Private):
		return rolePatch
	case p.Kind == PortTunnel && c.bridge.Kind == OverlayBridge:
		return roleTunnel
	case p.Kind == PortForeign || c.privateOnly || c.bridge.Kind == OverlayBridge:
		return roleForeign
	default:
		return roleUplink
	}
}

// shut tells whether nothing passes to or from a foreign port.
func (c *Compiler) shut(p *Port) bool {
	n := c.networks[p.Network]
	return n == nil || n.Private || n.DefaultLocking == Disabled
}

// hasRules tells whether any of the rules is for a direction.
func hasRules(rules []Rule, d Direction) bool {
	return slices.ContainsFunc(rules, func(r Rule) bool { return r.is(d) })
}

// is tells whether the rule applies to a direction.
func (r Rule) is(d Direction) bool { return r.Direction == d || r.Direction == Both }
