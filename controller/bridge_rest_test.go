package controller

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"sync/atomic"
	"testing"

	"poolwire/raftstore"
	"poolwire/southbound/openflow"
	"poolwire/southbound/openflow/openflowtest"
)

// A bridge of a host that was read, and that has no session of its own, looks for one when
// something arrives, and not all the time.
func TestABridgeWithoutASessionRests(t *testing.T) {
	t.Parallel()
	const id = 7
	k := newCluster(t)
	uuid := k.register(k.fake(1))
	ctx, cancel := context.WithCancel(context.Background())
	var looks atomic.Int64
	cfg := k.c.cfg
	cfg.Board = NewSwitchboard(BoardConfig{Log: slog.New(slog.DiscardHandler)})
	cfg.Verify = func(*raftstore.View, string, []*x509.Certificate) error {
		looks.Add(1)
		return errors.New("a stranger's")
	}
	// Somebody else waits for the same key, and so the stranger's session stays.
	other := cfg.Board.switches.watch(id)
	near, far := net.Pipe()
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = openflowtest.New(openflowtest.Config{DatapathID: id}).Serve(ctx, far)
	}()
	sw, err := openflow.Handshake(ctx, near, openflow.ConnConfig{})
	if err != nil {
		t.Fatal(err)
	}
	parked := make(chan struct{})
	go func() {
		defer close(parked)
		cfg.Board.AcceptSwitch(sw)
	}()
	<-other

	l := newLeader(ctx, &Controller{cfg: cfg, metrics: newMetrics(k.c)}, 1)
	h := newHostActor(l, uuid)
	h.setFresh()
	a := newBridgeActor(h, "xenbr0", id)
	a.start(ctx)
	defer func() {
		a.stop()
		sw.Close(nil)
		cancel()
		<-served
		<-parked
	}()
	const arrivals = 20
	for range arrivals {
		before := looks.Load()
		cfg.Board.switches.mu.Lock()
		cfg.Board.switches.wakeLocked(id)
		cfg.Board.switches.mu.Unlock()
		eventually(t, "the bridge has looked", func() bool { return looks.Load() > before })
	}
	if n := looks.Load(); n > 2*arrivals+2 {
		t.Fatalf("%d looks after %d arrivals", n, arrivals)
	}
}
