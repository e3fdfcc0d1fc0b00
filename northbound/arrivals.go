package northbound

import (
	"cmp"
	"math"
	"slices"
	"sync"
	"time"
)

// Requests that are being read are what clients can fill this node's memory with. gRPC keeps what has come of one, and makes
// no room for what has not; but as soon as it knows how long one is it lets all of it come, and tells nobody how
// long that is. So a request that is read has a place, worth the longest message, until all of it is there. One that
// waits for a place can have brought streamWindow.
const (
	arrivingOfClient = 64 << 20
	arrivingOfAll    = 4 * arrivingOfClient
	// chattingOfAll is for requests of streams that have many.
	chattingOfAll = arrivingOfClient
	// arrivingLeast is how many places there are, however long the longest message is.
	arrivingLeast = 4
	// waitingOfAll is how many requests wait, of all clients: 256 MiB.
	waitingOfAll = 4096
)

// While requests wait, a place is kept no longer than all who wait can have one in turn within heldByTurns, but
// heldLeast at least and heldMost at most.
const (
	heldByTurns = time.Second
	heldLeast   = 10 * time.Millisecond
	heldMost    = 500 * time.Millisecond
	// heldFor is how long it counts that a client has had places.
	heldFor = 10 * time.Second
)

// arrivals are the places for requests that are read. Who has had least of them lately is the next to get one, and who has
// had most gives one up while others wait: so nobody holds the room against others, however many join in it.
type arrivals struct {
	places, share int // of all, and of one client
	now           func() time.Time

	mu      sync.Mutex
	clients map[*share]bool // guarded by mu: those with requests that are read, or wait
	held    int             // guarded by mu
	waiting int             // guarded by mu
	come    uint64          // guarded by mu: how many requests have come
	armed   bool            // guarded by mu: review is to come
}

// share is what one client has of the arrivals, whose mu guards it.
type share struct {
	held, waiting []*arrival // in the order in which they got their places, and in which they came
	// used is how long places were had lately, in seconds, as of at.
	used float64
	at   time.Time
}

// arrival is a request that is read, or waits for that.
type arrival struct {
	of             *share
	come           uint64
	since          time.Time     // when it got its place
	placed, ousted chan struct{} // closed when it gets a place, and when it has none any more, nor will get one
}

// newArrivals are places for that many bytes, a quarter of them for one client.
func newArrivals(message, bytes int) *arrivals {
	return &arrivals{
		places: max(bytes/message, arrivingLeast), share: max(bytes/4/message, 1),
		now: time.Now, clients: map[*share]bool{},
	}
}

// enter asks for a place; leave has to follow, unless the arrival is ousted.
func (r *arrivals) enter(of *share) *arrival {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.come++
	a := &arrival{of: of, come: r.come, placed: make(chan struct{}), ousted: make(chan struct{})}
	r.clients[of] = true
	of.waiting = append(of.waiting, a)
	if r.waiting++; r.waiting > waitingOfAll {
		most := of
		for s := range r.clients {
			if len(s.waiting) > len(most.waiting) {
				most = s
			}
		}
		r.oust(most.waiting[len(most.waiting)-1])
	}
	r.serve()
	return a
}

// leave gives a place back, or asks for one no more.
func (r *arrivals) leave(a *arrival) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.remove(a)
	r.serve()
}

// remove takes an arrival out, if it is there; mu is held.
func (r *arrivals) remove(a *arrival) {
	s := a.of
	if i := slices.Index(s.held, a); i >= 0 {
		s.settle(r.now())
		s.held = slices.Delete(s.held, i, i+1)
		r.held--
	}
	if i := slices.Index(s.waiting, a); i >= 0 {
		s.waiting = slices.Delete(s.waiting, i, i+1)
		r.waiting--
	}
	if len(s.held) == 0 && len(s.waiting) == 0 {
		delete(r.clients, s)
	}
}

// oust ends an arrival; mu is held.
func (r *arrivals) oust(a *arrival) {
	r.remove(a)
	close(a.ousted)
}

// serve gives places to those that wait, as long as there are any, or are to be given up; mu is held.
func (r *arrivals) serve() {
	for now := r.now(); ; {
		next, turns := r.next(now)
		if next == nil {
			return
		}
		if r.held >= r.places {
			last := r.last(now, next, turns)
			if last == nil {
				break
			}
			r.oust(last.held[0])
		}
		next.settle(now)
		a := next.waiting[0]
		a.since, next.waiting, next.held = now, next.waiting[1:], append(next.held, a)
		r.waiting--
		r.held++
		close(a.placed)
	}
	if !r.armed {
		r.armed = true
		time.AfterFunc(heldLeast, r.review)
	}
}

// review looks again at places that are all held.
func (r *arrivals) review() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.armed = false
	r.serve()
}

// next is the client that is to have the next place, nil for none, and how many wait for one; mu is held.
func (r *arrivals) next(now time.Time) (next *share, turns int) {
	for s := range r.clients {
		if len(s.waiting) == 0 || len(s.held) >= r.share {
			continue
		}
		turns++
		if next == nil || cmp.Or(
			cmp.Compare(s.usedAt(now), next.usedAt(now)), cmp.Compare(len(s.held), len(next.held)), cmp.Compare(s.waiting[0].come, next.waiting[0].come),
		) < 0 {
			next = s
		}
	}
	return next, turns
}

// last is the client that has used most, and more than the one that is next, of those that have had a place for long
// enough; nil for none. mu is held.
func (r *arrivals) last(now time.Time, next *share, turns int) *share {
	enough := min(max(heldByTurns*time.Duration(r.places)/time.Duration(turns), heldLeast), heldMost)
	var last *share
	most := next.usedAt(now)
	for s := range r.clients {
		if len(s.held) == 0 || now.Sub(s.held[0].since) < enough {
			continue
		}
		if used := s.usedAt(now); used > most {
			last, most = s, used
		}
	}
	return last
}

// settle counts what was used so far: what is held is to change.
func (s *share) settle(now time.Time) { s.used, s.at = s.usedAt(now), now }

// usedAt is how long places were had, the more the less long ago: what was used fades by 1/e in heldFor.
func (s *share) usedAt(now time.Time) float64 {
	steady := float64(len(s.held)) * heldFor.Seconds()
	return steady + (s.used-steady)*math.Exp(-now.Sub(s.at).Seconds()/heldFor.Seconds())
}
