package controller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"poolwire/overlay"
	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
	"poolwire/secrets"
)

// guardByOperator is the guard that is not Poolwire's.
const guardByOperator = poolwirev1.TransportGuard_TRANSPORT_GUARD_HOST_FIREWALL

// Sealer keeps secrets from being read where they are stored.
type Sealer interface {
	// Seal encrypts a secret for one purpose.
	Seal(s secrets.Secret, purpose string) []byte
	// Open decrypts what Seal made for the same purpose.
	Open(sealed []byte, purpose string) (secrets.Secret, error)
	// Stale reports what was sealed with another key than the one that Seal uses.
	Stale(sealed []byte) bool
	// IDs are the ids of its keys, the one before the others that should seal.
	IDs() []string
	// Use has Seal use the key with an id; false where there is none.
	Use(id string) bool
}

// pair is two hosts, the one whose UUID sorts first before the other.
type pair struct{ a, b string }

func pairOf(x, y string) pair { return pair{min(x, y), max(x, y)} }

func comparePairs(x, y pair) int { return cmp.Or(cmp.Compare(x.a, y.a), cmp.Compare(x.b, y.b)) }

// purpose binds a sealed key to its pair and generation.
func (p pair) purpose(generation uint32) string {
	return fmt.Sprintf("psk %s %s %d", p.a, p.b, generation)
}

// encryptedPairs lists the pairs of hosts that have to be protected, and for which encapsulations: those with
// a tunnel for a network that is encrypted.
func encryptedPairs(v *raftstore.View) map[pair]map[overlay.Encapsulation]struct{} {
	out := map[pair]map[overlay.Encapsulation]struct{}{}
	for _, pn := range v.PrivateNetworks() {
		if !pn.GetEncrypted() {
			continue
		}
		shape, kind := shapeOf(v, pn), conduitOf(pn)
		for _, m := range shape.Members {
			for _, peer := range overlay.Plan(shape, m.Host).Peers {
				p := pairOf(m.Host, peer)
				if out[p] == nil {
					out[p] = map[overlay.Encapsulation]struct{}{}
				}
				out[p][kind.encapsulation] = struct{}{}
			}
		}
	}
	return out
}

// keyring looks after the keys of pairs, for one leader.
type keyring struct {
	lead *leader
	// unneeded has the revision at which this leader saw that no network needs a pair any more.
	unneeded map[pair]uint64
	// steps are the rotations under way, as this leader has seen them. Both belong to tend's goroutine.
	steps map[pair]rotationStep
}

// rotationStep is how far the hosts are with a step of a rotation.
type rotationStep struct {
	key *storev1.PairKey
	// since is the revision that has the step in it, settled when both hosts were seen to have confirmed that.
	since   uint64
	settled time.Time
}

// announce begins to replace a key: the new one is there besides the old one. nil while the key is being replaced.
//
// A rotation has three steps, and a next one begins when both hosts have long enough had the one before: the new
// key is added, the two change places, and the old one is taken away. At no time has one host only a key that the
// other has not.
func (k *keyring) announce(have *storev1.PairKey) *storev1.PairKey {
	if len(have.GetSealedNextPsk()) > 0 {
		return nil
	}
	p, out := pair{have.GetHostA(), have.GetHostB()}, proto.CloneOf(have)
	out.SealedNextPsk = k.lead.cfg.Secrets.Seal(secrets.Preshared(), p.purpose(have.GetGeneration()+1))
	return out
}

// rotate takes a rotation a step further; nil when it is not under way, or not time yet.
func (k *keyring) rotate(view *raftstore.View, have *storev1.PairKey, now time.Time) *storev1.PairKey {
	p := pair{have.GetHostA(), have.GetHostB()}
	if len(have.GetSealedNextPsk()) == 0 {
		delete(k.steps, p)
		return nil
	}
	step, known := k.steps[p]
	if !known || !proto.Equal(step.key, have) {
		step = rotationStep{key: have, since: view.Revision()}
	}
	switch {
	case !k.confirmed(p, step.since):
		step.settled = time.Time{}
	case step.settled.IsZero():
		step.settled = now
	}
	k.steps[p] = step
	if step.settled.IsZero() || now.Sub(step.settled) < settleTime {
		return nil
	}
	out := proto.CloneOf(have)
	if _, err := k.lead.cfg.Secrets.Open(have.GetSealedNextPsk(), p.purpose(have.GetGeneration()+1)); err == nil {
		out.SealedPsk, out.SealedNextPsk = have.GetSealedNextPsk(), have.GetSealedPsk()
		out.Generation, out.CreateTime = have.GetGeneration()+1, timestamppb.New(k.lead.cfg.Clock.Now())
		return out
	}
	out.SealedNextPsk = nil
	return out
}

