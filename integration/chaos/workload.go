package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"poolwire/client"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// Bounds of the work.
const (
	workers   = 6
	readers   = 3 // at each node
	registers = 5
	// callTime is how long a call may take; one call in shortCalls gets no more than
	// shortTime, so that some end without an answer while no node leads.
	callTime   = 6 * time.Second
	shortTime  = 300 * time.Millisecond
	shortCalls = 4
	// A worker rests between two calls: the machine is for the cluster.
	leastRest, mostRest = 2 * time.Millisecond, 20 * time.Millisecond
	readerRest          = 50 * time.Millisecond
	// rotation is how long a set of registers is used: the check of one takes time and memory
	// that grow with the square of its calls.
	rotation = 20 * time.Second
)

// workload is the clients and what they know.
type workload struct {
	begun   time.Time
	report  *report
	history history
	pools   ledger
	keys    atomic.Pointer[[]string]
}

func (w *workload) now() time.Duration { return time.Since(w.begun) }

// createRegisters makes the registers of a round.
func (w *workload) createRegisters(ctx context.Context, c *client.Client, round int) error {
	var keys []string
	for k := range registers {
		r, err := poolwirev1.NewPoolServiceClient(c).CreatePool(ctx, &poolwirev1.CreatePoolRequest{Pool: &poolwirev1.Pool{NameLabel: fmt.Sprintf("register-%d-%d", round, k)}})
		if err != nil {
			return err
		}
		keys = append(keys, r.GetPool().GetUuid())
	}
	w.keys.Store(&keys)
	return nil
}

// rotate replaces the registers now and then. Where that fails the old ones stay.
func (w *workload) rotate(ctx context.Context, c *client.Client) {
	for round := 1; ; round++ {
		pauseFor(ctx, rotation)
		if ctx.Err() != nil {
			return
		}
		creating, cancel := context.WithTimeout(ctx, rotation)
		if err := w.createRegisters(creating, c, round); err != nil {
			w.report.called("rotate", status.Code(err).String())
		}
		cancel()
	}
}

// worker is one client.
type worker struct {
	*workload
	number int
	rng    *rand.Rand
	pool   poolwirev1.PoolServiceClient
	serial int
	hasty  bool // its calls are all short
}

// run works until ctx ends; the last call is finished.
func (w *worker) run(ctx context.Context) {
	calls := context.WithoutCancel(ctx)
	for ctx.Err() == nil {
		key := (*w.keys.Load())[w.rng.IntN(registers)]
		switch p := w.rng.IntN(100); {
		case p < 45:
			w.read(calls, key)
		case p < 70:
			w.write(calls, operation{key: key, action: actWrite}, "")
		case p < 90:
			if value, etag, ok := w.read(calls, key); ok {
				w.write(calls, operation{key: key, action: actSwap, expected: value}, etag)
			}
		default:
			w.createAndMaybeDelete(calls)
		}
		pauseFor(ctx, between(w.rng, leastRest, mostRest))
	}
}

// within bounds a call.
func (w *worker) within(ctx context.Context) (context.Context, context.CancelFunc) {
	if w.hasty || w.rng.IntN(shortCalls) == 0 {
		return context.WithTimeout(ctx, time.Millisecond+time.Duration(w.rng.Int64N(int64(shortTime))))
	}
	return context.WithTimeout(ctx, callTime)
}

// look reads until ctx ends. Whoever knows one node only is still asking a leader that wakes
// up as it has been replaced; with little patience, it asked when others had written already.
func (w *worker) look(ctx context.Context) {
	calls := context.WithoutCancel(ctx)
	for ctx.Err() == nil {
		w.read(calls, (*w.keys.Load())[w.rng.IntN(registers)])
		pauseFor(ctx, between(w.rng, leastRest, readerRest))
	}
}

