package controller

import (
	"slices"

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
	// came counts the ports that VIFs have got, by host and VIF.
	came map[hostVIF]int
}

func newMarker(view *raftstore.View, revision uint64) *marker {
	return &marker{view: view, revision: revision, rows: setOf(), bridges: map[string]map[string]*markSet{}, hosts: setOf(), came: map[hostVIF]int{}}
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
		k.facts(c)
	case raftstore.TableNetworks:
		k.network(c)
	case raftstore.TablePrivateNetworks:
		k.privateNetwork(c)
	case raftstore.TableVifs:
		k.vif(c)
	case raftstore.TableRules:
		each(c, func(r *poolwirev1.Rule) { k.rule(r) })
	case raftstore.TablePolicyRules:
		each(c, func(r *poolwirev1.PolicyRule) { k.scope(scopeOf(r)) })
	case raftstore.TableAddressGroups:
		k.groupUsers(c.Key)
	case raftstore.TableVifGroups:
		k.vifGroup(c)
	case raftstore.TableBridges:
		each(c, func(b *storev1.Bridge) { k.everything(b.GetHostUuid()) })
	case raftstore.TablePorts:
		k.port(c)
	case raftstore.TableSubscriptions:
		each(c, func(s *storev1.Subscription) { k.subscription(s) })
	case raftstore.TableRelays:
		each(c, func(r *storev1.Relay) { k.paths(r.GetPrivateNetworkUuid()) })
	case raftstore.TableProtections:
		each(c, func(p *storev1.Protection) { k.protection(p) })
	case raftstore.TablePairKeys:
		each(c, func(p *storev1.PairKey) { k.pairKey(p) })
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

// network marks a network where it is, and where it no longer is. That a host
// got it or lost it is nothing to the other hosts of the pool.
func (k *marker) network(c raftstore.Change) {
	before, _ := c.Before.(*poolwirev1.Network)
	after, _ := c.After.(*poolwirev1.Network)
	same := before != nil && after != nil && before.GetObjectId() == after.GetObjectId() &&
		before.GetDefaultLockingMode() == after.GetDefaultLockingMode() &&
		before.GetDefaultInboundAction() == after.GetDefaultInboundAction() &&
		before.GetDefaultOutboundAction() == after.GetDefaultOutboundAction() &&
		before.GetRaGuard() == after.GetRaGuard() && before.GetDhcpGuard() == after.GetDhcpGuard()
	stays := setOf()
	if same {
		for _, host := range before.GetHostUuids() {
			if _, still := slices.BinarySearch(after.GetHostUuids(), host); still {
				stays[host] = struct{}{}
			}
		}
	}
	each(c, func(n *poolwirev1.Network) {
		for _, host := range n.GetHostUuids() {
			if _, unmoved := stays[host]; !unmoved {
				k.networkAt(host, n)
			}
		}
	})
	// Without restricted VIFs there is nothing for the other hosts to know; one that was so at the
	// time has marked them when it changed.
	if before != nil && after != nil && !slices.Equal(before.GetHostUuids(), after.GetHostUuids()) && len(k.view.RestrictedVifs()) > 0 {
		k.restrictedOn(after.GetUuid())
	}
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

// vif marks a VIF wherever it is plugged, and what names it. Only its intent matters
// here: what is observed of it comes with the ports.
func (k *marker) vif(c raftstore.Change) {
	k.plugged(c.Key)
	before, _ := c.Before.(*poolwirev1.Vif)
	after, _ := c.After.(*poolwirev1.Vif)
	k.vifIsolation(before, after)
	k.vifLimit(c.Key, before, after)
	if claimsDiffer(before, after) {
		for _, p := range k.view.PortsByVif(c.Key) {
			k.farEnds(p)
		}
	}
	k.vifAsMember(c.Key, before, after)
	k.vifAsSubscriber(c.Key, before, after)
}

// plugged marks a VIF wherever it is plugged.
func (k *marker) plugged(vif string) {
	for _, p := range k.view.PortsByVif(vif) {
		s := k.at(p.GetHostUuid(), p.GetBridge())
		s.vifs = union(s.vifs, setOf(vif))
	}
}

func (k *marker) rule(r *poolwirev1.Rule) {
	if r.GetVifUuid() != "" {
		k.plugged(r.GetVifUuid())
		return
	}
	if r.GetMac() != "" {
		// A rule bound to an address concerns the VIFs that have it, wherever they are,
		// and no other port of all the hosts with the network.
		for _, v := range k.view.VifsByMAC(r.GetMac()) {
			k.plugged(v.GetUuid())
		}
		return
	}
	if n := k.view.Network(r.GetNetworkUuid()); n != nil {
		for _, host := range n.GetHostUuids() {
			k.networkAt(host, n)
		}
	}
	if pn := k.view.PrivateNetwork(r.GetNetworkUuid()); pn != nil {
		for _, h := range k.view.PrivateNetworkMembers(pn) {
			s := k.at(h.Host.GetUuid(), h.Bridge)
			s.networks = union(s.networks, setOf(pn.GetUuid()))
		}
	}
}

// port marks an interface on its bridge, and on the far ends of the private
// network that it is plugged into.
func (k *marker) port(c raftstore.Change) {
	before, _ := c.Before.(*storev1.Port)
	after, _ := c.After.(*storev1.Port)
	if before != nil && after != nil && before.GetBridge() != after.GetBridge() ||
		(before.GetVifUuid() != "") != (after.GetVifUuid() != "") || impostor(before) != impostor(after) || before.GetKind() != after.GetKind() {
		// May make a bridge managed, or able to carry a private network.
		each(c, func(p *storev1.Port) { k.row(p.GetHostUuid()) })
	}
	each(c, func(p *storev1.Port) {
		if isUplink(p) && (before == nil || after == nil || before.GetKind() != after.GetKind() || before.GetBridge() != after.GetBridge()) &&
			k.view.PrivateNetworkOfBridge(p.GetHostUuid(), p.GetBridge()) != nil {
			// A bridge with a way out does not carry a private network.
			k.everything(p.GetHostUuid())
		}
	})
	k.adoptable(before, after)
	k.portPolicy(before, after)
	each(c, func(p *storev1.Port) {
		s := k.at(p.GetHostUuid(), p.GetBridge())
		s.ports = union(s.ports, setOf(p.GetName()))
		if p.GetVifUuid() != "" {
			s.vifs = union(s.vifs, setOf(p.GetVifUuid()))
			k.plugged(p.GetVifUuid()) // one that is plugged twice is another VIF to the other host as well
			k.farEnds(p)
			k.subscriber(p.GetVifUuid())
		}
	})
}
