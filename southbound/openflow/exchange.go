package openflow

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// exchange is a request, or a batch of them, that waits for answers. It owns the
// transaction ids first to last; every answer with one of them is given to handle.
//
// It is made and registered by a caller, and finished by the reader (when handle
// says so), by conn.fail, or by the caller losing patience (conn.wait), whichever
// comes first.
type exchange struct {
	first, last uint32
	// handle runs on the reader, one message at a time, and must not block. done
	// ends the exchange with err as its result. A *ProtocolError ends the
	// connection with it.
	handle func(message) (done bool, err error)

	// progress counts answers, so that the waiting caller can tell slow from stuck.
	progress atomic.Uint64
	// result has room for the one result.
	result chan error

	// mu keeps handle from running once the exchange is over: the caller then owns
	// what handle writes to. Never held while acquiring conn.mu.
	mu   sync.Mutex
	over bool
}

func newExchange(first, last uint32, handle func(message) (bool, error)) *exchange {
	return &exchange{first: first, last: last, handle: handle, result: make(chan error, 1)}
}

// owns tells whether an answer with this xid belongs here. Ranges never wrap.
func (e *exchange) owns(xid uint32) bool { return e.first <= xid && xid <= e.last }

// deliver gives one answer to handle. violation is set when the peer broke the protocol.
func (e *exchange) deliver(m message) (done bool, violation error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.over {
		return true, nil
	}
	e.progress.Add(1)
	done, err := e.handle(m)
	if isViolation(err) {
		e.endLocked(err)
		return true, err
	}
	if done {
		e.endLocked(err)
	}
	return done, nil
}

// end finishes the exchange, unless it is over already.
func (e *exchange) end(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.endLocked(err)
}

func (e *exchange) endLocked(err error) {
	if !e.over {
		e.over = true
		e.result <- err
	}
}

// register makes answers reach e.
func (c *conn) register(e *exchange) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return c.err
	}
	c.pending = append(c.pending, e)
	return nil
}

// allocate returns the first of n consecutive transaction ids, none of them 0.
// Ids come round after four billion messages, long after their exchanges ended.
func (c *conn) allocate(n int) uint32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if uint64(c.nextXid)+uint64(n) > 1<<32-1 {
		c.nextXid = 1
	}
	first := c.nextXid
	c.nextXid += uint32(n)
	return first
}

// find returns the exchange that owns an xid, or nil: a late answer, or nonsense.
func (c *conn) find(xid uint32) *exchange {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.pending {
		if e.owns(xid) {
			return e
		}
	}
	return nil
}

// forget stops answers from reaching e.
func (c *conn) forget(e *exchange) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, p := range c.pending {
		if p == e {
			c.pending = append(c.pending[:i], c.pending[i+1:]...)
			return
		}
	}
}

// wait blocks until e is over and returns its result. Whatever it returns, handle
// does not run any more.
func (c *conn) wait(ctx context.Context, e *exchange) error {
	defer c.forget(e)
	stuck := time.NewTimer(c.cfg.ReplyTimeout)
	defer stuck.Stop()
	seen := e.progress.Load()
	for {
		select {
		case err := <-e.result:
			return err
		case <-ctx.Done():
			e.end(ctx.Err())
		case <-stuck.C:
			now := e.progress.Load()
			if now == seen {
				// Everything behind this request waits too: the connection is of no more use.
				c.fail(ErrReplyTimeout)
			}
			seen = now
			stuck.Reset(c.cfg.ReplyTimeout)
		}
	}
}

// request sends one message that build makes for its xid and waits until handle is done.
func (c *conn) request(ctx context.Context, build func(xid uint32) []byte, handle func(message) (bool, error)) error {
	if err := c.acquire(ctx); err != nil {
		return err
	}
	defer c.release()
	xid := c.allocate(1)
	e := newExchange(xid, xid, handle)
	if err := c.register(e); err != nil {
		return err
	}
	if err := c.send(ctx, build(xid)); err != nil {
		e.end(err)
	}
	return c.wait(ctx, e)
}

// acquire takes one of the places for requests in flight.
func (c *conn) acquire(ctx context.Context) error {
	select {
	case c.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-c.done:
		return c.reason()
	}
}

func (c *conn) release() { <-c.slots }

// expect returns a handler for a request with a single reply of the given type.
// decode may be nil when the reply has no content.
func expect(kind uint8, decode func(body []byte) error) func(message) (bool, error) {
	return func(m message) (bool, error) {
		switch {
		case m.kind == typeError:
			return refusal(m)
		case m.kind != kind:
			return true, protocolErrorf("reply of type %d, want %d", m.kind, kind)
		case decode == nil:
			return true, nil
		}
		return true, decode(m.body)
	}
}

// refusal ends an exchange with the error the switch sent.
func refusal(m message) (bool, error) {
	e, err := decodeError(m.body)
	if err != nil {
		return true, err
	}
	return true, e
}
