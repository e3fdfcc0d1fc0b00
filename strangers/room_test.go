package strangers

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"sync"
	"testing"
)

// crowd is a room and who had to go.
type crowd struct {
	*Room
	gone map[string]bool
}

func (c crowd) come(name, address string) *Peer {
	p := NewPeer(&net.TCPAddr{IP: net.ParseIP(address), Port: 1}, func() { c.gone[name] = true })
	c.Enter(p)
	return p
}

// There is so much room, and a quarter of it for one address.
func TestTheOldestMakesRoom(t *testing.T) {
	t.Parallel()
	c := crowd{NewRoom(8), map[string]bool{}}
	c.come("a", "192.0.2.1")
	c.come("b", "192.0.2.1")
	c.come("c", "192.0.2.1") // a goes
	for i := range 6 {
		c.come(fmt.Sprint("other", i), fmt.Sprintf("198.51.100.%d", i))
	}
	c.come("d", "2001:db8::1")         // b, the oldest
	c.come("e", "2001:db8::2")         // c
	c.come("f", "2001:db8::ff")        // d: one network
	c.come("g", "::ffff:198.51.100.5") // other0 is the oldest; that of 198.51.100.5 has a place left beside it
	want := map[string]bool{"a": true, "b": true, "c": true, "d": true, "other0": true}
	if !maps.Equal(c.gone, want) || c.Len() != 8 {
		t.Errorf("let go %v, want %v; %d are there", c.gone, want, c.Len())
	}
	if n := c.from[netip.MustParseAddr("198.51.100.5")]; n != 2 {
		t.Errorf("%d are of an address that came in both forms, want 2", n)
	}
	p := c.come("h", "203.0.113.1")
	if !c.Leave(p) || c.Leave(p) || c.Len() != 7 || len(c.from) != 5 {
		t.Errorf("%d strangers: %v", c.Len(), c.from)
	}
}

// The smallest room has one place, also for one address; peers without an address share that of nobody.
func TestSmallRooms(t *testing.T) {
	t.Parallel()
	c := crowd{NewRoom(1), map[string]bool{}}
	c.come("a", "192.0.2.1")
	c.come("b", "192.0.2.2")
	if c.Len() != 1 || !c.gone["a"] {
		t.Errorf("%d are there, let go %v", c.Len(), c.gone)
	}
	c.Enter(c.come("c", "192.0.2.2"))
	if c.Len() != 1 || c.gone["c"] {
		t.Errorf("who enters twice: %d are there, let go %v", c.Len(), c.gone)
	}
	pipes := NewRoom(8)
	for range 5 {
		pipes.Enter(NewPeer(&net.UnixAddr{Name: "@"}, func() {}))
		pipes.Enter(NewPeer(nil, func() {}))
	}
	if pipes.Len() != 2 {
		t.Errorf("%d without an address, want 2", pipes.Len())
	}
}

// Whatever comes and goes at once, no more are there than there is room for, and who is told to go has been counted out.
func TestRoomUnderARush(t *testing.T) {
	t.Parallel()
	const size, rounds = 16, 500
	r := NewRoom(size)
	var work sync.WaitGroup
	for from := range 8 {
		work.Go(func() {
			for n := range rounds {
				var p *Peer
				p = NewPeer(&net.TCPAddr{IP: net.IPv4(192, 0, 2, byte(from%5)), Port: 1}, func() {
					if r.Leave(p) {
						t.Error("who has to make room is counted still")
					}
				})
				r.Enter(p)
				if got := r.Len(); got > size {
					t.Errorf("%d strangers, room is for %d", got, size)
				}
				if n%3 == 0 {
					r.Leave(p)
				}
			}
		})
	}
	work.Wait()
	sum := 0
	for _, n := range r.from {
		sum += n
	}
	if sum != r.Len() || sum > size {
		t.Errorf("%d by address, %d in all", sum, r.Len())
	}
}

// Somebody may be had go for another reason than that there are too many: the oldest of those who are meant.
func TestOneIsLetGo(t *testing.T) {
	t.Parallel()
	c := crowd{NewRoom(8), map[string]bool{}}
	c.come("a", "192.0.2.1")
	c.come("b", "192.0.2.2")
	c.come("c", "192.0.2.2")
	of := func(a netip.Addr) bool { return a == netip.MustParseAddr("192.0.2.2") }
	if !c.LetGo(of) || !maps.Equal(c.gone, map[string]bool{"b": true}) || c.Len() != 2 {
		t.Errorf("let go %v, %d are there", c.gone, c.Len())
	}
	if !c.LetGo(of) || c.LetGo(of) || c.gone["a"] || c.Len() != 1 {
		t.Errorf("let go %v, %d are there", c.gone, c.Len())
	}
}
