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
	// Now is the present time, which may be set at any moment.
	Now() time.Time
	// Passed is the time that has passed since some moment, whatever the clock was set to.
	Passed() time.Duration
	// After calls f in a goroutine of its own once d has passed, unless stop is called
	// before.
	After(d time.Duration, f func()) (stop func())
}

// systemClock is the machine's clock.
type systemClock struct{ began time.Time }

// Now implements Clock.
func (systemClock) Now() time.Time { return time.Now() }

// Passed implements Clock.
func (c systemClock) Passed() time.Duration { return time.Since(c.began) }

// After implements Clock.
func (systemClock) After(d time.Duration, f func()) (stop func()) {
	t := time.AfterFunc(d, f)
	return func() { t.Stop() }
}

// deadlines knows what the leader has to do at which time: take rules out of force
// that expire, and undo changes that nobody has confirmed. It follows the change sets,
// so that a change costs nothing that depends on how many rules there are.
//
// A rule expires when the clock says so, also one that was set. A change is undone when it
// has waited as long as it was given: somebody may be locked out until then.
type deadlines struct {
	clock    Clock
	mu       sync.Mutex
	expiring map[string]time.Time     // UUIDs of rules in force; guarded by mu
	pending  map[string]time.Duration // ids of pending changes, by Clock.Passed; guarded by mu
	wake     chan struct{}
}

// newDeadlines reads all deadlines of a view, whose successors are to be followed.
func newDeadlines(v *raftstore.View, clock Clock) *deadlines {
	d := &deadlines{clock: clock, expiring: map[string]time.Time{}, wake: make(chan struct{}, 1)}
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
// sets, and few. How long each still has is reckoned once, when this leader first hears of it,
// and is never more than it was given: the clock of the leader before may have been another.
func (d *deadlines) await(changes []*storev1.PendingChange) {
	now, passed := d.clock.Now(), d.clock.Passed()
	pending := make(map[string]time.Duration, len(changes))
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range changes {
		at, known := d.pending[c.GetId()]
		if !known {
			left := max(c.GetDeadline().AsTime().Sub(now), 0)
			if c.GetWithin() != nil {
				left = min(left, c.GetWithin().AsDuration())
			}
			at = passed + left
		}
		pending[c.GetId()] = at
	}
	if !maps.Equal(pending, d.pending) {
		d.pending = pending
		d.nudge()
	}
}

func (d *deadlines) nudge() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// due lists what has come due at a time, and how long the next deadline is away; at most
// deadlineLook.
func (d *deadlines) due(now time.Time) (rules, changes []string, wait time.Duration) {
	passed := d.clock.Passed()
	d.mu.Lock()
	defer d.mu.Unlock()
	wait = deadlineLook
	look := func(out []string, key string, left time.Duration) []string {
		if left <= 0 {
			return append(out, key)
		}
		wait = min(wait, left)
		return out
	}
	for uuid, at := range d.expiring {
		rules = look(rules, uuid, at.Sub(now))
	}
	for id, at := range d.pending {
		changes = look(changes, id, at-passed)
	}
	slices.Sort(rules)
	slices.Sort(changes)
	return rules, changes, wait
}

// Bounds of the wait for the next deadline: the longest, because a clock that is set tells
// nobody, and the time between two attempts at what failed.
const (
	deadlineLook  = 10 * time.Second
	deadlineRetry = time.Second
)

// maxExpired is how many rules expire in one command.
const maxExpired = 1000

// keepDeadlines acts at the deadlines until ctx ends.
func (l *leader) keepDeadlines(ctx context.Context) {
	clock := l.cfg.Clock
	for ctx.Err() == nil {
		now := clock.Now()
		rules, changes, wait := l.deadlines.due(now)
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
