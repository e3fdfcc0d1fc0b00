package scale

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"poolwire/integration/lab/simhost"
	"poolwire/integration/quantile"
)

// Figures are what a run has measured.
type Figures struct {
	Hosts, VIFs int
	// Flows is how many all switches hold.
	Flows int
	// Registered is how long it took to register all hosts but the few, Configured until the
	// last of them was ready, mastered and confirmed; ConfiguredBy is over how many connections.
	Registered, Configured time.Duration
	ConfiguredBy           simhost.Connections
	// ChangeFew and ChangeAll are from a rule's creation until it is confirmed.
	ChangeFew, ChangeAll Times
	// Takeover is from the death of a leader until the next one is master everywhere, Settled the longest
	// time until everything was confirmed too.
	Takeover Times
	Settled  time.Duration
	// RestartMastered is from the start of all nodes until the leader is master everywhere,
	// RestartSettled until all is confirmed, RestartWhole until every node has all its sessions.
	RestartMastered, RestartSettled, RestartWhole time.Duration
	RestartBy                                     simhost.Connections
	RestartPeaks                                  Peaks
	// RestartMods is how many flow mods were sent.
	RestartMods int
	// Nodes is what the nodes take with all hosts configured.
	Nodes []Footprint
}

// Footprint is what a node takes.
type Footprint struct {
	ID         string
	Leader     bool
	RSS, Heap  float64 // bytes
	CPU        float64 // seconds since it started
	Goroutines int
	Files      int
	// Sessions by protocol.
	OpenFlow, PortFlags, OVSDB int
}

// Times are percentiles.
type Times struct {
	N                  int
	P50, P95, P99, Max time.Duration
}

func (t Times) String() string {
	return fmt.Sprintf("n=%d p50 %v p95 %v p99 %v max %v", t.N, rounded(t.P50), rounded(t.P95), rounded(t.P99), rounded(t.Max))
}

func timesOf(took []time.Duration) Times {
	if len(took) == 0 {
		return Times{}
	}
	at := func(percent int) time.Duration { return quantile.Of(took, percent) }
	return Times{N: len(took), P50: at(50), P95: at(95), P99: at(99), Max: at(100)}
}

func rounded(d time.Duration) time.Duration {
	if d < 100*time.Millisecond {
		return d.Round(10 * time.Microsecond)
	}
	return d.Round(10 * time.Millisecond)
}

// String is the figures for people.
func (f *Figures) String() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("%d hosts x %d VIFs, %d flows", f.Hosts, f.VIFs, f.Flows)
	line("registered after %v, all mastered and configured after %v (%+v)", rounded(f.Registered), rounded(f.Configured), f.ConfiguredBy)
	for _, n := range f.Nodes {
		line("%s leader=%v: RSS %.0f MiB, heap %.0f MiB, CPU %.1f s, %d goroutines, %d files, sessions: %d openflow, %d portflags, %d ovsdb",
			n.ID, n.Leader, n.RSS/(1<<20), n.Heap/(1<<20), n.CPU, n.Goroutines, n.Files, n.OpenFlow, n.PortFlags, n.OVSDB)
	}
	line("one rule, few hosts: %v", f.ChangeFew)
	line("one rule, all hosts: %v (p50 %.2fx, p99 %.2fx)", f.ChangeAll, ratio(f.ChangeAll.P50, f.ChangeFew.P50), ratio(f.ChangeAll.P99, f.ChangeFew.P99))
	line("leader killed, next one master everywhere: %v; all confirmed within %v", f.Takeover, rounded(f.Settled))
	line("all nodes killed and started: mastered after %v, confirmed after %v, all sessions with all nodes after %v; %d flow mods (%+v, %v)",
		rounded(f.RestartMastered), rounded(f.RestartSettled), rounded(f.RestartWhole), f.RestartMods, f.RestartBy, f.RestartPeaks)
	return b.String()
}

func ratio(a, b time.Duration) float64 { return float64(a) / float64(max(b, 1)) }

// footprint reads what the nodes take.
func (r *run) footprint(ctx context.Context) error {
	leader, err := r.cluster.leader(ctx)
	if err != nil {
		return err
	}
	for _, n := range r.cluster.nodes {
		m, err := n.metrics(ctx)
		if err != nil {
			return err
		}
		session := func(kind string) int { return int(m[fmt.Sprintf("poolwire_sessions{protocol=%q}", kind)]) }
		r.figures.Nodes = append(r.figures.Nodes, Footprint{
			ID: n.id, Leader: n == leader, RSS: m["process_resident_memory_bytes"], Heap: m["go_memstats_heap_alloc_bytes"],
			CPU: m["process_cpu_seconds_total"], Goroutines: int(m["go_goroutines"]), Files: int(m["process_open_fds"]),
			OpenFlow: session("openflow"), PortFlags: session("portflags"), OVSDB: session("ovsdb"),
		})
	}
	return nil
}

// Peaks are the highest values seen on any node.
type Peaks struct {
	// Running and Waiting are connections being set up, and those that wait for their turn.
	Running, Waiting int
	RSS              float64
}

func (p Peaks) String() string {
	return fmt.Sprintf("peaks on a node: %d being set up, %d waiting, RSS %.0f MiB", p.Running, p.Waiting, p.RSS/(1<<20))
}

// watchPeaks looks at all nodes until ctx ends.
func (r *run) watchPeaks(ctx context.Context) (p Peaks) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, n := range r.cluster.nodes {
		wg.Go(func() {
			tick := time.NewTicker(readEvery)
			defer tick.Stop()
			for ctx.Err() == nil {
				if m, err := n.metrics(ctx); err == nil {
					mu.Lock()
					p.Running = max(p.Running, int(m["poolwire_setups_running"]))
					p.Waiting = max(p.Waiting, int(m["poolwire_setups_waiting"]))
					p.RSS = max(p.RSS, m["process_resident_memory_bytes"])
					mu.Unlock()
				}
				select {
				case <-ctx.Done():
				case <-tick.C:
				}
			}
		})
	}
	wg.Wait()
	return p
}

// each calls f for 0 to n-1, a number of them at once, until one fails.
func each(ctx context.Context, atOnce, n int, f func(context.Context, int) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for i := range n {
		g.Go(func() error { return f(ctx, i) })
	}
	return g.Wait()
}
