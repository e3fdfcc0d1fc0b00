package ovsdb

import (
	"errors"
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
	if n := left(room); n != 19<<20 {
		t.Errorf("small hosts left %d bytes", n)
	}
	_, first, err := startFake(t, heavyHost(size), cfg)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "only the rows are left", func() bool { return left(room) == (19-4)<<20 })
	_, second, err := startFake(t, heavyHost(size), cfg)
	if err == nil || !strings.Contains(err.Error(), "limits.ovsdb_memory") || second != nil {
		t.Errorf("a second one: %v", err)
	}
	if n := left(room); n != (19-4)<<20 {
		t.Errorf("%d bytes are left after it", n)
	}
	for _, s := range append(small, first) {
		if err := s.Err(); err != nil {
			t.Errorf("the others: %v", err)
		}
	}
	first.Close()
	if n := left(room); n != 19<<20 {
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
	if n := left(room); n != 19<<20 {
		t.Errorf("%d bytes are left after a cut message", n)
	}
}

// Whoever asks for more than there is takes nothing from those for whom there is enough, at no time.
func TestRoomForThoseWhoHaveIt(t *testing.T) {
	t.Parallel()
	const times = 100_000
	room := NewRoom(3)
	var work sync.WaitGroup
	for range 2 {
		work.Go(func() {
			greedy := &Session{}
			for range times {
				if out := room.take(greedy, 8); out != greedy {
					t.Errorf("8 of 3, of %p", out)
					return
				}
			}
		})
	}
	modest := &Session{}
	for i := range times {
		if room.take(modest, 1) != nil {
			t.Errorf("refused 1 of 3 at attempt %d", i)
			break
		}
		room.take(modest, 0)
	}
	work.Wait()
	if n := left(room); n != 3 || len(room.held) != 0 {
		t.Errorf("%d are left, %d hold some", n, len(room.held))
	}
}

// When the room is used up, the host that has most of it makes room for one that needs less.
func TestTheHeaviestHostMakesRoom(t *testing.T) {
	t.Parallel()
	room := NewRoom(20 << 20)
	cfg := SessionConfig{Room: room}
	_, modest, err := startFake(t, heavyHost(3<<20), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := net.Pipe()
	hostile := newSession(ours, cfg, 0)
	hostile.start()
	defer func() { _ = theirs.Close() }()
	go func() { _, _ = theirs.Write([]byte(`{"id":1,"result":"` + strings.Repeat("x", 4<<20-100))) }()
	eventually(t, "a message that does not end", func() bool { return left(room) == (20-3-15)<<20 })
	_, other, err := startFake(t, heavyHost(2<<20), cfg)
	if err != nil {
		t.Fatal(err)
	}
	<-hostile.Done()
	var violates *ProtocolError
	if err := hostile.Err(); !errors.As(err, &violates) || !strings.Contains(err.Error(), "limits.ovsdb_memory") {
		t.Errorf("who has most ended with %v", err)
	}
	hostile.running.Wait()
	for _, s := range []*Session{modest, other} {
		if err := s.Err(); err != nil {
			t.Errorf("who has less: %v", err)
		}
	}
	eventually(t, "rows alone are left", func() bool { return left(room) == (20-3-2)<<20 })
}

func left(r *Room) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.left
}
