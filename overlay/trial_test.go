package overlay

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var dawn = time.Unix(1_700_000_000, 0)

// place is one place with its relays, looked at by a test.
type place struct {
	elect func(now Relay, candidates []Candidate, at time.Time) Relay
	now   Relay
	at    time.Time
	// changes counts the looks by which something changed; actives those by which another host became active.
	changes, actives int
}

func (p *place) look(after time.Duration, candidates []Candidate) {
	p.at = p.at.Add(after)
	next := p.elect(p.now, candidates, p.at)
	if next != p.now {
		p.changes++
	}
	if next.Active != p.now.Active {
		p.actives++
	}
	p.now = next
}

func untried(now Relay, candidates []Candidate, _ time.Time) Relay { return Elect(now, candidates) }

// TestNobodyComesAndGoesForever: over two hours, hosts that are heard every now and then, or by few as soon as they are relays, change
// places a few times in the beginning and every ten minutes at the most after that. Without what is remembered they go on and on.
func TestNobodyComesAndGoesForever(t *testing.T) {
	t.Parallel()
	const hours, step = 2 * time.Hour, time.Second
	good := func(host string, number uint32) Candidate {
		return Candidate{Host: host, Number: number, Alive: true, Ready: true, Heard: true}
	}
	type world struct {
		// candidates are those of a moment, given who has which place, and since when "a" has had one, or none.
		candidates func(now Relay, spent, since time.Duration) []Candidate
		// endless is how often places change without what is remembered.
		endless int
	}
	worlds := map[string]world{
		"heard by few whenever it has a place": {func(now Relay, _, since time.Duration) []Candidate {
			a := Candidate{Host: "a", Number: 1, Rank: 1, Alive: !now.has("a") || since < 3*time.Second, Heard: true}
			return []Candidate{a, good("b", 2), good("c", 3)}
		}, 1000},
		"heard by few whenever it is active": {func(now Relay, _, since time.Duration) []Candidate {
			a := Candidate{Host: "a", Number: 1, Rank: 1, Alive: now.Active != "a" || since < 3*time.Second, Ready: true, Heard: true}
			return []Candidate{a, good("b", 2), good("c", 3)}
		}, 1000},
		"one of two": {func(now Relay, _, since time.Duration) []Candidate {
			a := Candidate{Host: "a", Number: 1, Rank: 1, Alive: now.Active != "a" || since < 3*time.Second, Ready: true, Heard: true}
			return []Candidate{a, good("b", 2)}
		}, 1000},
		"not by all who hear the active one": {func(_ Relay, spent, _ time.Duration) []Candidate {
			a := Candidate{Host: "a", Number: 1, Rank: 1, Alive: spent/(20*time.Second)%2 == 0, Ready: true, Heard: spent < time.Minute}
			return []Candidate{a, good("b", 2), good("c", 3)}
		}, 500},
	}
	for _, period := range []time.Duration{2, 7, 30, 90} {
		for _, hosts := range []int{2, 3} {
			worlds[fmt.Sprintf("one of %d, every %d s", hosts, period)] = world{func(_ Relay, spent, _ time.Duration) []Candidate {
				a := Candidate{Host: "a", Number: 1, Rank: 1, Alive: spent/(period*time.Second)%2 == 0, Ready: true, Heard: true}
				return []Candidate{a, good("b", 2), good("c", 3)}[:hosts]
			}, int(hours / (period * time.Second))}
		}
	}
	for name, w := range worlds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run := func(elect func(Relay, []Candidate, time.Time) Relay) (changes, late int) {
				p := place{elect: elect, at: dawn}
				since, had := time.Duration(0), false
				var spent time.Duration
				for ; spent < hours; spent += step {
					if spent == hours/2 {
						late = p.changes
					}
					if has := p.now.has("a"); has != had || p.now.Active == "a" && since == 0 {
						had, since = has, 0
					}
					was := p.now.Active
					p.look(step, w.candidates(p.now, spent, since))
					if since += step; p.now.Active != was {
						since = 0
					}
				}
				return p.changes, p.changes - late
			}
			changes, late := run((&Trials{}).Elect)
			if changes > 4*16+4 || late > 4*6 {
				t.Errorf("%d changes, %d in the second hour", changes, late)
			}
			if endless, _ := run(untried); endless < w.endless {
				t.Errorf("only %d changes where nothing is remembered: this tests nothing", endless)
			}
		})
	}
}

