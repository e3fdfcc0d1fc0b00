package portflags

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"poolwire/southbound/gate"
)

// Times of a session.
const (
	handshakeTimeout = 10 * time.Second
	writeTimeout     = 10 * time.Second
	// replyTimeout is how long a peer that is alive may leave a request unanswered.
	replyTimeout = 15 * time.Second
	// echoInterval is how long a peer may be silent before it is asked for a sign of life;
	// after silence of three intervals the session ends.
	echoInterval = 5 * time.Second
	// silentIntervals is how many of them.
	silentIntervals = 3
)

// Why a session ended.
var (
	// ErrClosed means that this side closed it without a reason of its own.
	ErrClosed = errors.New("portflags: session closed")
	// ErrSilent means that nothing was received for three echo intervals.
	ErrSilent = errors.New("portflags: peer is silent")
	// ErrReplyTimeout means that the peer is alive but left a request unanswered.
	ErrReplyTimeout = errors.New("portflags: request was never answered")
)

// Port is a port as OpenFlow 1.0 describes it.
type Port struct {
	// Number has 16 bits here: the bridge's own port is 65534.
	Number uint16
	MAC    [6]byte
	// Name is at most 15 bytes and may be cut short by the switch.
	Name string
	// NoFlood: NORMAL does not flood to the port.
	NoFlood bool
}

// Session is one connection to one bridge. All methods may be called at the same time; the
// requests run one after the other.
type Session struct {
	conn         net.Conn
	in           *bufio.Reader
	certificates []*x509.Certificate
	datapathID   uint64
	done         chan struct{}

	// asking is held by the one request on its way.
	asking chan struct{}
	// writing guards the connection's writes.
	writing sync.Mutex

	// mu guards what follows.
	mu      sync.Mutex
	err     error
	nextXid uint32
	// answers gets what arrives for the xid asked; nil while nobody asks.
	answers chan message
	asked   uint32
}

// Accept makes a Session of a connection that a bridge has opened: the TLS handshake,
// where conn has one still to make, then hello and features. It owns conn, and closes it
// when it returns an error: ErrVersion when the bridge does not offer OpenFlow 1.0.
// ctx bounds the handshake only.
func Accept(ctx context.Context, conn net.Conn) (*Session, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	// A deadline in the past wakes every read and write as soon as ctx ends.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	s := &Session{conn: conn, in: bufio.NewReader(conn), done: make(chan struct{}), asking: make(chan struct{}, 1), nextXid: firstXid}
	err := s.handshake(ctx)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("portflags: handshake: %w", err)
	}
	gate.Settled(conn)
	go s.read()
	return s, nil
}

// Transaction ids of the messages that no request of a caller makes.
const (
	xidHello uint32 = 1 + iota
	xidSilence
	xidFeatures
	xidEcho
	// firstXid is the first one of a request.
	firstXid uint32 = 16
)

// maxEarly is how many messages a peer may send before its features reply.
const maxEarly = 64

// handshake agrees on OpenFlow 1.0 by saying hello in it: the switch takes the lower of
// the two versions. Features follow, and the wish for silence.
func (s *Session) handshake(ctx context.Context) error {
	if c, ok := s.conn.(interface{ HandshakeContext(context.Context) error }); ok {
		if err := c.HandshakeContext(ctx); err != nil {
			return err
		}
	}
	if c, ok := s.conn.(interface{ ConnectionState() tls.ConnectionState }); ok {
		s.certificates = c.ConnectionState().PeerCertificates
	}
	if _, err := s.conn.Write(encode(typeHello, xidHello)); err != nil {
		return err
	}
	hello, err := readMessage(s.in, maxHello)
	if err != nil {
		return err
	}
	if err := checkHello(hello); err != nil {
		return err
	}
	if _, err := s.conn.Write(append(silence(xidSilence), encode(typeFeaturesRequest, xidFeatures)...)); err != nil {
		return err
	}
	return s.introduction()
}

