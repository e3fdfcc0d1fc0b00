package controller

import (
	"google.golang.org/protobuf/proto"

	"poolwire/adoption"
	"poolwire/flowcompiler"
	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// Taking a private network over from Xen Orchestra's plugin, in the order in which it happens on the hosts:
//
//  1. The network is made, without members. Every host of the plugin's network gets tunnels to all the others, on which
//     nothing but BFD passes. So no host has to wait for tunnels later.
//  2. The hosts of a pool become members, by one change of the store. Their bridges get the flows of a private network. The
//     plugin's tunnels on them go on as far as they lead to hosts that are not members.
//  3. The plugin's tunnels between members are removed. A packet under the network's key arrives by a tunnel that was made for
//     this very key as long as there is one, else by ours: neither end depends on which the other sends by.

// managedMember tells which hosts are members that Poolwire programs.
func managedMember(v *raftstore.View, pn *poolwirev1.PrivateNetwork) func(hostUUID string) bool {
	members := setOf()
	for _, m := range v.PrivateNetworkMembers(pn) {
		if m.Host.GetManaged() {
			members[m.Host.GetUuid()] = struct{}{}
		}
	}
	return func(hostUUID string) bool { return has(members, hostUUID) }
}

func has(set map[string]struct{}, key string) bool {
	_, there := set[key]
	return there
}

// widened is a private network with the hosts that are yet to be taken over among its members, and whether a host is one of
// these. The hosts of an encrypted network are taken over all at once and not prepared: two ends that would protect
// what they send by different keys cannot stand beside each other.
func widened(v *raftstore.View, pn *poolwirev1.PrivateNetwork) (wide *poolwirev1.PrivateNetwork, staged map[string]struct{}) {
	if pn.GetAdoptedFrom() == "" || pn.GetEncrypted() {
		return pn, nil
	}
	from := adoption.Find(v, pn.GetAdoptedFrom())
	for _, h := range from.Hosts() {
		bridge := from.Bridge(h.GetUuid())
		if _, member := carrierOn(pn, h); member || bridge == "" || !h.GetManaged() {
			continue
		}
		if staged == nil {
			wide, staged = proto.CloneOf(pn), setOf()
		}
		staged[h.GetUuid()] = struct{}{}
		wide.Members = append(wide.Members, &poolwirev1.PrivateNetworkMember{
			Target: &poolwirev1.PrivateNetworkMember_HostUuid{HostUuid: h.GetUuid()}, Bridge: bridge,
		})
	}
	if staged == nil {
		return pn, nil
	}
	return wide, staged
}

// plannedMemberships are the memberships of a host as its rows need them, and apart from them those it is yet to get:
// tunnels are made to hosts that are yet to be taken over, and on them.
func plannedMemberships(v *raftstore.View, hostUUID string) (now, staged []membership) {
	for _, pn := range v.PrivateNetworksOfHost(hostUUID) {
		wide, _ := widened(v, pn)
		now = append(now, membershipIn(v, wide, hostUUID))
	}
	seen := setOf("")
	for _, p := range v.Ports(hostUUID) {
		from := p.GetAdoptableUuid()
		if has(seen, from) {
			continue
		}
		seen[from] = struct{}{}
		if pn := v.PrivateNetworkByAdopted(from); pn != nil {
			if wide, hosts := widened(v, pn); has(hosts, hostUUID) {
				m := membershipIn(v, wide, hostUUID)
				m.staged = true
				staged = append(staged, m)
			}
		}
	}
	return now, staged
}

// relieved names the interfaces of the plugin's tunnels that are to go from a host, with the mark that they have: those to
// other members, once there are tunnels in their place. Those of an encrypted network go at once, or the host's IPsec would
// get two credentials for one peer.
func relieved(v *raftstore.View, hostUUID string, carriers map[string]membership) map[string]string {
	out := map[string]string{}
	for bridge, m := range carriers {
		pn := v.PrivateNetwork(m.network.GetUuid())
		if pn.GetAdoptedFrom() == "" {
			continue
		}
		from := adoption.Find(v, pn.GetAdoptedFrom())
		uses := from.Uses(managedMember(v, pn), pn.GetEncrypted())
		for _, t := range from.Of(hostUUID) {
			name := t.Port.GetName()
			if t.Port.GetBridge() == bridge && uses.Of(hostUUID, name) == adoption.Relieved && (pn.GetEncrypted() || m.replaces(v, t.Far)) {
				out[name] = from.UUID
			}
		}
	}
	return out
}

// replaces tells whether the switch has what the private network needs instead of a foreign tunnel to another member.
func (m membership) replaces(v *raftstore.View, far *poolwirev1.Host) bool {
	if v.Port(m.host, patchName(m.network.GetVni())).GetOfport() == 0 || v.Port(m.host, uplinkName(m.network.GetVni())).GetOfport() == 0 {
		return false
	}
	for _, peer := range m.plan.Peers {
		if peer == far.GetUuid() {
			return v.Port(m.host, m.conduit.tunnelName(far)).GetOfport() != 0
		}
	}
	return true
}

// foreignTunnel is what a tunnel of somebody else's is to a private network.
func (m model) foreignTunnel(p *storev1.Port, n bridgeNetwork) flowcompiler.PortKind {
	from := p.GetAdoptableUuid()
	pn := m.view.PrivateNetwork(n.uuids[0])
	if from == "" || pn.GetAdoptedFrom() != from {
		return flowcompiler.PortForeign
	}
	uses, known := m.adoptions[from]
	if !known {
		uses = adoption.Find(m.view, from).Uses(managedMember(m.view, pn), pn.GetEncrypted())
		m.adoptions[from] = uses
	}
	switch uses.Of(m.host.GetUuid(), p.GetName()) {
	case adoption.Open:
		return flowcompiler.PortForeignTunnel
	case adoption.Relieved:
		if !pn.GetEncrypted() {
			return flowcompiler.PortRelieved
		}
	}
	return flowcompiler.PortForeign
}

// adoption marks the hosts of a network that is being taken over: what their tunnels are for depends on all of them.
func (k *marker) adoption(from string) {
	pn := k.view.PrivateNetworkByAdopted(from)
	if from == "" || pn == nil {
		return
	}
	k.members(pn, k.row)
	for _, t := range adoption.Find(k.view, from).Tunnels {
		k.row(t.Host.GetUuid())
		s := k.at(t.Host.GetUuid(), t.Port.GetBridge())
		s.ports = union(s.ports, setOf(t.Port.GetName()))
	}
}

// adoptions marks them all: a host has got another address.
func (k *marker) adoptions() {
	for _, pn := range k.view.PrivateNetworks() {
		k.adoption(pn.GetAdoptedFrom())
	}
}

// adoptable marks what depends on a tunnel of the plugin's that came, went, or leads elsewhere.
func (k *marker) adoptable(before, after *storev1.Port) {
	if before.GetAdoptableUuid() == after.GetAdoptableUuid() && before.GetTunnelRemote() == after.GetTunnelRemote() && before.GetBridge() == after.GetBridge() {
		return
	}
	k.adoption(before.GetAdoptableUuid())
	k.adoption(after.GetAdoptableUuid())
}
