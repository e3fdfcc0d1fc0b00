package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"poolwire/integration/nodes"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// Clocks are set, each node's by itself (see package skew): the wall clock as poolwired sees it.

// mostSkew is how far a clock is set that stays within what certificates allow for: they are
// valid from a day before they are made.
const mostSkew = 20 * time.Hour

// anySkew is seconds, minutes or hours, ahead or behind.
func anySkew(rng *rand.Rand) time.Duration {
	most := []time.Duration{10 * time.Second, 10 * time.Minute, mostSkew}[rng.IntN(3)]
	d := between(rng, time.Second, most)
	if rng.IntN(2) == 0 {
		d = -d
	}
	return d.Round(time.Second)
}

// Bounds of when a change is undone that is not confirmed.
const (
	holdFor   = time.Second
	holdSlack = 5 * time.Second
)

// jump sets the leader's clock while a change waits to be confirmed, and then the other way.
// The change is undone when its time has come, whatever the clock shows.
func jump(ctx context.Context, i *injector) (string, func(context.Context) error, error) {
	n, err := leading(ctx, i)
	if err != nil {
		return "", nil, err
	}
	right := func(context.Context) error { return n.clock.Set(0) }
	ahead := anySkew(i.rng)
	whom := fmt.Sprintf("%s, by %v and %v", n.id, ahead, -ahead)
	asked := time.Now()
	if err := i.hold(ctx); err != nil {
		return whom, right, err
	}
	held := time.Now()
	if err := n.clock.Set(ahead); err != nil {
		return whom, right, err
	}
	undone, err := i.undone(ctx)
	if err != nil {
		return whom, right, err
	}
	if undone.Sub(asked) < holdFor || undone.Sub(held) > holdFor+holdSlack {
		i.report.violated("%s: a change that had %v was undone after %v", whom, holdFor, undone.Sub(held))
	}
	return whom, right, n.clock.Set(-ahead)
}

// hold changes a pool of the injector's, unless it is confirmed.
func (i *injector) hold(ctx context.Context) error {
	i.writes++
	_, err := poolwirev1.NewPoolServiceClient(i.client).UpdatePool(ctx, &poolwirev1.UpdatePoolRequest{
		Pool:       &poolwirev1.Pool{Uuid: i.held, NameDescription: fmt.Sprintf("held %d", i.writes)},
		UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"name_description"}}, ConfirmWithin: durationpb.New(holdFor),
	})
	return err
}

// undone waits until the change is undone; it waits longer than that may take.
func (i *injector) undone(ctx context.Context) (at time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, recovery)
	defer cancel()
	err = await(ctx, "the change to be undone", func() error {
		r, err := poolwirev1.NewPoolServiceClient(i.client).GetPool(ctx, &poolwirev1.GetPoolRequest{Pool: i.held})
		if err == nil && r.GetPool().GetNameDescription() != "" {
			err = fmt.Errorf("it is %q", r.GetPool().GetNameDescription())
		}
		return err
	})
	return time.Now(), err
}

// setApart gives every node another time.
func setApart(_ context.Context, i *injector) (string, func(context.Context) error, error) {
	var by []time.Duration
	err := i.everywhere(func(n *node) error {
		by = append(by, anySkew(i.rng))
		return n.clock.Set(by[len(by)-1])
	})
	return fmt.Sprint(by), func(context.Context) error {
		return i.everywhere(func(n *node) error { return n.clock.Set(0) })
	}, err
}

// outlive sets a clock to when certificates are no longer valid, and breaks the node's
// connections: it believes nobody any more. It is one of the nodes that do not have the
// authority: that one would make itself a new certificate, valid from then on.
func outlive(ctx context.Context, i *injector) (string, func(context.Context) error, error) {
	n := i.cluster.nodes[1+i.rng.IntN(len(i.cluster.nodes)-1)]
	if err := n.clock.Set(2 * 365 * 24 * time.Hour); err != nil {
		return n.id, nil, err
	}
	if err := n.hangUp(ctx); err != nil {
		return n.id, nil, err
	}
	return n.id, func(context.Context) error { return n.clock.Set(0) }, n.deserted(ctx)
}

// deserted waits until a node neither leads nor hears a leader.
func (n *node) deserted(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, recovery)
	defer cancel()
	return await(ctx, n.id+" to be alone", func() error {
		st, err := nodes.Status(ctx, n)
		if err == nil && (st.GetNode().GetLeader() || st.GetLastContact().AsDuration() < 2*time.Second) {
			err = fmt.Errorf("it is not: %v", st)
		}
		return err
	})
}
