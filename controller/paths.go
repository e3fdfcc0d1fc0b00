package controller

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"poolwire/overlay"
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
	// mtuEvery is how many probes of a tunnel there are to one that asks how large packets may be.
	mtuEvery = 10
	// sizedWait is how long a probe may take that asks for a size: many of them get lost, and hold up the others.
	sizedWait = 700 * time.Millisecond
	// innerHeader is the Ethernet header of a probe, which counts as overhead.
	innerHeader = 14
)

// pathHealth is what probes say of one tunnel: immutable once published.
type pathHealth struct {
	// lost and sent count the last probes of the worse direction.
	lost, sent int
	// expected is the largest packet that should pass on the underlay, passed the largest that did; 0 when not known.
	expected, passed int
	history          [2]probeHistory
	turns            int
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

// paths probes tunnels that are up, for loss and for the largest packet that passes.
type paths struct {
	lead *leader

	mu     sync.Mutex
	health map[link]pathHealth // guarded by mu
	turn   int                 // of the next tunnel to probe; belongs to keep
}

func newPaths(l *leader) *paths { return &paths{lead: l, health: map[link]pathHealth{}} }

// of returns what is known of a tunnel.
func (p *paths) of(l link) pathHealth {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.health[l]
}

// keep probes until ctx ends.
func (p *paths) keep(ctx context.Context) {
	tick := time.NewTicker(pathsTick)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		p.round(ctx)
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

// round probes as many tunnels as the rate allows, going on where the last round stopped.
func (p *paths) round(ctx context.Context) {
	view := p.lead.store.View()
	up := tunnelsUp(view, p.lead.links.all())
	known := make(map[link]struct{}, len(up))
	for _, t := range up {
		known[t.link] = struct{}{}
	}
	p.mu.Lock()
	maps.DeleteFunc(p.health, func(l link, _ pathHealth) bool { _, there := known[l]; return !there })
	p.mu.Unlock()
	if len(up) == 0 {
		return
	}
	var wg sync.WaitGroup
	for range min(len(up), pathsRate/2) {
		t := up[p.turn%len(up)]
		p.turn++
		wg.Go(func() { p.look(ctx, view, t) })
	}
	wg.Wait()
}

// look probes one tunnel both ways.
func (p *paths) look(ctx context.Context, view *raftstore.View, t tunnelEnds) {
	h := p.of(t.link)
	for way, from := range t.ends {
		err := p.lead.probe(ctx, from, t.ends[1-way], probeHead)
		if err != nil && !errors.Is(err, errProbeLost) {
			return // it was not sent: that says nothing of the path
		}
		h.history[way].add(err != nil)
	}
	h.lost, h.sent = h.history[0].count()
	if lost, sent := h.history[1].count(); lost*h.sent > h.lost*sent {
		h.lost, h.sent = lost, sent
	}
	if h.turns%mtuEvery == 0 {
		p.measure(ctx, view, t, &h)
	}
	h.turns++
	p.mu.Lock()
	p.health[t.link] = h
	p.mu.Unlock()
}

// measure finds the largest packet that passes with the bit that forbids fragments, both ways: first what should
// pass, and when that does not, by halving. Probes carry that bit as everything in a tunnel does (options:df_default).
// What is known stays when the probes cannot tell.
func (p *paths) measure(ctx context.Context, view *raftstore.View, t tunnelEnds, h *pathHealth) {
	underlay := pairUnderlay(view, t.pair)
	if underlay == 0 {
		return
	}
	sec := overlay.IPsec{On: view.PairKey(t.a, t.b) != nil && t.conduit.port == 0}
	is6 := addrIsIPv6(endpoint(view, t.a))
	size := func(mtu int) int { return overlay.InnerMTU(mtu, t.conduit.encapsulation, is6, sec) + innerHeader }
	passes := func(mtu int) (bool, error) {
		for way, from := range t.ends {
			one, cancel := context.WithTimeout(ctx, sizedWait)
			err := p.lead.probe(one, from, t.ends[1-way], size(mtu))
			cancel()
			if errors.Is(err, errProbeLost) {
				// Only its size may be to blame: a small one tells whether the hosts can be spoken to at all.
				return false, p.lead.probe(ctx, from, t.ends[1-way], probeHead)
			}
			if err != nil {
				return false, err
			}
		}
		return true, nil
	}
	whole, err := passes(underlay)
	if err != nil {
		return
	}
	const least = 576 // every IPv4 host takes it (RFC 791)
	low, high := least, underlay
	for !whole && high-low > 4 {
		middle := (low + high) / 2
		fits, err := passes(middle)
		switch {
		case err != nil:
			return
		case fits:
			low = middle
		default:
			high = middle
		}
	}
	if whole {
		low = underlay
	}
	h.expected, h.passed = underlay, low
}

// pairUnderlay is the MTU of the underlay as both hosts of a pair have it: the smaller one, 0 when not known.
func pairUnderlay(view *raftstore.View, p pair) int {
	a, b := view.HostFacts(p.a).GetTransportMtu(), view.HostFacts(p.b).GetTransportMtu()
	if a == 0 || b == 0 {
		return 0
	}
	return int(min(a, b))
}