// history is what a test remembers by itself of a host: how often it lost a place, and since when it is heard.
type history struct {
	lost  int
	heard time.Time
}

// patience is how long a host that lost its place so often has to be heard.
func (h history) patience() time.Duration {
	return min(5*time.Second*time.Duration(1<<min(h.lost-1, 20)), 10*time.Minute)
}

// TestWhoLostAPlaceWaits: whatever hosts do, one that has lost its place takes nobody's before it has been heard for as long as it has
// to; and an active one that is lost is replaced at once, as if nothing were remembered.
func TestWhoLostAPlaceWaits(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := place{elect: (&Trials{}).Elect, at: dawn}
		past := map[string]*history{}
		hosts := []string{"a", "b", "c", "d"}[:rapid.IntRange(1, 4).Draw(t, "hosts")]
		ranked := rapid.IntRange(0, len(hosts)).Draw(t, "ranked")
		for range rapid.IntRange(1, 60).Draw(t, "looks") {
			by := map[string]Candidate{}
			var candidates []Candidate
			for i, host := range hosts {
				c := Candidate{Host: host, Number: uint32(len(hosts) - i), Ready: rapid.Bool().Draw(t, "ready"), Heard: rapid.IntRange(0, 9).Draw(t, "heard") > 0}
				c.Alive = rapid.IntRange(0, 3).Draw(t, "alive") > 0
				if i < ranked {
					c.Rank = i + 1
				}
				by[host], candidates = c, append(candidates, c)
			}
			was := p.now
			p.look(time.Duration(rapid.IntRange(50, 400_000).Draw(t, "ms"))*time.Millisecond, candidates)
			p.judge(t, was, by, past)
			for _, c := range candidates {
				past[c.Host] = after(past[c.Host], c, was.has(c.Host) && !p.now.has(c.Host), p.at)
			}
		}
	})
}

// after is what is to be remembered of a host, out when it has no place any more; nil for nothing.
func after(h *history, c Candidate, out bool, at time.Time) *history {
	switch {
	case !c.Alive && out && h == nil:
		return &history{lost: 1}
	case !c.Alive && out:
		return &history{lost: h.lost + 1}
	case h == nil, !h.heard.IsZero() && c.Alive && c.Heard && at.Sub(h.heard) >= 20*time.Minute:
		return nil
	case !c.Alive || !c.Heard:
		h.heard = time.Time{}
	case h.heard.IsZero():
		h.heard = at
	}
	return h
}

// judge compares a look with what was there before.
func (p *place) judge(t *rapid.T, was Relay, by map[string]Candidate, past map[string]*history) {
	waits := func(host string) bool {
		h, c := past[host], by[host]
		return h != nil && (h.heard.IsZero() || !c.Alive || !c.Heard || p.at.Sub(h.heard) < h.patience())
	}
	some := slices.ContainsFunc(slices.Collect(mapValues(by)), func(c Candidate) bool { return c.Alive })
	active, now := by[was.Active], by[p.now.Active]
	switch {
	case active.Alive && p.now.Active != was.Active:
		if p.now.Active != was.Standby || waits(p.now.Active) {
			t.Fatalf("%v follows %v, which is heard", p.now, was)
		}
	case !active.Alive && by[was.Standby].Alive && p.now.Active != was.Standby:
		t.Fatalf("%v follows %v, whose stand-in is heard", p.now, was)
	case some && !now.Alive:
		t.Fatalf("%v follows %v, although others are heard", p.now, was)
	}
	if p.now.Standby == p.now.Active && p.now.Active != "" {
		t.Fatalf("%v", p.now)
	}
	if s := p.now.Standby; some && s != "" && !by[s].Alive {
		for host, c := range by {
			if c.Alive && host != p.now.Active {
				t.Fatalf("%s stands by, although it is not heard and %s is: %v follows %v", s, host, p.now, was)
			}
		}
	}
	if s := p.now.Standby; some && s != "" && !was.has(s) && waits(s) {
		for host, c := range by {
			if c.Alive && host != p.now.Active && !waits(host) {
				t.Fatalf("%s stands by, although it has to wait and %s has not: %v follows %v", s, host, p.now, was)
			}
		}
	}
}

