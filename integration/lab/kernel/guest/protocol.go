package guest

import (
	"encoding/binary"
	"fmt"
	"io"
	"sync"
)

// Port is the agent's TCP port.
const Port = 7

// Request is the first line on a connection: what to run.
type Request struct {
	// Args are the program and its arguments.
	Args []string `json:"args"`
	// Namespace is the network namespace (ip-netns(8)) to run it in; empty means the
	// guest's own.
	Namespace string `json:"namespace,omitempty"`
}

// chunk kinds. To the agent: standard input, its end, a signal's number in one
// byte. From the agent: the two outputs; then either the exit status in four
// bytes, or the reason why the program could not be run.
const (
	chunkStdin  = 'i'
	chunkEOF    = 'e'
	chunkSignal = 's'
	chunkStdout = 'o'
	chunkStderr = 'r'
	chunkExit   = 'x'
	chunkFailed = 'f'
)

// longestChunk bounds what one end makes the other hold.
const longestChunk = 1 << 20

// chunk is one message behind the request: a byte for its kind, its length in
// four bytes, most significant first, and its data.
type chunk struct {
	kind byte
	data []byte
}

func readChunk(r io.Reader) (chunk, error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return chunk{}, err
	}
	length := binary.BigEndian.Uint32(head[1:])
	if length > longestChunk {
		return chunk{}, fmt.Errorf("guest: chunk of %d bytes", length)
	}
	c := chunk{kind: head[0], data: make([]byte, length)}
	_, err := io.ReadFull(r, c.data)
	return c, err
}

// chunkWriter writes chunks whole, from several goroutines.
type chunkWriter struct {
	mu sync.Mutex
	to io.Writer
}

func (w *chunkWriter) write(kind byte, data []byte) error {
	message := make([]byte, 5, 5+len(data))
	message[0] = kind
	binary.BigEndian.PutUint32(message[1:], uint32(len(data)))
	w.mu.Lock()
	defer w.mu.Unlock()
	_, err := w.to.Write(append(message, data...))
	return err
}

// stream is an io.Writer that makes chunks of one kind.
type stream struct {
	to   *chunkWriter
	kind byte
}

func (s stream) Write(data []byte) (int, error) {
	done := 0
	for done < len(data) {
		part := data[done:min(len(data), done+longestChunk)]
		if err := s.to.write(s.kind, part); err != nil {
			return done, err
		}
		done += len(part)
	}
	return done, nil
}
