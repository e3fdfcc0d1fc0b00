package northbound

import (
	"context"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/protobuf/proto"

	storev1 "poolwire/proto/poolwire/store/v1"
	"poolwire/raftstore"
)

// Every command is kept in the audit, and the audit is bounded: who could have commands written without end could push
// out of it what was recorded before. So the leader, by whom all of them pass, bounds what each client adds.

const (
	// changesAtOnce is for how many seconds a client may save up changes: a whole network can be set up in one go.
	changesAtOnce = 100
	// changeBytes is how long a change may be to count as one: what bounds the audit is its bytes too, and a group of
	// ten thousand addresses takes as many as hundreds of rules.
	changeBytes = 2 << 10
)

// pacedStore is a store that takes no more commands from a client than its limit allows.
type pacedStore struct {
	Store
	usage *usage
}

// Apply implements Store.
func (p pacedStore) Apply(ctx context.Context, c *storev1.Command) (raftstore.Result, error) {
	if err := p.usage.change(callOf(ctx).who, c); err != nil {
		return raftstore.Result{}, err
	}
	return p.Store.Apply(ctx, c)
}

// ApplyTo implements Store.
func (p pacedStore) ApplyTo(ctx context.Context, v *raftstore.View, c *storev1.Command) (raftstore.Result, error) {
	if err := p.usage.change(callOf(ctx).who, c); err != nil {
		return raftstore.Result{}, err
	}
	return p.Store.ApplyTo(ctx, v, c)
}

// change counts a command that a client asked for, by whichever node the call came. Root on a node's own machine and nodes
// are exempt, as are commands that leave no record: those that nobody asked for, and the parts of a backup.
func (u *usage) change(who Identity, c *storev1.Command) error {
	if who.Role == RoleNode && !who.outside || who.Credential == credentialSocket || c.GetOrigin() == nil ||
		c.GetRestoreBackup() != nil && c.GetRestoreBackup().GetStep() != storev1.RestoreStep_RESTORE_STEP_COMMIT {
		return nil
	}
	u.mu.Lock()
	changes := u.of(who.Name).changes
	u.mu.Unlock()
	if changes.AllowN(time.Now(), min(1+proto.Size(c)/changeBytes, changes.Burst())) {
		return nil
	}
	return u.limited("changes_per_second", "client %q has made more than %d changes a second for long; wait a moment", who, u.limits.Changes)
}

func newPace(l Limits) *rate.Limiter {
	return rate.NewLimiter(rate.Limit(l.Changes), changesAtOnce*l.Changes)
}
