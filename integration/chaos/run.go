package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"poolwire/client"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// Config says how a run goes.
type Config struct {
	// Bin is the directory that holds poolwired.
	Bin string
	// Duration is how long faults are injected; the run takes about half a minute more.
	Duration time.Duration
	// Seed chooses faults, their order and the clients' calls. The same seed does not give the
	// same run: processes and packets keep their own time.
	Seed uint64
	// Faults is a regular expression for the names of those that are injected; empty for all.
	Faults string
	// Log takes a line for each fault. Required.
	Log func(format string, args ...any)
}

// Run runs a cluster with faults and clients and returns the figures as text. The error says
// that a promise was broken, or that the cluster did not recover.
func Run(ctx context.Context, cfg Config) (figures string, err error) {
	deck, err := chosen(cfg.Faults)
	if err != nil {
		return "", err
	}
	c, err := newCluster(ctx, cfg.Bin)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	r := &chaos{cfg: cfg, cluster: c, report: newReport(), deck: deck}
	defer r.hangUp()
	watching, stopWatching := context.WithCancel(ctx)
	defer r.watches.Wait()
	defer stopWatching()
	if err := r.prepare(ctx, watching); err != nil {
		return "", err
	}
	if err := r.disturb(ctx); err != nil {
		return r.report.String(), err
	}
	if err := r.judge(ctx); err != nil {
		return r.report.String(), err
	}
	if void := r.report.void(cfg.Duration); void != "" {
		return r.report.String(), fmt.Errorf("the run proves nothing: %s", void)
	}
	if n := len(r.report.violations); n > 0 {
		return r.report.String(), fmt.Errorf("%d violations, the first: %s", n, r.report.violations[0])
	}
	return r.report.String(), nil
}

// chaos is one run.
type chaos struct {
	cfg      Config
	cluster  *cluster
	report   *report
	deck     []fault
	clients  []*client.Client
	work     *workload
	workers  []*worker // know all nodes
	readers  []*worker // know one node
	watchers []*watcher
	watches  sync.WaitGroup // the watchers at work
	injector *injector
}

// rng is a source of its own for everyone: their order of asking does not matter.
func (r *chaos) rng(stream uint64) *rand.Rand { return rand.New(rand.NewPCG(r.cfg.Seed, stream)) }

func (r *chaos) dial(first int) (*client.Client, error) {
	c, err := r.cluster.dial(first)
	if err == nil {
		r.clients = append(r.clients, c)
	}
	return c, err
}

func (r *chaos) hangUp() {
	for _, c := range r.clients {
		_ = c.Close()
	}
}

// prepare makes clients, registers and watchers, which are at work until watching ends.
func (r *chaos) prepare(ctx, watching context.Context) error {
	r.work = &workload{begun: time.Now(), report: r.report}
	own, err := r.dial(0)
	if err != nil {
		return err
	}
	probe, err := poolwirev1.NewPoolServiceClient(own).CreatePool(ctx, &poolwirev1.CreatePoolRequest{Pool: &poolwirev1.Pool{NameLabel: "probe"}})
	if err != nil {
		return err
	}
	held, err := poolwirev1.NewPoolServiceClient(own).CreatePool(ctx, &poolwirev1.CreatePoolRequest{Pool: &poolwirev1.Pool{NameLabel: "held"}})
	if err != nil {
		return err
	}
	r.injector = &injector{cluster: r.cluster, deck: r.deck, rng: r.rng(0), report: r.report, log: r.cfg.Log, client: own,
		pool: probe.GetPool().GetUuid(), held: held.GetPool().GetUuid()}
	if err := r.work.createRegisters(ctx, own, 0); err != nil {
		return err
	}
	for i := range r.cluster.nodes {
		c, err := r.dial(i)
		if err != nil {
			return err
		}
		w := &watcher{name: fmt.Sprint(i + 1), client: c, now: r.work.now, report: r.report}
		if err := w.list(ctx); err != nil {
			return err
		}
		r.watchers = append(r.watchers, w)
		r.watches.Go(func() { w.run(watching) })
	}
	for i := range workers {
		c, err := r.dial(i)
		if err != nil {
			return err
		}
		r.workers = append(r.workers, r.newWorker(i, c))
	}
	for i, n := range r.cluster.nodes {
		c, err := client.New(client.Config{Endpoints: []string{n.endpoint()}})
		if err != nil {
			return err
		}
		r.clients = append(r.clients, c)
		for k := range readers {
			w := r.newWorker(workers+i*readers+k, c)
			w.hasty = true
			r.readers = append(r.readers, w)
		}
	}
	return nil
}

