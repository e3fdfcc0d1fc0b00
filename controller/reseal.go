package controller

import (
	"context"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	storev1 "poolwire/proto/poolwire/store/v1"
	"poolwire/raftstore"
	"poolwire/secrets"
)

// chooseKey returns which of this node's keys should seal: the first that every member has. While some member has not
// told which it has, that is the one in use, and where nothing is sealed yet the last: a new key is put in front of
// those that everybody has had.
func chooseKey(own []string, members [][]string, sealed map[string]int) string {
	silent := slices.ContainsFunc(members, func(m []string) bool { return len(m) == 0 })
	if !silent {
		for _, id := range own {
			if !slices.ContainsFunc(members, func(m []string) bool { return !slices.Contains(m, id) }) {
				return id
			}
		}
	}
	best := own[len(own)-1]
	for _, id := range own {
		if sealed[id] > sealed[best] {
			best = id
		}
	}
	return best
}

// choose has the key seal that should, before anything is sealed.
func (k *keyring) choose(view *raftstore.View) error {
	own := k.lead.cfg.Secrets.IDs()
	if len(own) == 0 {
		return nil
	}
	var members [][]string
	if k.lead.cfg.MembersKeys != nil {
		var err error
		if members, err = k.lead.cfg.MembersKeys(); err != nil {
			return fmt.Errorf("which keys the nodes have: %w", err)
		}
	}
	k.lead.cfg.Secrets.Use(chooseKey(own, members, view.SealedWith()))
	return nil
}

// reseal has what is stored be sealed with the key that should seal, some of it at a time, and tells whether it changed
// anything. What this node cannot open stays as it is: the list of nodes says which key is missing.
//
// A leader that ends in the middle leaves some sealed with either key; every member has both, and the next leader goes on.
func (k *keyring) reseal(ctx context.Context, view *raftstore.View) (bool, error) {
	if err := k.choose(view); err != nil {
		return false, err
	}
	sealer := k.lead.cfg.Secrets
	stale := func(key *storev1.PairKey) bool {
		return sealer.Stale(key.GetSealedPsk()) || len(key.GetSealedNextPsk()) > 0 && sealer.Stale(key.GetSealedNextPsk())
	}
	if !slices.ContainsFunc(view.PairKeys(), stale) {
		return false, nil
	}
	// A request to replace a pair's key must not be overwritten: both change the same record.
	select {
	case k.lead.rotating <- struct{}{}:
		defer func() { <-k.lead.rotating }()
	default:
		return false, nil
	}
	var put []*storev1.PairKey
	for _, have := range k.lead.store.View().PairKeys() {
		if len(put) == maxKeysAtOnce {
			break
		}
		if next := resealed(sealer, have); stale(have) && next != nil {
			put = append(put, next)
		}
	}
	if len(put) == 0 {
		return false, nil
	}
	err := k.lead.withDeadline(ctx, func(ctx context.Context) error {
		_, err := k.lead.store.Apply(ctx, &storev1.Command{Body: &storev1.Command_PutPairKeys{PutPairKeys: &storev1.PutPairKeys{Put: put}}})
		return err
	})
	if err == nil {
		k.lead.cfg.Log.Info("secrets sealed with another key", "pairs", len(put))
	}
	return true, err
}

// resealed is a key of a pair, sealed with the key that seals now; nil where it cannot be opened.
func resealed(sealer Sealer, have *storev1.PairKey) *storev1.PairKey {
	p, generation, out := pair{have.GetHostA(), have.GetHostB()}, have.GetGeneration(), proto.CloneOf(have)
	again := func(sealed []byte, generations ...uint32) []byte {
		for _, g := range generations {
			if s, err := sealer.Open(sealed, p.purpose(g)); err == nil {
				return sealer.Seal(s, p.purpose(g))
			}
		}
		return nil
	}
	if out.SealedPsk = again(have.GetSealedPsk(), generation); out.SealedPsk == nil {
		return nil
	}
	if len(have.GetSealedNextPsk()) > 0 {
		if out.SealedNextPsk = again(have.GetSealedNextPsk(), generation+1, generation-1); out.SealedNextPsk == nil {
			return nil
		}
	}
	return out
}

var _ Sealer = (*secrets.Keyring)(nil)
