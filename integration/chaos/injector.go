package chaos

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"poolwire/client"
	poolwirev1 "poolwire/proto/poolwire/v1"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
)

// injector brings faults about, one after the other.
type injector struct {
	cluster *cluster
	deck    []fault
	rng     *rand.Rand
	report  *report
	log     func(format string, args ...any)
	// client and pool are for the injector's own writes.
	client *client.Client
	pool   string
	held   string // a pool that is changed on trial
	writes int
}

// How long a fault lasts, and how long the cluster has peace after it has recovered.
const (
	leastFault, mostFault = 1500 * time.Millisecond, 3500 * time.Millisecond
	leastPeace, mostPeace = 200 * time.Millisecond, time.Second
	// recovery bounds the time from the end of a fault until all nodes agree.
	recovery = 40 * time.Second
)

// run deals the faults like cards, each once before any comes again, until ctx ends. The error
// is a node that could not be started, or a cluster that did not recover.
func (i *injector) run(ctx context.Context) error {
	deck, undealt := slices.Clone(i.deck), map[string]bool{}
	for _, f := range deck {
		undealt[f.name] = true
	}
	defer func() { i.report.leftOut(slices.Sorted(maps.Keys(undealt))) }()
	for {
		i.rng.Shuffle(len(deck), func(a, b int) { deck[a], deck[b] = deck[b], deck[a] })
		for _, f := range deck {
			if ctx.Err() != nil {
				return nil
			}
			delete(undealt, f.name)
			// A fault that has begun is ended, also when the time is over.
			if err := i.one(context.WithoutCancel(ctx), f); err != nil {
				for _, n := range i.cluster.nodes {
					i.log("last words of %s:\n%s", n.id, n.lastWords(30))
				}
				return fmt.Errorf("%s: %w", f.name, err)
			}
			pauseFor(ctx, between(i.rng, leastPeace, mostPeace))
		}
	}
}

// one has one fault from its begin to the recovery.
func (i *injector) one(ctx context.Context, f fault) error {
	ctx, cancel := context.WithTimeout(ctx, 2*recovery)
	defer cancel()
	before, err := i.cluster.leader(ctx)
	if err != nil {
		return err
	}
	whom, end, err := f.begin(ctx, i)
	i.report.fault(f.name)
	if err != nil {
		return err
	}
	if end != nil {
		pauseFor(ctx, between(i.rng, leastFault, mostFault))
		if err := end(ctx); err != nil {
			return err
		}
	}
	ended := time.Now()
	if err := i.revive(f); err != nil {
		return err
	}
	settling, stop := context.WithTimeout(ctx, recovery)
	defer stop()
	if err := i.cluster.settle(settling); err != nil {
		return err
	}
	took := time.Since(ended).Round(time.Millisecond)
	after, err := i.cluster.leader(ctx)
	if err != nil {
		return err
	}
	if before != after {
		i.report.leaderChanged(f.name)
	}
	i.log("%s (%s): led by %s, then by %s; all agree after %v", f.name, whom, before.id, after.id, took)
	return nil
}

// revive starts nodes that ended by themselves, as systemd does.
func (i *injector) revive(f fault) error {
	var errs []error
	for _, n := range i.cluster.nodes {
		if !n.Running() {
			i.report.ownEnd(n.id, f.name)
			i.log("%s ended by itself: %v\n%s", n.id, n.proc.Err(), n.lastWords(15))
			errs = append(errs, n.start())
		}
	}
	return errors.Join(errs...)
}

// probe writes until it is acknowledged and returns how long that took.
func (i *injector) probe(ctx context.Context) (time.Duration, error) {
	begun := time.Now()
	ctx, cancel := context.WithTimeout(ctx, recovery)
	defer cancel()
	for {
		i.writes++
		_, err := poolwirev1.NewPoolServiceClient(i.client).UpdatePool(ctx, &poolwirev1.UpdatePoolRequest{
			Pool:       &poolwirev1.Pool{Uuid: i.pool, NameDescription: fmt.Sprintf("probe %d", i.writes)},
			UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"name_description"}},
		})
		// A node whose disk was full sees with its next look that there is room.
		if status.Code(err) != codes.ResourceExhausted || ctx.Err() != nil {
			return time.Since(begun), err
		}
		pauseFor(ctx, lookEvery)
	}
}

func (i *injector) everywhere(do func(*node) error) error {
	var errs []error
	for _, n := range i.cluster.nodes {
		errs = append(errs, do(n))
	}
	return errors.Join(errs...)
}

func (i *injector) reconnectAll(ctx context.Context) error {
	return i.everywhere(func(n *node) error { return n.reconnect(ctx) })
}

// pauseFor lets time pass that a fault is to last; it waits for nothing.
func pauseFor(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
