package controller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// handClock is a clock that is set by hand.
type handClock struct {
	mu     sync.Mutex
	now    time.Time
	passed time.Duration
	timers map[int]handTimer // guarded by mu
	made   int
}

type handTimer struct {
	at time.Duration // by passed
	f  func()
}

func newHandClock() *handClock {
	return &handClock{now: time.Unix(1_000_000, 0), timers: map[int]handTimer{}}
}

func (c *handClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *handClock) Passed() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.passed
}

func (c *handClock) After(d time.Duration, f func()) (stop func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.made++
	id := c.made
	c.timers[id] = handTimer{c.passed + d, f}
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.timers, id)
	}
}

// next is when the earliest timer goes off, after as many were made.
func (c *handClock) next(made int) (at time.Duration, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range c.timers {
		if at == 0 || t.at < at {
			at = t.at
		}
	}
	return at, c.made >= made && at != 0
}

// set is what somebody does who sets the machine's clock: no time passes.
func (c *handClock) set(ahead time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(ahead)
}

// advance lets time pass, and the timers go off.
func (c *handClock) advance(d time.Duration) {
	c.mu.Lock()
	c.now, c.passed = c.now.Add(d), c.passed+d
	var due []func()
	for id, t := range c.timers {
		if t.at <= c.passed {
			due = append(due, t.f)
			delete(c.timers, id)
		}
	}
	c.mu.Unlock()
	for _, f := range due {
		f()
	}
}

// ledger is a store that only takes notes.
type ledger struct {
	Store
	mu    sync.Mutex
	notes []string
	err   error
}

func (l *ledger) Apply(_ context.Context, c *storev1.Command) (raftstore.Result, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return raftstore.Result{}, l.err
	}
	at := c.GetTime().AsTime().Unix()
	switch b := c.GetBody().(type) {
	case *storev1.Command_ExpirePolicyRules:
		l.notes = append(l.notes, fmt.Sprintf("%d expire %v", at, b.ExpirePolicyRules.GetUuids()))
	case *storev1.Command_ResolveChange:
		l.notes = append(l.notes, fmt.Sprintf("%d resolve %s %v", at, b.ResolveChange.GetId(), b.ResolveChange.GetConfirm()))
	}
	return raftstore.Result{}, nil
}

func (l *ledger) seen() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.notes)
}

func ruleChange(uuid string, at time.Time) raftstore.Change {
	return raftstore.Change{Table: raftstore.TablePolicyRules, Key: uuid, After: &poolwirev1.PolicyRule{Uuid: uuid, ExpireTime: timestamppb.New(at)}}
}

func keeperOfDeadlines(clock Clock, store Store) *leader {
	return &leader{cfg: Config{Clock: clock, Log: slog.New(slog.DiscardHandler)}, store: store,
		deadlines: &deadlines{clock: clock, expiring: map[string]time.Time{}, wake: make(chan struct{}, 1)}}
}

func TestDeadlinesAreKept(t *testing.T) {
	t.Parallel()
	clock, store := newHandClock(), &ledger{}
	start := clock.Now()
	l := keeperOfDeadlines(clock, store)
	l.deadlines.change(ruleChange("late", start.Add(time.Minute)))
	l.deadlines.change(ruleChange("early", start.Add(10*time.Second)))
	l.deadlines.change(ruleChange("gone", start.Add(5*time.Second)))
	l.deadlines.change(raftstore.Change{Table: raftstore.TablePolicyRules, Key: "gone"})
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() { l.keepDeadlines(ctx) })
	defer work.Wait()
	defer cancel()

	waits := func(d time.Duration) {
		t.Helper()
		eventually(t, fmt.Sprintf("a timer in %s", d), func() bool {
			at, ok := clock.next(1)
			return ok && at == d
		})
	}
	waits(10 * time.Second)
	l.deadlines.await([]*storev1.PendingChange{{Id: "7", Deadline: timestamppb.New(start.Add(8 * time.Second))}})
	waits(8 * time.Second)
	clock.advance(8 * time.Second)
	eventually(t, "the change is undone", func() bool { return slices.Equal(store.seen(), []string{"1000008 resolve 7 false"}) })
	l.deadlines.await(nil)
	waits(10 * time.Second)
	store.mu.Lock()
	store.err = errors.New("no majority")
	store.mu.Unlock()
	clock.advance(2 * time.Second)
	waits(11 * time.Second) // it failed, and is tried again soon
	store.mu.Lock()
	store.err = nil
	store.mu.Unlock()
	clock.advance(time.Second)
	eventually(t, "the rule expires", func() bool { return slices.Contains(store.seen(), "1000011 expire [early]") })
	expired := ruleChange("early", start.Add(10*time.Second))
	expired.After.(*poolwirev1.PolicyRule).Expired = true
	l.deadlines.change(expired)
	waits(11*time.Second + deadlineLook)
	if n := len(store.seen()); n != 2 {
		t.Errorf("proposed %v", store.seen())
	}
}

