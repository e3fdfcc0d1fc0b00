package controller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"poolwire/flowcompiler"
	"poolwire/southbound/openflow"
)

// retryDelay is how long an actor lets a failed attempt rest; it doubles up to
// maxRetryDelay while the failures go on.
const (
	retryDelay    = 200 * time.Millisecond
	maxRetryDelay = 10 * time.Second
)

var (
	errReplaced    = errors.New("controller: replaced by a newer session")
	errCrowded     = errors.New("controller: too many unclaimed sessions")
	errOtherBridge = errors.New("controller: the session is that of another bridge with the same datapath id")
	errWithdrawn   = errors.New("controller: everything was taken off the bridge")
	errNotLeading  = errors.New("controller: this node no longer leads")
)

// bridgeActor owns one bridge of one host: its OpenFlow session, what it
// should hold, and the proof that it does. One goroutine runs it.
type bridgeActor struct {
	lead       *leader
	host       *hostActor
	name       string
	datapathID uint64
	marks      *marks
	log        *slog.Logger
	cancel     context.CancelFunc
	done       chan struct{}
	state      atomic.Pointer[bridgeState]
	// withdrawals asks the running session to take everything of ours off the switch.
	withdrawals chan withdrawal

	// strangers are sessions under this bridge's datapath id that are another
	// bridge's. rescued is the session that was last looked at for a lifeline. Both
	// belong to the actor's goroutine.
	strangers map[*openflow.Switch]struct{}
	rescued   *openflow.Switch
	zones     zoneWork
}

// bridgeState is what others may know of a bridge: immutable once published.
type bridgeState struct {
	connected     bool
	wanted, held  int
	foreign       int
	shadowing     []string
	driftFound    uint64
	driftRepaired uint64
	// err is the last thing that went wrong; nil when all is well.
	err error
	// obstacle is why what is pending cannot be put in place although the session
	// is up: a flow that the switch refuses, for example.
	obstacle error
	session  *openflow.Switch
	// meters says whether the switch has meters. It stays known while the bridge is away.
	meters meterState
	// noTracker: its datapath cannot track connections in zones. It stays known too.
	noTracker bool
	// noAdverts: it cannot make neighbour advertisements. It stays known too.
	noAdverts bool
	// guards are those that the switch has confirmed, by the UUID of the peer; not to be written to.
	guards map[string]flowcompiler.Guard
	// copied names the ports that NORMAL should not flood to, flagless those that it still
	// does flood to.
	copied, flagless []string
	// unflushed are the conntrack zones that the switch has not flushed for the VIFs that
	// got them; not to be written to.
	unflushed map[uint16]unflushedZone
	// crowded are the VIFs with more rules than there is room for, by UUID; not to be
	// written to.
	crowded map[string][]crowd
}

// meterState says whether a switch has meters.
type meterState uint8

const (
	metersUnknown meterState = iota
	metersPresent
	metersMissing
)

func newBridgeActor(h *hostActor, name string, datapathID uint64) *bridgeActor {
	a := &bridgeActor{
		lead: h.lead, host: h, name: name, datapathID: datapathID, marks: newMarks(), done: make(chan struct{}),
		withdrawals: make(chan withdrawal),
		log:         h.log.With("bridge", name, "datapath_id", fmt.Sprintf("%016x", datapathID)),
	}
	a.state.Store(&bridgeState{})
	return a
}

// start runs the actor until stop.
func (a *bridgeActor) start(ctx context.Context) {
	ctx, a.cancel = context.WithCancel(ctx)
	go func() {
		defer close(a.done)
		a.run(ctx)
	}()
}

// stop ends the actor and waits for it.
func (a *bridgeActor) stop() {
	a.cancel()
	<-a.done
}

// update publishes a changed copy of the state.
func (a *bridgeActor) update(change func(*bridgeState)) {
	next := *a.state.Load()
	change(&next)
	a.state.Store(&next)
	a.lead.progressed()
}

// run serves one OpenFlow session after the other.
func (a *bridgeActor) run(ctx context.Context) {
	arrivals := a.lead.board.switches.watch(a.datapathID)
	defer a.lead.board.switches.unwatch(a.datapathID, arrivals)
	delay := retryDelay
	for ctx.Err() == nil {
		// Looked at before anything else: what comes later closes the channel.
		fresh, becomesFresh := a.host.freshness()
		sw, ok := a.newest()
		if ok && !fresh && sw != a.rescued {
			a.rescued = sw
			err := a.lifeline(ctx, sw)
			if errors.Is(err, errOtherBridge) {
				continue
			}
			if err != nil {
				a.log.Warn("no lifeline", "error", err)
			}
		}
		if fresh {
			becomesFresh = nil // it is closed, and would end every wait
		}
		if !ok || !fresh {
			a.await(ctx, arrivals, becomesFresh, 0)
			continue
		}
		started := time.Now()
		err := a.serve(ctx, sw, arrivals)
		var obstacle error
		if errors.Is(err, openflow.ErrStaleGeneration) {
			err = a.lead.deposed(ctx, err)
			obstacle = err
		}
		a.update(func(s *bridgeState) { s.connected, s.session, s.err, s.obstacle = false, nil, err, obstacle })
		switch {
		case ctx.Err() != nil || errors.Is(err, errWithdrawn):
			return
		case errors.Is(err, errReplaced) || errors.Is(err, errOtherBridge):
			continue
		case obstacle != nil:
			delay = maxRetryDelay
		case time.Since(started) > maxRetryDelay:
			delay = retryDelay
		}
		a.log.Warn("openflow session ended", "error", err)
		a.await(ctx, nil, nil, delay)
		delay = min(2*delay, maxRetryDelay)
	}
}

// newest is the most recent session that is this bridge's.
func (a *bridgeActor) newest() (*openflow.Switch, bool) {
	strangers := map[*openflow.Switch]struct{}{}
	var found *openflow.Switch
	for _, sw := range a.lead.board.switches.verified(a.datapathID, a.host.verify) {
		if _, strange := a.strangers[sw]; strange {
			strangers[sw] = struct{}{}
		} else if found == nil {
			found = sw
		}
	}
	a.strangers = strangers // those that ended are forgotten
	return found, found != nil
}

// await blocks until a session arrives, the host becomes fresh, the delay (if
// any) has passed or the actor is stopped.
func (a *bridgeActor) await(ctx context.Context, arrivals, becomesFresh <-chan struct{}, delay time.Duration) {
	var timer <-chan time.Time
	if delay > 0 {
		t := time.NewTimer(delay)
		defer t.Stop()
		timer = t.C
	}
	select {
	case <-ctx.Done():
	case <-arrivals:
	case <-becomesFresh:
	case <-timer:
	}
}

func (a *bridgeActor) newSync() *openflow.Sync {
	return openflow.NewSync(openflow.SyncConfig{Own: flowcompiler.Own, Ephemeral: flowcompiler.Ephemeral, Log: a.log})
}

// pendingRevision is the oldest change the bridge has not confirmed, 0 for none.
func (a *bridgeActor) pendingRevision() uint64 { return a.marks.oldest() }
