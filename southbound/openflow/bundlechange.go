package openflow

import (
	"context"
	"errors"
	"fmt"

	"poolwire/southbound/openflow/flow"
)

// probeBundles opens and discards an empty bundle, once per connection. Without
// it a switch that has no bundles would answer every message of a large first
// bundle with an error of its own.
func (s *Switch) probeBundles(ctx context.Context) error {
	if s.bundles != bundlesUnknown {
		return nil
	}
	const probe = 0
	err := s.conn.request(ctx, func(xid uint32) []byte {
		return appendBundleControl(nil, xid, probe, bundleOpen)
	}, bundleReply(probe, bundleOpenReply))
	var refused *SwitchError
	switch {
	case err == nil:
		s.bundles = bundlesWork
		return s.conn.request(ctx, func(xid uint32) []byte {
			return appendBundleControl(nil, xid, probe, bundleDiscard)
		}, bundleReply(probe, bundleDiscardReply))
	case errors.As(err, &refused) && refused.unknownMessage():
		s.bundles = bundlesRefused
		s.conn.cfg.Log.Warn("switch has no bundles; flow changes are not atomic", "datapath_id", s.DatapathID(), "error", err)
		return nil
	}
	return fmt.Errorf("opening a bundle: %w", err)
}

// bundleChange is one bundle on its way. Its transaction ids are consecutive:
//
//	open | one per flow mod | close | commit | barrier
//
// It goes in two steps, each ended by a reply, because a message refused while
// the bundle fills does not by itself keep the rest from being committed:
//
//  1. open, all flow mods and close are streamed. Any error: discard, and nothing
//     has changed.
//  2. commit and barrier. The switch applies all or, with an error for the first
//     flow mod that fails and one for the commit, nothing.
type bundleChange struct {
	conn   *conn
	id     uint32
	batch  modBatch
	errors modErrors
	xid    uint32 // of open
}

func (b *bundleChange) closeXid() uint32   { return b.xid + uint32(b.batch.len()) + 1 }
func (b *bundleChange) commitXid() uint32  { return b.closeXid() + 1 }
func (b *bundleChange) barrierXid() uint32 { return b.closeXid() + 2 }

// applyBundle sends a delta as one atomic bundle. The caller holds changing.
func (s *Switch) applyBundle(ctx context.Context, delta flow.Delta) error {
	b := &bundleChange{conn: s.conn, batch: bundleBatch(delta)}
	b.xid = s.conn.allocate(b.batch.len() + 4)
	b.id = b.xid
	b.errors.batch, b.errors.firstXid = &b.batch, b.xid+1
	if err := b.fill(ctx); err != nil {
		return err
	}
	return b.commit(ctx)
}

// fill is step 1.
func (b *bundleChange) fill(ctx context.Context) error {
	e := newExchange(b.xid, b.closeXid(), b.whileFilling)
	if err := b.conn.register(e); err != nil {
		return err
	}
	sendErr := b.stream(ctx)
	if sendErr != nil {
		e.end(sendErr)
	}
	err := b.conn.wait(ctx, e)
	if err == nil {
		err = b.errors.err()
	}
	if err != nil {
		// Nothing is committed. The switch would drop the bundle by itself after a
		// while; until then it would hold its memory.
		_ = b.conn.enqueue(appendBundleControl(nil, b.closeXid(), b.id, bundleDiscard))
	}
	return err
}

// stream sends open, the flow mods and close, one chunk after the other.
func (b *bundleChange) stream(ctx context.Context) error {
	w := newChunks(b.conn)
	w.buf = appendBundleControl(w.buf, b.xid, b.id, bundleOpen)
	for i := range b.batch.len() {
		f, cmd := b.batch.at(i)
		var err error
		if w.buf, err = appendBundleAdd(w.buf, b.xid+1+uint32(i), b.id, f, cmd); err != nil {
			return err
		}
		if err := w.flushFull(ctx); err != nil {
			return err
		}
		if b.errors.any.Load() {
			break
		}
	}
	w.buf = appendBundleControl(w.buf, b.closeXid(), b.id, bundleClose)
	return w.flush(ctx)
}

// whileFilling sees the answers of step 1: the open reply, errors, the close reply.
func (b *bundleChange) whileFilling(m message) (bool, error) {
	if m.kind == typeError {
		err := b.errors.add(m)
		return m.xid == b.closeXid(), err
	}
	if m.kind != typeExperimenter {
		return true, protocolErrorf("reply of type %d to a bundle", m.kind)
	}
	id, kind, err := decodeBundleControl(m.body)
	switch {
	case err != nil:
		return true, err
	case id == b.id && kind == bundleOpenReply && m.xid == b.xid:
		return false, nil
	case id == b.id && kind == bundleCloseReply && m.xid == b.closeXid():
		return true, nil
	}
	return true, protocolErrorf("bundle control reply %d for bundle %d", kind, id)
}

// commit is step 2.
func (b *bundleChange) commit(ctx context.Context) error {
	committed := false
	e := newExchange(b.xid+1, b.barrierXid(), func(m message) (bool, error) {
		switch m.kind {
		case typeError:
			err := b.errors.add(m)
			return m.xid == b.barrierXid(), err
		case typeBarrierReply:
			if !committed && !b.errors.any.Load() {
				return true, protocolErrorf("barrier reply before the reply to a bundle commit")
			}
			return true, nil
		case typeExperimenter:
			id, kind, err := decodeBundleControl(m.body)
			if err == nil && (id != b.id || kind != bundleCommitReply) {
				err = protocolErrorf("bundle control reply %d for bundle %d, want the reply to its commit", kind, id)
			}
			committed = true
			return false, err
		}
		return true, protocolErrorf("reply of type %d to a bundle commit", m.kind)
	})
	if err := b.conn.register(e); err != nil {
		return err // nothing was committed
	}
	last := appendBundleControl(nil, b.commitXid(), b.id, bundleCommit)
	last = append(last, bare(typeBarrierRequest, b.barrierXid())...)
	if err := b.conn.send(ctx, last); err != nil {
		e.end(err)
		_ = b.conn.wait(ctx, e)
		_ = b.conn.enqueue(appendBundleControl(nil, b.closeXid(), b.id, bundleDiscard))
		return err
	}
	if err := b.conn.wait(ctx, e); err != nil {
		return fmt.Errorf("%w: bundle commit of %d flow mods: %w", ErrUnknownOutcome, b.batch.len(), err)
	}
	return b.errors.err()
}
