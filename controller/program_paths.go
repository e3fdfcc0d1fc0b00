package controller

import (
	"poolwire/flowcompiler"
	"poolwire/overlay"
	"poolwire/southbound/openflow/flow"
)

// path is what the overlay bridge was told of the ways of one private network.
type path struct {
	membership
	id    uint32
	links map[flowcompiler.Tunnel]struct{}
}

// setPaths looks at the ways to the other members of a private network again; n is the network as the compiler
// knows it, the zero value when it is gone. The addresses behind them follow.
func (p *program) setPaths(m model, uuid string, n flowcompiler.Network) {
	now := path{id: n.ID, links: map[flowcompiler.Tunnel]struct{}{}}
	if pn := m.view.PrivateNetwork(uuid); pn != nil && n.ID != 0 {
		now.membership = membershipIn(m.view, pn, m.host.GetUuid())
	}
	was, had := p.paths[uuid]
	for _, peer := range now.peers() {
		if !mayForward(m.view, now.network, m.host.GetUuid(), peer.Host.GetUuid()) {
			continue
		}
		t := now.conduit.tunnel(peer.Host)
		now.links[t] = struct{}{}
		p.compiler.SetLink(flowcompiler.Link{
			Network: n.ID, Tunnel: t, Answers: overlay.Answers(now.shape, m.host.GetUuid(), peer.Host.GetUuid()),
			Far: now.shape.Topology == overlay.Hub && peer.Host.GetPoolUuid() != m.host.GetPoolUuid(),
		})
	}
	if had {
		p.dropPaths(was, now)
	}
	if n.ID == 0 {
		delete(p.paths, uuid)
	} else {
		p.paths[uuid] = now
		p.compiler.SetFlood(n.ID, now.hops(m.view, m.host.GetUuid(), now.plan.Flood))
		for _, pass := range now.plan.Passes {
			p.compiler.SetPass(flowcompiler.Pass{
				Network: n.ID, Class: pass.Class,
				From: now.tunnels(m.view, m.host.GetUuid(), pass.From), To: now.hops(m.view, m.host.GetUuid(), pass.To),
			})
		}
	}
	for host := range was.others {
		p.setRemote(m, remoteKey(uuid, host))
	}
	for host := range now.others {
		p.setRemote(m, remoteKey(uuid, host))
	}
	p.setLocal(m, uuid)
}

// dropPaths takes back what there was and is no more.
func (p *program) dropPaths(was, now path) {
	same := was.id == now.id
	for t := range was.links {
		if _, still := now.links[t]; !same || !still {
			p.compiler.RemoveLink(was.id, t)
		}
	}
	for _, pass := range was.plan.Passes {
		if !same || !now.passes(pass.Class) {
			p.compiler.RemovePass(was.id, pass.Class)
		}
	}
	if !same {
		p.compiler.SetFlood(was.id, nil)
		p.compiler.SetLocal(was.id, nil)
	}
}

func (w path) passes(class overlay.Class) bool {
	for _, pass := range w.plan.Passes {
		if pass.Class == class {
			return true
		}
	}
	return false
}

// setLocal looks at the addresses of this host's own VIFs, which a relay does not pass on.
func (p *program) setLocal(m model, uuid string) {
	w, known := p.paths[uuid]
	if !known {
		return
	}
	var macs []flow.MAC
	if len(w.plan.Passes) > 0 {
		macs, _ = m.macsOn(m.host.GetUuid(), w.bridge)
	}
	p.compiler.SetLocal(w.id, macs)
}
