package controller

import (
	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// neighbours marks a host on the members of every private network that it
// belongs, or belonged, to: their tunnels to it, and what is sent there.
func (k *marker) neighbours(h *poolwirev1.Host) {
	for _, pn := range k.view.PrivateNetworks() {
		if _, member := carrierOn(pn, h); member {
			k.farEnd(pn, h)
		}
	}
}

// farEnd marks a host as seen from the other members of a private network.
func (k *marker) farEnd(pn *poolwirev1.PrivateNetwork, far *poolwirev1.Host) {
	tunnels := setOf(conduitOf(pn).tunnelName(far))
	for _, m := range k.view.PrivateNetworkMembers(pn) {
		k.row(m.Host.GetUuid())
		k.guarded(pn, m.Host.GetUuid())
		k.remote(pn, far.GetUuid(), m)
		s := k.at(m.Host.GetUuid(), overlayBridge)
		s.ports = union(s.ports, tunnels)
		s.networks = union(s.networks, setOf(pn.GetUuid()))
	}
}

// paths marks the ways between the members of a private network.
func (k *marker) paths(networkUUID string) {
	pn := k.view.PrivateNetwork(networkUUID)
	for _, m := range k.view.PrivateNetworkMembers(pn) {
		k.row(m.Host.GetUuid())
		k.guarded(pn, m.Host.GetUuid())
		s := k.at(m.Host.GetUuid(), overlayBridge)
		s.networks = union(s.networks, setOf(networkUUID))
	}
}

// guarded marks the guards of a member of a private network, whose tunnels may be others now.
func (k *marker) guarded(pn *poolwirev1.PrivateNetwork, host string) {
	if pn.GetEncrypted() {
		k.at(host, "").base = true
	}
}

// protection marks the networks that two hosts share.
func (k *marker) protection(p *storev1.Protection) {
	for _, host := range []string{p.GetHostA(), p.GetHostB()} {
		s := k.at(host, overlayBridge)
		for _, pn := range k.view.PrivateNetworksOfHost(host) {
			if pn.GetEncrypted() && conduitOf(pn).encapsulation.InterfaceType() == p.GetEncapsulation() {
				s.networks = union(s.networks, setOf(pn.GetUuid()))
			}
		}
	}
}

// pairKey marks the guards and the credentials of two hosts.
func (k *marker) pairKey(p *storev1.PairKey) {
	for _, host := range []string{p.GetHostA(), p.GetHostB()} {
		k.row(host)
		k.at(host, "").base = true
	}
}

// remote marks the far end of a private network on one of the other members.
func (k *marker) remote(pn *poolwirev1.PrivateNetwork, far string, at raftstore.MemberHost) {
	for _, bridge := range []string{overlayBridge, at.Bridge} {
		s := k.at(at.Host.GetUuid(), bridge)
		s.remotes = union(s.remotes, setOf(remoteKey(pn.GetUuid(), far)))
	}
}

func (k *marker) members(pn *poolwirev1.PrivateNetwork, f func(string)) {
	for _, h := range k.view.PrivateNetworkMembers(pn) {
		f(h.Host.GetUuid())
	}
}

func (k *marker) privateNetwork(c raftstore.Change) {
	each(c, func(pn *poolwirev1.PrivateNetwork) { k.members(pn, k.everything) })
	each(c, func(pn *poolwirev1.PrivateNetwork) { k.adoption(pn.GetAdoptedFrom()) })
}

// farEnds marks a VIF's port on the other members of its private network. A VIF
// that is plugged twice changes what is known of both places, which need not be
// on the same network.
func (k *marker) farEnds(port *storev1.Port) {
	for _, p := range append(k.view.PortsByVif(port.GetVifUuid()), port) {
		pn := k.view.PrivateNetworkOfBridge(p.GetHostUuid(), p.GetNetworkBridge())
		if pn == nil {
			continue
		}
		for _, m := range k.view.PrivateNetworkMembers(pn) {
			if m.Host.GetUuid() != p.GetHostUuid() {
				k.remote(pn, p.GetHostUuid(), m)
				continue
			}
			bridges := []string{m.Bridge}
			if pn.GetRelayVni() != 0 {
				bridges = append(bridges, overlayBridge)
			}
			for _, bridge := range bridges {
				s := k.at(m.Host.GetUuid(), bridge)
				s.remotes = union(s.remotes, setOf(remoteKey(pn.GetUuid(), p.GetHostUuid())))
			}
		}
	}
}