func (w *worker) read(ctx context.Context, key string) (value, etag string, ok bool) {
	ctx, cancel := w.within(ctx)
	defer cancel()
	op := operation{worker: w.number, key: key, action: actRead, call: w.now()}
	r, err := w.pool.GetPool(ctx, &poolwirev1.GetPoolRequest{Pool: key})
	op.end, op.value = w.now(), r.GetPool().GetNameDescription()
	w.tell("read", err)
	switch status.Code(err) {
	case codes.OK:
		w.history.add(op)
		return op.value, r.GetPool().GetEtag(), true
	case codes.NotFound:
		w.report.violated("read of register %s: %v", key, err)
	}
	return "", "", false
}

// write writes or, with an etag, swaps.
func (w *worker) write(ctx context.Context, op operation, etag string) {
	ctx, cancel := w.within(ctx)
	defer cancel()
	w.serial++
	op.worker, op.value, op.call = w.number, fmt.Sprintf("%d.%d", w.number, w.serial), w.now()
	r, err := w.pool.UpdatePool(ctx, &poolwirev1.UpdatePoolRequest{
		Pool:       &poolwirev1.Pool{Uuid: op.key, NameDescription: op.value, Etag: etag},
		UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"name_description"}},
	})
	op.end, op.revision = w.now(), r.GetRevision()
	kind := "write"
	if op.action == actSwap {
		kind = "swap"
	}
	w.tell(kind, err)
	switch code := status.Code(err); {
	case code == codes.OK:
	case code == codes.Aborted && op.action == actSwap:
		op.outcome = refused
	case answered(code):
		w.report.violated("%s of register %s: %v", kind, op.key, err)
		return
	default:
		op.outcome = unknown
	}
	w.history.add(op)
}

// answered says that a code is the state's word, which nothing here should lead to.
func answered(code codes.Code) bool {
	switch code {
	case codes.InvalidArgument, codes.NotFound, codes.AlreadyExists, codes.FailedPrecondition, codes.Internal, codes.PermissionDenied, codes.Unimplemented:
		return true
	}
	return false
}

func (w *worker) tell(kind string, err error) { w.report.called(kind, status.Code(err).String()) }

// createAndMaybeDelete makes a pool, and removes most of them again.
func (w *worker) createAndMaybeDelete(ctx context.Context) {
	w.serial++
	name := fmt.Sprintf("made-%d-%d", w.number, w.serial)
	w.pools.set(name, maybe)
	creating, cancel := w.within(ctx)
	defer cancel()
	_, err := w.pool.CreatePool(creating, &poolwirev1.CreatePoolRequest{Pool: &poolwirev1.Pool{NameLabel: name}})
	w.tell("create", err)
	switch code := status.Code(err); {
	case code == codes.OK:
		w.pools.set(name, present)
	case answered(code):
		w.report.violated("creating %s, a name of its own: %v", name, err)
		return
	default:
		return
	}
	if w.rng.IntN(4) == 0 {
		return
	}
	w.pools.set(name, maybe)
	deleting, done := w.within(ctx)
	defer done()
	_, err = w.pool.DeletePool(deleting, &poolwirev1.DeletePoolRequest{Pool: name})
	w.tell("delete", err)
	switch code := status.Code(err); {
	case code == codes.OK:
		w.pools.set(name, absent)
	case answered(code):
		w.report.violated("deleting %s, which was acknowledged and is nobody else's: %v", name, err)
	}
}

// fate is what the answers say of a pool.
type fate int

const (
	maybe fate = iota
	present
	absent
)

// ledger is what was acknowledged. The zero value is empty.
type ledger struct {
	mu    sync.Mutex
	fates map[string]fate
}

func (l *ledger) set(name string, f fate) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fates == nil {
		l.fates = map[string]fate{}
	}
	l.fates[name] = f
}

// compare counts what was acknowledged and is there, and names what is not as it should be.
func (l *ledger) compare(names map[string]bool) (kept int, lost, risen []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name, f := range l.fates {
		switch {
		case f == present && names[name]:
			kept++
		case f == present:
			lost = append(lost, name)
		case f == absent && names[name]:
			risen = append(risen, name)
		}
	}
	return kept, lost, risen
}