func mapValues(m map[string]Candidate) func(func(Candidate) bool) {
	return func(yield func(Candidate) bool) {
		for _, c := range m {
			if !yield(c) {
				return
			}
		}
	}
}

// TestNothingIsRememberedOfTheFaithful: as long as nobody loses a place, it makes no difference.
func TestNothingIsRememberedOfTheFaithful(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p, q := place{elect: (&Trials{}).Elect, at: dawn}, place{elect: untried, at: dawn}
		for range 20 {
			var candidates []Candidate
			for i, host := range []string{"a", "b", "c"} {
				candidates = append(candidates, Candidate{
					Host: host, Number: uint32(i), Rank: rapid.IntRange(0, 3).Draw(t, "rank"), Ready: rapid.Bool().Draw(t, "ready"), Heard: rapid.Bool().Draw(t, "heard"),
					Alive: p.now.has(host) || rapid.Bool().Draw(t, "alive"),
				})
			}
			p.look(time.Second, candidates)
			q.look(time.Second, candidates)
			if p.now != q.now {
				t.Fatalf("%v, without trials %v", p.now, q.now)
			}
		}
	})
}

// TestHolds: five seconds, then twice as long each time up to ten minutes; a loss that is seen twice counts once, and twenty
// minutes without a break make up for everything.
func TestHolds(t *testing.T) {
	t.Parallel()
	p := place{elect: (&Trials{}).Elect, at: dawn}
	a := Candidate{Host: "a", Number: 1, Rank: 1, Alive: true, Ready: true, Heard: true}
	b, c := Candidate{Host: "b", Number: 2, Alive: true, Ready: true}, Candidate{Host: "c", Number: 3, Alive: true, Ready: true}
	lost := a
	lost.Alive = false
	both := func(a Candidate) []Candidate { return []Candidate{a, b, c} }
	p.look(0, both(a))
	for n, want := range []time.Duration{5, 10, 20, 40, 80, 160, 320, 600, 600} {
		p.look(time.Second, both(lost))
		if p.now != (Relay{Active: "b", Standby: "c"}) {
			t.Fatalf("%v", p.now)
		}
		p.now = Relay{Active: "a", Standby: "b"} // the store did not take it
		p.look(time.Second, both(lost))
		p.look(time.Second, both(a))
		p.look(want*time.Second-time.Millisecond, both(a))
		if p.now.has("a") {
			t.Errorf("back too early, after %d losses", n+1)
		}
		p.look(time.Millisecond, both(a))
		if p.now != (Relay{Active: "b", Standby: "a"}) {
			t.Fatalf("not back after %v: %v", want*time.Second, p.now)
		}
		p.look(time.Millisecond, both(a))
		if p.now.Active != "a" {
			t.Fatalf("not active: %v", p.now)
		}
	}
	p.look(20*time.Minute, both(a))
	p.look(time.Second, both(lost))
	p.look(time.Second, both(a))
	p.look(5*time.Second, both(a))
	if p.now.Standby != "a" {
		t.Errorf("not forgiven: %v", p.now)
	}
}
