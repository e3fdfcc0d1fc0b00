package gate

import (
	"container/list"
	"context"
	"runtime"
	"sync"
	"sync/atomic"
)

// Gate has places for work that keeps a processor busy. Who finds none free waits in one of
// two lines: newcomers, who have cost nothing yet, and those under way, whose peers wait for an
// answer. Each line is served in the order of arrival. Those under way come first, so that what was
// begun is finished before more is begun, but every fourth turn is a newcomer's. The nil
// Gate has room for everybody.
type Gate struct {
	abandoned atomic.Int64

	mu    sync.Mutex
	total int
	// free places; there are none while somebody waits.
	free int
	// newcomers and underWay hold chan struct{}, closed when it is that one's turn.
	newcomers, underWay list.List
	// streak counts the turns since the last newcomer's.
	streak int
}

// newcomersTurn is which turn is a newcomer's at the latest.
const newcomersTurn = 4

// New returns a gate with a number of places; 0 for one for each processor but one: the node
// has more to do than to receive hosts.
func New(places int) *Gate {
	if places <= 0 {
		places = max(1, runtime.GOMAXPROCS(0)-1)
	}
	return &Gate{total: places, free: places}
}

// Enter takes a place for work on a host that is connected, and waits for one when none is
// free. Its holder must not wait for anything slow, and must not enter again, until it calls
// Leave. The error is ctx's.
func (g *Gate) Enter(ctx context.Context) error {
	if g != nil && !g.enter(&g.underWay, ctx.Done()) {
		return context.Cause(ctx)
	}
	return nil
}

// Leave gives a place back.
func (g *Gate) Leave() {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	next := &g.underWay
	if g.newcomers.Len() > 0 && (g.underWay.Len() == 0 || g.streak >= newcomersTurn-1) {
		next = &g.newcomers
		g.streak = 0
	} else {
		g.streak++
	}
	if first := next.Front(); first != nil {
		close(next.Remove(first).(chan struct{}))
		return
	}
	g.free++
}

// enter takes a place unless done is closed first.
func (g *Gate) enter(line *list.List, done <-chan struct{}) bool {
	g.mu.Lock()
	if g.free > 0 {
		g.free--
		g.mu.Unlock()
		return true
	}
	turn := make(chan struct{})
	place := line.PushBack(turn)
	g.mu.Unlock()
	select {
	case <-turn:
		return true
	case <-done:
	}
	g.mu.Lock()
	select {
	case <-turn: // at the same moment
		g.mu.Unlock()
		g.Leave()
	default:
		line.Remove(place)
		g.mu.Unlock()
	}
	return false
}

// Running is how many places are taken.
func (g *Gate) Running() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.total - g.free
}

// Waiting is how many wait for a place.
func (g *Gate) Waiting() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.newcomers.Len() + g.underWay.Len()
}

// Abandoned counts the peers that hung up before it was their turn.
func (g *Gate) Abandoned() int { return int(g.abandoned.Load()) }
