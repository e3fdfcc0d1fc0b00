package controller

import (
	"slices"
	"strings"
	"time"

	"poolwire/overlay"
	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// election is the choice of the relays of one network.
type election struct {
	leader  *leader
	view    *raftstore.View
	network *poolwirev1.PrivateNetwork
	links   map[string]map[string]linkEnd
	// early: the leader is new, and silence means nothing yet.
	early bool
}

// hold elects for every place, ordered by pool.
func (e election) hold(stored []*storev1.Relay, trials func(relayPlace) *overlay.Trials) []*storev1.Relay {
	places := map[string][]overlay.Candidate{}
	topology := topologyOf(e.network)
	if topology == overlay.Mesh {
		return nil
	}
	members := slices.DeleteFunc(e.view.PrivateNetworkMembers(e.network), func(m raftstore.MemberHost) bool { return !m.Host.GetManaged() })
	for _, m := range members {
		place := ""
		if topology == overlay.Hub {
			place = m.Host.GetPoolUuid()
		}
		now := storedAt(stored, place)
		places[place] = append(places[place], overlay.Candidate{
			Host: m.Host.GetUuid(), Number: m.Host.GetObjectId(), Rank: e.rank(m.Host), Alive: e.alive(m.Host, now), Ready: e.ready(m.Host, now),
			Heard: e.heardAsActive(m.Host, now),
		})
	}
	var out []*storev1.Relay
	for place, candidates := range places {
		r := storedAt(stored, place)
		now := overlay.Relay{Site: place, Active: r.GetActive(), Standby: r.GetStandby()}
		next := trials(relayPlace{e.network.GetUuid(), place}).Elect(now, candidates, e.leader.cfg.Clock.Now())
		out = append(out, &storev1.Relay{PrivateNetworkUuid: e.network.GetUuid(), PoolUuid: place, Active: next.Active, Standby: next.Standby})
	}
	slices.SortFunc(out, func(a, b *storev1.Relay) int { return strings.Compare(a.GetPoolUuid(), b.GetPoolUuid()) })
	return out
}

// rank is a host's place in the operator's list, from 1; 0 for none.
func (e election) rank(h *poolwirev1.Host) int {
	if topologyOf(e.network) == overlay.Star {
		if e.network.GetPreferredCenter() == h.GetUuid() {
			return 1
		}
		return 0
	}
	for _, m := range e.network.GetMembers() {
		if m.GetPoolUuid() == h.GetPoolUuid() {
			return slices.Index(m.GetPreferredHubs(), h.GetUuid()) + 1
		}
	}
	return 0
}

// storedAt is who passes traffic on at a place now; nil for nobody.
func storedAt(stored []*storev1.Relay, place string) *storev1.Relay {
	for _, r := range stored {
		if r.GetPoolUuid() == place {
			return r
		}
	}
	return nil
}

// alive tells whether a host can pass traffic on: what the other members hear of it counts most. Where nobody says
// anything, its session does.
//
// One that most do not hear is not, unless it is a relay and the other relay of its place is not heard by more: then the
// fault lies elsewhere, and a third host would fare no better. Both have tunnels to the same hosts, so that they compare.
func (e election) alive(h *poolwirev1.Host, now *storev1.Relay) bool {
	host := h.GetUuid()
	if endpoint(e.view, host) == "" {
		return false
	}
	up, down := e.heard(h)
	if up+down == 0 {
		actor := e.leader.host(host)
		return actor != nil && (!actor.state.Load().away() || e.early)
	}
	if up >= down {
		return true
	}
	other := now.GetStandby()
	switch host {
	case now.GetActive():
	case now.GetStandby():
		other = now.GetActive()
	default:
		return false
	}
	others, _ := e.heard(e.view.Host(other))
	return up > 0 && up >= others
}

// heard counts the members that hear a host by the network's kind of tunnel, and those that do not.
func (e election) heard(h *poolwirev1.Host) (up, down int) {
	for _, m := range e.view.PrivateNetworkMembers(e.network) {
		switch hears, known := e.hears(m.Host, h); {
		case hears:
			up++
		case known:
			down++
		}
	}
	return up, down
}

// hears tells whether one host hears another by the network's kind of tunnel. A tunnel that is being set up says nothing yet.
func (e election) hears(from, h *poolwirev1.Host) (hears, known bool) {
	if h == nil {
		return false, false
	}
	end, there := e.end(from.GetUuid(), h)
	if !there {
		return false, false
	}
	hears, known = end.hears()
	return hears, hears || known && (end.heardOnce || time.Since(end.since) > silence)
}

// heardAsActive tells whether everybody who hears the active relay, the relay itself included, hears this host too, as far as they
// have tunnels to it.
func (e election) heardAsActive(h *poolwirev1.Host, now *storev1.Relay) bool {
	active := e.view.Host(now.GetActive())
	return !slices.ContainsFunc(e.view.PrivateNetworkMembers(e.network), func(m raftstore.MemberHost) bool {
		hears, known := e.hears(m.Host, h)
		hearsActive, _ := e.hears(m.Host, active)
		return known && !hears && (hearsActive || m.Host.GetUuid() == now.GetActive())
	})
}

// end is the near end of a host's tunnel to another one, of the network's kind.
func (e election) end(from string, to *poolwirev1.Host) (linkEnd, bool) {
	end, there := e.links[from][conduitOf(e.network).tunnelName(to)]
	return end, there && end.peer == to.GetUuid()
}

// replaces tells whether whoever hears the active relay hears a host that is to take its place too, and the active one itself,
// unless it says nothing. To count them would not do: one that comes back hears some of the others before it says so, and has
// heard the active one last of all, which until then counts for one less.
func (e election) replaces(h *poolwirev1.Host, active string) bool {
	was := e.view.Host(active)
	for _, m := range e.view.PrivateNetworkMembers(e.network) {
		member := m.Host.GetUuid()
		end, there := e.end(member, h)
		hears, known := end.hears()
		switch {
		case member == h.GetUuid() || there && hears:
		case member == active:
			if there && known {
				return false
			}
		case was != nil:
			if other, there := e.end(member, was); there {
				if up, _ := other.hears(); up {
					return false
				}
			}
		}
	}
	return true
}

// ready tells whether a host that stands by could take over now from the active one: all hear it who hear that, its tunnels are
// there at both ends, and the hosts have confirmed everything. Hosts that are away, that cannot take a change, or that the active one
// does not serve either, are not waited for.
func (e election) ready(h *poolwirev1.Host, now *storev1.Relay) bool {
	self := e.leader.host(h.GetUuid())
	if self == nil || self.state.Load().away() || self.pendingRevision() != 0 {
		return false
	}
	if !e.replaces(h, now.GetActive()) {
		return false
	}
	kind := conduitOf(e.network)
	ms := membershipIn(e.view, e.network, h.GetUuid())
	for _, peer := range ms.peers() {
		uuid := peer.Host.GetUuid()
		a := e.leader.host(uuid)
		served := uuid == now.GetActive() || now.GetActive() == "" || mayForward(e.view, e.network, now.GetActive(), uuid)
		if a == nil || a.state.Load().away() || a.obstacle() != nil || !served {
			continue
		}
		if a.pendingRevision() != 0 || e.view.Port(h.GetUuid(), kind.tunnelName(peer.Host)).GetOfport() == 0 ||
			e.view.Port(uuid, kind.tunnelName(h)).GetOfport() == 0 || !mayForward(e.view, e.network, h.GetUuid(), uuid) {
			return false
		}
	}
	return true
}
