package openflow

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"sync"

	"poolwire/southbound/openflow/flow"
)

// syncState is what a Sync knows of the flows on its switch.
//
// There is one Sync per bridge session. It is made when a Switch is taken into
// use and dropped with it; it never outlives the connection in effect, because
// the first Incremental on another Switch is refused.
//
//	             Full                       diff not empty
//	UNKNOWN ------------> READING ---------------------------> WRITING
//	   ^                   |  |                                 |   |
//	   |   dump failed     |  | diff empty                      |   |
//	   +-------------------+  +-----------> SYNCHRONISED <------+   |
//	   |                                    |   ^    |   confirmed  |
//	   |             Incremental            |   +----+              |
//	   |             failed                 |   Incremental         |
//	   +------------------------------------+   confirmed           |
//	   +------------------------------------------------------------+
//	                      refused, or outcome unknown
type syncState uint8

const (
	// stateUnknown: nothing is known of the switch's flows: a new session, or a
	// change that failed. The switch goes on forwarding with the flows it has.
	//
	// Nothing has been sent, and nothing but Full may be: a delta computed from
	// what was once installed would leave flows behind that nobody knows of.
	stateUnknown syncState = iota

	// stateReading: a request for all flows of all tables has been sent.
	//
	//  - Reply parts: flows that are not ours are counted and remembered for the
	//    report. Flows the switch learned by our own rules are counted. Ours are
	//    kept for the diff.
	//  - Last part: diff against the desired flows. Empty: SYNCHRONISED, nothing is
	//    sent. Otherwise WRITING.
	//  - Error, connection lost, context over: UNKNOWN; nothing was changed.
	//
	// Everything desired is known before the first byte is sent, and nothing is
	// wiped first: between a wipe and the flows that replace it a bridge drops, or
	// in standalone mode lets through, every packet of its virtual machines.
	stateReading

	// stateWriting: one bundle with only the differences, and a barrier, have been sent.
	//
	//  - Bundle and barrier confirmed: SYNCHRONISED.
	//  - A flow refused: UNKNOWN. The bundle is atomic, so the switch still holds
	//    what it held; on a switch without bundles it may hold a part.
	//  - Connection lost or context over: UNKNOWN, and really so: the bundle may have
	//    been applied. Only reading again can tell (ErrUnknownOutcome).
	//
	// Meters and groups are outside bundles in Open vSwitch; none are used here.
	stateWriting

	// stateSynchronised: the switch holds the desired flows, confirmed by a barrier.
	//
	//  - Incremental sends one bundle with the delta. Confirmed: stays. Failed: UNKNOWN.
	//  - Full starts again at READING: that is how drift is found.
	stateSynchronised
)

// SyncConfig configures a Sync.
type SyncConfig struct {
	// Own tells our flows by their cookie. Flows it does not know are never touched.
	Own func(cookie uint64) bool
	// Ephemeral tells flows that the switch makes by itself from rules of ours (learn
	// actions). They are ours, but come and go: they are counted and left alone. May be nil.
	Ephemeral func(cookie uint64) bool
	// MaxReported bounds each list of flows in a Report; the counts are exact. Default 100.
	MaxReported int
	// Log may be nil.
	Log *slog.Logger
}

// Report says what a Full found and did.
type Report struct {
	// Installed is the number of our flows found, ephemeral ones not included.
	Installed int
	// Ephemeral is the number of learned flows found.
	Ephemeral int
	// Added, Modified and Deleted count the flow mods that were sent; all 0 when
	// nothing differed, or when Full failed.
	Added, Modified, Deleted int

	// ForeignCount is the number of flows of others; Foreign lists the first of them.
	ForeignCount int
	Foreign      []flow.Stats
	// ShadowingCount is the number of foreign flows that may win over ours: those in
	// a table where we have flows, of a priority not below the lowest of ours there.
	// In the table shared with others our lowest flow matches every packet, so what
	// is below it never takes effect. Shadowing lists the first of them.
	ShadowingCount int
	Shadowing      []flow.Stats
	// Displaced lists foreign flows of exactly the table, priority and match of a
	// flow of ours. A switch has room for one of them, and it is ours now.
	Displaced []flow.Stats
}

// Sync keeps the flows of one bridge equal to the desired ones. Its methods run
// one after the other.
type Sync struct {
	cfg SyncConfig

	mu    sync.Mutex
	state syncState
	// on is the session that state is about.
	on *Switch
}

// NewSync returns a Sync that knows nothing yet. cfg.Own is required.
func NewSync(cfg SyncConfig) *Sync {
	if cfg.Ephemeral == nil {
		cfg.Ephemeral = func(uint64) bool { return false }
	}
	if cfg.MaxReported <= 0 {
		cfg.MaxReported = 100
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Sync{cfg: cfg}
}

// Full reads every flow of the switch, compares ours with desired and sends one
// bundle with the differences, or nothing when there are none. desired is read
// once and not kept; every flow must have a cookie that Own knows.
//
// After an error the state of the switch is unknown and Full must be called
// again. The report then still says what was found, if the reading succeeded.
// Errors are those of [Switch.DumpFlows] and [Switch.Apply].
func (s *Sync) Full(ctx context.Context, sw *Switch, desired iter.Seq[flow.Flow]) (Report, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state, s.on = stateReading, sw
	delta, report, err := s.compare(ctx, sw, desired)
	if err != nil {
		s.state = stateUnknown
		return report, err
	}
	if !delta.Empty() {
		s.state = stateWriting
		if err := sw.Apply(ctx, delta); err != nil {
			s.state = stateUnknown
			return report, fmt.Errorf("changing %d flows: %w", delta.Len(), err)
		}
		report.Added, report.Modified, report.Deleted = len(delta.Add), len(delta.Modify), len(delta.Delete)
	}
	s.state = stateSynchronised
	s.cfg.Log.Debug("flows synchronised", "datapath_id", sw.DatapathID(), "installed", report.Installed, "added", report.Added,
		"modified", report.Modified, "deleted", report.Deleted, "foreign", report.ForeignCount)
	return report, nil
}

// Incremental sends a delta computed from what the last Full or Incremental on
// the same Switch left there. ErrNotSynchronised: there was none, or something
// failed since; nothing was sent. Other errors are those of [Switch.Apply]; after
// any of them Full must be called.
func (s *Sync) Incremental(ctx context.Context, sw *Switch, delta flow.Delta) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != stateSynchronised || s.on != sw {
		return ErrNotSynchronised
	}
	s.state = stateWriting
	if err := sw.Apply(ctx, delta); err != nil {
		s.state = stateUnknown
		return err
	}
	s.state = stateSynchronised
	return nil
}
