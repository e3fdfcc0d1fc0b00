package raftstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// Store is one node of the replicated state. All methods may be called from
// any goroutine.
type Store struct {
	cfg       Config
	log       *slog.Logger
	fsm       *fsm
	raft      *raft.Raft
	disk      *disk
	dog       *watchdog
	proof     *proof
	space     *space
	transport transport
	beats     heartbeats
	stream    *stream // nil without one
	// vouched is the leader that others name while this node hears none; nil while it does, empty when nobody does.
	vouched atomic.Pointer[string]

	// members is held by who changes the membership: see holdMembers.
	members chan struct{}

	lead    *leadership
	steward *steward
	verify  rounds[struct{}] // proofs that this node leads
	ask     rounds[uint64]   // questions to the leader

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	tasks  sync.WaitGroup
	closed sync.Once
	result error // of Close
}

// transportTimeout bounds one exchange between nodes.
const transportTimeout = 10 * time.Second

// Open opens a node and starts it. The state is that of the last snapshot; the
// rest of the log follows once a leader is known, so View may show an old
// state for a moment, and ReadView never does.
//
// Errors: ErrLocked when another process uses the directory; ctx's error when
// it ended first.
func Open(ctx context.Context, cfg Config) (_ *Store, err error) {
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s := &Store{cfg: cfg, log: cfg.Log, members: make(chan struct{}, 1)}
	if cfg.Stream != nil {
		s.stream = newStream(cfg.Stream, cfg.PeerID, cfg.Log)
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			err = fmt.Errorf("open store: %w", errors.Join(err, s.release()))
		}
	}()
	s.fsm = newFSM(cfg.Log)
	s.dog = newWatchdog(cfg.Raft.DiskStall)
	s.proof = newProof()
	if s.disk, err = openDisk(cfg, s.dog); err != nil {
		return nil, err
	}
	s.space = newSpace(cfg.Dir, cfg.Raft.DiskReserve)
	if _, err := s.space.look(); err != nil {
		return nil, err
	}
	if s.transport = s.newTransport(); cfg.wrapTransport != nil {
		s.transport = cfg.wrapTransport(s.transport)
	}
	if err := s.start(); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Store) newTransport() transport {
	if s.stream == nil {
		_, t := raft.NewInmemTransport(raft.ServerAddress(s.cfg.NodeID))
		return t
	}
	return raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream:  s.stream,
		MaxPool: 3,
		Timeout: transportTimeout,
		Logger:  newLogger(s.log, "transport"),
		// Pipelining starves a follower for good after one failed append
		// (hashicorp/raft issues 611 and 612).
		MaxRPCsInFlight:         1,
		MsgpackUseNewTimeFormat: true,
	})
}

// start bootstraps if asked to, starts Raft and follows leadership.
func (s *Store) start() error {
	rc, err := raftConfig(s.cfg)
	if err != nil {
		return err
	}
	if err := s.bootstrap(rc); err != nil {
		return fmt.Errorf("bootstrap: %w", err)
	}
	// Raft writes to this channel with its main loop stopped: the follower
	// below always reads, and the buffer covers the time before it runs.
	notify := make(chan bool, 64)
	rc.NotifyCh = notify
	wanted := rc.HeartbeatTimeout
	// One millisecond more, to be lowered below.
	rc.HeartbeatTimeout += time.Millisecond
	rc.ElectionTimeout = max(rc.ElectionTimeout, rc.HeartbeatTimeout)
	others := provingTransport{quietTransport{endingTransport{s.transport, &s.beats}, s.dog}, s.proof}
	s.raft, err = raft.NewRaft(rc, s.fsm, s.disk.logs, s.disk.stable, s.disk.snapshots, others)
	if err != nil {
		return err
	}
	if s.stream != nil {
		s.stream.members.Store(s.roster())
		s.tasks.Go(s.followMembers)
		if s.cfg.AskNode != nil {
			s.tasks.Go(s.seekLeader)
		}
	}
	s.lead = newLeadership()
	s.steward = newSteward(s)
	s.verify.round = func() (struct{}, error) { return struct{}{}, s.proveLeadership() }
	s.ask.round = s.askLeader
	s.tasks.Go(func() { s.followLeadership(notify) })
	s.tasks.Go(s.watchFSM)
	s.tasks.Go(func() { s.space.run(s.ctx, s.log, s.makeWay) })
	s.tasks.Go(func() { s.dog.run(s.ctx, func() bool { return !s.onlyVoter() }) })
	if s.onlyVoter() {
		// Lowering the heartbeat timeout makes a follower look at once whether
		// it has heard from a leader. The only voter cannot, and is elected
		// without waiting out the timeout.
		reload := s.raft.ReloadableConfig()
		reload.HeartbeatTimeout = wanted
		if err := s.raft.ReloadConfig(reload); err != nil {
			return err
		}
	}
	return nil
}

