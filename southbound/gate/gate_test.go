package gate_test

import (
	"context"
	"errors"
	"net"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"poolwire/southbound/gate"
)

// eventually waits until fact is true.
func eventually(t *testing.T, what string, fact func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); !fact(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func TestNoMoreAreAtWorkThanThereArePlaces(t *testing.T) {
	t.Parallel()
	const places, workers = 3, 50
	g := gate.New(places)
	var at, peak atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			if err := g.Enter(t.Context()); err != nil {
				t.Error(err)
				return
			}
			defer g.Leave()
			now := at.Add(1)
			defer at.Add(-1)
			for was := peak.Load(); now > was && !peak.CompareAndSwap(was, now); was = peak.Load() {
			}
			runtime.Gosched() // so that others come while this one is at work
		})
	}
	wg.Wait()
	if n := peak.Load(); n > places {
		t.Errorf("%d at work, %d places", n, places)
	}
	if g.Running() != 0 || g.Waiting() != 0 {
		t.Errorf("left behind: %d running, %d waiting", g.Running(), g.Waiting())
	}
}

func TestWaitingEndsWithItsContext(t *testing.T) {
	t.Parallel()
	g := gate.New(1)
	if err := g.Enter(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	why := errors.New("enough")
	cancel(why)
	if err := g.Enter(ctx); !errors.Is(err, why) {
		t.Fatalf("got %v", err)
	}
	g.Leave()
	var none *gate.Gate
	if err := none.Enter(ctx); err != nil {
		t.Fatalf("no gate: %v", err)
	}
	none.Leave()
}

// pair is a connection, and its peer's end.
func pair(t *testing.T, g *gate.Gate) (c net.Conn, peer net.Conn) {
	t.Helper()
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := g.Listener(plain)
	defer func() { _ = l.Close() }()
	if peer, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if c, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Close()
		_ = peer.Close()
	})
	return c, peer
}

func say(t *testing.T, c net.Conn, what string) {
	t.Helper()
	if _, err := c.Write([]byte(what)); err != nil {
		t.Fatal(err)
	}
}

// A peer that says something and then nothing any more holds up nobody.
func TestAPeerThatStallsHoldsNoPlace(t *testing.T) {
	t.Parallel()
	g := gate.New(1)
	stalls, its := pair(t, g)
	say(t, its, "hello")
	if err := gate.Await(t.Context(), stalls, time.Minute); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 16)
	if n, err := stalls.Read(b); err != nil || string(b[:n]) != "hello" || g.Running() != 1 {
		t.Fatalf("read %q, %v; %d running", b[:n], err, g.Running())
	}
	ended := make(chan error, 1)
	go func() {
		_, err := stalls.Read(b)
		ended <- err
	}()
	other, mine := pair(t, g)
	say(t, mine, "hello")
	if err := gate.Await(t.Context(), other, time.Minute); err != nil {
		t.Fatal(err)
	}
	if g.Running() != 1 {
		t.Fatalf("%d running", g.Running())
	}
	say(t, its, "late") // its turn comes after the other one's
	eventually(t, "the first one waits", func() bool { return g.Waiting() == 1 })
	gate.Settled(other)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if err := stalls.Close(); err != nil || g.Running() != 0 {
		t.Fatalf("closed: %v, %d running", err, g.Running())
	}
}

func TestASettledConnectionTakesNoPlaces(t *testing.T) {
	t.Parallel()
	g := gate.New(1)
	c, peer := pair(t, g)
	gate.Settled(c)
	if err := g.Enter(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer g.Leave()
	say(t, peer, "x")
	if _, err := c.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if g.Running() != 1 || g.Waiting() != 0 {
		t.Fatalf("%d running, %d waiting", g.Running(), g.Waiting())
	}
}

// No work is done for a peer whose patience has ended, and it takes up no room in line.
func TestAPeerThatHungUpIsFoundOut(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]bool{"when its turn comes": true, "in line": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hangUp(t, leave, func(_, peer net.Conn) error { return peer.Close() })
		})
	}
	// As who bounds connections does, who knows nothing of turns.
	t.Run("closed below", func(t *testing.T) {
		t.Parallel()
		hangUp(t, false, func(c, _ net.Conn) error { return c.(*gate.Conn).NetConn().Close() })
	})
}

func hangUp(t *testing.T, leave bool, end func(c, peer net.Conn) error) {
	t.Helper()
	g := gate.New(1)
	if err := g.Enter(t.Context()); err != nil {
		t.Fatal(err)
	}
	c, peer := pair(t, g)
	say(t, peer, "hello")
	result := make(chan error, 1)
	go func() { result <- gate.Await(context.Background(), c, time.Minute) }()
	eventually(t, "it waits", func() bool { return g.Waiting() == 1 })
	if err := end(c, peer); err != nil {
		t.Fatal(err)
	}
	if leave {
		g.Leave()
	}
	if err := <-result; !errors.Is(err, gate.ErrHungUp) || g.Abandoned() != 1 || g.Waiting() != 0 {
		t.Fatalf("got %v, %d abandoned, %d waiting", err, g.Abandoned(), g.Waiting())
	}
}

