package openflow_test

import (
	"encoding/binary"
	"errors"
	"testing"

	"poolwire/southbound/openflow"
	"poolwire/southbound/openflow/flow"
	"poolwire/southbound/openflow/openflowtest"
)

// TestIncrementalAfterAFailure: once a change failed nothing incremental is sent
// on that session before the table was read again.
func TestIncrementalAfterAFailure(t *testing.T) {
	t.Parallel()
	fake := openflowtest.New(openflowtest.Config{Refuse: refuseBad})
	sw, ctx, sync := attach(t, fake, openflow.ConnConfig{}), testContext(t), newSync()
	if _, err := sync.Full(ctx, sw, each(manyFlows(3))); err != nil {
		t.Fatal(err)
	}
	var refused *openflow.FlowError
	if err := sync.Incremental(ctx, sw, flow.Delta{Add: []flow.Flow{testFlow(1, badPriority, 1)}}); !errors.As(err, &refused) {
		t.Errorf("bad flow: %v", err)
	}
	good := flow.Delta{Add: []flow.Flow{testFlow(1, 1, 1)}}
	if err := sync.Incremental(ctx, sw, good); !errors.Is(err, openflow.ErrNotSynchronised) {
		t.Errorf("after the failure: %v", err)
	}
	if r, err := sync.Full(ctx, sw, each(manyFlows(3))); err != nil || r.Installed != 3 || r.Added != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	if err := sync.Incremental(ctx, sw, good); err != nil || len(fake.Flows()) != 4 {
		t.Errorf("after Full: %v, %d flows", err, len(fake.Flows()))
	}
	// A Full that fails leaves the state unknown too.
	if _, err := sync.Full(ctx, sw, each([]flow.Flow{testFlow(1, badPriority, 1)})); !errors.As(err, &refused) {
		t.Errorf("full with a bad flow: %v", err)
	}
	if err := sync.Incremental(ctx, sw, good); !errors.Is(err, openflow.ErrNotSynchronised) {
		t.Errorf("after a failed Full: %v", err)
	}
}

// TestDeposedInTheMiddleOfABundle: another controller becomes master while ours
// fills. That is no flow's fault, and nothing is committed.
func TestDeposedInTheMiddleOfABundle(t *testing.T) {
	t.Parallel()
	added := 0
	fake := openflowtest.New(openflowtest.Config{Intercept: func(c *openflowtest.Session, m openflowtest.Message) bool {
		if m.Type != 4 || binary.BigEndian.Uint32(m.Body[4:]) != 2301 {
			return false
		}
		if added++; added < 5 {
			return false
		}
		_ = c.Write(msg(1, m.XID, "\x00\x01\x00\x0a"))
		return true
	}})
	sw := attach(t, fake, openflow.ConnConfig{})
	err := sw.Apply(testContext(t), flow.Delta{Add: manyFlows(20)})
	var refused *openflow.FlowError
	if !errors.Is(err, openflow.ErrSlave) || errors.As(err, &refused) || len(fake.Flows()) != 0 {
		t.Errorf("%v, %d flows", err, len(fake.Flows()))
	}
}
