package gate

import (
	"container/list"
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Gate has places for work that keeps a processor busy. Who finds none free waits in one of
// two lines: newcomers, who have cost nothing yet, and those under way, whose peers wait for an
// answer. Those under way come first, so that what was begun is finished before more is begun,
// but every fourth turn is a newcomer's. The nil Gate has room for everybody.
//
// Of newcomers, hosts that are dialled and hosts that have dialled take turns. The first are
// served in the order of arrival; of the others the last one comes first: those that have waited for
// long are about to hang up, and to come again, so that in the order of arrival everybody would be
// served just too late.
//
// How many connections may be under way at once is bounded too: more would wait for slow peers
// and full links at the same time, until the patience of all of them ends.
type Gate struct {
	abandoned atomic.Int64

	mu    sync.Mutex
	total int
	free  int
	// begun counts the connections under way that have not been so for long.
	begun, maxBegun int
	// The lines hold chan struct{}, closed when it is that one's turn.
	dialled, accepted, underWay list.List
	// dialledNext: of newcomers of both kinds it is the turn of a host that is dialled.
	dialledNext bool
	// streak counts the turns since the last newcomer's.
	streak int
}

const (
	// newcomersTurn is which turn is a newcomer's at the latest.
	newcomersTurn = 4
	// begunPerPlace is how many connections may be under way for each place: hosts that are
	// 50 ms away need a third of a second.
	begunPerPlace = 64
	// stalled is how long a connection counts as under way. Peers that take longer are
	// waited for, but keep nobody else from beginning.
	stalled = 2 * time.Second
	// lookEvery is how often it is looked whether a peer that waits in line is still there.
	lookEvery = 500 * time.Millisecond
)

// New returns a gate with a number of places; 0 for one for each processor but one: the node
// has more to do than to receive hosts.
func New(places int) *Gate {
	if places <= 0 {
		places = max(1, runtime.GOMAXPROCS(0)-1)
	}
	return &Gate{total: places, free: places, maxBegun: places * begunPerPlace}
}

// Enter takes a place for work on a host that is connected, and waits for one when none is
// free. Its holder must not wait for anything slow, and must not enter again, until it calls
// Leave. The error is ctx's.
func (g *Gate) Enter(ctx context.Context) error {
	if g != nil && !g.enter(&g.underWay, ctx.Done(), nil, nil) {
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
	g.free++
	g.admitLocked()
}

// finish counts a connection out that is no longer under way.
func (g *Gate) finish() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.begun--
	g.admitLocked()
}

// admitLocked gives free places to those who wait. It requires mu.
func (g *Gate) admitLocked() {
	for g.free > 0 {
		newcomers := g.newcomersLocked()
		fresh := newcomers.Len() > 0 && g.begun < g.maxBegun
		switch {
		case g.underWay.Len() > 0 && (!fresh || g.streak < newcomersTurn-1):
			close(g.underWay.Remove(g.underWay.Front()).(chan struct{}))
			g.streak++
		case fresh:
			close(newcomers.Remove(newcomers.Front()).(chan struct{}))
			g.begun++
			g.dialledNext = newcomers != &g.dialled
			g.streak = 0
		default:
			return
		}
		g.free--
	}
}

// newcomersLocked is the line whose turn it is. It requires mu.
func (g *Gate) newcomersLocked() *list.List {
	if g.dialled.Len() > 0 && (g.dialledNext || g.accepted.Len() == 0) {
		return &g.dialled
	}
	return &g.accepted
}

// awaitTurn reports whether turn was closed before done and closed, and before gone, if there is one, said
// that nobody waits any more.
func awaitTurn(turn, done, closed <-chan struct{}, gone func() bool) bool {
	var look <-chan time.Time
	if gone != nil {
		tick := time.NewTicker(lookEvery)
		defer tick.Stop()
		look = tick.C
	}
	for {
		select {
		case <-turn:
			return true
		case <-done:
			return false
		case <-closed:
			return false
		case <-look:
			if gone() {
				return false
			}
		}
	}
}

// enter takes a place unless done or closed is closed or gone says true first; each of them may be nil. A newcomer
// that got one is to be counted out with finish.
func (g *Gate) enter(line *list.List, done, closed <-chan struct{}, gone func() bool) bool {
	turn := make(chan struct{})
	g.mu.Lock()
	var place *list.Element
	if line == &g.accepted {
		place = line.PushFront(turn)
	} else {
		place = line.PushBack(turn)
	}
	g.admitLocked()
	g.mu.Unlock()
	if awaitTurn(turn, done, closed, gone) {
		return true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-turn: // at the same moment
		g.free++
		if line != &g.underWay {
			g.begun--
		}
		g.admitLocked()
	default:
		line.Remove(place)
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
	return g.dialled.Len() + g.accepted.Len() + g.underWay.Len()
}

// Abandoned counts the peers that hung up before it was their turn.
func (g *Gate) Abandoned() int { return int(g.abandoned.Load()) }
