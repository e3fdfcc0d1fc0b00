package controller

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// Clock is the time as the leader sees it.
type Clock interface {
	// Now is the present time.
	Now() time.Time
	// After calls f in a goroutine of its own once d has passed, unless stop is called
	// before.
	After(d time.Duration, f func()) (stop func())
}

// systemClock is the machine's clock.
type systemClock struct{}

// Now implements Clock.
func (systemClock) Now() time.Time { return time.Now() }

// After implements Clock.
func (systemClock) After(d time.Duration, f func()) (stop func()) {
	t := time.AfterFunc(d, f)
	return func() { t.Stop() }
}

// deadlines knows what the leader has to do at which time: take rules out of force
// that expire, and undo changes that nobody has confirmed. It follows the change sets,
// so that a change costs nothing that depends on how many rules there are.
type deadlines struct {
	mu       sync.Mutex
	expiring map[string]time.Time // UUIDs of rules in force; guarded by mu
	pending  map[string]time.Time // ids of pending changes; guarded by mu
	wake     chan struct{}
}

// newDeadlines reads all deadlines of a view, whose successors are to be followed.
func newDeadlines(v *raftstore.View) *deadlines {
	d := &deadlines{expiring: map[string]time.Time{}, pending: map[string]time.Time{}, wake: make(chan struct{}, 1)}
	for _, r := range v.PolicyRules() {
		d.rule(r.GetUuid(), r)
	}
	d.await(v.PendingChanges())
	return d
}

// rule notes when a rule expires; nil: it is gone.
func (d *deadlines) rule(uuid string, r *poolwirev1.PolicyRule) {
	delete(d.expiring, uuid)
	if r.GetExpireTime() != nil && !r.GetExpired() {
		d.expiring[uuid] = r.GetExpireTime().AsTime()
	}
}

// change follows one change.
func (d *deadlines) change(c raftstore.Change) {
	if c.Table != raftstore.TablePolicyRules {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	after, _ := c.After.(*poolwirev1.PolicyRule)
	d.rule(c.Key, after)
	d.nudge()
}

// await takes over the changes that wait for confirmation. They are no part of change
// sets, and few.
func (d *deadlines) await(changes []*storev1.PendingChange) {
	now := make(map[string]time.Time, len(changes))
	for _, c := range changes {
		now[c.GetId()] = c.GetDeadline().AsTime()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !maps.EqualFunc(now, d.pending, time.Time.Equal) {
		d.pending = now
		d.nudge()
	}
}

func (d *deadlines) nudge() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// due lists what has come due, and when the next deadline is; zero: there is none.
func (d *deadlines) due(now time.Time) (rules, changes []string, next time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	collect := func(from map[string]time.Time) (out []string) {
		for key, at := range from {
			if !at.After(now) {
				out = append(out, key)
			} else if next.IsZero() || at.Before(next) {
				next = at
			}
		}
		slices.Sort(out)
		return out
	}
	return collect(d.expiring), collect(d.pending), next
}

// Bounds of the wait for the next deadline: the longest, because clocks may be set,
// and the time between two attempts at what failed.
const (
	deadlineLook  = time.Hour
	deadlineRetry = time.Second
)

// maxExpired is how many rules expire in one command.
const maxExpired = 1000

// keepDeadlines acts at the deadlines until ctx ends.
func (l *leader) keepDeadlines(ctx context.Context) {
	clock := l.cfg.Clock
	for ctx.Err() == nil {
		now := clock.Now()
		rules, changes, next := l.deadlines.due(now)
		wait := deadlineLook
		if !next.IsZero() {
			wait = min(wait, next.Sub(now))
		}
		if !l.meet(ctx, now, rules, changes) {
			wait = min(wait, deadlineRetry)
		} else if len(rules)+len(changes) > 0 {
			wait = min(wait, deadlineRetry) // until the store has told of it
		}
		stop := clock.After(wait, l.deadlines.nudge)
		select {
		case <-ctx.Done():
		case <-l.deadlines.wake:
		}
		stop()
	}
}

// meet proposes what has come due, and reports whether nothing failed. A change that
// somebody resolved meanwhile, and a rule that is gone, are no failures: a confirmation
// that the store takes before the undoing counts, late as it may be.
func (l *leader) meet(ctx context.Context, now time.Time, rules, changes []string) bool {
	var commands []*storev1.Command
	// Undone first: what a change made may be what expires.
	for _, id := range changes {
		commands = append(commands, &storev1.Command{Body: &storev1.Command_ResolveChange{ResolveChange: &storev1.ResolveChange{Id: id}}})
	}
	for some := range slices.Chunk(rules, maxExpired) {
		commands = append(commands, &storev1.Command{Body: &storev1.Command_ExpirePolicyRules{ExpirePolicyRules: &storev1.ExpirePolicyRules{Uuids: some}}})
	}
	ok := true
	for _, cmd := range commands {
		cmd.Time = timestamppb.New(now)
		err := l.withDeadline(ctx, func(ctx context.Context) error {
			_, err := l.store.Apply(ctx, cmd)
			return err
		})
		var gone *raftstore.NotFoundError
		if err != nil && !errors.As(err, &gone) && ctx.Err() == nil {
			l.cfg.Log.Warn("a deadline could not be kept", "command", cmd.GetBody(), "error", err)
			ok = false
		}
	}
	return ok
}
