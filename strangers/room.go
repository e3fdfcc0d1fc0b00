// Package strangers keeps room for peers that have proved nothing yet: so many at a time, and a part of them from one
// network address. There is always room for another one, or whoever fills it first would keep everybody else out: the
// oldest goes.
package strangers

import (
	"container/list"
	"net"
	"net/netip"
	"sync"
)

// Share is the part of a room that the strangers of one address may have: a Share-th, and one at least.
const Share = 4

// Room is where strangers are counted. It is safe for concurrent use.
type Room struct {
	size int

	mu   sync.Mutex
	all  list.List          // of *Peer, the oldest first; guarded by mu
	from map[netip.Addr]int // how many of all are of an address, only those with any; guarded by mu
}

// NewRoom makes a room for so many strangers.
func NewRoom(size int) *Room { return &Room{size: size, from: map[netip.Addr]int{}} }

// Peer is somebody who may be a stranger.
type Peer struct {
	address  netip.Addr
	makeRoom func()
	place    *list.Element // nil for one that is not in a room; guarded by Room.mu
}

// NewPeer describes a peer that is in no room yet. makeRoom is called when it has to go, after it was counted out and
// with nothing locked; it may find that the peer is no stranger any more, and leave it alone.
func NewPeer(remote net.Addr, makeRoom func()) *Peer {
	return &Peer{address: Origin(remote), makeRoom: makeRoom}
}

// Enter counts a peer in, as the youngest, and has others go until there is room for it.
func (r *Room) Enter(p *Peer) {
	for out := r.admit(p); out != nil; out = r.admit(p) {
		out.makeRoom()
	}
}

// admit counts a peer in where there is room, and returns who has to go first where there is none.
func (r *Room) admit(p *Peer) (out *Peer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forgetLocked(p) // it may be here already
	switch {
	case r.from[p.address] >= max(r.size/Share, 1):
		out = r.oldestLocked(func(o *Peer) bool { return o.address == p.address })
	case r.all.Len() >= r.size:
		out = r.oldestLocked(func(*Peer) bool { return true })
	}
	if out != nil {
		r.forgetLocked(out)
		return out
	}
	p.place = r.all.PushBack(p)
	r.from[p.address]++
	return nil
}

// LetGo has the oldest stranger of some addresses go, and reports whether there was one. It is for rooms in which
// there is another bound beside the room's own.
func (r *Room) LetGo(of func(netip.Addr) bool) bool {
	r.mu.Lock()
	out := r.oldestLocked(func(p *Peer) bool { return of(p.address) })
	if out != nil {
		r.forgetLocked(out)
	}
	r.mu.Unlock()
	if out == nil {
		return false
	}
	out.makeRoom()
	return true
}

// oldestLocked is the peer of some that has been there for longest. It requires mu.
func (r *Room) oldestLocked(of func(*Peer) bool) *Peer {
	for e := r.all.Front(); e != nil; e = e.Next() {
		if p := e.Value.(*Peer); of(p) {
			return p
		}
	}
	return nil
}

// Leave counts out who is no stranger any more, or is gone. It reports whether that was to be done: not for one that
// never entered, or that had to make room.
func (r *Room) Leave(p *Peer) (counted bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	counted = p.place != nil
	r.forgetLocked(p)
	return counted
}

// forgetLocked requires mu.
func (r *Room) forgetLocked(p *Peer) {
	if p.place == nil {
		return
	}
	r.all.Remove(p.place)
	p.place = nil
	if r.from[p.address]--; r.from[p.address] == 0 {
		delete(r.from, p.address)
	}
}

// Len is how many strangers there are.
func (r *Room) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all.Len()
}

// Origin is the IP address of a peer as it is counted. Of IPv6 it is the network of 64 bits: a machine may use all of its
// addresses. Peers that have none share the zero address.
func Origin(a net.Addr) netip.Addr {
	if a == nil {
		return netip.Addr{}
	}
	at, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Addr{}
	}
	ip := at.Addr().Unmap().WithZone("")
	if ip.Is6() {
		ip = netip.PrefixFrom(ip, 64).Masked().Addr()
	}
	return ip
}
