package ovsdb

import "sync"

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
// received. Each session has a MiB of its own; what is beyond comes out of the room. When that is used up, the session
// that holds most ends with a [*ProtocolError], be it the one that asks: so hosts that need little are not
// concerned, whatever others do.
type Room struct {
	mu   sync.Mutex
	left int64              // guarded by mu
	held map[*Session]int64 // of sessions that hold something; guarded by mu
}

// NewRoom returns a room of so many bytes.
func NewRoom(bytes int) *Room {
	return &Room{left: int64(bytes), held: map[*Session]int64{}}
}

// take makes what a session holds another amount, in bytes. It returns the session that has to end for that, nil for none: s
// itself, which then holds as much as before, or one that holds more than s is to, and whose room s has now.
func (r *Room) take(s *Session, amount int64) (out *Session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.left+r.held[s] < amount {
		if out = r.mostLocked(); r.held[out] <= amount {
			return s
		}
		r.setLocked(out, 0)
	}
	r.setLocked(s, amount)
	return out
}

// mostLocked is the session that holds most; nil where none holds anything. It requires mu.
func (r *Room) mostLocked() (most *Session) {
	for s, n := range r.held {
		if n > r.held[most] {
			most = s
		}
	}
	return most
}

// setLocked requires mu.
func (r *Room) setLocked(s *Session, amount int64) {
	r.left += r.held[s] - amount
	if r.held[s] = amount; amount == 0 {
		delete(r.held, s)
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
	switch out := s.cfg.Room.take(s, need); out {
	case nil:
	case s:
		return violation("host needs %d MiB, and all hosts together have too much already (limits.ovsdb_memory)", (need+ownRoom)>>20)
	default:
		out.shutdown(violation("host has more than any other, and all hosts together have too much (limits.ovsdb_memory)"))
	}
	s.occupied = need
	return nil
}

// vacate gives all room back. The reader calls it last.
func (s *Session) vacate() {
	if s.cfg.Room != nil {
		s.cfg.Room.take(s, 0)
	}
}
