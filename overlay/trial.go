package overlay

import "time"

// A host that lost its place because it was not heard comes back after it has been heard without a break for a while,
// twice as long each time.
const (
	// holdLeast is how long that is the first time, holdMost the longest.
	holdLeast = 5 * time.Second
	holdMost  = 10 * time.Minute
	// forgiveAfter is how long a host has to be heard without a break for its past to be forgotten. It is more than holdMost, so that a
	// host that fails whenever it comes back is not taken for a new one when its time is up.
	forgiveAfter = 2 * holdMost
)

// Trials remembers of one place which hosts have lost it, so that one that is heard by some and not by others, or by all every now and
// then, does not take it again and again. It has no clock and no lock. The zero value remembers nothing.
type Trials struct {
	hosts map[string]*trial
}

// trial is what is remembered of one host.
type trial struct {
	// deposed is how often it lost its place.
	deposed int
	// out: it has no place since. A loss counts once, however often it is seen.
	out bool
	// heard is since when it has been heard without a break; zero while it is not.
	heard time.Time
}

// hold is how long a host has to be heard before it comes back.
func (t *trial) hold() time.Duration {
	d := holdLeast
	for n := 1; n < t.deposed && d < holdMost; n++ {
		d *= 2
	}
	return min(d, holdMost)
}

// held tells whether that is still to come.
func (t *trial) held(at time.Time) bool { return t.heard.IsZero() || at.Sub(t.heard) < t.hold() }

// Elect elects as [Elect] does, given the time, which never goes back, and takes note of who loses a place because nobody hears it.
// Who has lost one waits: it stands by only where there is nobody else to, and takes over from no host that is heard. An
// active host that is not heard any more is replaced at once, by whoever is left.
func (t *Trials) Elect(now Relay, candidates []Candidate, at time.Time) Relay {
	known := make(map[string]Candidate, len(candidates))
	on := make([]Candidate, 0, len(candidates))
	for _, c := range candidates {
		c.Held = t.listen(c, at)
		known[c.Host] = c
		on = append(on, c)
	}
	for host := range t.hosts {
		if _, member := known[host]; !member {
			delete(t.hosts, host)
		}
	}
	next := Elect(now, on)
	for _, host := range []string{now.Active, now.Standby} {
		if c, member := known[host]; member && !c.Alive && !next.has(host) {
			t.depose(host)
		}
	}
	for _, host := range []string{next.Active, next.Standby} {
		if it := t.hosts[host]; it != nil {
			it.out = false
		}
	}
	return next
}

// listen notes whether a host is heard now, and tells whether it still has to wait.
func (t *Trials) listen(c Candidate, at time.Time) (held bool) {
	it := t.hosts[c.Host]
	switch {
	case it == nil:
		return false
	case !c.Alive || !c.Heard:
		it.heard = time.Time{}
	case it.heard.IsZero():
		it.heard = at
	case at.Sub(it.heard) >= forgiveAfter:
		delete(t.hosts, c.Host)
		return false
	}
	return it.held(at)
}

// depose notes that a host has lost its place.
func (t *Trials) depose(host string) {
	if t.hosts == nil {
		t.hosts = map[string]*trial{}
	}
	it := t.hosts[host]
	if it == nil {
		it = &trial{}
		t.hosts[host] = it
	}
	if !it.out {
		it.deposed++
	}
	it.out, it.heard = true, time.Time{}
}
