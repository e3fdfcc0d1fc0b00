package overlay

import (
	"cmp"
	"maps"
	"slices"
)

// Topology says which tunnels a network has.
type Topology uint8

// The topologies.
const (
	// Mesh: every host has a tunnel to every other.
	Mesh Topology = iota
	// Star: every host has tunnels to the centre and its stand-in.
	Star
	// Hub: a mesh in each site; between sites everything passes both sites' hubs.
	Hub
)

// Member is a host of a network.
type Member struct {
	// Host is its UUID.
	Host string
	// Site is what it shares with the hosts that it reaches without a hub: the UUID of its pool.
	Site string
}

// Relay is who passes traffic on at one place.
type Relay struct {
	// Site is the site whose hub it is; empty for the centre of a star.
	Site string
	// Active is the host that does, Standby the one that is ready to; empty for none.
	Active, Standby string
}

// has tells whether a host passes traffic on here.
func (r Relay) has(host string) bool { return host != "" && (host == r.Active || host == r.Standby) }

// Network is what a plan is made from.
type Network struct {
	Topology Topology
	Members  []Member
	// Relays are those of the network's topology, at most one per site. Hosts in it that are no
	// members are passed over.
	Relays []Relay
}

// Hop is where a host sends a frame next.
type Hop struct {
	// Host is at the other end of the tunnel.
	Host string
	// Relay: under the relay VNI, to be passed on.
	Relay bool
}

// Class tells frames under the relay VNI apart by where they come from.
type Class uint8

// The classes.
const (
	// FromMembers is what members send to the centre of a star, or hosts of a site to its hub.
	FromMembers Class = 1
	// FromSites is what the hubs of other sites send to a hub.
	FromSites Class = 2
)

// Pass is what a relay does with frames of one class under the relay VNI, besides giving them
// to its own VMs.
type Pass struct {
	Class Class
	// From are the hosts from which such frames are taken, sorted.
	From []string
	// To are the hops that a broadcast goes to, sorted; never back to the host it came from.
	To []Hop
}

// Forwarding is the part of one host in one network.
type Forwarding struct {
	// Peers are the hosts to have a tunnel to, sorted.
	Peers []string
	// Via is the next hop to every member that can be reached.
	Via map[string]Hop
	// PassVia is the next hop to every member for what the host passes on for others; nil when it
	// passes nothing on. What another site's hub has sent is never sent to a third one's.
	PassVia map[string]Hop
	// Flood are the hops of a broadcast that a VM of this host sends, sorted, no host twice.
	Flood []Hop
	// Passes is what the host passes on for others.
	Passes []Pass
}

// Plan says what part a host has in a network; the zero Forwarding when it is no member.
func Plan(n Network, host string) Forwarding {
	p := newPlanner(n, host)
	if p == nil {
		return Forwarding{}
	}
	switch n.Topology {
	case Star:
		p.star()
	case Hub:
		p.hub()
	default:
		p.mesh()
	}
	return p.forwarding()
}

// planner works out the part of one host.
type planner struct {
	self   Member
	others []Member
	relays map[string]Relay // by site
	site   map[string]string
	peers  map[string]bool
	via    map[string]Hop
	passed map[string]Hop
	passes []Pass
}

func newPlanner(n Network, host string) *planner {
	p := &planner{relays: map[string]Relay{}, site: map[string]string{}, peers: map[string]bool{}, via: map[string]Hop{}, passed: map[string]Hop{}}
	for _, m := range n.Members {
		if _, twice := p.site[m.Host]; twice {
			continue
		}
		p.site[m.Host] = m.Site
		if m.Host == host {
			p.self = m
		} else {
			p.others = append(p.others, m)
		}
	}
	if p.self.Host == "" {
		return nil
	}
	slices.SortFunc(p.others, func(a, b Member) int { return cmp.Compare(a.Host, b.Host) })
	for _, r := range n.Relays {
		if !p.may(r.Active, r.Site) {
			r.Active = ""
		}
		if !p.may(r.Standby, r.Site) || r.Standby == r.Active {
			r.Standby = ""
		}
		p.relays[r.Site] = r
	}
	return p
}