func TestAwaitEndsWithSilenceAndWithItsContext(t *testing.T) {
	t.Parallel()
	g := gate.New(1)
	silent, _ := pair(t, g)
	if err := gate.Await(t.Context(), silent, time.Millisecond); err == nil {
		t.Fatal("a silent peer was waited for")
	}
	if err := g.Enter(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer g.Leave()
	c, peer := pair(t, g)
	say(t, peer, "hello")
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() { result <- gate.Await(ctx, c, time.Minute) }()
	eventually(t, "it waits", func() bool { return g.Waiting() == 1 })
	cancel()
	if err := <-result; !errors.Is(err, net.ErrClosed) {
		t.Fatalf("got %v", err)
	}
}

// What was begun is finished before more is begun, and still newcomers get their turns.
func TestThoseUnderWayComeFirst(t *testing.T) {
	t.Parallel()
	const underWay, newcomers = 9, 2
	g := gate.New(1)
	if err := g.Enter(t.Context()); err != nil {
		t.Fatal(err)
	}
	served := make(chan string, underWay+newcomers)
	for i := range newcomers {
		c, peer := pair(t, g)
		say(t, peer, "hello")
		go func() {
			if err := gate.Await(context.Background(), c, time.Minute); err != nil {
				t.Error(err)
			}
			served <- "newcomer"
			gate.Settled(c)
		}()
		eventually(t, "the newcomer waits", func() bool { return g.Waiting() == i+1 })
	}
	for i := range underWay {
		go func() {
			if err := g.Enter(context.Background()); err != nil {
				t.Error(err)
			}
			served <- "under way"
			g.Leave()
		}()
		eventually(t, "it waits", func() bool { return g.Waiting() == newcomers+i+1 })
	}
	g.Leave()
	var before []int
	for i := range underWay + newcomers {
		if <-served == "newcomer" {
			before = append(before, i)
		}
	}
	// Every fourth turn at the latest, and none before some of those under way.
	if len(before) != newcomers || before[0] == 0 || before[0] > 3 || before[1]-before[0] != 4 {
		t.Fatalf("newcomers were served as numbers %v", before)
	}
}

// However many come, only so many are under way, and one that stalls makes way after a while.
func TestOnlySoManyAreUnderWay(t *testing.T) {
	t.Parallel()
	const most, more = 64, 4
	g := gate.New(1)
	begun := make(chan net.Conn, most+more)
	for range most + more {
		c, peer := pair(t, g)
		say(t, peer, "hello")
		go func() {
			if err := gate.Await(context.Background(), c, time.Minute); err != nil {
				t.Error(err)
			}
			begun <- c
			// It has been read of before; the second read finds nothing, without a place.
			b := make([]byte, 16)
			_, _ = c.Read(b)
			_, _ = c.Read(b)
		}()
	}
	started := time.Now()
	for range most {
		<-begun
	}
	eventually(t, "all places are free, and some wait", func() bool { return g.Running() == 0 && g.Waiting() == more })
	for range more {
		<-begun
	}
	if took := time.Since(started); took < time.Second {
		t.Fatalf("the last one began after %v", took)
	}
}

// Hosts that are dialled wait for their turn; those that have dialled come and go, so the last
// one is the one to serve. Neither kind keeps the other out.
func TestOfThoseThatDialledTheLastComesFirst(t *testing.T) {
	t.Parallel()
	g := gate.New(1)
	if err := g.Enter(t.Context()); err != nil {
		t.Fatal(err)
	}
	served := make(chan string, 4)
	begin := func(name string, wait func(context.Context, net.Conn) error) {
		c, peer := pair(t, g)
		say(t, peer, "hello")
		before := g.Waiting()
		go func() {
			if err := wait(context.Background(), c); err != nil {
				t.Error(err)
			}
			served <- name
			gate.Settled(c)
		}()
		eventually(t, "it waits", func() bool { return g.Waiting() == before+1 })
	}
	await := func(ctx context.Context, c net.Conn) error { return gate.Await(ctx, c, time.Minute) }
	begin("first dialled", gate.Begin)
	begin("second dialled", gate.Begin)
	begin("old", await)
	begin("new", await)
	g.Leave()
	var order []string
	for range cap(served) {
		order = append(order, <-served)
	}
	if want := []string{"new", "first dialled", "old", "second dialled"}; !slices.Equal(order, want) {
		t.Fatalf("served %q, want %q", order, want)
	}
}
