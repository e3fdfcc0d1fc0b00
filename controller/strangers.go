package controller

import (
	"container/list"
	"errors"
	"net"
	"net/netip"
	"sync"
)

// strangersShare is the part of the room for strangers that those of one address may have.
const strangersShare = 4

// defaultStrangers is how many strangers a listener has room for unless it is told otherwise.
const defaultStrangers = 256

// errStranger is why a stranger was let go.
var errStranger = errors.New("more peers than there is room for that are no registered host (limits.unverified_sessions)")

// strangers bounds the sessions of one listener whose peers are not known to be registered hosts: room at a time, a
// part of them from one address. There is always room for another one: the oldest goes.
type strangers struct {
	room    int
	limited func() // is told of each that was let go

	mu   sync.Mutex
	all  list.List          // of *stranger, the oldest first; guarded by mu
	from map[netip.Addr]int // how many of all are of an address, only those with any; guarded by mu
}

// stranger is such a session.
type stranger struct {
	address netip.Addr
	// known looks whether the peer is a registered host by now; end ends the session. Neither is called with mu held.
	known func() bool
	end   func(error)
	place *list.Element // nil for one that is no stranger, or no more; guarded by strangers.mu
}

func newStrangers(room int, limited func()) *strangers {
	if room <= 0 {
		room = defaultStrangers
	}
	return &strangers{room: room, limited: limited, from: map[netip.Addr]int{}}
}

// enter counts a stranger in, and lets go who has to make room.
func (s *strangers) enter(p *stranger) {
	for {
		out := s.admit(p)
		if out == nil {
			return
		}
		if !out.known() {
			s.limited()
			out.end(errStranger)
		}
	}
}

// admit counts a stranger in where there is room, and returns who has to go first where there is none.
func (s *strangers) admit(p *stranger) (out *stranger) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.from[p.address] >= max(s.room/strangersShare, 1):
		out = s.oldestLocked(func(o *stranger) bool { return o.address == p.address })
	case s.all.Len() >= s.room:
		out = s.oldestLocked(func(*stranger) bool { return true })
	}
	if out != nil {
		s.forgetLocked(out)
		return out
	}
	p.place = s.all.PushBack(p)
	s.from[p.address]++
	return nil
}

// oldestLocked is the stranger of some that has been there for longest. It requires mu.
func (s *strangers) oldestLocked(of func(*stranger) bool) *stranger {
	for e := s.all.Front(); e != nil; e = e.Next() {
		if p := e.Value.(*stranger); of(p) {
			return p
		}
	}
	return nil
}

// leave counts out who is no stranger any more, or is gone. It reports whether that was to be done: not for one that
// never entered, or that had to make room.
func (s *strangers) leave(p *stranger) (counted bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	counted = p.place != nil
	s.forgetLocked(p)
	return counted
}

// forgetLocked requires mu.
func (s *strangers) forgetLocked(p *stranger) {
	if p.place == nil {
		return
	}
	s.all.Remove(p.place)
	p.place = nil
	if s.from[p.address]--; s.from[p.address] == 0 {
		delete(s.from, p.address)
	}
}

// size is how many there are.
func (s *strangers) size() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all.Len()
}

// originOf is an address as strangers are counted by it. Of IPv6 it is the network of 64 bits: a machine may use all of
// its addresses.
func originOf(a net.Addr) netip.Addr {
	ip := addrOf(a).WithZone("")
	if ip.Is6() {
		ip = netip.PrefixFrom(ip, 64).Masked().Addr()
	}
	return ip
}
