package flowcompiler

import "poolwire/overlay"

// compileOverlayPart emits the flows of one part of the ways between hosts.
func (c *Compiler) compileOverlayPart(e *emitter, id partID) {
	if id.kind == partGuard {
		if g := c.guards[id.major]; g != nil && c.bridge.Kind == NetworkBridge {
			e.guardPeer(g)
		}
		return
	}
	n := c.networks[id.major]
	if n == nil || !n.Private || c.bridge.Kind != OverlayBridge {
		return
	}
	switch id.kind {
	case partLink:
		t := tunnelOf(id.minor)
		l := c.links[linkKey{n.ID, t}]
		if port, ok := c.tunnelPort(t); ok && l != nil {
			e.classifyTunnel(l, n, port)
			e.learnFromTunnel(l, port)
			e.tunnelOutByLink(l, n, port)
		}
	case partPass:
		if p := c.passes[passKey{n.ID, overlay.Class(id.minor)}]; p != nil && n.RelayVNI != 0 {
			e.classifyPass(p, n)
			e.tunnelOutPass(p, n)
		}
	case partLocal:
		if c.relays(n.ID) {
			e.destinationLocal(n.ID, c.locals[n.ID])
		}
	}
}

// compileRemote emits the flows of another host's membership in a private
// network.
func (c *Compiler) compileRemote(e *emitter, r *Remote) {
	e.learnNotRemote(r)
	if c.bridge.Kind == NetworkBridge {
		e.destinationElsewhere(r)
		return
	}
	e.destinationByTunnel(r)
}
