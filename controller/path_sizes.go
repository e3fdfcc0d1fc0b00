package controller

import (
	"context"
	"errors"
	"time"

	"poolwire/overlay"
	"poolwire/raftstore"
)

const (
	// mtuEvery is how many looks at the loss of a tunnel there are to one that asks how large packets may be.
	mtuEvery = 10
	// sizedWait is how long a probe may take that asks for a size: on a narrow path many of them get lost.
	sizedWait = 700 * time.Millisecond
	// sizeTries is how often a probe is sent before it counts as one that does not pass: probes get lost for other reasons
	// than their size, too.
	sizeTries = 3
	// maxSearches is how many tunnels are asked for their size at a time. A search sends one probe after the other, so that
	// they cost no more than as many probes in sizedWait where all paths are narrow.
	maxSearches = 64
	// innerHeader is the Ethernet header of a probe, which counts as overhead.
	innerHeader = 14
	// leastMTU is what every host takes (RFC 791 section 3.2).
	leastMTU = 576
	// sizeStep is how exactly a size is found, in bytes.
	sizeStep = 4
)

// sizeSearch is one search for the largest packet that passes a tunnel.
type sizeSearch struct {
	of     tunnelEnds
	cancel context.CancelFunc
}

// same tells whether a tunnel is still the one that it was: between the same ports and addresses, and not gone in between.
func (t tunnelEnds) same(now tunnelEnds) bool {
	for i, was := range t.ends {
		if is := now.ends[i]; is.ofport != was.ofport || is.ends.remote != was.ends.remote || !is.since.Equal(was.since) {
			return false
		}
	}
	return true
}

// pathSizes says how large probes are to be.
type pathSizes struct {
	// expected is the largest packet that should pass on the underlay, 0 when not known.
	expected int
	// inner is the size of the probe that makes an underlay packet of so many bytes.
	inner func(mtu int) int
}

func sizesOf(view *raftstore.View, t tunnelEnds) pathSizes {
	sec := overlay.IPsec{On: view.PairKey(t.a, t.b) != nil && t.conduit.port == 0}
	is6 := addrIsIPv6(endpoint(view, t.a))
	return pathSizes{
		expected: pairUnderlay(view, t.pair),
		inner:    func(mtu int) int { return overlay.InnerMTU(mtu, t.conduit.encapsulation, is6, sec) + innerHeader },
	}
}

// search begins to search for the size of a tunnel, unless that is being done, and returns at once. When there are too many searches
// already, the next look at the tunnel asks again. It ends with ctx, or when [paths.forget] calls it off.
func (p *paths) search(ctx context.Context, t tunnelEnds, sizes pathSizes) {
	if sizes.expected == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.searches[t.link] != nil {
		return
	}
	if len(p.searches) >= maxSearches {
		h := p.health[t.link]
		h.turns = 0
		p.health[t.link] = h
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	s := &sizeSearch{of: t, cancel: cancel}
	p.searches[t.link] = s
	p.working.Go(func() {
		defer cancel()
		passed, err := p.measure(ctx, t, sizes)
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.searches[t.link] != s {
			return // called off: what was measured may have been another path
		}
		delete(p.searches, t.link)
		if h, known := p.health[t.link]; known && err == nil {
			h.expected, h.passed = sizes.expected, passed
			p.health[t.link] = h
		}
	})
}

// measure finds the largest packet that passes with the bit that forbids fragments, both ways: first what should
// pass, and when that does not, by halving. Before it finds less than should pass, it asks for that once more: a path may
// have lost much for a moment. Probes carry that bit as everything in a tunnel does (options:df_default). An error says
// that the probes cannot tell.
func (p *paths) measure(ctx context.Context, t tunnelEnds, sizes pathSizes) (passed int, err error) {
	whole, err := p.passes(ctx, t, sizes.inner(sizes.expected))
	if whole || err != nil {
		return sizes.expected, err
	}
	low, high := leastMTU, sizes.expected
	for high-low > sizeStep {
		middle := (low + high) / 2
		fits, err := p.passes(ctx, t, sizes.inner(middle))
		switch {
		case err != nil:
			return 0, err
		case fits:
			low = middle
		default:
			high = middle
		}
	}
	whole, err = p.passes(ctx, t, sizes.inner(sizes.expected))
	if whole || err != nil {
		return sizes.expected, err
	}
	return low, nil
}

// passes tells whether probes of a size pass both ways.
func (p *paths) passes(ctx context.Context, t tunnelEnds, size int) (bool, error) {
	for way, from := range t.ends {
		err := p.arrives(ctx, from, t.ends[1-way], size)
		if errors.Is(err, errProbeLost) {
			// Only its size may be to blame: a small one tells whether the hosts can be spoken to at all.
			return false, p.arrives(ctx, from, t.ends[1-way], probeHead)
		}
		if err != nil {
			return false, err
		}
	}
	return true, nil
}

// arrives sends a probe of a size one way, up to sizeTries times. errProbeLost when none arrives; other errors as
// [leader.probe].
func (p *paths) arrives(ctx context.Context, from, to linkEnd, size int) error {
	for try := 1; ; try++ {
		one, cancel := context.WithTimeout(ctx, sizedWait)
		err := p.probe(one, from, to, size)
		cancel()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case try == sizeTries || !errors.Is(err, errProbeLost):
			return err
		}
	}
}

// pairUnderlay is the MTU of the underlay as both hosts of a pair have it: the smaller one, 0 when not known.
func pairUnderlay(view *raftstore.View, p pair) int {
	a, b := view.HostFacts(p.a).GetTransportMtu(), view.HostFacts(p.b).GetTransportMtu()
	if a == 0 || b == 0 {
		return 0
	}
	return int(min(a, b))
}
