package overlay

import (
	"cmp"
	"slices"
)

// Candidate is a host that may become a relay.
type Candidate struct {
	Host string
	// Number decides between hosts that are alike: the lowest wins.
	Number uint32
	// Rank is the place in the operator's list of preferred hosts, from 1; 0 for none.
	Rank int
	// Alive: other hosts hear it.
	Alive bool
	// Ready: everything it needs to pass traffic on is in place, on it and on the hosts around it.
	Ready bool
	// Heard: whoever hears the active host and has a tunnel to this one hears it too. It counts for hosts that lost a place, see [Trials].
	Heard bool
	// Held: it lost a place not long ago. It is chosen where nobody else is left only, and takes nobody's place.
	Held bool
}

// Elect says who is to pass traffic on at a place, given who does now. It changes as little as
// possible: an active host stays while it is alive, unless the operator prefers another
// one, which first stands by, and takes over when it is ready. So a relay that takes over
// has its tunnels and flows before the first sender turns to it, unless there was none at all.
func Elect(now Relay, candidates []Candidate) Relay {
	by := map[string]Candidate{}
	for _, c := range candidates {
		by[c.Host] = c
	}
	alive := slices.DeleteFunc(slices.Clone(candidates), func(c Candidate) bool { return !c.Alive })
	slices.SortFunc(alive, better)
	next := Relay{Site: now.Site}
	if len(alive) == 0 {
		// Nobody is heard: that says more about the listener. What there is stays.
		if _, is := by[now.Active]; is {
			next.Active = now.Active
		}
		if _, is := by[now.Standby]; is {
			next.Standby = now.Standby
		}
		return next
	}
	next.Active = successor(now, by, alive)
	next.Standby = standby(now, next.Active, by, alive)
	return next
}

// successor is who is active next.
func successor(now Relay, by map[string]Candidate, alive []Candidate) string {
	active, standby := by[now.Active], by[now.Standby]
	switch {
	case active.Alive && standby.Alive && standby.Ready && !standby.Held && preferred(standby, active):
		return standby.Host
	case active.Alive:
		return active.Host
	case standby.Alive:
		return standby.Host
	}
	return alive[0].Host
}

// standby is who stands by next: whoever the operator prefers to the active one, else who
// does now, else the best. Where nobody but held hosts is left, the one that stands by goes on with it while it is heard,
// and when nobody else is: another place for it there is none.
func standby(now Relay, active string, by map[string]Candidate, alive []Candidate) string {
	others := slices.DeleteFunc(slices.Clone(alive), func(c Candidate) bool { return c.Host == active })
	have := by[now.Standby]
	if now.Standby == active {
		have = by[now.Active] // they have changed places
	}
	switch {
	case have.Held && have.Host == now.Standby && (len(others) == 0 || have.Alive && others[0].Held):
		return have.Host
	case len(others) == 0:
		return ""
	}
	best := others[0]
	if have.Alive && have.Host != active && (!have.Held || best.Held) && !preferred(best, have) {
		return have.Host
	}
	return best.Host
}

// preferred tells whether the operator prefers a to b.
func preferred(a, b Candidate) bool {
	return a.Rank != 0 && (b.Rank == 0 || a.Rank < b.Rank)
}

// better orders candidates from the best: those that are held come last.
func better(a, b Candidate) int {
	switch {
	case a.Held != b.Held:
		if b.Held {
			return -1
		}
		return 1
	case preferred(a, b):
		return -1
	case preferred(b, a):
		return 1
	}
	return cmp.Or(cmp.Compare(a.Number, b.Number), cmp.Compare(a.Host, b.Host))
}
