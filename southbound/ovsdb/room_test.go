package ovsdb

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
)

// heavyHost answers the start of a session with one row of about so many bytes.
func heavyHost(size int) answers {
	return answers{monitorCond: fmt.Sprintf(`{"Bridge":{%q:{"initial":{"name":%q}}}}`, bridgeUUID, strings.Repeat("x", size))}
}

// What all hosts hold together is bounded, and small ones are none the worse for it. What a session had is free when it ends.
func TestRoomOfAllSessions(t *testing.T) {
	t.Parallel()
	const size = 4 << 20
	// A message of 4 MiB takes 16 while it is read, and its row 4, of which 1 is the session's own.
	room := NewRoom(19 << 20)
	cfg := SessionConfig{Room: room}
	small := make([]*Session, 3)
	for i := range small {
		var err error
		if _, small[i], err = startFake(t, answers{}, cfg); err != nil {
			t.Fatal(err)
		}
	}
	if n := room.left.Load(); n != 19<<20 {
		t.Errorf("small hosts left %d bytes", n)
	}
	_, first, err := startFake(t, heavyHost(size), cfg)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "only the rows are left", func() bool { return room.left.Load() == (19-4)<<20 })
	_, second, err := startFake(t, heavyHost(size), cfg)
	if err == nil || !strings.Contains(err.Error(), "limits.ovsdb_memory") || second != nil {
		t.Errorf("a second one: %v", err)
	}
	if n := room.left.Load(); n != (19-4)<<20 {
		t.Errorf("%d bytes are left after it", n)
	}
	for _, s := range append(small, first) {
		if err := s.Err(); err != nil {
			t.Errorf("the others: %v", err)
		}
	}
	first.Close()
	if n := room.left.Load(); n != 19<<20 {
		t.Errorf("%d bytes are left at the end", n)
	}
	// A message that never ends gives its room back, too.
	ours, theirs := net.Pipe()
	s := newSession(ours, cfg, 0)
	s.start()
	go func() {
		_, _ = theirs.Write([]byte(`{"id":1,"result":"` + strings.Repeat("x", size)))
		_ = theirs.Close()
	}()
	<-s.Done()
	s.running.Wait()
	if n := room.left.Load(); n != 19<<20 {
		t.Errorf("%d bytes are left after a cut message", n)
	}
}

// Whoever asks for more than there is takes nothing from those for whom there is enough, at no time.
func TestRoomForThoseWhoHaveIt(t *testing.T) {
	t.Parallel()
	const times = 300_000
	room := NewRoom(3)
	var work sync.WaitGroup
	for range 2 {
		work.Go(func() {
			for range times {
				if room.take(8) {
					t.Error("8 of 3")
					return
				}
			}
		})
	}
	for i := range times {
		if !room.take(1) {
			t.Errorf("refused 1 of 3 at attempt %d", i)
			break
		}
		room.take(-1)
	}
	work.Wait()
	if n := room.left.Load(); n != 3 {
		t.Errorf("%d are left", n)
	}
}
