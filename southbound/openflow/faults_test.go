package openflow_test

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"poolwire/southbound/openflow"
	"poolwire/southbound/openflow/flow"
	"poolwire/southbound/openflow/openflowtest"
)

// bundleControl returns the kind of a bundle control message, or -1.
func bundleControl(m openflowtest.Message) int {
	if m.Type == 4 && len(m.Body) == 16 && binary.BigEndian.Uint32(m.Body[4:]) == 2300 {
		return int(binary.BigEndian.Uint16(m.Body[12:]))
	}
	return -1
}

const (
	ctlOpen    = 0
	ctlClose   = 2
	ctlCommit  = 4
	ctlDiscard = 6
)

// TestEqualSendsNothing counts messages on the wire: not even an empty bundle.
func TestEqualSendsNothing(t *testing.T) {
	t.Parallel()
	fake := openflowtest.New(openflowtest.Config{})
	sw, ctx, sync := attach(t, fake, openflow.ConnConfig{}), testContext(t), newSync()
	want := manyFlows(500)
	fake.Install(want...)
	if _, err := sync.Full(ctx, sw, each(want)); err != nil {
		t.Fatal(err)
	}
	if err := sync.Incremental(ctx, sw, flow.Delta{}); err != nil {
		t.Fatal(err)
	}
	if got := (openflowtest.Counters{Connections: 1, Dumps: 1}); fake.Counters() != got {
		t.Errorf("the switch was asked for %+v", fake.Counters())
	}

	// After a reconnect, with three differences: three flow mods in one bundle.
	fake.Remove(want[0].Key())
	stray := testFlow(50, 1, 9999)
	changed := want[1]
	changed.Instructions = flow.Apply(flow.Output(4))
	fake.Install(stray, changed)
	fake.Disconnect()
	ended(t, sw)
	sw = attach(t, fake, openflow.ConnConfig{})
	if r, err := sync.Full(ctx, sw, each(want)); err != nil || r.Added != 1 || r.Modified != 1 || r.Deleted != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	if got := fake.Counters(); got.FlowMods != 3 || got.Commits != 1 || got.Barriers != 1 {
		t.Errorf("the switch was asked for %+v", got)
	}
}

func TestFlowRefusedWhenAddedToTheBundle(t *testing.T) {
	t.Parallel()
	var commits atomic.Int32
	fake := openflowtest.New(openflowtest.Config{
		Refuse: func(f flow.Flow, _ flow.Command) *openflowtest.Refusal {
			if f.Priority == badPriority {
				return &openflowtest.Refusal{Type: 4, Code: 6, WhenAdded: true}
			}
			return nil
		},
		Intercept: func(_ *openflowtest.Session, m openflowtest.Message) bool {
			if bundleControl(m) == ctlCommit {
				commits.Add(1)
			}
			return false
		},
	})
	sw := attach(t, fake, openflow.ConnConfig{})
	add := append(manyFlows(20), testFlow(1, badPriority, 7), testFlow(1, badPriority, 8))
	err := sw.Apply(testContext(t), flow.Delta{Add: append(add, manyFlows(40)[20:]...)})
	var refused *openflow.FlowError
	if !errors.As(err, &refused) || refused.Flow != add[20] || refused.Others != 1 || refused.Name() != "OFPBMC_BAD_FIELD" {
		t.Errorf("error %v", err)
	}
	// A switch commits what it could decode; so the commit must not even be asked for.
	if commits.Load() != 0 || len(fake.Flows()) != 0 {
		t.Errorf("%d commits, %d flows", commits.Load(), len(fake.Flows()))
	}
}

