package e2e

import (
	"os"
	"strings"
	"sync"
	"testing"
)

// lines collects what a process prints.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write adds output.
func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

// String is everything so far.
func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// write makes a file for a command to read.
func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
