package controller

import (
	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

func (k *marker) host(c raftstore.Change) {
	k.hosts[c.Key] = struct{}{}
	before, _ := c.Before.(*poolwirev1.Host)
	after, _ := c.After.(*poolwirev1.Host)
	if before == nil || after == nil || before.GetManaged() != after.GetManaged() ||
		before.GetTransportAddress() != after.GetTransportAddress() {
		k.everything(c.Key)
		k.guards(c.Key)
		// A host that is gone is a member no more, so its networks cannot be asked who
		// its neighbours were; its pool can, and so can every list that names it.
		each(c, func(h *poolwirev1.Host) { k.neighbours(h) })
		k.adoptions()
		return
	}
	if certified(before) != certified(after) {
		k.credentials(c.Key)
	}
}

// credentials marks both ends of the tunnels that a host proves itself for.
func (k *marker) credentials(host string) {
	k.row(host)
	for peer := range guardedPeers(k.view, host) {
		k.row(peer)
	}
}

// facts marks a host that says something new of itself. Its peers care for its
// address only, its bridges for the version of its switch.
func (k *marker) facts(c raftstore.Change) {
	before, _ := c.Before.(*storev1.HostFacts)
	after, _ := c.After.(*storev1.HostFacts)
	k.row(c.Key)
	if before.GetOvsVersion() != after.GetOvsVersion() {
		k.at(c.Key, "").base = true
	}
	if before.GetTransportAddress() == after.GetTransportAddress() {
		return
	}
	for _, ms := range memberships(k.view, c.Key) {
		for _, p := range ms.peers() {
			k.row(p.Host.GetUuid())
		}
	}
	k.guards(c.Key)
	k.adoptions()
}

// guards marks the guards that other hosts have against one, whose address is another.
func (k *marker) guards(host string) {
	for peer := range guardedPeers(k.view, host) {
		k.at(peer, "").base = true
	}
}
