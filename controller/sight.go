package controller

import "poolwire/raftstore"

// sight is what a leader knows of the tunnels between hosts at a moment.
type sight struct {
	lead *leader
	view *raftstore.View
}

// passes tells whether packets of a network pass from one host to the next: the tunnel is heard at this end, and it is
// proved to be protected where it has to be.
func (s sight) passes(ms membership, to string) bool {
	peer, there := ms.others[to]
	if !there || !mayForward(s.view, ms.network, ms.host, to) {
		return false
	}
	up, _ := s.lead.links.of(ms.host)[ms.conduit.tunnelName(peer.Host)].hears()
	return up
}

// reaches tells whether packets of a network get from one member to another, over all the hops that they take.
func (s sight) reaches(ms membership, to string) bool {
	hop, planned := ms.plan.Via[to]
	for left := longestWay; planned && left > 0; left-- {
		switch {
		case !s.passes(ms, hop.Host):
			return false
		case hop.Host == to:
			return true
		}
		ms = membershipIn(s.view, ms.network, hop.Host)
		hop, planned = ms.plan.PassVia[to]
	}
	return false
}

// longestWay is how many tunnels a packet takes at the most: to a hub, to the other site's and to the member.
const longestWay = 3

// reached counts the other members of a network that a host reaches.
func (s sight) reached(ms membership) (n uint32) {
	for to := range ms.others {
		if s.reaches(ms, to) {
			n++
		}
	}
	return n
}

// egress is the interface that a host's tunnels leave by, as the switch resolves it; empty while there are none, and when
// they do not all take the same.
func (s sight) egress(host string) string {
	name := ""
	for _, e := range s.lead.links.of(host) {
		switch {
		case e.egress == "" || e.egress == name:
		case name == "":
			name = e.egress
		default:
			return ""
		}
	}
	return name
}

// guarded tells whether a host has peers that it must not speak to in clear, and is guarded against all of them.
func (s sight) guarded(host string) bool {
	peers, found := guardedPeers(s.view, host), map[string]struct{}{}
	for _, e := range s.lead.links.of(host) {
		if _, must := peers[e.peer]; !must {
			continue
		}
		if !s.lead.guardOf(e).stands {
			return false
		}
		found[e.peer] = struct{}{}
	}
	return len(peers) > 0 && len(found) == len(peers)
}