// TestUnknownOutcome cuts the connection right after the commit arrived, with
// the bundle applied or not: we cannot tell, must say so, and find out by reading.
func TestUnknownOutcome(t *testing.T) {
	t.Parallel()
	for _, applied := range []bool{false, true} {
		cut := atomic.Bool{}
		cut.Store(true)
		var fake *openflowtest.Switch
		fake = openflowtest.New(openflowtest.Config{Intercept: func(c *openflowtest.Session, m openflowtest.Message) bool {
			if bundleControl(m) != ctlCommit || !cut.Load() {
				return false
			}
			if applied {
				fake.Install(manyFlows(10)...)
			}
			c.Close()
			return true
		}})
		sw, ctx, sync := attach(t, fake, openflow.ConnConfig{}), testContext(t), newSync()
		_, err := sync.Full(ctx, sw, each(manyFlows(10)))
		if !errors.Is(err, openflow.ErrUnknownOutcome) {
			t.Errorf("applied %v: error %v", applied, err)
		}
		cut.Store(false)
		sw = attach(t, fake, openflow.ConnConfig{})
		if err := sync.Incremental(ctx, sw, flow.Delta{}); !errors.Is(err, openflow.ErrNotSynchronised) {
			t.Errorf("applied %v: incremental after an unknown outcome: %v", applied, err)
		}
		r, err := sync.Full(ctx, sw, each(manyFlows(10)))
		if err != nil || len(fake.Flows()) != 10 || (r.Added == 0) != applied {
			t.Errorf("applied %v: %+v, %v", applied, r, err)
		}
	}
}

// TestGivingUp ends the caller's context at each step of a bundle.
func TestGivingUp(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		at      int
		unknown bool
	}{{"open", ctlOpen, false}, {"close", ctlClose, false}, {"commit", ctlCommit, true}} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(testContext(t))
			opened, unanswered, deaf := 0, 0, false
			fake := openflowtest.New(openflowtest.Config{Intercept: func(_ *openflowtest.Session, m openflowtest.Message) bool {
				if bundleControl(m) == ctlOpen {
					opened++ // the first is the probe
				}
				if deaf && m.Type == 4 {
					deaf = bundleControl(m) != ctlDiscard
					return deaf // the rest of a bundle whose opening was not answered
				}
				if m.Type == 20 && unanswered > 0 {
					unanswered--
					return true // the barrier behind a commit that is not answered
				}
				if bundleControl(m) != test.at || opened < 2 || ctx.Err() != nil {
					return false
				}
				switch test.at {
				case ctlOpen:
					deaf = true
				case ctlCommit:
					unanswered = 1
				}
				cancel()
				return true
			}})
			sw := attach(t, fake, openflow.ConnConfig{})
			err := sw.Apply(ctx, flow.Delta{Add: manyFlows(10)})
			if !errors.Is(err, context.Canceled) || errors.Is(err, openflow.ErrUnknownOutcome) != test.unknown {
				t.Errorf("error %v", err)
			}
			if len(fake.Flows()) != 0 {
				t.Errorf("%d flows", len(fake.Flows()))
			}
			// Late answers to what was given up disturb nothing that follows.
			if err := sw.Apply(testContext(t), flow.Delta{Add: manyFlows(5)}); err != nil || len(fake.Flows()) != 5 {
				t.Errorf("afterwards: %v, %d flows", err, len(fake.Flows()))
			}
		})
	}
}

func TestSwitchWithoutBundles(t *testing.T) {
	t.Parallel()
	var order []uint8
	fake := openflowtest.New(openflowtest.Config{NoBundles: true, Refuse: func(f flow.Flow, cmd flow.Command) *openflowtest.Refusal {
		order = append(order, f.Table)
		return refuseBad(f, cmd)
	}})
	sw, ctx := attach(t, fake, openflow.ConnConfig{}), testContext(t)
	first := []flow.Flow{testFlow(0, 1, 1), testFlow(40, 1, 2), testFlow(10, 1, 3)}
	if err := sw.Apply(ctx, flow.Delta{Add: first}); err != nil {
		t.Fatal(err)
	}
	err := sw.Apply(ctx, flow.Delta{Add: []flow.Flow{testFlow(5, badPriority, 4), testFlow(50, 1, 5)}, Delete: first})
	var refused *openflow.FlowError
	if !errors.As(err, &refused) || !refused.Applied || refused.Flow.Priority != badPriority {
		t.Errorf("error %v", err)
	}
	// Additions from the last table to the first, then deletions from the first to the last.
	if want := []uint8{40, 10, 0, 50, 5, 0, 10, 40}; !slices.Equal(order, want) {
		t.Errorf("tables in order %v, want %v", order, want)
	}
	if got := fake.Counters(); got.Barriers != 2 || len(fake.Flows()) != 1 {
		t.Errorf("%+v, %d flows", got, len(fake.Flows()))
	}
}