// bootstrap writes the first configuration into an empty directory.
func (s *Store) bootstrap(rc *raft.Config) error {
	if !s.cfg.Bootstrap {
		return nil
	}
	used, err := raft.HasExistingState(s.disk.logs, s.disk.stable, s.disk.snapshots)
	if err != nil || used {
		return err
	}
	return raft.BootstrapCluster(rc, s.disk.logs, s.disk.stable, s.disk.snapshots, s.transport, raft.Configuration{
		Servers: []raft.Server{{ID: rc.LocalID, Address: s.transport.LocalAddr()}},
	})
}

func (s *Store) onlyVoter() bool {
	voters := 0
	for _, server := range s.servers() {
		if server.Suffrage != raft.Voter {
			continue
		}
		if server.ID != raft.ServerID(s.cfg.NodeID) {
			return false
		}
		voters++
	}
	return voters == 1
}

// watchFSM takes the node out of the cluster when its state machine stops: it
// must neither lead nor write a snapshot that claims what it did not apply.
func (s *Store) watchFSM() {
	select {
	case <-s.fsm.failed:
		s.verify.close()
		_ = s.raft.Shutdown().Error() // of a shutdown there is none
	case <-s.ctx.Done():
	}
}

// Failed is closed when the node cannot go on (ErrStopped; see Err). The
// process should end.
func (s *Store) Failed() <-chan struct{} { return s.fsm.failed }

// Err says why the node cannot go on; nil while it can.
func (s *Store) Err() error { return s.fsm.err() }

// Close hands leadership over where there is someone to take it, stops the
// node and releases the directory. ctx bounds the hand-over only. Calls after
// the first return the same result.
func (s *Store) Close(ctx context.Context) error {
	s.closed.Do(func() {
		s.handOver(ctx)
		s.result = s.release()
	})
	return s.result
}

// makeWay hands over to a node whose disk is not full, where there is one.
func (s *Store) makeWay(ctx context.Context) {
	term, _ := s.lead.current()
	next, found := s.steward.successor()
	if term == 0 || !s.IsLeader() || !found {
		s.space.making.Store(nil)
		return
	}
	if m := s.space.making.Load(); m == nil || m.term != term {
		s.space.making.Store(&making{term: term, since: time.Now()})
	}
	s.transfer(ctx, func() raft.Future { return s.raft.LeadershipTransferToServer(next.ID, next.Address) })
}

// handOver transfers leadership, so that the others need not wait out the
// heartbeat timeout.
func (s *Store) handOver(ctx context.Context) {
	s.transfer(ctx, s.raft.LeadershipTransfer)
}

// transferPatience bounds the wait for a transfer, which Raft itself gives up after an election timeout. One whose end it
// does not tell must not keep a node from seeing that there is room on its disk again.
const transferPatience = 5 * time.Second

func (s *Store) transfer(ctx context.Context, begin func() raft.Future) {
	if s.raft.State() != raft.Leader || s.onlyVoter() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, transferPatience)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- begin().Error() }()
	select {
	case err := <-done:
		if err != nil {
			s.log.Warn("leadership was not handed over", "error", err)
		}
	case <-ctx.Done():
	}
}

// release stops what was started, in reverse order.
func (s *Store) release() error {
	s.cancel()
	// Before the end of Raft, which would leave a proof without an answer for ever.
	s.verify.close()
	s.ask.close()
	var errs []error
	if s.raft != nil {
		errs = append(errs, s.raft.Shutdown().Error())
	}
	s.beats.end()
	if s.fsm != nil {
		s.fsm.history.close()
	}
	s.tasks.Wait()
	switch t := s.transport.(type) {
	case *raft.NetworkTransport:
		t.CloseStreams() // connections to other nodes; Close leaves them open
		errs = append(errs, t.Close())
	case nil:
		if s.stream != nil {
			errs = append(errs, s.stream.Close())
		}
	}
	if s.disk != nil {
		errs = append(errs, s.disk.close())
	}
	return errors.Join(errs...)
}
