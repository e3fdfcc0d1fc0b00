package gate_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"poolwire/southbound/gate"
)

// Who waits once more, and does not have to any longer, has its connection as it was, and may wait again.
func TestWaitingAgainCostsNoConnection(t *testing.T) {
	t.Parallel()
	g := gate.New(1)
	c, peer := pair(t, g)
	gate.Settled(c)
	if err := g.Enter(t.Context()); err != nil {
		t.Fatal(err)
	}
	why := errors.New("the lead is lost")
	for range 2 {
		ctx, cancel := context.WithCancelCause(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- gate.Again(ctx, c) }()
		eventually(t, "it waits", func() bool { return g.Waiting() == 1 })
		cancel(why)
		if err := <-ended; !errors.Is(err, why) || g.Waiting() != 0 {
			t.Fatalf("it ended with %v, %d wait", err, g.Waiting())
		}
	}
	say(t, peer, "hello")
	b := make([]byte, 16)
	// There is no place, and it needs none.
	if n, err := c.Read(b); err != nil || string(b[:n]) != "hello" {
		t.Fatalf("read %q, %v", b[:n], err)
	}
	g.Leave()
	if err := gate.Again(t.Context(), c); err != nil || g.Running() != 1 {
		t.Fatalf("%v, %d running", err, g.Running())
	}
	gate.Settled(c)
	gone, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	// Whether it is its turn or the end that is seen first, no place is kept.
	for range 100 {
		if err := gate.Again(gone, c); !errors.Is(err, why) {
			t.Fatal(err)
		}
	}
	if g.Running() != 0 || g.Waiting() != 0 {
		t.Errorf("left behind: %d running, %d waiting", g.Running(), g.Waiting())
	}
	if err := c.SetDeadline(time.Now()); err != nil {
		t.Errorf("the connection: %v", err)
	}
}

// Who waits once more on a connection that is closed is told at once.
func TestWaitingAgainEndsWithTheConnection(t *testing.T) {
	t.Parallel()
	g := gate.New(1)
	c, _ := pair(t, g)
	gate.Settled(c)
	if err := g.Enter(t.Context()); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- gate.Again(t.Context(), c) }()
	eventually(t, "it waits", func() bool { return g.Waiting() == 1 })
	_ = c.Close()
	if err := <-ended; err == nil || g.Waiting() != 0 {
		t.Errorf("it ended with %v, %d wait", err, g.Waiting())
	}
	g.Leave()
	if g.Running() != 0 {
		t.Errorf("%d running", g.Running())
	}
}