// introduction waits for the features reply.
func (s *Session) introduction() error {
	for range maxEarly {
		m, err := readMessage(s.in, maxMessage)
		switch {
		case err != nil:
			return err
		case m.kind == typeError && m.xid != xidSilence: // a switch that knows no silence is noisy, and no more
			return decodeError(m.body)
		case m.version != version10:
			return fmt.Errorf("%w: version %d", ErrProtocol, m.version)
		case m.kind == typeFeaturesReply && m.xid == xidFeatures:
			s.datapathID, err = decodeFeatures(m.body)
			return err
		case m.kind == typeEchoRequest:
			if _, err := s.conn.Write(encode(typeEchoReply, m.xid, m.body...)); err != nil {
				return err
			}
		}
	}
	return fmt.Errorf("%w: no features reply", ErrProtocol)
}

// DatapathID is what the bridge calls itself. Any peer can claim any id: check
// PeerCertificates before believing it.
func (s *Session) DatapathID() uint64 { return s.datapathID }

// RemoteAddr is the peer's address.
func (s *Session) RemoteAddr() net.Addr { return s.conn.RemoteAddr() }

// PeerCertificates is the chain the peer presented, leaf first; nil without TLS.
func (s *Session) PeerCertificates() []*x509.Certificate { return s.certificates }

// Done is closed when the session has ended.
func (s *Session) Done() <-chan struct{} { return s.done }

// Err is why the session ended; nil while it lives.
func (s *Session) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Close ends the session and makes Err return reason, or ErrClosed for nil.
func (s *Session) Close(reason error) {
	if reason == nil {
		reason = ErrClosed
	}
	s.fail(reason)
}

// fail ends the session; the first reason given stays. Closing may take time (TLS sends
// its farewell), which nobody who asks for the reason is to wait for.
func (s *Session) fail(reason error) {
	s.mu.Lock()
	first := s.err == nil
	if first {
		s.err = reason
		close(s.done)
	}
	s.mu.Unlock()
	if first {
		_ = s.conn.Close()
	}
}

// read dispatches messages until the session ends. It asks a silent peer for a sign of
// life, and gives up on one that does not answer.
func (s *Session) read() {
	for silent := 0; ; {
		if err := s.conn.SetReadDeadline(time.Now().Add(echoInterval)); err != nil {
			s.fail(err)
			return
		}
		_, err := s.in.Peek(headerLen)
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() {
			if silent++; silent >= silentIntervals {
				s.fail(fmt.Errorf("%w: nothing for %v", ErrSilent, silentIntervals*echoInterval))
				return
			}
			if err := s.send(encode(typeEchoRequest, xidEcho)); err != nil {
				s.fail(err)
				return
			}
			continue
		}
		silent = 0
		if err == nil {
			// The rest of a message that has begun has as long as a silence may last.
			err = s.conn.SetReadDeadline(time.Now().Add(silentIntervals * echoInterval))
		}
		if err == nil {
			err = s.next()
		}
		if err != nil {
			s.fail(err)
			return
		}
	}
}

// next reads one message and acts on it.
func (s *Session) next() error {
	m, err := readMessage(s.in, maxMessage)
	switch {
	case err != nil:
		return err
	case m.version != version10:
		return fmt.Errorf("%w: version %d", ErrProtocol, m.version)
	case m.kind == typeEchoRequest:
		return s.send(encode(typeEchoReply, m.xid, m.body...))
	case m.kind == typeError, m.kind == typeStatsReply, m.kind == typeBarrierReply:
		s.answer(m)
	}
	return nil
}

// answer hands a message to whoever asked; a late one is dropped.
func (s *Session) answer(m message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.answers == nil || m.xid != s.asked {
		return
	}
	select {
	case s.answers <- m:
	default: // more than any switch answers: the request ends by its timeout
	}
}

// send writes one message.
func (s *Session) send(b []byte) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := s.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return fmt.Errorf("portflags: sending: %w", err)
	}
	if _, err := s.conn.Write(b); err != nil {
		return fmt.Errorf("portflags: sending: %w", err)
	}
	return nil
}