// otherPSK is the key that a pair has besides its own while keys change: first the next one, then the one before.
func otherPSK(v *raftstore.View, sealer Sealer, a, b string) (other secrets.Secret, changing bool) {
	k, p := v.PairKey(a, b), pairOf(a, b)
	if len(k.GetSealedNextPsk()) == 0 {
		return other, false
	}
	for _, generation := range []uint32{k.GetGeneration() + 1, k.GetGeneration() - 1} {
		if s, err := sealer.Open(k.GetSealedNextPsk(), p.purpose(generation)); err == nil {
			return s, true
		}
	}
	return other, false
}

// maxKeysAtOnce bounds a command.
const maxKeysAtOnce = 256

// tend makes keys for pairs that need one, and forgets those of pairs that need none once both hosts have
// taken the last flow of an encrypted network away: the guard stands until then.
func (k *keyring) tend(ctx context.Context, view *raftstore.View, needed map[pair]map[overlay.Encapsulation]struct{}) error {
	if resealed, err := k.reseal(ctx, view); resealed || err != nil {
		return err
	}
	var put, forget []*storev1.PairKey
	for _, p := range slices.SortedFunc(maps.Keys(needed), comparePairs) {
		delete(k.unneeded, p)
		if view.PairKey(p.a, p.b) == nil && len(put) < maxKeysAtOnce {
			put = append(put, k.fresh(p, 1))
		}
	}
	for _, have := range view.PairKeys() {
		p := pair{have.GetHostA(), have.GetHostB()}
		if _, still := needed[p]; still {
			if next := k.rotate(view, have, time.Now()); next != nil && len(put) < maxKeysAtOnce {
				put = append(put, next)
			}
			continue
		}
		delete(k.steps, p)
		since, seen := k.unneeded[p]
		if !seen {
			since = view.Revision()
			k.unneeded[p] = since
		}
		if k.confirmed(p, since) && len(forget) < maxKeysAtOnce {
			forget = append(forget, &storev1.PairKey{HostA: p.a, HostB: p.b, Generation: have.GetGeneration()})
		}
	}
	if len(put)+len(forget) == 0 {
		return nil
	}
	return k.lead.withDeadline(ctx, func(ctx context.Context) error {
		_, err := k.lead.store.Apply(ctx, &storev1.Command{Body: &storev1.Command_PutPairKeys{PutPairKeys: &storev1.PutPairKeys{Put: put, Forget: forget}}})
		return err
	})
}

// fresh makes a key.
func (k *keyring) fresh(p pair, generation uint32) *storev1.PairKey {
	return &storev1.PairKey{
		HostA: p.a, HostB: p.b, Generation: generation, CreateTime: timestamppb.New(k.lead.cfg.Clock.Now()),
		SealedPsk: k.lead.cfg.Secrets.Seal(secrets.Preshared(), p.purpose(generation)),
	}
}

// confirmed tells whether both hosts of a pair have done everything up to a revision. One that is released has
// nothing of ours; one that is away may still forward.
func (k *keyring) confirmed(p pair, revision uint64) bool {
	processed := k.lead.processed.Load()
	for _, uuid := range []string{p.a, p.b} {
		h := k.lead.host(uuid)
		if h == nil {
			return false
		}
		state, _ := h.progressOf(revision, processed)
		if state != poolwirev1.RealizationState_REALIZATION_STATE_CONFIRMED {
			return false
		}
	}
	return true
}

// errNoKey: the pair has no key that could be read.
var errNoKey = errors.New("no key")

// psk is the pre-shared key of a pair.
func psk(v *raftstore.View, sealer Sealer, a, b string) (secrets.Secret, error) {
	k := v.PairKey(a, b)
	if k == nil {
		return secrets.Secret{}, errNoKey
	}
	s, err := sealer.Open(k.GetSealedPsk(), pairOf(a, b).purpose(k.GetGeneration()))
	if err != nil {
		return s, fmt.Errorf("the key of the pair cannot be read: %w", err)
	}
	return s, nil
}
