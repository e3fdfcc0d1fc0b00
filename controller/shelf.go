package controller

import (
	"crypto/x509"
	"net"
	"slices"
	"sync"
)

// maxParked bounds how many unclaimed sessions one key may hold, so that a
// hostile peer announcing someone else's key costs little.
const maxParked = 8

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
	end     func(S, error)
	refuse  func(net.Addr, error)
	mu      sync.Mutex
	parked  map[K][]S                        // guarded by mu
	waiting map[K]map[chan struct{}]struct{} // guarded by mu
}

func newShelf[K comparable, S parkable](end func(S, error), refuse func(net.Addr, error)) *shelf[K, S] {
	return &shelf[K, S]{end: end, refuse: refuse, parked: map[K][]S{}, waiting: map[K]map[chan struct{}]struct{}{}}
}

// park files a session until it ends.
func (f *shelf[K, S]) park(key K, s S) {
	f.mu.Lock()
	if here := f.parked[key]; len(here) >= maxParked {
		f.parked[key] = here[1:]
		defer f.end(here[0], errReplaced)
	}
	f.parked[key] = append(f.parked[key], s)
	f.wakeLocked(key)
	f.mu.Unlock()

	<-s.Done()

	f.mu.Lock()
	defer f.mu.Unlock()
	f.parked[key] = slices.DeleteFunc(f.parked[key], func(other S) bool { return other == s })
	if len(f.parked[key]) == 0 {
		delete(f.parked, key)
	}
	f.wakeLocked(key)
}

// newest is the most recent live session of a key whose certificates pass
// verify. Sessions that fail are ended and reported.
func (f *shelf[K, S]) newest(key K, verify func([]*x509.Certificate) error) (s S, ok bool) {
	f.mu.Lock()
	candidates := slices.Clone(f.parked[key])
	f.mu.Unlock()
	for _, s := range slices.Backward(candidates) {
		select {
		case <-s.Done():
			continue
		default:
		}
		if err := verify(s.PeerCertificates()); err != nil {
			f.refuse(s.RemoteAddr(), err)
			f.end(s, err)
			continue
		}
		return s, true
	}
	return s, false
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
	n := 0
	for _, s := range f.parked {
		n += len(s)
	}
	return n
}
