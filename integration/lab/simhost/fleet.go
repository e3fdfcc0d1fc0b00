package simhost

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// Fleet is many hosts.
type Fleet struct {
	Hosts []*Host

	counts counts
}

// counts are over all hosts.
type counts struct {
	// ovsdb and openflow count connections that came up, failed those that did not.
	ovsdb, openflow, failed atomic.Int64

	mu sync.Mutex
	// dials is how many attempts are under way, peak the most there were.
	dials, peak int // guarded by mu
}

func (c *counts) dialling(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dials += n
	c.peak = max(c.peak, c.dials)
}

// FleetOptions describe a Fleet.
type FleetOptions struct {
	// Hosts and VIFs of each.
	Hosts, VIFs int
	// Certifier makes their certificates.
	Certifier *Certifier
	// Managers are the targets that their OVSDB servers dial; with none they listen.
	Managers []string
}

// maxFleet is how many hosts addresses are for: 127.1.0.1 to 127.1.255.254.
const maxFleet = 250 * 250

// starters is how many hosts are made at once.
const starters = 4

// Start makes a fleet: hosts sim1, sim2 and so on, with addresses from 127.1.1.1 on.
func Start(ctx context.Context, opts FleetOptions) (*Fleet, error) {
	if opts.Hosts > maxFleet {
		return nil, fmt.Errorf("simhost: %d hosts, at most %d", opts.Hosts, maxFleet)
	}
	f := &Fleet{Hosts: make([]*Host, opts.Hosts)}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(starters)
	for i := range f.Hosts {
		g.Go(func() (err error) {
			o := Options{Name: fmt.Sprintf("sim%d", i+1), Addr: netip.AddrFrom4([4]byte{127, 1, byte(1 + i/250), byte(1 + i%250)}), VIFs: opts.VIFs, Managers: opts.Managers}
			o.UUID = Options{UUID: o.Name}.VIF(0).VMUUID
			cert, err := opts.Certifier.Host(o.UUID)
			if err != nil {
				return err
			}
			o.TLS = opts.Certifier.TLS(cert)
			f.Hosts[i], err = start(ctx, o, &f.counts)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// Close ends all hosts.
func (f *Fleet) Close() {
	var wg sync.WaitGroup
	for _, h := range f.Hosts {
		if h != nil {
			wg.Go(h.close)
		}
	}
	wg.Wait()
}

// Mastered counts the hosts whose bridge has a master of at least a generation.
func (f *Fleet) Mastered(generation uint64) (n int) {
	for _, h := range f.Hosts {
		if sw := h.Switch(Bridge); sw != nil {
			if g, ok := sw.Master(); ok && g >= generation {
				n++
			}
		}
	}
	return n
}

// Generation is the highest generation of any switch.
func (f *Fleet) Generation() (highest uint64) {
	for _, h := range f.Hosts {
		if sw := h.Switch(Bridge); sw != nil {
			g, _ := sw.Master()
			highest = max(highest, g)
		}
	}
	return highest
}

// FlowMods counts the flow mods that all switches were sent.
func (f *Fleet) FlowMods() (n int) {
	for _, h := range f.Hosts {
		if sw := h.Switch(Bridge); sw != nil {
			n += sw.Counters().FlowMods
		}
	}
	return n
}

// Flows counts the flows that all switches hold.
func (f *Fleet) Flows() (n int) {
	for _, h := range f.Hosts {
		if sw := h.Switch(Bridge); sw != nil {
			n += sw.Len()
		}
	}
	return n
}

// Connections are the connections of all hosts so far.
type Connections struct {
	// OVSDB, OpenFlow are how many came up, Failed how many attempts of switches did not.
	OVSDB, OpenFlow, Failed int
	// PeakDials is the most attempts of switches that were under way at once.
	PeakDials int
}

// Count returns the connections since the last call, and the peak in that time.
func (f *Fleet) Count() Connections {
	c := &f.counts
	c.mu.Lock()
	defer c.mu.Unlock()
	out := Connections{
		OVSDB: int(c.ovsdb.Swap(0)), OpenFlow: int(c.openflow.Swap(0)), Failed: int(c.failed.Swap(0)), PeakDials: c.peak,
	}
	c.peak = c.dials
	return out
}
