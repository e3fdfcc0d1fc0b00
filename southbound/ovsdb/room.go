package ovsdb

import "sync/atomic"

const (
	// ownRoom is what each session may hold without taking of the [Room] of all, in bytes.
	ownRoom = 1 << 20
	// messageCopies is how often a message is in memory while it is taken apart: its text, its parameters, its
	// rows and their columns.
	messageCopies = 4
	// roomStep is in what steps room is taken and given back, in bytes.
	roomStep = 1 << 20
)

// Room bounds what all sessions that share it hold together: the rows, and the messages that are being
// received. Each session has a MiB of its own; what is beyond comes out of the room. A session for which nothing is left
// ends with a [*ProtocolError]; those that need no more than their own are not concerned.
type Room struct{ left atomic.Int64 }

// NewRoom returns a room of so many bytes.
func NewRoom(bytes int) *Room {
	r := &Room{}
	r.left.Store(int64(bytes))
	return r
}

// take takes bytes out, or gives them back where n is negative. It reports whether there were so many. One for whom
// there are not takes nothing, not even for a moment in which another one would find less than there is.
func (r *Room) take(n int64) bool {
	for {
		left := r.left.Load()
		if n > 0 && n > left {
			return false
		}
		if r.left.CompareAndSwap(left, left-n) {
			return true
		}
	}
}

// occupy sees to it that the session has room for its rows and a message of so many bytes. Only the reader calls it.
func (s *Session) occupy(message int) error {
	if s.cfg.Room == nil {
		return nil
	}
	need := max(0, s.weight.Load()+messageCopies*int64(message)-ownRoom)
	need = (need + roomStep - 1) / roomStep * roomStep
	if need == s.occupied {
		return nil
	}
	if !s.cfg.Room.take(need - s.occupied) {
		return violation("host needs %d MiB, and all hosts together have too much already (limits.ovsdb_memory)", (s.occupied+ownRoom)>>20+1)
	}
	s.occupied = need
	return nil
}

// vacate gives all room back. The reader calls it last.
func (s *Session) vacate() {
	if s.occupied > 0 {
		s.cfg.Room.take(-s.occupied)
		s.occupied = 0
	}
}