func TestASettledChangeIsNoTrouble(t *testing.T) {
	t.Parallel()
	l := &leader{cfg: Config{Log: slog.New(slog.DiscardHandler)}, store: &ledger{err: &raftstore.NotFoundError{ID: "7"}}}
	if !l.meet(context.Background(), time.Now(), nil, []string{"7"}) {
		t.Error("a change that somebody resolved before is tried again and again")
	}
}

// Whoever locks himself out gets back in when he was told, wherever the clocks of the leader, and of the one before, are set to.
func TestAChangeIsUndoneInTimeWhenTheClockIsSet(t *testing.T) {
	t.Parallel()
	for _, ahead := range []time.Duration{-3 * time.Hour, 3 * time.Hour} {
		clock := newHandClock()
		d := &deadlines{clock: clock, expiring: map[string]time.Time{}, wake: make(chan struct{}, 1)}
		held := &storev1.PendingChange{Id: "7", Deadline: timestamppb.New(clock.Now().Add(time.Minute)), Within: durationpb.New(time.Minute)}
		d.await([]*storev1.PendingChange{held})
		clock.advance(58 * time.Second)
		clock.set(ahead)
		d.await([]*storev1.PendingChange{held})
		if _, changes, wait := d.due(clock.Now()); len(changes) != 0 || wait != 2*time.Second {
			t.Errorf("set by %s, 2 s before the end: undone %v, wait %s", ahead, changes, wait)
		}
		clock.advance(2 * time.Second)
		if _, changes, _ := d.due(clock.Now()); len(changes) != 1 {
			t.Errorf("set by %s: it is not undone", ahead)
		}
	}
	// The next leader's clock is three hours behind.
	clock := newHandClock()
	d := &deadlines{clock: clock, expiring: map[string]time.Time{}, wake: make(chan struct{}, 1)}
	d.await([]*storev1.PendingChange{{Id: "7", Deadline: timestamppb.New(clock.Now().Add(3 * time.Hour)), Within: durationpb.New(time.Minute)}})
	clock.advance(time.Minute)
	if _, changes, _ := d.due(clock.Now()); len(changes) != 1 {
		t.Error("a change is not undone in time by a leader whose clock is behind")
	}
}

// A clock that was set past a rule's end, or back before it, is noticed soon.
func TestAClockThatIsSetIsNoticed(t *testing.T) {
	t.Parallel()
	clock, store := newHandClock(), &ledger{}
	l := keeperOfDeadlines(clock, store)
	l.deadlines.change(ruleChange("r", clock.Now().Add(5*time.Hour)))
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() { l.keepDeadlines(ctx) })
	defer work.Wait()
	defer cancel()
	eventually(t, "a timer", func() bool { at, ok := clock.next(1); return ok && at == deadlineLook })
	clock.set(6 * time.Hour)
	clock.advance(deadlineLook)
	eventually(t, "the rule expires", func() bool { return len(store.seen()) == 1 })
}
