package cli

import (
	"bytes"
	"strings"
	"sync"
	"testing"
)

// screen is a terminal's input; shown is closed when a text has arrived.
type screen struct {
	mu    sync.Mutex
	buf   bytes.Buffer
	want  string
	shown chan struct{}
	once  sync.Once
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.buf.Write(p)
	if strings.Contains(s.buf.String(), s.want) {
		s.once.Do(func() { close(s.shown) })
	}
	return len(p), nil
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

func TestProgressIsShownOnATerminalAndCleared(t *testing.T) {
	t.Parallel()
	s := &screen{want: "waiting for the hosts to confirm revision 7", shown: make(chan struct{})}
	f := &fakeServer{errs: s, waiting: func() {
		select {
		case <-s.shown:
		case <-t.Context().Done():
		}
	}}
	code, out, _ := f.run(t, "add-rule", "bridge=xenbr0", "allow=false")
	if code != exitOK || strings.Contains(out, "\r") {
		t.Errorf("exit %d, out %q", code, out)
	}
	if got := s.String(); !strings.Contains(got, s.want) || !strings.HasSuffix(got, clearLine) {
		t.Errorf("the line was not shown or not cleared: %q", got)
	}
}

func TestProgressIsClearedBeforeAnError(t *testing.T) {
	t.Parallel()
	s := &screen{want: "waiting for", shown: make(chan struct{})}
	f := &fakeServer{errs: s, realization: partly, waiting: func() {
		select {
		case <-s.shown:
		case <-t.Context().Done():
		}
	}}
	if code, _, _ := f.run(t, "add-rule", "bridge=xenbr0", "allow=false"); code != exitUnconfirmed {
		t.Errorf("exit %d, want %d", code, exitUnconfirmed)
	}
	if got := s.String(); !strings.Contains(got, clearLine+"poolwire: accepted and stored") {
		t.Errorf("got %q", got)
	}
}

func TestNoProgressBesideATerminal(t *testing.T) {
	t.Parallel()
	f := &fakeServer{}
	if _, _, errs := f.run(t, "add-rule", "bridge=xenbr0", "allow=false"); errs != "" {
		t.Errorf("got %q", errs)
	}
	if isTerminal(&bytes.Buffer{}) {
		t.Error("a buffer is no terminal")
	}
}
