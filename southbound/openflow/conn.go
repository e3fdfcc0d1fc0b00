package openflow

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// conn is the transport of one connection after its handshake: framing, the
// reader and the writer, keepalive and correlation. It knows nothing of flows.
type conn struct {
	cfg    ConnConfig
	nc     net.Conn
	frames *frameReader
	// portStatus is called on the reader for each OFPT_PORT_STATUS.
	portStatus func(body []byte) error
	// packetIn is called on the reader for each OFPT_PACKET_IN.
	packetIn func(body []byte) error

	// out hands callers' messages to the writer, which takes one chunk at a time.
	out chan []byte
	// control holds what the reader wants written; it never waits for room.
	control chan []byte
	// free returns large chunks from the writer to whoever encodes the next ones.
	free chan []byte
	// slots bounds the requests in flight.
	slots chan struct{}
	// received counts whole messages: bytes that never become one do not keep a connection alive.
	received atomic.Uint64

	done chan struct{}
	wg   sync.WaitGroup

	// mu guards the fields below. No exchange.mu is acquired while it is held.
	mu      sync.Mutex
	err     error
	pending []*exchange
	nextXid uint32
}

func newConn(nc net.Conn, frames *frameReader, cfg ConnConfig) *conn {
	return &conn{
		cfg: cfg, nc: nc, frames: frames, nextXid: firstXid,
		out: make(chan []byte), control: make(chan []byte, maxControl), free: make(chan []byte, 2),
		slots: make(chan struct{}, maxOutstanding), done: make(chan struct{}),
	}
}

// firstXid leaves the ids below it to the handshake and to keepalive.
const firstXid = 16

// start runs the reader and the writer. Both end when the connection does.
func (c *conn) start() {
	c.wg.Go(func() { c.fail(c.read()) })
	c.wg.Go(func() { c.fail(c.write()) })
}

// fail ends the connection; the first reason given stays.
func (c *conn) fail(reason error) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	if reason == nil {
		reason = ErrClosed
	}
	c.err = reason
	pending := c.pending
	c.pending = nil
	close(c.done)
	c.mu.Unlock()
	_ = c.nc.Close()
	for _, e := range pending {
		e.end(reason)
	}
}

// reason is why the connection ended, nil while it lives.
func (c *conn) reason() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// read dispatches messages until the connection ends.
func (c *conn) read() error {
	for {
		m, err := c.frames.next()
		if err != nil {
			return fmt.Errorf("openflow: receiving: %w", err)
		}
		c.received.Add(1)
		if err := c.dispatch(m); err != nil {
			return err
		}
	}
}

// dispatch acts on one message. An error ends the connection.
func (c *conn) dispatch(m message) error {
	switch m.kind {
	case typeEchoRequest:
		return c.enqueue(withBody(typeEchoReply, m.xid, m.body))
	case typePortStatus:
		return c.portStatus(m.body)
	case typePacketIn:
		return c.packetIn(m.body)
	case typeHello, typeEchoReply, typeFlowRemoved:
		return nil
	}
	if m.kind > typeMeterMod {
		return protocolErrorf("message of type %d", m.kind)
	}
	e := c.find(m.xid)
	if e == nil {
		return c.unclaimed(m)
	}
	done, err := e.deliver(m)
	if done {
		c.forget(e)
	}
	return err
}

// unclaimed sees the answers nobody waits for: late ones, and errors about
// messages that have no reply.
func (c *conn) unclaimed(m message) error {
	if m.kind != typeError {
		return nil
	}
	e, err := decodeError(m.body)
	if err != nil {
		return err
	}
	c.cfg.Log.Debug("error that nobody waits for", "xid", m.xid, "error", e)
	return nil
}

// enqueue hands the writer a message without waiting.
func (c *conn) enqueue(b []byte) error {
	select {
	case c.control <- b:
		return nil
	default:
		return ErrFlooded
	}
}

// send hands the writer a chunk of whole messages, which it owns from then on. It
// blocks while the peer does not take the chunks before it.
func (c *conn) send(ctx context.Context, b []byte) error {
	select {
	case c.out <- b:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-c.done:
		return c.reason()
	}
}

// write writes chunks and keeps the connection alive until it ends.
func (c *conn) write() error {
	ticker := time.NewTicker(c.cfg.EchoInterval)
	defer ticker.Stop()
	alive := liveness{conn: c}
	for {
		var b []byte
		select {
		case b = <-c.control:
		default:
			select {
			case b = <-c.control:
			case b = <-c.out:
			case <-c.done:
				return nil
			case <-ticker.C:
				var err error
				if b, err = alive.tick(); err != nil {
					return err
				}
			}
		}
		if err := c.put(b); err != nil {
			return err
		}
	}
}

// put writes one chunk within the write deadline.
func (c *conn) put(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if err := c.nc.SetWriteDeadline(time.Now().Add(silentIntervals * c.cfg.EchoInterval)); err != nil {
		return fmt.Errorf("openflow: sending: %w", err)
	}
	if _, err := c.nc.Write(b); err != nil {
		return fmt.Errorf("openflow: sending: %w", err)
	}
	if cap(b) >= chunkSize {
		select {
		case c.free <- b[:0]:
		default:
		}
	}
	return nil
}

// liveness decides at each tick of the echo interval whether to probe or to give up.
type liveness struct {
	conn   *conn
	seen   uint64
	silent int
}

// tick returns the echo request to send, if any.
func (l *liveness) tick() ([]byte, error) {
	now := l.conn.received.Load()
	if now != l.seen {
		l.seen, l.silent = now, 0
		return nil, nil
	}
	l.silent++
	if l.silent >= silentIntervals {
		return nil, fmt.Errorf("%w: nothing for %v", ErrEchoTimeout, silentIntervals*l.conn.cfg.EchoInterval)
	}
	return bare(typeEchoRequest, echoXid), nil
}

// echoXid is the xid of our echo requests. Their replies need no correlation.
const echoXid = 1

// isViolation tells whether an error must end the connection.
func isViolation(err error) bool {
	var violation *ProtocolError
	return errors.As(err, &violation) || errors.Is(err, ErrReplyTooLarge)
}
