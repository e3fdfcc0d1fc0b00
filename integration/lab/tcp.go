package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

// EchoServer is a TCP server that sends back what it gets.
type EchoServer struct {
	listener net.Listener
	serving  sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]struct{}
}

// ListenEcho serves TCP on a port of the namespace, over IPv4 and IPv6.
func (n *Namespace) ListenEcho(ctx context.Context, port uint16) (*EchoServer, error) {
	listener, err := n.Listen(ctx, "tcp", fmt.Sprintf(":%d", port))
	if err != nil {
		return nil, fmt.Errorf("lab: %w", err)
	}
	s := &EchoServer{listener: listener, conns: map[net.Conn]struct{}{}}
	s.serving.Go(s.accept)
	return s, nil
}

func (s *EchoServer) accept() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.conns[conn] = struct{}{}
		s.mu.Unlock()
		s.serving.Go(func() {
			_, _ = io.Copy(conn, conn)
			s.mu.Lock()
			delete(s.conns, conn)
			s.mu.Unlock()
			_ = conn.Close()
		})
	}
}

// Close ends the server and its connections.
func (s *EchoServer) Close() error {
	err := s.listener.Close()
	s.mu.Lock()
	for conn := range s.conns {
		_ = conn.Close()
	}
	s.mu.Unlock()
	s.serving.Wait()
	return err
}

// ConnectEcho connects to an [EchoServer] and has a few bytes sent back: nil
// means that TCP works both ways. It tries once, as long as ctx lasts; while SYNs
// are dropped it waits for an answer to the kernel's retries.
func (n *Namespace) ConnectEcho(ctx context.Context, to netip.AddrPort) error {
	conn, err := n.OpenEcho(ctx, to)
	if err != nil {
		return err
	}
	return errors.Join(conn.Check(ctx), conn.Close())
}

// EchoConn is an open connection to an [EchoServer].
type EchoConn struct{ net.Conn }

// OpenEcho connects to an [EchoServer] and leaves the connection open.
func (n *Namespace) OpenEcho(ctx context.Context, to netip.AddrPort) (*EchoConn, error) {
	conn, err := n.Dial(ctx, "tcp", to.String())
	if err != nil {
		return nil, fmt.Errorf("lab: %s: %w", n.Name, err)
	}
	return &EchoConn{Conn: conn}, nil
}

// Check sends a few bytes and waits until they are back or ctx ends.
func (c *EchoConn) Check(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	sent := []byte("echo")
	if _, err := c.Write(sent); err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(c, got); err != nil {
		return fmt.Errorf("lab: no echo: %w", err)
	}
	if !bytes.Equal(sent, got) {
		return fmt.Errorf("lab: echo of %q is %q", sent, got)
	}
	return nil
}
