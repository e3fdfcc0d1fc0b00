package controller

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"poolwire/overlay"
	storev1 "poolwire/proto/poolwire/store/v1"
	"poolwire/raftstore"
)

const (
	// relaysLook is how often elections are looked at when nothing is known to have changed.
	relaysLook = 5 * time.Second
	// relaysRest is how long two looks are apart at the least: a storm of reports costs no more than that.
	relaysRest = 50 * time.Millisecond
	// startupGrace is how long a new leader believes that hosts are alive that it has not heard of yet.
	startupGrace = 10 * time.Second
)

// keepRelays elects who passes traffic on, until ctx ends. What is elected is stored, so that the next
// leader does not start over.
func (l *leader) keepRelays(ctx context.Context) {
	k := relayKeeper{leader: l, began: time.Now(), trials: map[relayPlace]*overlay.Trials{}}
	look := time.NewTimer(relaysRest)
	defer look.Stop()
	for {
		links, progress := l.links.next(), l.nextProgress()
		if err := k.elect(ctx); err != nil && ctx.Err() == nil {
			l.cfg.Log.Warn("relays could not be stored", "error", err)
		}
		look.Reset(relaysRest)
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
		look.Reset(relaysLook)
		select {
		case <-ctx.Done():
			return
		case <-links:
		case <-progress:
		case <-look.C:
		}
	}
}

// relayKeeper elects relays for one leader.
type relayKeeper struct {
	*leader
	began time.Time
	// trials says which hosts have lost a place lately. It ends with the leader: the next one gives them another chance.
	trials map[relayPlace]*overlay.Trials
}

// relayPlace is where a relay passes traffic on: a network, and the pool whose hub it is, empty for the centre of a star.
type relayPlace struct{ network, pool string }

// elect looks at all networks whose traffic is passed on.
func (k *relayKeeper) elect(ctx context.Context) error {
	view := k.store.View()
	maps.DeleteFunc(k.trials, func(p relayPlace, _ *overlay.Trials) bool {
		pn := view.PrivateNetwork(p.network)
		return pn == nil || topologyOf(pn) == overlay.Mesh
	})
	var all map[string]map[string]linkEnd
	var errs []error
	for _, pn := range view.PrivateNetworks() {
		stored := view.Relays(pn.GetUuid())
		if topologyOf(pn) == overlay.Mesh && len(stored) == 0 {
			continue
		}
		if all == nil {
			all = k.links.all()
		}
		e := election{leader: k.leader, view: view, network: pn, links: all, early: time.Since(k.began) < startupGrace}
		now := e.hold(stored, k.trialsAt)
		if slices.EqualFunc(stored, now, func(a, b *storev1.Relay) bool { return proto.Equal(a, b) }) {
			continue
		}
		k.cfg.Log.Info("relays elected", "network", pn.GetNameLabel(), "relays", relayText(view, now), "before", relayText(view, stored))
		errs = append(errs, k.withDeadline(ctx, func(ctx context.Context) error {
			_, err := k.store.Apply(ctx, &storev1.Command{Body: &storev1.Command_PutRelays{
				PutRelays: &storev1.PutRelays{PrivateNetworkUuids: []string{pn.GetUuid()}, Relays: now},
			}})
			return err
		}))
	}
	return errors.Join(errs...)
}

// trialsAt is what is remembered of a place.
func (k *relayKeeper) trialsAt(p relayPlace) *overlay.Trials {
	if k.trials[p] == nil {
		k.trials[p] = &overlay.Trials{}
	}
	return k.trials[p]
}

// relayText names relays for the log: "active (stand-in)", separated by commas.
func relayText(v *raftstore.View, relays []*storev1.Relay) string {
	var out []string
	for _, r := range relays {
		out = append(out, fmt.Sprintf("%s (%s)", v.Host(r.GetActive()).GetNameLabel(), v.Host(r.GetStandby()).GetNameLabel()))
	}
	return strings.Join(out, ", ")
}