// TestSilence: an open connection over which nothing comes any more ends after
// three intervals, and a request on it with it. The clock is the test's.
func TestSilence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mute atomic.Bool
		var probes atomic.Int32
		fake := openflowtest.New(openflowtest.Config{Intercept: func(_ *openflowtest.Session, m openflowtest.Message) bool {
			if m.Type == 2 {
				probes.Add(1)
			}
			return mute.Load()
		}})
		sw := attach(t, fake, openflow.ConnConfig{EchoInterval: time.Second})
		<-time.After(time.Hour) // on the bubble's clock
		if err := sw.Err(); err != nil || probes.Load() < 1000 {
			t.Fatalf("after an hour of echoes: %v, %d probes", err, probes.Load())
		}
		mute.Store(true)
		started := time.Now()
		if err := sw.Barrier(t.Context()); !errors.Is(err, openflow.ErrEchoTimeout) {
			t.Errorf("barrier: %v", err)
		}
		if took := time.Since(started); took < 2*time.Second || took > 5*time.Second {
			t.Errorf("took %v", took)
		}
		if err := ended(t, sw); !errors.Is(err, openflow.ErrEchoTimeout) {
			t.Errorf("connection: %v", err)
		}
	})
}

// TestRequestNeverAnswered: a peer that is alive but keeps one answer to itself.
func TestRequestNeverAnswered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fake := openflowtest.New(openflowtest.Config{Intercept: func(_ *openflowtest.Session, m openflowtest.Message) bool {
			return m.Type == 20
		}})
		sw := attach(t, fake, openflow.ConnConfig{ReplyTimeout: time.Minute})
		started := time.Now()
		if err := sw.Barrier(t.Context()); !errors.Is(err, openflow.ErrReplyTimeout) {
			t.Errorf("barrier: %v", err)
		}
		if took := time.Since(started); took < time.Minute || took > 2*time.Minute {
			t.Errorf("took %v", took)
		}
	})
}

// TestPeerThatDoesNotRead: back-pressure ends in the write deadline, not in memory.
func TestPeerThatDoesNotRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		stop := make(chan struct{})
		fake := openflowtest.New(openflowtest.Config{Intercept: func(_ *openflowtest.Session, m openflowtest.Message) bool {
			if m.Type == 4 && bundleControl(m) == -1 {
				<-stop
			}
			return false
		}})
		sw := attach(t, fake, openflow.ConnConfig{EchoInterval: time.Second})
		started := time.Now()
		err := sw.Apply(t.Context(), flow.Delta{Add: manyFlows(5000)})
		if err == nil || errors.Is(err, openflow.ErrUnknownOutcome) {
			t.Errorf("apply: %v", err)
		}
		if took := time.Since(started); took > 10*time.Second {
			t.Errorf("took %v", took)
		}
		close(stop)
	})
}

// TestReplyThatDoesNotEnd: parts without a last one are cut off by their total.
func TestReplyThatDoesNotEnd(t *testing.T) {
	t.Parallel()
	fake := openflowtest.New(openflowtest.Config{Intercept: func(c *openflowtest.Session, m openflowtest.Message) bool {
		if m.Type != 18 {
			return false
		}
		part := append([]byte{4, 19, 0, 16 + 64, m.Raw[4], m.Raw[5], m.Raw[6], m.Raw[7], 0, 13, 0, 1, 0, 0, 0, 0}, make([]byte, 64)...)
		for c.Write(part) == nil {
		}
		return true
	}})
	sw := attach(t, fake, openflow.ConnConfig{MaxReply: 100_000})
	if _, err := sw.Ports(testContext(t)); !errors.Is(err, openflow.ErrReplyTooLarge) {
		t.Errorf("ports: %v", err)
	}
	if err := ended(t, sw); !errors.Is(err, openflow.ErrReplyTooLarge) {
		t.Errorf("connection: %v", err)
	}
}

