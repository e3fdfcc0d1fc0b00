// Package corpus keeps what real peers were recorded to send as seeds of fuzz targets, in testdata/fuzz of the target's
// package, where the go tool finds them (https://go.dev/doc/security/fuzz). What is recorded comes from Open vSwitch on
// dummy devices: addresses, names and UUIDs of nobody.
package corpus

import (
	"crypto/sha256"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// recordVariable has the tests that record write their seeds anew.
const recordVariable = "POOLWIRE_RECORD_CORPUS"

// prefix begins the names of recorded seeds; the go tool's own finds have none.
const prefix = "recorded-"

// Recording skips a test unless POOLWIRE_RECORD_CORPUS is set.
func Recording(t *testing.T) {
	t.Helper()
	if os.Getenv(recordVariable) == "" {
		t.Skip("records seeds only with " + recordVariable + "=1")
	}
}

// Replace puts inputs of type []byte in the place of the recorded seeds of a target in a package's directory. Equal ones
// are kept once.
func Replace(t *testing.T, dir, target string, inputs [][]byte) {
	t.Helper()
	if len(inputs) == 0 {
		t.Fatalf("nothing was recorded for %s", target)
	}
	at := filepath.Join(dir, "testdata", "fuzz", target)
	old, err := filepath.Glob(filepath.Join(at, prefix+"*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range old {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(at, 0o750); err != nil {
		t.Fatal(err)
	}
	for _, input := range inputs {
		name := fmt.Sprintf("%s%x", prefix, sha256.Sum256(input))[:len(prefix)+16]
		if err := os.WriteFile(filepath.Join(at, name), Encode(input), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// Encode writes an input down as the go tool reads it.
func Encode(input []byte) []byte { return fmt.Appendf(nil, "go test fuzz v1\n[]byte(%q)\n", input) }

// Recorded returns the recorded seeds of a target in a package's directory, by file name. It fails when there are none.
func Recorded(t *testing.T, dir, target string) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "testdata", "fuzz", target, prefix+"*"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("%s has no recorded seeds: %v", target, err)
	}
	out := map[string][]byte{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var input []byte
		if _, err := fmt.Sscanf(strings.TrimPrefix(string(text), "go test fuzz v1\n"), "[]byte(%q)", &input); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		out[filepath.Base(path)] = input
	}
	return out
}

// Conn is a connection that keeps all that is read from it.
type Conn struct {
	net.Conn

	mu   sync.Mutex
	read []byte // guarded by mu
}

// Read reads, and keeps what it has read.
func (c *Conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read = append(c.read, b[:n]...)
	return n, err
}

// Bytes returns all that was read so far.
func (c *Conn) Bytes() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]byte(nil), c.read...)
}
