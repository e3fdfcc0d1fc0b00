package controller

import (
	"crypto/x509"
	"net"
	"slices"
	"sync"

	"poolwire/strangers"
)

// Bounds on sessions that nobody has claimed. Anybody can announce any key, so
// both are reached by a hostile peer only; a session that was claimed, which is
// to say verified, is not pushed out by one that was not. Of those that were not,
// there are no more than strangers has room for.
const (
	maxParked      = 8     // of one key
	maxParkedTotal = 16384 // of all keys
)

// parkable is a session that a host opened and that waits to be claimed.
type parkable interface {
	comparable
	Done() <-chan struct{}
	PeerCertificates() []*x509.Certificate
	RemoteAddr() net.Addr
}

// shelf files sessions by a key that the peer announces and anybody can
// announce: whoever claims a session verifies its certificate first.
type shelf[K comparable, S parkable] struct {
	shelfConfig[K, S]

	mu      sync.Mutex
	parked  map[K][]*place[S]                // oldest first; guarded by mu
	total   int                              // over parked; guarded by mu
	waiting map[K]map[chan struct{}]struct{} // guarded by mu
}

// shelfConfig is what a shelf needs of others.
type shelfConfig[K comparable, S parkable] struct {
	end    func(S, error)
	refuse func(net.Addr, error)
	// known tells whether a session that announces a key is a registered host's.
	known func(K, S) bool
	// strangers are the sessions that are not; limited is told of each that had to make room.
	strangers *strangers.Room
	limited   func()
}

// place is one session on the shelf. Its flags are guarded by the shelf's mu.
type place[S parkable] struct {
	session  S
	stranger *strangers.Peer
	// claimed: it was verified. reported: somebody turned it away.
	claimed, reported bool
}

func newShelf[K comparable, S parkable](cfg shelfConfig[K, S]) *shelf[K, S] {
	return &shelf[K, S]{shelfConfig: cfg, parked: map[K][]*place[S]{}, waiting: map[K]map[chan struct{}]struct{}{}}
}

// park files a session until it ends.
func (f *shelf[K, S]) park(key K, s S) {
	here := f.place(key, s)
	defer f.strangers.Leave(here.stranger)
	f.mu.Lock()
	out := f.makeRoomLocked(key, s.RemoteAddr())
	f.parked[key] = append(f.parked[key], here)
	f.total++
	f.wakeLocked(key)
	f.mu.Unlock()
	if out != nil {
		f.end(out.session, errCrowded)
	}

	<-s.Done()

	f.mu.Lock()
	defer f.mu.Unlock()
	f.removeLocked(key, here)
	f.wakeLocked(key)
}

// place makes the place of a session, and counts it among the strangers unless it is a registered host's.
func (f *shelf[K, S]) place(key K, s S) *place[S] {
	here := &place[S]{session: s}
	known := func() bool {
		known := f.known(key, s)
		if known {
			f.mu.Lock()
			defer f.mu.Unlock()
			here.claimed = true
		}
		return known
	}
	here.stranger = f.stranger(s.RemoteAddr(), known, func(err error) { f.end(s, err) })
	if !known() {
		f.strangers.Enter(here.stranger)
	}
	return here
}

// stranger describes a peer that may be one. When it has to make room, it is looked whether it is a registered host by now.
func (f *shelf[K, S]) stranger(remote net.Addr, known func() bool, end func(error)) *strangers.Peer {
	return strangers.NewPeer(remote, func() {
		if !known() {
			f.limited()
			end(errStranger)
		}
	})
}

// makeRoomLocked takes one session off the shelf when there are too many, and
// returns it for the caller to end. It requires mu.
func (f *shelf[K, S]) makeRoomLocked(key K, newcomer net.Addr) *place[S] {
	if mine := f.parked[key]; len(mine) >= maxParked {
		out := crowder(mine, newcomer)
		if out == nil {
			out = mine[0] // all are verified, so the newest is the one in use
		}
		f.removeLocked(key, out)
		return out
	}
	if f.total < maxParkedTotal {
		return nil
	}
	for other, places := range f.parked {
		if out := crowder(places, newcomer); out != nil {
			f.removeLocked(other, out)
			return out
		}
	}
	return nil
}

