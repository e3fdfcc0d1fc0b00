package flowcompiler

import "slices"

// pluggedVIF is a VIF together with the network it is on, and with what follows from
// the policies that reach it there.
type pluggedVIF struct {
	*VIF
	// network is nil when it has not been set.
	network *Network
	// reach is what reaches the VIF of policies; restrains tells whether the bridge can
	// isolate, meters whether it can limit.
	reach     reach
	restrains bool
	meters    bool
	// crowded: rules that reach the VIF do not fit.
	crowded bool
}

func (c *Compiler) plugged(v *VIF) pluggedVIF {
	n := c.networks[v.Network]
	return pluggedVIF{v, n, c.reachOf(v, n), !c.bridge.NoPolicies, !c.bridge.NoPolicies && !c.bridge.NoMeters, len(c.excessesOf(v)) > 0}
}

// disabled tells whether nothing passes to or from the VIF. A VIF on an unknown
// network is disabled: nobody knows what may reach it. So is one with rules that look
// at connections, where these cannot be tracked, and one with more rules than fit.
func (v pluggedVIF) disabled() bool {
	return v.network == nil || v.Locking == Disabled || v.crowded || v.sessions() && v.Zone == 0
}

// policed tells whether a policy applies to the VIF: a rule, or a default action that
// drops.
func (v pluggedVIF) policed() bool { return v.reach.policed }

// sessions tells whether any rule looks at the VIF's connections.
func (v pluggedVIF) sessions() bool { return v.reach.sessions }

// tracked tells whether the VIF's connections are tracked: when a rule looks at them, or
// when their answers pass a default action.
func (v pluggedVIF) tracked() bool { return v.reach.sessions || v.reach.answers }

// restricted tells whether the VIF talks to some others of its network only.
func (v pluggedVIF) restricted() bool { return v.restrains && v.Isolation != Promiscuous }

// limited tells whether the rate of what reaches the VIF is limited.
func (v pluggedVIF) limited() bool { return v.meters && v.Inbound != Limit{} }

// filtered tells whether rules of XCP-ng's form decide what reaches the VIF.
func (v pluggedVIF) filtered() bool { return hasRules(v.Rules, From) }

// guarded tells whether anything decides over what reaches the VIF, so that it must
// not get a packet by another way than in_state.
func (v pluggedVIF) guarded() bool {
	return v.filtered() || v.policed() || v.restricted() || v.limited()
}

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
// guard what is sent to them. A VIF whose MAC addresses are checked uses only those it
// may; they may be other VIFs' as well, so they too are learned. So is, on a private
// network, the address of a VIF that is migrating.
func (v pluggedVIF) learned() bool {
	if v.moving() {
		return true
	}
	checked := v.Locking == Locked || v.restricted()
	return (!checked || len(v.otherMACs()) > 0) && (v.network.Private || v.guarded())
}

// moving tells whether only the VIF's traffic says on which host it is.
func (v pluggedVIF) moving() bool { return v.Moving && v.network != nil && v.network.Private }

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
	e.guestGuardOfVIF(v)
	e.fromVIF(v)
	e.learnFromVIF(v)
	e.admitNotAs(v)
	e.destinationOfVIF(v)
	e.deliverToVIF(v)
	e.isolationOfVIF(v)
	e.inStateOfVIF(v)
	e.toVIF(v)
	e.forwardToVIF(v)
	e.reportsOfVIF(v)
}

// compileNetwork emits the flows of a network as a whole.
func (c *Compiler) compileNetwork(e *emitter, n *Network) {
	switch {
	case c.bridge.Kind == OverlayBridge:
		if n.Private {
			e.destinationOnOverlay(n)
			e.forwardToPatch(n)
		}
	case n.Private:
		e.guestGuardOfNetwork(n)
		e.fromNetwork(n)
		e.learnFromPatch(n)
		e.destinationOnPrivate(n)
		e.deliverElsewhere(n)
		e.forwardPrivate(n)
	default:
		e.vlanOfNetwork(n)
		e.guestGuardOfNetwork(n)
		e.fromNetwork(n)
		e.fromTrunk(n)
		e.hostDelivery(n)
	}
	if c.bridge.Kind == NetworkBridge {
		e.defaultActions(n)
	}
}

// compileBase emits the flows of the bridge as a whole.
func (c *Compiler) compileBase(e *emitter) {
	e.classifyBase()
	e.learnBase()
	e.destinationBase()
	e.forwardBase()
	if c.bridge.Kind == OverlayBridge {
		e.multicastBase()
		e.tunnelOutBase()
		return
	}
	e.vlanBase()
	e.spoofGuardBase()
	e.guestGuardBase()
	e.outStateBase()
	e.fromVIFBase()
	e.fromTrunkBase()
	e.outPolicyBase()
	e.outVerdictBase()
	e.admitBase()
	e.neighborBase()
	e.advertiseBase()
	e.multicastBase()
	e.reportsBase()
	e.deliverBase()
	e.floodBase()
	e.inStateBase()
	e.inTrackBase()
	e.toVIFBase()
	e.inPolicyBase()
	e.inVerdictBase()
	e.hostDeliveryBase()
	e.deniedBase()
	e.ruleTablesBase()
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
	if c.bridge.GuardAll {
		e.guardPort(p)
	}
	if c.roleOf(p) == roleTunnel {
		e.classifyProbe(p)
	}
}

// compileFlood emits the flow that copies a packet to everyone on a private network,
// and on an external one, or in VLANs that are none (network 0), to those that NORMAL
// leaves out.
func (c *Compiler) compileFlood(e *emitter, network uint32) {
	n := c.networks[network]
	private := n != nil && n.Private
	switch {
	case c.bridge.Kind == NetworkBridge && private:
		e.deliverFlood(n)
	case c.bridge.Kind == NetworkBridge:
		e.destinationFlood(network)
	case private:
		e.tunnelOutFlood(n)
	}
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
	// roleForeignTunnel ports are another way to hosts of a private network, roleRelieved ports one that only receives.
	roleForeignTunnel
	roleRelieved
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
	case p.Kind == PortForeignTunnel && n != nil && n.Private:
		return roleForeignTunnel
	case p.Kind == PortRelieved && n != nil && n.Private:
		return roleRelieved
	case p.Kind == PortForeignTunnel || p.Kind == PortRelieved:
		return roleForeign
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
