package overlay

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// fabric carries frames between hosts as the switches would, each by its own view of the network.
type fabric struct {
	views map[string]Network
	got   map[string]int // copies that the VMs of a host got
	steps int
}

// send lets a VM of a host send a broadcast.
func (f *fabric) send(from string) {
	for _, h := range Plan(f.views[from], from).Flood {
		f.arrive(from, h.Host, h.Relay)
	}
}

// arrive lets a frame reach a host by the tunnel from another, if both have it. Every change of topology comes with
// another relay VNI.
func (f *fabric) arrive(from, at string, relay bool) {
	f.steps++
	if f.steps > 100000 {
		panic("loop")
	}
	there := Plan(f.views[at], at)
	if !slices.Contains(Plan(f.views[from], from).Peers, at) || !slices.Contains(there.Peers, from) {
		return
	}
	if !relay {
		f.got[at]++
		return
	}
	for _, p := range there.Passes {
		if f.views[at].Topology != f.views[from].Topology || !slices.Contains(p.From, from) {
			continue
		}
		f.got[at]++
		for _, h := range p.To {
			if h.Host != from {
				f.arrive(at, h.Host, h.Relay)
			}
		}
		return
	}
}

func drawMembers(t *rapid.T) []Member {
	var out []Member
	for site := range rapid.IntRange(1, 4).Draw(t, "sites") {
		for host := range rapid.IntRange(1, 4).Draw(t, "hosts") {
			out = append(out, Member{Host: fmt.Sprintf("h%d-%d", site, host), Site: fmt.Sprintf("s%d", site)})
		}
	}
	return out
}

// drawRelays draws who passes traffic on: complete, or as wrong as it may be in the course of changes.
func drawRelays(t *rapid.T, topology Topology, members []Member, complete bool) []Relay {
	sites := map[string][]string{}
	for _, m := range members {
		key := m.Site
		if topology == Star {
			key = ""
		}
		sites[key] = append(sites[key], m.Host)
	}
	var keys []string
	for k := range sites {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	var out []Relay
	for _, site := range keys {
		hosts := rapid.Permutation(sites[site]).Draw(t, "order")
		r := Relay{Site: site, Active: hosts[0]}
		if len(hosts) > 1 {
			r.Standby = hosts[1]
		}
		if !complete {
			switch rapid.IntRange(0, 3).Draw(t, "missing") {
			case 0:
				r.Active = ""
			case 1:
				r.Standby = ""
			}
		}
		out = append(out, r)
	}
	return out
}

// TestEveryoneGetsOneCopy floods from every host of random networks that all hosts agree about.
func TestEveryoneGetsOneCopy(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := Network{Topology: Topology(rapid.IntRange(0, 2).Draw(t, "topology")), Members: drawMembers(t)}
		n.Relays = drawRelays(t, n.Topology, n.Members, true)
		views := map[string]Network{}
		for _, m := range n.Members {
			views[m.Host] = n
		}
		for _, from := range n.Members {
			f := fabric{views: views, got: map[string]int{}}
			f.send(from.Host)
			for _, m := range n.Members {
				want := 1
				if m == from {
					want = 0
				}
				if f.got[m.Host] != want {
					t.Fatalf("topology %d, relays %v: %s sends, %s gets %d copies", n.Topology, n.Relays, from.Host, m.Host, f.got[m.Host])
				}
			}
		}
	})
}

// TestNobodyGetsTwo floods while every host believes something else about who passes traffic on, and even about
// the topology: as in the middle of a change.
func TestNobodyGetsTwo(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		members := drawMembers(t)
		views := map[string]Network{}
		for _, m := range members {
			topology := Topology(rapid.IntRange(0, 2).Draw(t, "topology"))
			views[m.Host] = Network{Topology: topology, Members: members, Relays: drawRelays(t, topology, members, false)}
		}
		for _, from := range members {
			f := fabric{views: views, got: map[string]int{}}
			f.send(from.Host)
			for host, copies := range f.got {
				if copies > 1 || host == from.Host {
					t.Fatalf("%s sends, %s gets %d copies", from.Host, host, copies)
				}
			}
		}
	})
}

