package controller

import (
	"testing"
	"time"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// starOf is a cluster with so many hosts in one pool, all of them in a star.
func starOf(t *testing.T, hosts int) (k *cluster, pn *poolwirev1.PrivateNetwork, uuids []string) {
	t.Helper()
	k = newCluster(t)
	for n := 1; n <= hosts; n++ {
		_, uuid := k.join(n)
		uuids = append(uuids, uuid)
	}
	pn = blue(poolMember(uuidOf("aaaa", 1)))
	pn.Topology = poolwirev1.Topology_TOPOLOGY_STAR
	k.do(putPrivate(pn, true))
	return k, pn, uuids
}

// A relay that only some hear keeps its place as long as the other one is heard by no more: a third host would fare no better, and
// the place would go round for as long as the fault lasts.
func TestARelayStaysWhereNobodyIsBetterHeard(t *testing.T) {
	t.Parallel()
	k, pn, uuids := starOf(t, 5)
	view := k.view()
	now := &storev1.Relay{PrivateNetworkUuid: pn.GetUuid(), Active: uuids[0], Standby: uuids[1]}
	// heard builds what the members say: of each host, how many of the other four hear it; nobody says anything of the rest.
	heard := func(by map[int]int) election {
		e := election{leader: k.c.current.Load(), view: view, network: pn, links: map[string]map[string]linkEnd{}}
		for host, up := range by {
			name := conduitOf(pn).tunnelName(view.Host(uuids[host]))
			for from, uuid := range uuids {
				if from == host {
					continue
				}
				if e.links[uuid] == nil {
					e.links[uuid] = map[string]linkEnd{}
				}
				end := linkEnd{host: uuid, peer: uuids[host], bfd: "down", heardOnce: true, since: time.Now()}
				if up > 0 {
					end.bfd = "up"
				}
				up--
				e.links[uuid][name] = end
			}
		}
		return e
	}
	for name, c := range map[string]struct {
		by    map[int]int
		host  int
		alive bool
	}{
		"heard by all":                           {map[int]int{0: 4, 1: 4}, 0, true},
		"heard by nobody":                        {map[int]int{0: 0, 1: 4}, 0, false},
		"nobody hears either":                    {map[int]int{0: 0, 1: 0}, 0, false},
		"the other is heard by more":             {map[int]int{0: 1, 1: 4}, 0, false},
		"the other fares as badly":               {map[int]int{0: 1, 1: 1}, 0, true},
		"the stand-in, as badly":                 {map[int]int{0: 1, 1: 1}, 1, true},
		"the stand-in, worse":                    {map[int]int{0: 2, 1: 1}, 1, false},
		"no relay, and most do not hear it":      {map[int]int{0: 1, 1: 1, 2: 1}, 2, false},
		"no relay, and as many hear it as don't": {map[int]int{2: 2}, 2, true},
	} {
		if got := heard(c.by).alive(view.Host(uuids[c.host]), now); got != c.alive {
			t.Errorf("%s: alive %v", name, got)
		}
	}
	// What other networks' tunnels say of a host does not count.
	e := heard(map[int]int{0: 4})
	for _, uuid := range uuids[1:] {
		e.links[uuid]["pwg1"] = linkEnd{host: uuid, peer: uuids[0], bfd: "down", heardOnce: true}
		e.links[uuid]["pwn1"] = linkEnd{host: uuid, peer: uuids[0], bfd: "down", heardOnce: true}
	}
	if !e.alive(view.Host(uuids[0]), now) {
		t.Error("deposed for tunnels of another kind")
	}
}

// Whether a relay that lost its place may come back is asked of those who hear the active one, and of it: whom nobody reaches has no say,
// nor has who has no tunnel to it, or a new one.
func TestHeardAsTheActiveOneIs(t *testing.T) {
	t.Parallel()
	s := newState(t)
	pool := s.pool(1)
	var uuids []string
	for n := 1; n <= 4; n++ {
		uuids = append(uuids, s.host(pool, n))
	}
	pn := blue(poolMember(pool))
	pn.Topology = poolwirev1.Topology_TOPOLOGY_STAR
	s.do(putPrivate(pn, true))
	view := s.view()
	lost, active := view.Host(uuids[0]), view.Host(uuids[1])
	const yes, no, soon, none = "up", "down", "init", ""
	for name, tt := range map[string]struct {
		// lost and active say what hosts 2, 3 and 4 hear of the lost relay, hosts 3 and 4 of the active one, which is host 2.
		lost   [3]string
		active [2]string
		want   bool
	}{
		"by all":                         {[3]string{yes, yes, yes}, [2]string{yes, yes}, true},
		"by those with a tunnel":         {[3]string{yes, none, none}, [2]string{yes, yes}, true},
		"not by the active one":          {[3]string{no, yes, yes}, [2]string{yes, yes}, false},
		"not by one of its hosts":        {[3]string{yes, yes, no}, [2]string{yes, yes}, false},
		"not by one that hears neither":  {[3]string{yes, yes, no}, [2]string{yes, no}, true},
		"tunnels that are just set up":   {[3]string{yes, yes, soon}, [2]string{yes, yes}, true},
		"nobody says anything about it":  {[3]string{}, [2]string{yes, yes}, true},
		"nobody but the active is heard": {[3]string{yes, no, no}, [2]string{no, no}, true},
	} {
		e := election{view: view, network: pn, links: map[string]map[string]linkEnd{}}
		put := func(from int, to *poolwirev1.Host, bfd string) {
			if bfd == none {
				return
			}
			if e.links[uuids[from]] == nil {
				e.links[uuids[from]] = map[string]linkEnd{}
			}
			e.links[uuids[from]][conduitOf(pn).tunnelName(to)] = linkEnd{
				host: uuids[from], peer: to.GetUuid(), bfd: bfd, heardOnce: bfd != soon, since: time.Now(),
			}
		}
		for i, bfd := range tt.lost {
			put(i+1, lost, bfd)
		}
		for i, bfd := range tt.active {
			put(i+2, active, bfd)
		}
		if got := e.heardAsActive(lost, &storev1.Relay{Active: active.GetUuid()}); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// A preferred relay that comes back waits for everybody who hears the active one, however many that is: to the hosts that do not
// hear it yet it could pass nothing on.
func TestAReturningRelayWaitsForAllWhoHearTheOther(t *testing.T) {
	t.Parallel()
	k, pn, uuids := starOf(t, 4)
	view := k.view()
	const back, active = 0, 1
	for name, c := range map[string]struct {
		// ends is what is said of tunnels: from and to, then what the near end says.
		ends map[[2]int]string
		want bool
	}{
		"all hear both":                      {map[[2]int]string{{1, 0}: "up", {2, 0}: "up", {3, 0}: "up", {0, 1}: "up", {2, 1}: "up", {3, 1}: "up"}, true},
		"it has not heard the active one":    {map[[2]int]string{{1, 0}: "up", {2, 0}: "up", {3, 0}: "down", {0, 1}: "down", {2, 1}: "up", {3, 1}: "up"}, false},
		"nor has the active one":             {map[[2]int]string{{1, 0}: "init", {2, 0}: "up", {3, 0}: "up", {0, 1}: "down", {2, 1}: "up", {3, 1}: "up"}, false},
		"the active one says nothing":        {map[[2]int]string{{2, 0}: "up", {3, 0}: "up", {2, 1}: "up", {3, 1}: "up"}, true},
		"a host says nothing of it":          {map[[2]int]string{{1, 0}: "up", {2, 0}: "up", {2, 1}: "up", {3, 1}: "up"}, false},
		"nobody hears the host that is mute": {map[[2]int]string{{1, 0}: "up", {2, 0}: "up", {2, 1}: "up", {3, 0}: "down", {3, 1}: "down"}, true},
		"nobody hears the active one":        {map[[2]int]string{{1, 0}: "up", {2, 0}: "up", {2, 1}: "down", {3, 1}: "down"}, true},
	} {
		e := election{leader: k.c.current.Load(), view: view, network: pn, links: map[string]map[string]linkEnd{}}
		for between, bfd := range c.ends {
			from, to := uuids[between[0]], uuids[between[1]]
			if e.links[from] == nil {
				e.links[from] = map[string]linkEnd{}
			}
			e.links[from][conduitOf(pn).tunnelName(view.Host(to))] = linkEnd{host: from, peer: to, bfd: bfd, heardOnce: true, since: time.Now()}
		}
		if got := e.replaces(view.Host(uuids[back]), uuids[active]); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
