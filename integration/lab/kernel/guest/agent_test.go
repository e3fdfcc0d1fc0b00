package guest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// session is a connection to an agent that runs in this process.
type session struct {
	conn net.Conn
	out  *chunkWriter
	done chan struct{} // closed when the agent has let go
}

func open(t *testing.T, args ...string) *session {
	t.Helper()
	near, far := net.Pipe()
	s := &session{conn: near, out: &chunkWriter{to: near}, done: make(chan struct{})}
	go func() {
		serve(far)
		close(s.done)
	}()
	t.Cleanup(func() { _ = near.Close() })
	line, err := json.Marshal(Request{Args: args})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := near.Write(append(line, '\n')); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *session) finish(t *testing.T) (code int, stdout, stderr string, err error) {
	t.Helper()
	if err := s.conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	var o, e bytes.Buffer
	code, err = relay(s.conn, &o, &e)
	return code, o.String(), e.String(), err
}

func TestAgentReportsTheEnd(t *testing.T) {
	t.Parallel()
	code, stdout, stderr, err := open(t, "sh", "-c", "echo out; echo err >&2; exit 3").finish(t)
	if code != 3 || stdout != "out\n" || stderr != "err\n" || err != nil {
		t.Errorf("%d %q %q %v", code, stdout, stderr, err)
	}
	if _, _, _, err := open(t, "/no/such/program").finish(t); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Error(err)
	}
}

func TestAgentPassesInputOn(t *testing.T) {
	t.Parallel()
	s := open(t, "cat")
	const size = 3 << 20
	sent := bytes.Repeat([]byte("0123456789abcdef"), size/16)
	go func() {
		_, _ = stream{s.out, chunkStdin}.Write(sent)
		_ = s.out.write(chunkEOF, nil)
	}()
	code, stdout, _, err := s.finish(t)
	if code != 0 || err != nil || stdout != string(sent) {
		t.Errorf("%d, %v, %d bytes of %d", code, err, len(stdout), size)
	}
}

func TestAgentPassesSignalsOn(t *testing.T) {
	t.Parallel()
	s := open(t, "sleep", "1000")
	if err := s.out.write(chunkSignal, []byte{byte(syscall.SIGTERM)}); err != nil {
		t.Fatal(err)
	}
	if code, _, _, err := s.finish(t); code != 128+int(syscall.SIGTERM) || err != nil {
		t.Errorf("%d, %v", code, err)
	}
}

// TestAgentKillsWhatIsForgotten breaks a connection: the program and its children
// end.
func TestAgentKillsWhatIsForgotten(t *testing.T) {
	t.Parallel()
	// Who lives of them holds the FIFO open: it ends with the last.
	path := filepath.Join(t.TempDir(), "alive")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	alive, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = alive.Close() })
	s := open(t, "sh", "-c", "exec 3>"+path+"; sleep 1000 & echo; wait")
	if _, err := readChunk(s.conn); err != nil {
		t.Fatal(err)
	}
	if err := s.conn.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.done:
	case <-time.After(20 * time.Second):
		t.Fatal("the agent waits")
	}
	if err := alive.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := alive.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Fatalf("the program's child lives: %v", err)
	}
}

func TestAgentRefusesNonsense(t *testing.T) {
	t.Parallel()
	near, far := net.Pipe()
	defer func() { _ = near.Close() }()
	go serve(far)
	if _, err := near.Write([]byte("nonsense\n")); err != nil {
		t.Fatal(err)
	}
	if c, err := readChunk(near); err != nil || c.kind != chunkFailed {
		t.Errorf("%c %q, %v", c.kind, c.data, err)
	}
}

func FuzzReadChunk(f *testing.F) {
	f.Add([]byte{chunkStdout, 0, 0, 0, 1, 'x'})
	f.Add([]byte{chunkStdout, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := readChunk(bytes.NewReader(data))
		if err == nil && len(c.data)+5 > len(data) {
			t.Errorf("%d bytes of %d", len(c.data), len(data))
		}
	})
}
