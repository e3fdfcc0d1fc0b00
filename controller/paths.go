package controller

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"poolwire/raftstore"
)

const (
	// pathsTick is how often tunnels are probed; each tick a share of them, so that pathsRate is kept.
	pathsTick = time.Second
	// pathsRate bounds the probes a second of all tunnels together. A hundred hosts in a mesh have 4950 tunnels: each
	// is then probed every 25 s.
	pathsRate = 200
	// lossWindow is over how many probes loss is counted.
	lossWindow = 100
)

// pathHealth is what probes say of one tunnel: immutable once published.
type pathHealth struct {
	// lost and sent count the last probes of the worse direction.
	lost, sent int
	// expected is the largest packet that should pass on the underlay, passed the largest that did; 0 when not known.
	expected, passed int
	history          [2]probeHistory
	// turns is how often loss was looked at.
	turns int
}

// probeHistory is what became of the last probes one way: a ring of bits.
type probeHistory struct {
	bits [(lossWindow + 7) / 8]uint8 // 0 arrived, 1 lost
	next int
	full bool
}

func (h *probeHistory) add(lost bool) {
	i, bit := h.next/8, uint8(1)<<(h.next%8)
	h.bits[i] &^= bit
	if lost {
		h.bits[i] |= bit
	}
	h.next++
	if h.next == lossWindow {
		h.next, h.full = 0, true
	}
}

func (h *probeHistory) count() (lost, sent int) {
	sent = h.next
	if h.full {
		sent = lossWindow
	}
	for i := range sent {
		if h.bits[i/8]&(1<<(i%8)) != 0 {
			lost++
		}
	}
	return lost, sent
}

// paths probes tunnels that are up, for loss and for the largest packet that passes. Loss is counted round by round; searches
// for a size take their time beside that.
type paths struct {
	lead *leader
	// probe sends one probe, as [leader.probe] does.
	probe func(ctx context.Context, from, to linkEnd, size int) error

	mu       sync.Mutex
	health   map[link]pathHealth  // guarded by mu
	searches map[link]*sizeSearch // those under way; guarded by mu
	working  sync.WaitGroup       // searches that have not ended, the ones called off included
	turn     int                  // of the next tunnel to probe; belongs to keep
}

func newPaths(l *leader) *paths {
	return &paths{lead: l, probe: l.probe, health: map[link]pathHealth{}, searches: map[link]*sizeSearch{}}
}

// of returns what is known of a tunnel.
func (p *paths) of(l link) pathHealth {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.health[l]
}

// keep probes until ctx ends.
func (p *paths) keep(ctx context.Context) {
	defer p.working.Wait()
	tick := time.NewTicker(pathsTick)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		view := p.lead.store.View()
		p.round(ctx, tunnelsUp(view, p.lead.links.all()), func(t tunnelEnds) pathSizes { return sizesOf(view, t) })
	}
}

// tunnelEnds is a tunnel with both its ends.
type tunnelEnds struct {
	link
	ends [2]linkEnd
}

// tunnelsUp lists the tunnels whose both ends are heard, in order.
func tunnelsUp(view *raftstore.View, all map[string]map[string]linkEnd) []tunnelEnds {
	var out []tunnelEnds
	for host, ends := range all {
		for _, a := range ends {
			if host > a.peer || view.Host(host) == nil {
				continue
			}
			b := all[a.peer][a.conduit.tunnelName(view.Host(host))]
			if up, _ := a.hears(); !up || b.bfd != a.bfd {
				continue
			}
			out = append(out, tunnelEnds{link{pair{host, a.peer}, a.conduit}, [2]linkEnd{a, b}})
		}
	}
	slices.SortFunc(out, func(x, y tunnelEnds) int { return compareLinks(x.link, y.link) })
	return out
}

func compareLinks(x, y link) int {
	return cmp.Or(comparePairs(x.pair, y.pair), cmp.Compare(x.conduit.encapsulation, y.conduit.encapsulation), cmp.Compare(x.conduit.port, y.conduit.port))
}

// round counts loss on as many of the tunnels that are up as the rate allows, going on where the last round stopped, and begins
// to search for the size of those whose turn it is. It waits for no search.
func (p *paths) round(ctx context.Context, up []tunnelEnds, sizes func(tunnelEnds) pathSizes) {
	p.forget(up)
	if len(up) == 0 {
		return
	}
	var wg sync.WaitGroup
	for range min(len(up), pathsRate/2) {
		t := up[p.turn%len(up)]
		p.turn++
		wg.Go(func() {
			if p.look(ctx, t) {
				p.search(ctx, t, sizes(t))
			}
		})
	}
	wg.Wait()
}

// forget drops what is known of tunnels that are not up any more, and calls their searches off; so it does with searches of what has
// become another tunnel since they began.
func (p *paths) forget(up []tunnelEnds) {
	known := make(map[link]tunnelEnds, len(up))
	for _, t := range up {
		known[t.link] = t
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	maps.DeleteFunc(p.health, func(l link, _ pathHealth) bool { _, there := known[l]; return !there })
	maps.DeleteFunc(p.searches, func(l link, s *sizeSearch) bool {
		t, there := known[l]
		gone := !there || !s.of.same(t)
		if gone {
			s.cancel()
		}
		return gone
	})
}

// look probes one tunnel both ways, and tells whether it is time to ask for its size.
func (p *paths) look(ctx context.Context, t tunnelEnds) (due bool) {
	var lost [2]bool
	for way, from := range t.ends {
		err := p.probe(ctx, from, t.ends[1-way], probeHead)
		if err != nil && !errors.Is(err, errProbeLost) {
			return false // it was not sent: that says nothing of the path
		}
		lost[way] = err != nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.health[t.link]
	for way := range lost {
		h.history[way].add(lost[way])
	}
	h.lost, h.sent = h.history[0].count()
	if lost, sent := h.history[1].count(); lost*h.sent > h.lost*sent {
		h.lost, h.sent = lost, sent
	}
	due = h.turns%mtuEvery == 0
	h.turns++
	p.health[t.link] = h
	return due
}