func (r *chaos) newWorker(number int, c *client.Client) *worker {
	return &worker{workload: r.work, number: number, rng: r.rng(uint64(number + 1)), pool: poolwirev1.NewPoolServiceClient(c)}
}

// disturb lets clients work and faults happen.
func (r *chaos) disturb(ctx context.Context) error {
	var work sync.WaitGroup
	working, stop := context.WithTimeout(ctx, r.cfg.Duration)
	defer stop()
	for _, w := range r.workers {
		work.Go(func() { w.run(working) })
	}
	for _, w := range r.readers {
		work.Go(func() { w.look(working) })
	}
	work.Go(func() { r.work.rotate(working, r.injector.client) })
	err := r.injector.run(working)
	stop()
	work.Wait()
	return err
}

// catchUp waits until every watch has reached a revision.
func (r *chaos) catchUp(ctx context.Context, last uint64) error {
	for _, w := range r.watchers {
		err := await(ctx, "watch "+w.name, func() error {
			if at := w.at(); at < last {
				return fmt.Errorf("it is at revision %d of %d", at, last)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// judge kills all nodes once more, and compares what is there afterwards with what was
// acknowledged and what was watched.
func (r *chaos) judge(ctx context.Context) error {
	if err := r.injector.one(ctx, fault{"all killed at the end", killAll}); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, recovery)
	defer cancel()
	pools, last, err := listPools(ctx, r.injector.client)
	if err != nil {
		return err
	}
	if err := r.catchUp(ctx, last); err != nil {
		return err
	}
	names := map[string]bool{}
	for _, p := range pools {
		names[p.GetNameLabel()] = true
	}
	kept, lost, risen := r.work.pools.compare(names)
	for _, name := range lost {
		r.report.violated("%s was acknowledged and is lost", name)
	}
	for _, name := range risen {
		r.report.violated("%s was acknowledged to be deleted and is there", name)
	}
	r.work.history.mu.Lock()
	ops := slices.Clone(r.work.history.ops)
	r.work.history.mu.Unlock()
	kept, gone := kept+r.final(ops, pools), len(lost)
	r.report.acknowledged(kept, gone)
	shown := r.watchers[0].check(ops, pools, last)
	for _, w := range r.watchers[1:] {
		for key, values := range w.check(ops, pools, last) {
			for value, at := range values {
				if shown[key] == nil {
					shown[key] = map[string]time.Duration{}
				}
				if first, ok := shown[key][value]; !ok || at < first {
					shown[key][value] = at
				}
			}
		}
	}
	for _, bad := range r.work.history.linearizable(shown) {
		r.report.violated("%s", bad)
	}
	return nil
}

// final adds to the history a read of every register as it is in the end, and returns how many
// registers there are.
func (r *chaos) final(ops []operation, pools map[string]*poolwirev1.Pool) int {
	now, keys := r.work.now(), map[string]bool{}
	for _, op := range ops {
		keys[op.key] = true
	}
	for key := range keys {
		if pools[key] == nil {
			r.report.violated("register %s is lost", key)
			continue
		}
		r.work.history.add(operation{key: key, action: actRead, value: pools[key].GetNameDescription(), call: now, end: now})
	}
	return len(keys)
}
