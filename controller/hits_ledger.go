package controller

import (
	"sync"
	"time"
)

// count is what one rule has matched on one bridge.
type count struct {
	packets, bytes uint64
	// since is when the oldest flow was put there.
	since time.Time
}

// plus adds two counts.
func (c count) plus(d count) count {
	if c.since.IsZero() || !d.since.IsZero() && d.since.Before(c.since) {
		c.since = d.since
	}
	c.packets, c.bytes = c.packets+d.packets, c.bytes+d.bytes
	return c
}

// hitLedger keeps what flows have counted that are no more. A switch forgets what a flow
// has counted when the flow is replaced, which it is for reasons that have nothing to do
// with its rule: it has to make room for another one between two priorities. It is one
// leader's: the next one starts from what the switches have.
type hitLedger struct {
	mu      sync.Mutex
	bridges map[bridgeAt]*bridgeHits // guarded by mu
}

// bridgeHits are the counts of one bridge, by the rules' object ids.
type bridgeHits struct {
	// changes is odd while flows of rules are being replaced: what is read meanwhile may
	// be from before or after that.
	changes uint64
	// carried is what flows have counted that are gone, told what was said last.
	carried, told map[uint32]count
}

func newHitLedger() *hitLedger { return &hitLedger{bridges: map[bridgeAt]*bridgeHits{}} }

// of returns the counts of a bridge; the lock is held.
func (l *hitLedger) of(at bridgeAt) *bridgeHits {
	b := l.bridges[at]
	if b == nil {
		b = &bridgeHits{carried: map[uint32]count{}, told: map[uint32]count{}}
		l.bridges[at] = b
	}
	return b
}

// begin notes that flows are about to be replaced. end must follow.
func (l *hitLedger) begin(at bridgeAt) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.of(at).changes++
}

// end notes that the flows are replaced, and what those had counted that are gone. Rules
// that are gone themselves are forgotten.
func (l *hitLedger) end(at bridgeAt, gone map[uint32]count, exists func(ruleID uint32) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.of(at)
	b.changes++
	for id, n := range gone {
		b.carried[id] = b.carried[id].plus(n)
	}
	for _, counts := range []map[uint32]count{b.carried, b.told} {
		for id := range counts {
			if !exists(id) {
				delete(counts, id)
			}
		}
	}
}

// stamp is to be asked for before a switch is read.
func (l *hitLedger) stamp(at bridgeAt) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.of(at).changes
}

// add returns what rules have matched in all, now being what the switch has counted. ok is
// false when flows were being replaced since the stamp: then nobody knows.
func (l *hitLedger) add(at bridgeAt, stamp uint64, now map[uint32]count, ids map[uint32]struct{}) (all map[uint32]count, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.of(at)
	if b.changes != stamp || stamp%2 != 0 {
		return nil, false
	}
	all = map[uint32]count{}
	for id := range ids {
		total := b.carried[id].plus(now[id])
		if told := b.told[id]; total.packets < told.packets || total.bytes < told.bytes {
			// The switch has started over, or has lost flows: it goes on from there.
			missing := count{max(told.packets, total.packets) - total.packets, max(told.bytes, total.bytes) - total.bytes, told.since}
			b.carried[id] = b.carried[id].plus(missing)
			total = total.plus(missing)
		}
		if total != (count{}) {
			all[id], b.told[id] = total, total
		}
	}
	return all, true
}

// lastTold is what was said last of a bridge.
func (l *hitLedger) lastTold(at bridgeAt, ids map[uint32]struct{}) map[uint32]count {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := map[uint32]count{}
	b := l.of(at)
	for id := range ids {
		if n, ok := b.told[id]; ok {
			out[id] = n
		}
	}
	return out
}

// others lists the bridges that have counts and are not among some.
func (l *hitLedger) others(present []bridgeAt) []bridgeAt {
	l.mu.Lock()
	defer l.mu.Unlock()
	known := map[bridgeAt]bool{}
	for _, at := range present {
		known[at] = true
	}
	var out []bridgeAt
	for at, b := range l.bridges {
		if !known[at] && len(b.told) > 0 {
			out = append(out, at)
		}
	}
	return out
}
