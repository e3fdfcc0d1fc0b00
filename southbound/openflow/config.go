package openflow

import (
	"log/slog"
	"time"
)

// ConnConfig sets the limits of one connection. The zero value is usable.
type ConnConfig struct {
	// Log receives what happens on the connection; nil discards it.
	Log *slog.Logger
	// EchoInterval is how long the peer may be silent before it is probed. After
	// three such intervals without a whole message the connection ends. It is also a
	// third of the time one write may take. Default 5 s, as ovs-vswitchd's own probe.
	EchoInterval time.Duration
	// HandshakeTimeout bounds TLS, hello and features together. Default 10 s.
	HandshakeTimeout time.Duration
	// ReplyTimeout bounds the wait for a reply, or for its next part, of a peer that
	// is alive. A commit of very many flows is one such wait. Default 60 s.
	ReplyTimeout time.Duration
	// MaxReply bounds the bytes of one reply in parts. Default 128 MiB, which is about
	// a million flows.
	MaxReply int
}

const (
	defaultEchoInterval     = 5 * time.Second
	defaultHandshakeTimeout = 10 * time.Second
	defaultReplyTimeout     = 60 * time.Second
	defaultMaxReply         = 128 << 20

	// silentIntervals is how many echo intervals without a message end a connection.
	silentIntervals = 3
	// maxOutstanding is how many requests may wait for their replies on one
	// connection; further callers wait their turn.
	maxOutstanding = 64
	// maxControl is how many echo replies may wait to be written.
	maxControl = 16
	// maxHandshakeMessages is how many messages a peer may send before its features reply.
	maxHandshakeMessages = 64
)

func (c ConnConfig) withDefaults() ConnConfig {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.EchoInterval <= 0 {
		c.EchoInterval = defaultEchoInterval
	}
	if c.HandshakeTimeout <= 0 {
		c.HandshakeTimeout = defaultHandshakeTimeout
	}
	if c.ReplyTimeout <= 0 {
		c.ReplyTimeout = defaultReplyTimeout
	}
	if c.MaxReply <= 0 {
		c.MaxReply = defaultMaxReply
	}
	return c
}
