package openflow

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync/atomic"

	"poolwire/southbound/openflow/flow"
)

// chunkSize is how many bytes of flow mods are collected before they are handed
// to the writer.
const chunkSize = 32 << 10

// modBatch numbers the flow mods of a delta in the order they are sent.
type modBatch [4]struct {
	flows []flow.Flow
	cmd   flow.Command
}

// bundleBatch deletes first: in a bundle the order has no effect on packets, and
// a table that is nearly full has room for what is added. What was learned goes last.
func bundleBatch(d flow.Delta) modBatch {
	return modBatch{{d.Delete, flow.DeleteStrict}, {d.Modify, flow.ModifyStrict}, {d.Add, flow.Add}, {d.Forget, flow.Delete}}
}

// plainBatch is for flow mods that take effect one by one. What is new is added
// from the last table to the first, so that a packet never meets a table that is
// not filled yet; only then is anything deleted, from the first table to the last. What was
// learned goes last: until what taught it is gone, it may be learned again.
func plainBatch(d flow.Delta) modBatch {
	additions := slices.Clone(d.Add)
	slices.SortStableFunc(additions, func(a, b flow.Flow) int { return cmp.Compare(b.Table, a.Table) })
	deletions := slices.Clone(d.Delete)
	slices.SortStableFunc(deletions, func(a, b flow.Flow) int { return cmp.Compare(a.Table, b.Table) })
	return modBatch{{additions, flow.Add}, {d.Modify, flow.ModifyStrict}, {deletions, flow.DeleteStrict}, {d.Forget, flow.Delete}}
}

func (b *modBatch) len() int {
	n := 0
	for p := range b {
		n += len(b[p].flows)
	}
	return n
}

// at returns the flow of flow mod i, 0 <= i < len. The flow must not be changed.
func (b *modBatch) at(i int) (*flow.Flow, flow.Command) {
	for p := range b {
		if i < len(b[p].flows) {
			return &b[p].flows[i], b[p].cmd
		}
		i -= len(b[p].flows)
	}
	panic("openflow: flow mod out of range")
}

// modErrors collects what a switch answers to a batch of flow mods with
// consecutive transaction ids. The reader writes it; others read it when the
// exchange is over, except any.
type modErrors struct {
	batch    *modBatch
	firstXid uint32
	any      atomic.Bool
	// refused is the first flow refused.
	refused *FlowError
	// other is the first error that is not about a flow.
	other *SwitchError
}

// add takes an OFPT_ERROR. It fails only when the message is malformed.
func (e *modErrors) add(m message) error {
	refused, err := decodeError(m.body)
	if err != nil {
		return err
	}
	e.any.Store(true)
	i := int64(m.xid) - int64(e.firstXid)
	switch {
	case i < 0 || i >= int64(e.batch.len()), errors.Is(refused, ErrSlave):
		if e.other == nil {
			e.other = refused
		}
	case e.refused == nil:
		f, cmd := e.batch.at(int(i))
		e.refused = &FlowError{SwitchError: *refused, Flow: *f, Command: cmd}
	default:
		e.refused.Others++
	}
	return nil
}

// err is the most telling error: that the connection may change nothing, else the
// flow that was refused, if one was.
func (e *modErrors) err() error {
	switch {
	case e.other != nil && errors.Is(e.other, ErrSlave):
		return e.other
	case e.refused != nil:
		return e.refused
	case e.other != nil:
		return e.other
	}
	return nil
}

// chunks collects messages and hands them to the writer in pieces.
type chunks struct {
	conn *conn
	buf  []byte
}

func newChunks(c *conn) *chunks {
	w := &chunks{conn: c}
	w.renew()
	return w
}

// renew takes a buffer the writer is done with, or makes a small one: most
// changes are a few flows.
func (w *chunks) renew() {
	select {
	case w.buf = <-w.conn.free:
	default:
		w.buf = nil
	}
}

// flushFull hands over the chunk if it is large enough.
func (w *chunks) flushFull(ctx context.Context) error {
	if len(w.buf) < chunkSize {
		return nil
	}
	return w.flush(ctx)
}

func (w *chunks) flush(ctx context.Context) error {
	if len(w.buf) == 0 {
		return nil
	}
	if err := w.conn.send(ctx, w.buf); err != nil {
		return err
	}
	w.renew()
	return nil
}

// dropFree lets go of the writer's spare buffers: a connection is idle most of
// the time, and there are many.
func (c *conn) dropFree() {
	for {
		select {
		case <-c.free:
		default:
			return
		}
	}
}
