package openflow

import (
	"context"
	"fmt"

	"poolwire/southbound/openflow/flow"
)

// Apply makes the changes of delta and returns when the switch has confirmed
// them with a barrier. An empty delta sends nothing.
//
// On a switch with bundles all of it becomes effective at once, or nothing. On
// one without (ovs-vswitchd before 2.6), what is new is added from the last
// table to the first, then changed, and only then is anything deleted, so that a
// packet never meets a table that is not filled yet.
//
// Errors:
//   - *FlowError: the switch refused a flow. Nothing has changed, unless
//     FlowError.Applied says otherwise.
//   - *SwitchError: the switch refused the change as a whole, for instance with ErrSlave.
//   - ErrFlowTooLarge: as *FlowError, found before it was sent.
//   - ErrUnknownOutcome: the connection ended or ctx did when it was too late to
//     take the change back.
//   - anything else: the connection or ctx ended, and nothing has changed.
//
// Calls on one Switch run one after the other.
func (s *Switch) Apply(ctx context.Context, delta flow.Delta) error {
	if delta.Empty() {
		return nil
	}
	select {
	case s.changing <- struct{}{}:
		defer func() { <-s.changing }()
	case <-ctx.Done():
		return ctx.Err()
	case <-s.conn.done:
		return s.conn.reason()
	}
	if err := s.probeBundles(ctx); err != nil {
		return err
	}
	defer s.conn.dropFree()
	if s.bundles == bundlesWork {
		return s.applyBundle(ctx, delta)
	}
	return s.applyPlain(ctx, delta)
}

// applyPlain sends single flow mods and a barrier. The caller holds changing.
func (s *Switch) applyPlain(ctx context.Context, delta flow.Delta) error {
	batch := plainBatch(delta)
	for i := range batch.len() {
		if f, _ := batch.at(i); !f.Encodable() {
			return fmt.Errorf("%w: table %d priority %d", ErrFlowTooLarge, f.Table, f.Priority)
		}
	}
	xid := s.conn.allocate(batch.len() + 1)
	barrier := xid + uint32(batch.len())
	refusals := modErrors{batch: &batch, firstXid: xid}
	e := newExchange(xid, barrier, func(m message) (bool, error) {
		switch m.kind {
		case typeError:
			err := refusals.add(m)
			return m.xid == barrier, err
		case typeBarrierReply:
			return true, nil
		}
		return true, protocolErrorf("reply of type %d to flow mods", m.kind)
	})
	if err := s.conn.register(e); err != nil {
		return err
	}
	if err := s.streamPlain(ctx, &batch, xid, barrier); err != nil {
		e.end(err)
	}
	if err := s.conn.wait(ctx, e); err != nil {
		return fmt.Errorf("%w: %d flow mods: %w", ErrUnknownOutcome, batch.len(), err)
	}
	if refusals.refused != nil {
		refusals.refused.Applied = true
	}
	return refusals.err()
}

// streamPlain sends the flow mods and the barrier, one chunk after the other.
func (s *Switch) streamPlain(ctx context.Context, batch *modBatch, xid, barrier uint32) error {
	w := newChunks(s.conn)
	for i := range batch.len() {
		f, cmd := batch.at(i)
		w.buf = f.AppendFlowMod(w.buf, xid+uint32(i), cmd)
		if err := w.flushFull(ctx); err != nil {
			return err
		}
	}
	w.buf = append(w.buf, bare(typeBarrierRequest, barrier)...)
	return w.flush(ctx)
}
