package ovsdb

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"testing"
	"time"
)

// acceptorUnderTest serves on the loopback until the test ends.
func acceptorUnderTest(t *testing.T, a *Acceptor, l net.Listener) (accepted chan net.Conn, rejected chan error) {
	t.Helper()
	accepted, rejected = make(chan net.Conn, 16), make(chan error, 16)
	a.Rejected = func(_ net.Addr, err error) { rejected <- err }
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- a.Serve(ctx, l, func(c net.Conn) { accepted <- c }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return accepted, rejected
}

func dialLoopback(t *testing.T, l net.Listener) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestHandshakesHaveADeadline(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	l, err := tls.Listen("tcp", "127.0.0.1:0", ca.config())
	if err != nil {
		t.Fatal(err)
	}
	_, rejected := acceptorUnderTest(t, &Acceptor{HandshakeTimeout: 50 * time.Millisecond}, l)
	dialLoopback(t, l)
	dialLoopback(t, l)
	for range 2 {
		select {
		case err := <-rejected:
			if !errors.Is(err, context.DeadlineExceeded) && !isTimeout(err) {
				t.Errorf("rejected because of %v", err)
			}
		case <-testContext(t).Done():
			t.Fatal("a silent peer keeps its handshake")
		}
	}
}

func isTimeout(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}
