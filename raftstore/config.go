package raftstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

// Config says how to open a store.
type Config struct {
	// NodeID names this node among the others for ever, whatever its
	// addresses; 1 to 128 bytes without "/". Required.
	NodeID string
	// Dir holds the log and the snapshots; it is made when missing. One process
	// uses it at a time, and always with the same NodeID. Required.
	Dir string
	// Bootstrap makes this node the only voter of a new cluster when Dir is
	// empty. It does nothing on a directory that was used before.
	Bootstrap bool
	// ClusterName is the name that a cluster made by Bootstrap gets.
	ClusterName string

	// Stream carries Raft between nodes; its Addr is the address the others
	// dial. The store closes it. nil: a node that talks to nobody.
	Stream raft.StreamLayer
	// PeerID returns the id of the node at the other end of a connection of Stream, accepted or
	// dialled, as it has proved it. nil: connections prove nothing, and none is refused.
	PeerID func(net.Conn) (string, error)
	// APIAddress, OpenFlowAddress and Version are published to the other nodes
	// (poolwirev1.Node) whenever this node leads. Nothing is published while
	// APIAddress is empty.
	APIAddress, OpenFlowAddress, Version string

	// AskNode asks the node behind an API address how it is doing; ctx bounds it. nil: nobody
	// is asked, and membership changes only by calls.
	AskNode func(ctx context.Context, apiAddr string) (*poolwirev1.NodeStatus, error)

	// Introducers are API addresses of nodes that the operator says are the cluster's: they are believed about who leads
	// it, as are members that this node knows.
	Introducers []string

	// SecretKeys are the ids of the keys that this node can open sealed values with; nil for none.
	SecretKeys func() []string

	// AskRevision asks the leading node, by its API address, for the revision of its ReadView; ctx
	// bounds it. An error that is errors.ErrUnsupported says that the node's version cannot tell. nil:
	// CurrentView works on the leader only.
	AskRevision func(ctx context.Context, apiAddr string) (uint64, error)

	// Raft tunes consensus; zero values mean the defaults.
	Raft RaftOptions

	// wrapLogs puts something between Raft's log and the disk, in tests.
	wrapLogs func(raft.LogStore) raft.LogStore
	// wrapTransport puts something between Raft and the others, in tests.
	wrapTransport func(transport) transport

	// Log receives what Raft and the store have to say. Default: discarded.
	Log *slog.Logger
	// Now is the clock for the time of commands. Default time.Now.
	Now func() time.Time
	// NewUUID makes UUIDs for resources created without one. Default random
	// (RFC 9562, version 4).
	NewUUID func() string
}

// RaftOptions tunes consensus. Zero values mean the defaults.
type RaftOptions struct {
	// HeartbeatTimeout is how long a follower waits for the leader before it
	// starts an election; at least 5 ms, default 500 ms. A node that is the
	// only voter does not wait.
	HeartbeatTimeout time.Duration
	// ElectionTimeout is how long a candidate waits for votes; at least
	// HeartbeatTimeout, which is the default.
	ElectionTimeout time.Duration
	// LeaseTimeout is how long a leader stays one without hearing from a
	// majority; at most HeartbeatTimeout, default 4/5 of it.
	LeaseTimeout time.Duration
	// CommitTimeout is how long a leader waits before it tells followers about
	// a commit by an empty message, at random up to twice that; default 10 ms. A read
	// on a follower that comes right after a write waits for this message.
	CommitTimeout time.Duration
	// StewardInterval is how often the leader looks at the other nodes; default 1 s.
	StewardInterval time.Duration
	// Stabilization is how long a learner must have been healthy before it votes; default 3 s.
	Stabilization time.Duration
	// DiskStall is how long a write to the disk may take before the node falls silent
	// so that others lead; default five times HeartbeatTimeout.
	DiskStall time.Duration
	// DiskReserve is how many bytes must be free on the file system of Dir for the node
	// to take writes; default four times SegmentSize.
	DiskReserve uint64
	// SnapshotThreshold is how many entries the log grows by before a snapshot;
	// default 8192.
	SnapshotThreshold uint64
	// SnapshotInterval is how often the threshold is looked at; default 120 s,
	// randomly up to twice that.
	SnapshotInterval time.Duration
	// TrailingLogs is how many entries stay in the log after a snapshot, for
	// followers that are slightly behind; default 10240, at least 1.
	TrailingLogs uint64
	// SegmentSize is the size of a file of the log in bytes; files are
	// allocated as a whole. Default 64 MiB.
	SegmentSize int
}

const (
	defaultHeartbeat = 500 * time.Millisecond
	defaultCommit    = 10 * time.Millisecond
	// retainSnapshots is how many snapshots are kept.
	retainSnapshots = 2
	// logCache is how many entries are kept in memory for followers.
	logCache = 512
	// maxAppendEntries bounds a batch of entries, and with it how many
	// concurrent writers share one fsync.
	maxAppendEntries = 256
)

// check fills the defaults and refuses what cannot work.
func (c *Config) check() error {
	if err := checkKey("node id", c.NodeID); err != nil {
		return err
	}
	if c.Dir == "" {
		return errors.New("no directory given")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.NewUUID == nil {
		c.NewUUID = uuid.NewString
	}
	r := &c.Raft
	if r.HeartbeatTimeout == 0 {
		r.HeartbeatTimeout = defaultHeartbeat
	}
	if r.ElectionTimeout == 0 {
		r.ElectionTimeout = r.HeartbeatTimeout
	}
	if r.LeaseTimeout == 0 {
		r.LeaseTimeout = r.HeartbeatTimeout * 4 / 5
	}
	if r.CommitTimeout == 0 {
		r.CommitTimeout = defaultCommit
	}
	if r.StewardInterval == 0 {
		r.StewardInterval = time.Second
	}
	if r.Stabilization == 0 {
		r.Stabilization = 3 * time.Second
	}
	if r.DiskStall == 0 {
		r.DiskStall = 5 * r.HeartbeatTimeout
	}
	if r.SegmentSize == 0 {
		r.SegmentSize = wal.DefaultSegmentSize
	}
	if r.DiskReserve == 0 {
		r.DiskReserve = 4 * uint64(r.SegmentSize)
	}
	if _, err := raftConfig(*c); err != nil {
		return fmt.Errorf("raft options: %w", err)
	}
	return nil
}

// raftConfig makes the configuration of the library.
func raftConfig(c Config) (*raft.Config, error) {
	rc := raft.DefaultConfig()
	rc.LocalID = raft.ServerID(c.NodeID)
	rc.HeartbeatTimeout = c.Raft.HeartbeatTimeout
	rc.ElectionTimeout = c.Raft.ElectionTimeout
	rc.LeaderLeaseTimeout = c.Raft.LeaseTimeout
	rc.MaxAppendEntries = maxAppendEntries
	rc.NoLegacyTelemetry = true
	rc.Logger = newLogger(c.Log, "raft")
	rc.CommitTimeout = c.Raft.CommitTimeout
	if c.Raft.SnapshotThreshold != 0 {
		rc.SnapshotThreshold = c.Raft.SnapshotThreshold
	}
	if c.Raft.SnapshotInterval != 0 {
		rc.SnapshotInterval = c.Raft.SnapshotInterval
	}
	if c.Raft.TrailingLogs != 0 {
		rc.TrailingLogs = c.Raft.TrailingLogs
	}
	return rc, raft.ValidateConfig(rc)
}
