package controller

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"sync"
	"testing"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// breaking is a store that fails once after some commands.
type breaking struct {
	*watched
	mu    sync.Mutex
	until int // how many commands it takes before; negative for all
}

var errBroken = errors.New("the store is broken")

func (b *breaking) Apply(ctx context.Context, cmd *storev1.Command) (raftstore.Result, error) {
	b.mu.Lock()
	b.until--
	broken := b.until == -1
	b.mu.Unlock()
	if broken {
		return raftstore.Result{}, errBroken
	}
	return b.watched.Apply(ctx, cmd)
}

// rotor is a controller that leads and does nothing by itself, with the keys of all pairs of some hosts.
type rotor struct {
	*state
	store *breaking
	c     *Controller
	uuids []string
}

func newRotor(t *testing.T, hosts int) *rotor {
	t.Helper()
	r := &rotor{state: newState(t)}
	r.store = &breaking{watched: &watched{Store: r.st}, until: -1}
	log := slog.New(slog.DiscardHandler)
	var err error
	r.c, err = New(Config{
		Store: r.store, Log: log, Secrets: openSealer{}, Board: NewSwitchboard(BoardConfig{Log: log}),
		Dial:   func(context.Context, string) (net.Conn, error) { return nil, errBroken },
		Verify: func(*raftstore.View, string, []*x509.Certificate) error { return errBroken },
	})
	if err != nil {
		t.Fatal(err)
	}
	r.c.current.Store(newLeader(t.Context(), r.c, 1))
	pool := r.pool(1)
	put := &storev1.PutPairKeys{}
	for n := 1; n <= hosts; n++ {
		uuid := r.host(pool, n)
		for _, other := range r.uuids {
			put.Put = append(put.Put, &storev1.PairKey{HostA: min(uuid, other), HostB: max(uuid, other), Generation: 1, SealedPsk: []byte("first")})
		}
		r.uuids = append(r.uuids, uuid)
	}
	r.do(&storev1.Command{Body: &storev1.Command_PutPairKeys{PutPairKeys: put}})
	return r
}

// next has the keys that are to come, of all pairs.
func (r *rotor) next() map[pair]string {
	out := map[pair]string{}
	for _, k := range r.view().PairKeys() {
		if n := string(k.GetSealedNextPsk()); n != "" {
			out[pair{k.GetHostA(), k.GetHostB()}] = n
		}
	}
	return out
}

// settle is what the hosts and time make of a rotation: the new key is the pair's, and the only one.
func (r *rotor) settle() {
	put := &storev1.PutPairKeys{}
	for _, k := range r.view().PairKeys() {
		if len(k.GetSealedNextPsk()) > 0 {
			put.Put = append(put.Put, &storev1.PairKey{
				HostA: k.GetHostA(), HostB: k.GetHostB(), Generation: k.GetGeneration() + 1, SealedPsk: k.GetSealedNextPsk(), RotatedBy: k.GetRotatedBy(),
			})
		}
	}
	r.do(&storev1.Command{Body: &storev1.Command_PutPairKeys{PutPairKeys: put}})
}

// generations counts the keys of the pairs.
func (r *rotor) generations() map[uint32]int {
	out := map[uint32]int{}
	for _, k := range r.view().PairKeys() {
		out[k.GetGeneration()]++
	}
	return out
}

// TestARequestRotatesAPairOnce: however often it is repeated, at once or much later, by one who lost the answer or by one whose first
// attempt ended in the middle of many commands.
func TestARequestRotatesAPairOnce(t *testing.T) {
	t.Parallel()
	r := newRotor(t, 24) // 276 pairs: two commands
	all := 24 * 23 / 2
	q, asked := &poolwirev1.RotateTunnelKeysRequest{}, raftstore.Asked{Author: "ops", RequestID: "r"}

	r.store.mu.Lock()
	r.store.until = 1
	r.store.mu.Unlock()
	if _, _, err := r.c.RotateKeys(t.Context(), q, asked); !errors.Is(err, errBroken) {
		t.Fatalf("interrupted: %v", err)
	}
	if n := len(r.next()); n != maxKeysAtOnce {
		t.Fatalf("%d keys in the first command", n)
	}
	r.settle()
	revision, pairs, err := r.c.RotateKeys(t.Context(), q, asked)
	if err != nil || pairs != all {
		t.Fatalf("the rest: %d pairs, %v", pairs, err)
	}
	if n := len(r.next()); n != all-maxKeysAtOnce {
		t.Errorf("%d keys in the second attempt", n)
	}
	r.settle()
	if got := r.generations(); len(got) != 1 || got[2] != all {
		t.Errorf("generations of the keys: %v", got)
	}
	again, count, err := r.c.RotateKeys(t.Context(), q, asked)
	if err != nil || again != revision || count != all || len(r.next()) != 0 {
		t.Errorf("the third time: revision %d, %d pairs, %v; %d new keys", again, count, err, len(r.next()))
	}

	// Another request does, and so does one without an id.
	if _, pairs, err := r.c.RotateKeys(t.Context(), &poolwirev1.RotateTunnelKeysRequest{}, raftstore.Asked{RequestID: "s"}); err != nil || pairs != all || len(r.next()) != all {
		t.Errorf("another request: %d pairs, %v; %d new keys", pairs, err, len(r.next()))
	}
	r.settle()
	for range 2 {
		if _, pairs, err := r.c.RotateKeys(t.Context(), &poolwirev1.RotateTunnelKeysRequest{Host: r.uuids[0], Peer: r.uuids[1]}, raftstore.Asked{}); err != nil || pairs != 1 || len(r.next()) != 1 {
			t.Errorf("without an id: %d pairs, %v; %d new keys", pairs, err, len(r.next()))
		}
		r.settle()
	}
	// The first request is still answered as it was.
	if again, count, err := r.c.RotateKeys(t.Context(), q, asked); err != nil || again != revision || count != all || len(r.next()) != 0 {
		t.Errorf("the fourth time: revision %d, %d pairs, %v; %d new keys", again, count, err, len(r.next()))
	}
}

// TestARequestTwiceAtOnce: one of the two rotates, and both get the same answer.
func TestARequestTwiceAtOnce(t *testing.T) {
	t.Parallel()
	r := newRotor(t, 3)
	var work sync.WaitGroup
	var revisions [2]uint64
	for i := range revisions {
		work.Go(func() {
			revision, pairs, err := r.c.RotateKeys(t.Context(), &poolwirev1.RotateTunnelKeysRequest{}, raftstore.Asked{RequestID: "r"})
			if err != nil || pairs != 3 {
				t.Errorf("%d pairs, %v", pairs, err)
			}
			revisions[i] = revision
		})
	}
	work.Wait()
	if revisions[0] != revisions[1] {
		t.Errorf("revisions %v", revisions)
	}
}