// TestUnicastFollowsTheBroadcast: what is sent to one host goes where a broadcast would go on its way there.
func TestUnicastFollowsTheBroadcast(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := Network{Topology: Topology(rapid.IntRange(0, 2).Draw(t, "topology")), Members: drawMembers(t)}
		n.Relays = drawRelays(t, n.Topology, n.Members, true)
		for _, from := range n.Members {
			plan := Plan(n, from.Host)
			for _, to := range n.Members {
				if to == from {
					continue
				}
				hop, ok := plan.Via[to.Host]
				if !ok {
					t.Fatalf("%s does not reach %s", from.Host, to.Host)
				}
				at, last := hop.Host, from.Host
				for steps := 0; hop.Relay && at != to.Host; steps++ {
					next, ok := passedOn(n, at, last, to.Host)
					if !ok || steps > 2 {
						t.Fatalf("topology %d, relays %v: from %s to %s lost at %s", n.Topology, n.Relays, from.Host, to.Host, at)
					}
					last, at, hop = at, next.Host, next
				}
				if at != to.Host {
					t.Fatalf("from %s to %s ends at %s", from.Host, to.Host, at)
				}
			}
		}
	})
}

// passedOn is the hop by which a relay passes a frame for a member on.
func passedOn(n Network, relay, from, to string) (Hop, bool) {
	plan := Plan(n, relay)
	for _, p := range plan.Passes {
		if slices.Contains(p.From, from) {
			hop, ok := plan.PassVia[to]
			return hop, ok && (!hop.Relay || p.Class != FromSites)
		}
	}
	return Hop{}, false
}

func TestPeersAgree(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := Network{Topology: Topology(rapid.IntRange(0, 2).Draw(t, "topology")), Members: drawMembers(t)}
		n.Relays = drawRelays(t, n.Topology, n.Members, false)
		for _, m := range n.Members {
			plan := Plan(n, m.Host)
			for _, peer := range plan.Peers {
				if !slices.Contains(Plan(n, peer).Peers, m.Host) {
					t.Fatalf("%s has a tunnel to %s, which has none back", m.Host, peer)
				}
			}
			for _, hop := range plan.Flood {
				if !slices.Contains(plan.Peers, hop.Host) {
					t.Fatalf("%s floods to %s without a tunnel", m.Host, hop.Host)
				}
			}
		}
	})
}

func TestPlanOfNoMember(t *testing.T) {
	t.Parallel()
	if got := Plan(Network{Members: []Member{{"a", "s"}}}, "b"); got.Via != nil || got.Peers != nil {
		t.Errorf("a host that is no member has the part %+v", got)
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	members := []Member{{"a1", "a"}, {"a2", "a"}, {"a3", "a"}, {"b1", "b"}, {"b2", "b"}}
	star := Network{Topology: Star, Members: members, Relays: []Relay{{Active: "a1", Standby: "b1"}}}
	hub := Network{Topology: Hub, Members: members, Relays: []Relay{{Site: "a", Active: "a1", Standby: "a2"}, {Site: "b", Active: "b1"}}}
	for _, tt := range []struct {
		n          Network
		host, peer string
		want       bool
	}{
		{Network{Members: members}, "a1", "b1", false},
		{star, "a2", "a1", true}, {star, "a2", "b1", true}, {star, "a1", "a2", false}, {star, "b1", "a2", false}, {star, "b1", "a1", true},
		{hub, "a3", "a1", true}, {hub, "a3", "a2", true}, {hub, "a1", "a3", false}, {hub, "a1", "b1", true}, {hub, "a2", "a1", true}, {hub, "b2", "b1", true},
		{hub, "a1", "a2", false},
	} {
		if got := Answers(tt.n, tt.host, tt.peer); got != tt.want {
			t.Errorf("topology %d: %s to %s: %t, want %t", tt.n.Topology, tt.host, tt.peer, got, tt.want)
		}
	}
}
