package chaos

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"poolwire/client"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// Of the leaders that are killed, and of what is written meanwhile by each of the writers.
const (
	watchedKills   = 4
	watchedWriters = 4
	watchedWrites  = 15 // between two kills
	// handful is how many changes a stream is read before it is resumed elsewhere.
	handful = 7
	// lastPool is the pool that is made in the end.
	lastPool = "the last one"
)

// sight is a change as a watch tells of it.
type sight struct {
	revision uint64
	pool     string
}

// A watch that is resumed at a revision begins with the one after it, on whichever node and
// whoever leads: nothing is missing, and nothing comes twice. The streams of the first reader
// are bare; the package client would hide what is repeated.
func TestWatchIsResumedAnywhere(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	c, err := newCluster(ctx, os.Getenv(binVariable))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.close(); err != nil {
			t.Error(err)
		}
	}()
	own, err := c.dial(0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = own.Close() }()
	_, base, err := listPools(ctx, own)
	if err != nil {
		t.Fatal(err)
	}
	var watches sync.WaitGroup
	var byHand, byClient []sight
	var resumed int
	watches.Go(func() {
		var err error
		if byHand, resumed, err = followByHand(ctx, c, base); err != nil {
			t.Error(err)
		}
	})
	watches.Go(func() {
		var err error
		if byClient, err = followByClient(ctx, own, base); err != nil {
			t.Error(err)
		}
	})
	acknowledged := writeUnderKills(ctx, t, c)
	watches.Wait()

	for _, n := range c.nodes {
		whole, err := wholeHistory(ctx, n, base)
		if err != nil {
			t.Fatal(err)
		}
		for how, got := range map[string][]sight{"by hand": byHand, "by the client": byClient} {
			if !slices.Equal(got, whole) {
				t.Errorf("resumed %s: %v\nthe history of %s: %v", how, got, n.id, whole)
			}
		}
		for _, a := range acknowledged {
			if !slices.Contains(whole, a) {
				t.Errorf("%s does not tell of %v, which was acknowledged", n.id, a)
			}
		}
	}
	t.Logf("%d changes, %d acknowledged, resumed by hand %d times", len(byHand), len(acknowledged), resumed)
}

// writeUnderKills makes pools while leaders are killed, and returns those acknowledged.
func writeUnderKills(ctx context.Context, t *testing.T, c *cluster) []sight {
	t.Helper()
	var mu sync.Mutex
	var acknowledged []sight
	write := func(round int) {
		var writers sync.WaitGroup
		for w := range watchedWriters {
			writers.Go(func() {
				api, err := c.dial(w % len(c.nodes))
				if err != nil {
					t.Error(err)
					return
				}
				defer func() { _ = api.Close() }()
				for i := range watchedWrites {
					name := fmt.Sprintf("%d-%d-%d", round, w, i)
					r, err := poolwirev1.NewPoolServiceClient(api).CreatePool(ctx, &poolwirev1.CreatePoolRequest{Pool: &poolwirev1.Pool{NameLabel: name}})
					if err != nil {
						t.Errorf("%s: %v", name, err)
						return
					}
					mu.Lock()
					acknowledged = append(acknowledged, sight{r.GetRevision(), name})
					mu.Unlock()
				}
			})
		}
		writers.Wait()
	}
	for round := range watchedKills {
		leader, err := c.leader(ctx)
		if err != nil {
			t.Fatal(err)
		}
		var writes sync.WaitGroup
		writes.Go(func() { write(round) })
		leader.kill()
		writes.Wait()
		if err := leader.start(); err != nil {
			t.Fatal(err)
		}
		if err := c.settle(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if err := createPool(ctx, c.nodes[0], lastPool); err != nil {
		t.Fatal(err)
	}
	return acknowledged
}

func createPool(ctx context.Context, n *node, name string) error {
	_, err := poolwirev1.NewPoolServiceClient(n.conn).CreatePool(ctx, &poolwirev1.CreatePoolRequest{Pool: &poolwirev1.Pool{NameLabel: name}})
	return err
}

var errSeenAll = errors.New("seen all")

// collector takes messages until it has seen the last pool.
type collector struct {
	seen []sight
	at   uint64
}

// take refuses a message that repeats a revision, and one that goes back.
func (c *collector) take(r *poolwirev1.WatchResponse) error {
	if len(r.GetChanges()) > 0 {
		if r.GetRevision() <= c.at {
			return fmt.Errorf("revision %d after %d", r.GetRevision(), c.at)
		}
		for _, change := range r.GetChanges() {
			c.seen = append(c.seen, sight{r.GetRevision(), change.GetPool().GetNameLabel()})
		}
	}
	c.at = max(c.at, r.GetRevision())
	if n := len(c.seen); n > 0 && c.seen[n-1].pool == lastPool {
		return errSeenAll
	}
	return nil
}

func poolsAfter(revision uint64) *poolwirev1.WatchRequest {
	return &poolwirev1.WatchRequest{FromRevision: revision, Kinds: []poolwirev1.ResourceKind{poolwirev1.ResourceKind_RESOURCE_KIND_POOL}}
}

// followByClient watches as programs do.
func followByClient(ctx context.Context, c *client.Client, base uint64) ([]sight, error) {
	all := &collector{at: base}
	if err := c.Watch(ctx, poolsAfter(base), all.take); !errors.Is(err, errSeenAll) {
		return nil, fmt.Errorf("the client's watch: %w", err)
	}
	return all.seen, nil
}

// followByHand reads a few changes from one node, then goes on at the next one.
func followByHand(ctx context.Context, c *cluster, base uint64) (seen []sight, resumed int, err error) {
	all := &collector{at: base}
	for ; ctx.Err() == nil; resumed++ {
		n := c.nodes[resumed%len(c.nodes)]
		n.conn.ResetConnectBackoff()
		some, stop := context.WithTimeout(ctx, 5*time.Second)
		err := readSome(some, n, all, handful)
		stop()
		switch {
		case errors.Is(err, errSeenAll):
			return all.seen, resumed, nil
		case err != nil:
			return all.seen, resumed, fmt.Errorf("resumed on %s: %w", n.id, err)
		}
	}
	return nil, resumed, ctx.Err()
}

// readSome reads a stream until it has brought a number of changes or ends.
func readSome(ctx context.Context, n *node, all *collector, number int) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	from := all.at
	s, err := poolwirev1.NewWatchServiceClient(n.conn).Watch(ctx, poolsAfter(from))
	if err != nil {
		return nil // gone; another node is next
	}
	for first, begun := true, len(all.seen); len(all.seen)-begun < number; first = false {
		r, err := s.Recv()
		if err != nil {
			return nil
		}
		if first && (len(r.GetChanges()) > 0 || r.GetRevision() > from) {
			return fmt.Errorf("a watch from %d begins with %v", from, r)
		}
		if err := all.take(r); err != nil {
			return err
		}
	}
	return nil
}

// wholeHistory is what a node tells in one stream.
func wholeHistory(ctx context.Context, n *node, base uint64) ([]sight, error) {
	all := &collector{at: base}
	if err := readSome(ctx, n, all, math.MaxInt); !errors.Is(err, errSeenAll) {
		return nil, fmt.Errorf("the stream of %s ended at revision %d: %w", n.id, all.at, err)
	}
	return all.seen, nil
}
