package northbound

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	v1 "poolwire/proto/poolwire/v1"
)

// heap is what is in use of it, in bytes.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// Clients that watch and never read cost what waits on their connections, as long as they are let, and not what they have
// missed: here that would be thrice as much or more. This test measures, and so is alone.
func TestMemoryOfWatchesThatAreNotRead(t *testing.T) {
	const watches, changes, size, each = 8, 2000, 1000, 768 << 10
	f := newFixture(t)
	f.populate()
	change := func(i int) {
		text := strings.Repeat("x", size) + fmt.Sprint(i)
		f.apply(putPool(&v1.Pool{Uuid: paris, NameLabel: "paris", NameDescription: text}, false))
	}
	grow := func(round int) int64 {
		before := heap()
		for i := range changes {
			change(round*changes + i)
		}
		return int64(heap()) - int64(before)
	}
	grow(0)
	history := grow(1) // which all watches share
	// A client whose window grows would keep what it does not read itself, and that is measured too.
	l := bufconn.Listen(1 << 16)
	cfg := serverConfig(f.store, f.live)
	cfg.Limits.Stall = time.Hour
	s := newServer(t, cfg)
	g := grpc.NewServer(s.ServerOptions()...)
	s.Register(g)
	served := make(chan error, 1)
	go func() { served <- g.Serve(localListener{l}) }()
	t.Cleanup(func() { g.Stop(); <-served })
	conn, err := grpc.NewClient("passthrough:local", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithInitialWindowSize(1<<16), grpc.WithInitialConnWindowSize(1<<24),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithCancel(f.ctx)
	defer cancel()
	for range watches {
		w, err := v1.NewWatchServiceClient(conn).Watch(ctx, &v1.WatchRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Recv(); err != nil {
			t.Fatal(err)
		}
	}
	grown := grow(2) - history
	t.Logf("%d watches that are not read, %d changes of %d bytes: %d KiB for each", watches, changes, size, grown/watches>>10)
	if grown > watches*each {
		t.Errorf("each takes %d bytes, at most %d are what waits for it", grown/watches, each)
	}
}
