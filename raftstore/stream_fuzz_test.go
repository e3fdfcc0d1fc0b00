package raftstore

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// doorway is a StreamLayer that is handed its connections.
type doorway struct {
	in     chan net.Conn
	closed chan struct{}
}

// Accept waits for a connection (net.Listener).
func (d *doorway) Accept() (net.Conn, error) {
	select {
	case c := <-d.in:
		return c, nil
	case <-d.closed:
		return nil, net.ErrClosed
	}
}

// Close ends the listener (net.Listener).
func (d *doorway) Close() error { close(d.closed); return nil }

// Addr is an address (net.Listener).
func (d *doorway) Addr() net.Addr { return &net.TCPAddr{} }

// Dial refuses (raft.StreamLayer).
func (d *doorway) Dial(raft.ServerAddress, time.Duration) (net.Conn, error) {
	return nil, errors.New("not in this test")
}

// What another node sends, framing and all, ends with its connection and takes nothing along.
func FuzzRaftStream(f *testing.F) {
	// Requests as Raft's transport sends them: their kind, and a map of msgpack.
	f.Add([]byte("\x01\x82\xa4Term\x01\xaaCandidateID\xa1x"))
	f.Add([]byte("\x00\x83\xa4Term\x01\xa6Leader\xa1x\xa7Entries\x91\x83\xa5Index\x01\xa4Data\xa1x\xa4Type\x00"))
	f.Add([]byte("\x02\x84\xa4Term\x01\xa6Leader\xa1x\xa4Size\x04\xafLastLogIndex\x01wxyz"))
	f.Add([]byte("\x03\x81\xa9RPCHeader\x81\xafProtocolVersion\x03"))
	f.Add([]byte("\x00\xdf\xff\xff\xff\xff"))
	f.Add([]byte("\x00\x81\xa7Entries\xdd\xff\xff\xff\xff"))
	f.Add([]byte("\x00\x81\xa4Data\xc6\x7f\xff\xff\xff"))
	f.Add([]byte{9})
	layer := &doorway{in: make(chan net.Conn), closed: make(chan struct{})}
	log := slog.New(slog.DiscardHandler)
	t := raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: newStream(layer, nil, log), MaxPool: 3, Timeout: transportTimeout, Logger: newLogger(log, "transport"),
		MaxRPCsInFlight: 1, MsgpackUseNewTimeFormat: true,
	})
	stop := make(chan struct{})
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		for {
			select {
			case rpc := <-t.Consumer():
				if rpc.Reader != nil {
					_, _ = io.Copy(io.Discard, rpc.Reader)
				}
				rpc.Respond(nil, errors.New("refused"))
			case <-stop:
				return
			}
		}
	}()
	f.Cleanup(func() { _ = t.Close(); close(stop); <-answered })
	f.Fuzz(func(t *testing.T, data []byte) {
		theirs, ours := net.Pipe()
		watched := &closing{Conn: ours, closed: make(chan struct{})}
		layer.in <- watched
		if err := theirs.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = io.Copy(io.Discard, theirs) }()
		_, _ = theirs.Write(data)
		_ = theirs.Close()
		select {
		case <-watched.closed:
		case <-time.After(20 * time.Second):
			t.Fatal("the connection stays open")
		}
	})
}

// closing is a connection that tells of its end.
type closing struct {
	net.Conn
	once   sync.Once
	closed chan struct{}
}

// Close closes the connection (net.Conn).
func (c *closing) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}