// crowder is the session to give up: the oldest unclaimed one from the
// newcomer's own address, else the oldest unclaimed one; nil when all are claimed.
func crowder[S parkable](places []*place[S], newcomer net.Addr) *place[S] {
	var oldest *place[S]
	for _, p := range places {
		switch {
		case p.claimed:
		case addrOf(p.session.RemoteAddr()) == addrOf(newcomer):
			return p
		case oldest == nil:
			oldest = p
		}
	}
	return oldest
}

// removeLocked requires mu. A place that was removed before is passed over.
func (f *shelf[K, S]) removeLocked(key K, p *place[S]) {
	at := slices.Index(f.parked[key], p)
	if at < 0 {
		return
	}
	f.total--
	if f.parked[key] = slices.Delete(f.parked[key], at, at+1); len(f.parked[key]) == 0 {
		delete(f.parked, key)
	}
}

// verified lists the live sessions of a key whose certificates pass verify,
// newest first. One that does not pass is reported, once, and ended, unless
// somebody else waits for the same key too: the session may be theirs.
func (f *shelf[K, S]) verified(key K, verify func([]*x509.Certificate) error) []S {
	f.mu.Lock()
	places := slices.Clone(f.parked[key])
	alone := len(f.waiting[key]) <= 1
	f.mu.Unlock()
	var out []S
	for _, p := range slices.Backward(places) {
		select {
		case <-p.session.Done():
			continue
		default:
		}
		err := verify(p.session.PeerCertificates())
		if f.judge(p, err) {
			f.refuse(p.session.RemoteAddr(), err)
		}
		switch {
		case err == nil:
			out = append(out, p.session)
		case alone:
			f.end(p.session, err)
		}
	}
	return out
}

// judge notes the outcome of a verification, and returns whether it is to be reported.
func (f *shelf[K, S]) judge(p *place[S], err error) (report bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil {
		p.claimed = true
		f.strangers.Leave(p.stranger)
		return false
	}
	report = !p.reported
	p.reported = true
	return report
}

// endIf ends and reports the sessions whose certificates judge has something against.
func (f *shelf[K, S]) endIf(judge func([]*x509.Certificate) error) {
	f.mu.Lock()
	var all []*place[S]
	for _, places := range f.parked {
		all = append(all, places...)
	}
	f.mu.Unlock()
	for _, p := range all {
		if err := judge(p.session.PeerCertificates()); err != nil {
			f.refuse(p.session.RemoteAddr(), err)
			f.end(p.session, err)
		}
	}
}

// newest is the most recent of the verified sessions.
func (f *shelf[K, S]) newest(key K, verify func([]*x509.Certificate) error) (s S, ok bool) {
	all := f.verified(key, verify)
	if len(all) == 0 {
		return s, false
	}
	return all[0], true
}

// watch returns a channel that receives a value when the sessions of a key
// change, until unwatch.
func (f *shelf[K, S]) watch(key K) chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	ch := make(chan struct{}, 1)
	if f.waiting[key] == nil {
		f.waiting[key] = map[chan struct{}]struct{}{}
	}
	f.waiting[key][ch] = struct{}{}
	return ch
}

func (f *shelf[K, S]) unwatch(key K, ch chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.waiting[key], ch)
	if len(f.waiting[key]) == 0 {
		delete(f.waiting, key)
	}
}

// wakeLocked requires mu.
func (f *shelf[K, S]) wakeLocked(key K) {
	for ch := range f.waiting[key] {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}

// size is the number of sessions filed.
func (f *shelf[K, S]) size() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.total
}
