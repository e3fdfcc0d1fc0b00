package controller

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// RotateKeys gives pairs of hosts new keys: those of one host when q.host is not empty, its pair with q.peer when that is not either.
// Both are UUIDs. It returns the revision of the change and of how many pairs the keys are replaced from now on: not of those where that
// is under way already.
//
// by is who asks. With a request id, a pair is rotated once however often the request is repeated: each key says by which request it was rotated last,
// so that a request that was interrupted between two commands goes on with the pairs that are left, and the last command has the id
// itself, by which the whole request gets its first answer from then on.
func (c *Controller) RotateKeys(ctx context.Context, q *poolwirev1.RotateTunnelKeysRequest, by raftstore.Asked) (revision uint64, pairs int, err error) {
	l := c.current.Load()
	if l == nil {
		return 0, 0, ErrNotLeading
	}
	select {
	case l.rotating <- struct{}{}: // a request that comes twice at once sees what the other one has done
		defer func() { <-l.rotating }()
	case <-ctx.Done():
		return 0, 0, ctx.Err()
	}
	view := l.store.View()
	if err := l.protection.keys.choose(view); err != nil {
		return 0, 0, err
	}
	var put []*storev1.PairKey
	if !view.Requested(by) {
		var had int
		put, had = l.protection.keys.announceAll(keysToRotate(view, q), rotatedBy(by))
		pairs = len(put) + had
	}
	if len(put) == 0 && by.RequestID == "" {
		return view.Revision(), 0, nil
	}
	for {
		some := put[:min(len(put), maxKeysAtOnce)]
		put = put[len(some):]
		cmd := &storev1.Command{Body: &storev1.Command_PutPairKeys{PutPairKeys: &storev1.PutPairKeys{Put: some}}}
		if len(put) == 0 {
			by.Sign(cmd)
			cmd.GetPutPairKeys().Pairs = uint32(pairs)
		}
		var res raftstore.Result
		err := l.withDeadline(ctx, func(ctx context.Context) (err error) {
			res, err = l.store.Apply(ctx, cmd)
			return err
		})
		if err != nil {
			return 0, 0, err
		}
		if len(put) == 0 {
			return res.Revision, int(res.Pairs), nil
		}
	}
}

// rotatedBy is what the keys say of a request: the same for no other one, whoever asked; empty for one that cannot be repeated.
func rotatedBy(by raftstore.Asked) string {
	if by.RequestID == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(by.Author + "\x00" + by.RequestID + "\x00" + string(by.Content)))
	return hex.EncodeToString(sum[:16])
}

// keysToRotate are the keys that are in use of the pairs that a request names.
func keysToRotate(view *raftstore.View, q *poolwirev1.RotateTunnelKeysRequest) []*storev1.PairKey {
	of := func(k *storev1.PairKey, host string) bool {
		return host == "" || k.GetHostA() == host || k.GetHostB() == host
	}
	return slices.DeleteFunc(slices.Clone(view.PairKeys()), func(k *storev1.PairKey) bool {
		inUse := !certified(view.Host(k.GetHostA())) && !certified(view.Host(k.GetHostB()))
		return !inUse || !of(k, q.GetHost()) || !of(k, q.GetPeer())
	})
}

// announceAll begins to replace keys, and counts those that the same request has had replaced before.
func (k *keyring) announceAll(keys []*storev1.PairKey, by string) (put []*storev1.PairKey, had int) {
	for _, have := range keys {
		if by != "" && have.GetRotatedBy() == by {
			had++
			continue
		}
		if next := k.announce(have); next != nil {
			next.RotatedBy = by
			put = append(put, next)
		}
	}
	return put, had
}