// TestManyCallers uses one connection from many goroutines at once.
func TestManyCallers(t *testing.T) {
	t.Parallel()
	fake := openflowtest.New(openflowtest.Config{Ports: fakePorts(), PartBytes: 500})
	sw, ctx := attach(t, fake, openflow.ConnConfig{}), testContext(t)
	const callers = 100
	errs := make(chan error, 4*callers)
	for i := range callers {
		go func() { errs <- sw.Barrier(ctx) }()
		go func() {
			ports, err := sw.Ports(ctx)
			if err == nil && len(ports) != 5 {
				err = errors.New("wrong ports")
			}
			errs <- err
		}()
		go func() { _, err := sw.DumpFlows(ctx, openflow.FlowFilter{Table: openflow.TableAll}); errs <- err }()
		go func() {
			errs <- sw.Apply(ctx, flow.Delta{Add: []flow.Flow{testFlow(1, 1, i)}})
		}()
	}
	for range 4 * callers {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if len(fake.Flows()) != callers {
		t.Errorf("%d flows", len(fake.Flows()))
	}
}

// TestOneBundleAtATime: bundles of concurrent callers never overlap.
func TestOneBundleAtATime(t *testing.T) {
	t.Parallel()
	open, most := 0, 0
	fake := openflowtest.New(openflowtest.Config{Intercept: func(_ *openflowtest.Session, m openflowtest.Message) bool {
		switch bundleControl(m) {
		case ctlOpen:
			open++
			most = max(most, open)
		case ctlCommit, ctlDiscard:
			open--
		}
		return false
	}})
	sw, ctx := attach(t, fake, openflow.ConnConfig{}), testContext(t)
	errs := make(chan error, 20)
	for i := range 20 {
		go func() { errs <- sw.Apply(ctx, flow.Delta{Add: manyFlows(20 * (i + 1))[20*i:]}) }()
	}
	for range 20 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if most != 1 {
		t.Errorf("%d bundles open at once", most)
	}
}

// TestSlaveDoesNotForgetBundles: what a slave is refused says nothing about what
// the switch can do once the connection is master.
func TestSlaveDoesNotForgetBundles(t *testing.T) {
	t.Parallel()
	fake := openflowtest.New(openflowtest.Config{})
	sw, ctx := attach(t, fake, openflow.ConnConfig{}), testContext(t)
	if err := sw.SetRole(ctx, openflow.RoleSlave, 1); err != nil {
		t.Fatal(err)
	}
	if err := sw.Apply(ctx, flow.Delta{Add: manyFlows(2)}); !errors.Is(err, openflow.ErrSlave) {
		t.Errorf("slave: %v", err)
	}
	if err := sw.SetRole(ctx, openflow.RoleMaster, 2); err != nil {
		t.Fatal(err)
	}
	if err := sw.Apply(ctx, flow.Delta{Add: manyFlows(2)}); err != nil || fake.Counters().Commits != 1 {
		t.Errorf("master: %v, %+v", err, fake.Counters())
	}
}

func TestPortEvents(t *testing.T) {
	t.Parallel()
	fake := openflowtest.New(openflowtest.Config{Ports: fakePorts()})
	sw, ctx := attach(t, fake, openflow.ConnConfig{}), testContext(t)
	select {
	case <-sw.PortEvents():
		t.Error("event before any change")
	default:
	}
	for n := range uint32(50) {
		fake.SetPort(openflow.Port{Number: 100 + n, Name: "tap"})
		fake.RemovePort(100 + n)
	}
	if err := sw.Barrier(ctx); err != nil {
		t.Fatal(err)
	}
	select {
	case <-sw.PortEvents():
	case <-ctx.Done():
		t.Fatal("no event")
	}
	select {
	case <-sw.PortEvents():
		t.Error("changes before the barrier came as two events")
	default:
	}
}

func TestForeignCookieIsNeverInstalled(t *testing.T) {
	t.Parallel()
	fake := openflowtest.New(openflowtest.Config{})
	sw := attach(t, fake, openflow.ConnConfig{})
	alien := testFlow(1, 1, 1)
	alien.Cookie = 1
	if _, err := newSync().Full(testContext(t), sw, each([]flow.Flow{alien})); err == nil || len(fake.Flows()) != 0 {
		t.Errorf("error %v, %d flows", err, len(fake.Flows()))
	}
}

func TestDisplacedFlowIsReported(t *testing.T) {
	t.Parallel()
	fake := openflowtest.New(openflowtest.Config{})
	sw, ours := attach(t, fake, openflow.ConnConfig{}), testFlow(1, 1, 1)
	theirs := ours
	theirs.Cookie = 1
	fake.Install(theirs)
	r, err := newSync().Full(testContext(t), sw, each([]flow.Flow{ours}))
	if err != nil || len(r.Displaced) != 1 || r.Displaced[0].Flow != theirs || r.ShadowingCount != 0 || r.Added != 1 {
		t.Errorf("%+v, %v", r, err)
	}
}
