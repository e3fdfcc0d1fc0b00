package controller

import (
	"google.golang.org/protobuf/proto"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// marker collects, for one change set, which actors must look at what. It
// names only hosts that the change can concern: the cost of a change does not
// depend on how many hosts there are.
type marker struct {
	view     *raftstore.View
	revision uint64
	// rows: hosts whose OVSDB rows may have to change.
	rows map[string]struct{}
	// bridges: host UUID -> real bridge name -> marks; the empty bridge name means all.
	bridges map[string]map[string]*markSet
	// hosts: hosts that were added, changed or removed themselves.
	hosts map[string]struct{}
}

func newMarker(view *raftstore.View, revision uint64) *marker {
	return &marker{view: view, revision: revision, rows: setOf(), bridges: map[string]map[string]*markSet{}, hosts: setOf()}
}

func (k *marker) at(host, bridge string) *markSet {
	byBridge := k.bridges[host]
	if byBridge == nil {
		byBridge = map[string]*markSet{}
		k.bridges[host] = byBridge
	}
	if byBridge[bridge] == nil {
		byBridge[bridge] = &markSet{revision: k.revision}
	}
	return byBridge[bridge]
}

func (k *marker) row(host string) { k.rows[host] = struct{}{} }

// everything asks for a whole look at a host.
func (k *marker) everything(host string) {
	k.row(host)
	k.at(host, "").all = true
}

// change files one change.
func (k *marker) change(c raftstore.Change) {
	switch c.Table {
	case raftstore.TablePools:
		for _, h := range k.view.HostsByPool(c.Key) {
			k.row(h.GetUuid())
		}
	case raftstore.TableHosts:
		k.host(c)
	case raftstore.TableHostFacts:
		k.endpointMoved(c.Key)
	case raftstore.TableNetworks:
		k.network(c)
	case raftstore.TablePrivateNetworks:
		k.privateNetwork(c)
	case raftstore.TableVifs:
		k.vif(c)
	case raftstore.TableRules:
		each(c, func(r *poolwirev1.Rule) { k.rule(r) })
	case raftstore.TableBridges:
		each(c, func(b *storev1.Bridge) { k.everything(b.GetHostUuid()) })
		each(c, func(b *storev1.Bridge) { k.membersBeside(b.GetHostUuid(), k.row) })
	case raftstore.TablePorts:
		k.port(c)
	case raftstore.TableNodes:
		for _, h := range k.view.Hosts() {
			k.row(h.GetUuid())
		}
	}
}

// each calls f with what a change replaced and with what it put in place.
func each[M proto.Message](c raftstore.Change, f func(M)) {
	if m, ok := c.Before.(M); ok {
		f(m)
	}
	if m, ok := c.After.(M); ok {
		f(m)
	}
}

func (k *marker) host(c raftstore.Change) {
	k.hosts[c.Key] = struct{}{}
	before, _ := c.Before.(*poolwirev1.Host)
	after, _ := c.After.(*poolwirev1.Host)
	if before == nil || after == nil || before.GetTransportAddress() != after.GetTransportAddress() || before.GetManaged() != after.GetManaged() {
		k.everything(c.Key)
		// A host that is gone is a member no more, so its networks cannot be asked who
		// its neighbours were; its pool can, and so can every list that names it.
		each(c, func(h *poolwirev1.Host) { k.neighbours(h) })
	}
}

// neighbours marks the members of every private network a host belongs, or
// belonged, to.
func (k *marker) neighbours(h *poolwirev1.Host) {
	for _, pn := range k.view.PrivateNetworks() {
		for _, m := range pn.GetMembers() {
			if m.GetPoolUuid() == h.GetPoolUuid() || m.GetHostUuid() == h.GetUuid() {
				k.members(pn, k.everything)
				break
			}
		}
	}
}

func (k *marker) endpointMoved(host string) {
	k.row(host)
	k.membersBeside(host, k.row)
}

// membersBeside calls f for each host that shares a private network with host.
func (k *marker) membersBeside(host string, f func(string)) {
	for _, ms := range memberships(k.view, host) {
		for _, p := range ms.peers {
			f(p.Host.GetUuid())
		}
	}
}

func (k *marker) members(pn *poolwirev1.PrivateNetwork, f func(string)) {
	for _, h := range k.view.PrivateNetworkMembers(pn) {
		f(h.Host.GetUuid())
	}
}

func (k *marker) network(c raftstore.Change) {
	each(c, func(n *poolwirev1.Network) {
		for _, host := range n.GetHostUuids() {
			k.networkAt(host, n)
		}
	})
}

// networkAt marks a network on one host: its own bridge, or the fake bridge's parent.
func (k *marker) networkAt(host string, n *poolwirev1.Network) {
	bridge := n.GetBridge()
	if b := k.view.Bridge(host, bridge); b.GetParent() != "" {
		bridge = b.GetParent()
	}
	s := k.at(host, bridge)
	s.networks = union(s.networks, setOf(n.GetUuid()))
}

func (k *marker) privateNetwork(c raftstore.Change) {
	each(c, func(pn *poolwirev1.PrivateNetwork) { k.members(pn, k.everything) })
}

// vif marks a VIF wherever it is plugged. Only its intent matters here: what is
// observed of it comes with the ports.
func (k *marker) vif(c raftstore.Change) {
	for _, p := range k.view.PortsByVif(c.Key) {
		s := k.at(p.GetHostUuid(), p.GetBridge())
		s.vifs = union(s.vifs, setOf(c.Key))
	}
}

func (k *marker) rule(r *poolwirev1.Rule) {
	if r.GetVifUuid() != "" {
		k.vif(raftstore.Change{Key: r.GetVifUuid()})
		return
	}
	if n := k.view.Network(r.GetNetworkUuid()); n != nil {
		for _, host := range n.GetHostUuids() {
			k.ruleAt(r, host, n.GetBridge())
		}
	}
	if pn := k.view.PrivateNetwork(r.GetNetworkUuid()); pn != nil {
		for _, h := range k.view.PrivateNetworkMembers(pn) {
			k.ruleAt(r, h.Host.GetUuid(), h.Bridge)
		}
	}
}

// ruleAt marks a rule of a network on one host: the VIF it is bound to by MAC
// address, or the whole network.
func (k *marker) ruleAt(r *poolwirev1.Rule, host, networkBridge string) {
	bridge := networkBridge
	if b := k.view.Bridge(host, networkBridge); b.GetParent() != "" {
		bridge = b.GetParent()
	}
	if r.GetMac() == "" {
		s := k.at(host, bridge)
		s.networks = union(s.networks, setOf(r.GetNetworkUuid()))
		return
	}
	for _, p := range k.view.PortsByBridge(host, bridge) {
		if p.GetNetworkBridge() == networkBridge && p.GetAttachedMac() == r.GetMac() && p.GetVifUuid() != "" {
			s := k.at(host, bridge)
			s.vifs = union(s.vifs, setOf(p.GetVifUuid()))
		}
	}
}

// port marks an interface on its bridge, and on the far ends of the private
// network that it is plugged into.
func (k *marker) port(c raftstore.Change) {
	before, _ := c.Before.(*storev1.Port)
	after, _ := c.After.(*storev1.Port)
	if before != nil && after != nil && before.GetBridge() != after.GetBridge() ||
		(before.GetVifUuid() != "") != (after.GetVifUuid() != "") || before.GetKind() != after.GetKind() {
		// May make a bridge managed, or able to carry a private network.
		each(c, func(p *storev1.Port) { k.row(p.GetHostUuid()) })
	}
	each(c, func(p *storev1.Port) {
		s := k.at(p.GetHostUuid(), p.GetBridge())
		s.ports = union(s.ports, setOf(p.GetName()))
		if p.GetVifUuid() != "" {
			s.vifs = union(s.vifs, setOf(p.GetVifUuid()))
			k.farEnds(p)
		}
	})
}

// farEnds marks a VIF's port on the other members of its private network. A VIF
// that is plugged twice changes what is known of both places.
func (k *marker) farEnds(p *storev1.Port) {
	places := vifHosts(k.view, p.GetVifUuid())
	places[p.GetHostUuid()] = struct{}{}
	pn := k.view.PrivateNetworkOfBridge(p.GetHostUuid(), p.GetNetworkBridge())
	if pn == nil {
		return
	}
	for _, m := range k.view.PrivateNetworkMembers(pn) {
		for place := range places {
			if place == m.Host.GetUuid() {
				continue
			}
			key := setOf(remoteKey(pn.GetUuid(), place))
			for _, bridge := range []string{overlayBridge, m.Bridge} {
				s := k.at(m.Host.GetUuid(), bridge)
				s.remotes = union(s.remotes, key)
			}
		}
	}
}
