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

	"google.golang.org/protobuf/types/known/timestamppb"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// handClock is a clock that is set by hand.
type handClock struct {
	mu     sync.Mutex
	now    time.Time
	timers map[int]handTimer // guarded by mu
	made   int
}

type handTimer struct {
	at time.Time
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

func (c *handClock) After(d time.Duration, f func()) (stop func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.made++
	id := c.made
	c.timers[id] = handTimer{c.now.Add(d), f}
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.timers, id)
	}
}

// next is when the earliest timer goes off, after as many were made.
func (c *handClock) next(made int) (at time.Time, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range c.timers {
		if at.IsZero() || t.at.Before(at) {
			at = t.at
		}
	}
	return at, c.made >= made && !at.IsZero()
}

// advance sets the clock and lets the timers go off.
func (c *handClock) advance(d time.Duration) {
	c.mu.Lock()
	c.now = c.now.Add(d)
	var due []func()
	for id, t := range c.timers {
		if !t.at.After(c.now) {
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

func TestDeadlinesAreKept(t *testing.T) {
	t.Parallel()
	clock, store := newHandClock(), &ledger{}
	start := clock.Now()
	l := &leader{cfg: Config{Clock: clock, Log: slog.New(slog.DiscardHandler)}, store: store,
		deadlines: &deadlines{expiring: map[string]time.Time{}, pending: map[string]time.Time{}, wake: make(chan struct{}, 1)}}
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
			return ok && at.Equal(start.Add(d))
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
	waits(time.Minute)
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