// may tells whether a host is a member that can be a relay of a site.
func (p *planner) may(host, site string) bool {
	at, member := p.site[host]
	return member && (site == "" || at == site)
}

func (p *planner) mesh() {
	for _, m := range p.others {
		p.direct(m.Host)
	}
}

// direct reaches a host by a tunnel of its own.
func (p *planner) direct(host string) {
	p.peers[host] = true
	p.via[host] = Hop{Host: host}
}

func (p *planner) star() {
	centre := p.relays[""]
	for _, m := range p.others {
		switch {
		case centre.has(p.self.Host):
			p.peers[m.Host] = true
		case centre.has(m.Host):
			p.peers[m.Host] = true
		}
		switch {
		case p.self.Host == centre.Active:
			p.via[m.Host] = Hop{Host: m.Host}
		case centre.Active != "":
			p.via[m.Host] = Hop{Host: centre.Active, Relay: true}
		}
	}
	if centre.has(p.self.Host) {
		pass := Pass{Class: FromMembers}
		for _, m := range p.others {
			pass.From = append(pass.From, m.Host)
			pass.To = append(pass.To, Hop{Host: m.Host})
			p.passed[m.Host] = Hop{Host: m.Host}
		}
		p.addPass(pass)
	}
}

func (p *planner) hub() {
	own := p.relays[p.self.Site]
	inside, outside := Pass{Class: FromMembers}, Pass{Class: FromSites}
	reached := map[string]bool{} // sites that have a hop of this host's already
	for _, m := range p.others {
		if m.Site == p.self.Site {
			p.direct(m.Host)
			inside.From = append(inside.From, m.Host)
			outside.To = append(outside.To, Hop{Host: m.Host})
			p.passed[m.Host] = Hop{Host: m.Host}
			continue
		}
		theirs := p.relays[m.Site]
		if theirs.Active != "" {
			p.passed[m.Host] = Hop{Host: theirs.Active, Relay: true}
		}
		if own.has(p.self.Host) && theirs.has(m.Host) {
			p.peers[m.Host] = true
			outside.From = append(outside.From, m.Host)
		}
		if own.has(p.self.Host) && theirs.Active != "" && !reached[m.Site] {
			reached[m.Site] = true
			inside.To = append(inside.To, Hop{Host: theirs.Active, Relay: true})
		}
		switch {
		case theirs.Active == "" || own.Active == "":
		case own.Active == p.self.Host:
			p.via[m.Host] = Hop{Host: theirs.Active, Relay: true}
		default:
			p.via[m.Host] = Hop{Host: own.Active, Relay: true}
		}
	}
	if own.has(p.self.Host) {
		p.addPass(inside)
		p.addPass(outside)
	}
}

func (p *planner) addPass(pass Pass) {
	if len(pass.From) == 0 {
		return
	}
	slices.SortFunc(pass.To, compareHops)
	p.passes = append(p.passes, pass)
}

// forwarding sums up. A relay gives what it passes on to its own VMs too, so a host that is both
// a destination and a relay gets a broadcast once, to be passed on.
func (p *planner) forwarding() Forwarding {
	hops := map[string]Hop{}
	for _, h := range p.via {
		if was, there := hops[h.Host]; !there || !was.Relay {
			hops[h.Host] = h
		}
	}
	f := Forwarding{
		Peers:  slices.Sorted(maps.Keys(p.peers)),
		Via:    p.via,
		Flood:  slices.SortedFunc(maps.Values(hops), compareHops),
		Passes: p.passes,
	}
	if len(f.Passes) > 0 {
		f.PassVia = p.passed
	}
	return f
}

func compareHops(a, b Hop) int { return cmp.Compare(a.Host, b.Host) }

// Answers tells under which VNI a host sends to an address that it has learned from the tunnel
// of a peer: what a relay has passed on came from farther away, and the answer has to be
// passed on too.
func Answers(n Network, host, peer string) (relay bool) {
	p := newPlanner(n, host)
	if p == nil || p.self.Host == peer {
		return false
	}
	site := ""
	switch n.Topology {
	case Mesh:
		return false
	case Hub:
		if site = p.self.Site; p.site[peer] != site {
			return true
		}
	}
	r := p.relays[site]
	return r.Active != host && r.has(peer)
}
