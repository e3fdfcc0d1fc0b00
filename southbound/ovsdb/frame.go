package ovsdb

import (
	"bufio"
	"errors"
	"io"
	"sync/atomic"
)

// maxNesting bounds the depth of a message: OVSDB needs less than ten levels.
const maxNesting = 64

// frameReader cuts a byte stream into JSON objects. OVSDB has no framing of its
// own: messages are JSON objects one after the other (RFC 7047, 4).
type frameReader struct {
	r *bufio.Reader
	// longest is the longest message taken, in bytes.
	longest atomic.Int64
	// grown is asked before a message grows to so many bytes; may be nil.
	grown func(bytes int) error
}

func newFrameReader(r io.Reader, longest int) *frameReader {
	f := &frameReader{r: bufio.NewReaderSize(r, 16<<10)}
	f.longest.Store(int64(longest))
	return f
}

// next returns the text of the next object in memory of its own. It checks
// braces, strings and size, not that the text is JSON. A stream that ends inside
// an object is io.ErrUnexpectedEOF.
func (f *frameReader) next() ([]byte, error) {
	if err := f.skipBlanks(); err != nil {
		return nil, err
	}
	var (
		out                []byte
		depth              int
		inString, escaping bool
	)
	for {
		chunk, err := f.peek()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
		for i, c := range chunk {
			switch {
			case escaping:
				escaping = false
			case inString:
				escaping = c == '\\'
				inString = c != '"'
			case c == '"':
				inString = true
			case c == '{' || c == '[':
				depth++
			case c == '}' || c == ']':
				depth--
			}
			if depth > maxNesting {
				return nil, violation("message nested deeper than %d", maxNesting)
			}
			if depth == 0 {
				out, err = f.take(out, chunk[:i+1])
				return out, err
			}
		}
		if out, err = f.take(out, chunk); err != nil {
			return nil, err
		}
	}
}

// peek returns what is buffered, after waiting for at least one byte.
func (f *frameReader) peek() ([]byte, error) {
	if _, err := f.r.Peek(1); err != nil {
		return nil, err
	}
	return f.r.Peek(f.r.Buffered())
}

// take moves chunk, the head of the buffer, to out.
func (f *frameReader) take(out, chunk []byte) ([]byte, error) {
	if longest := f.longest.Load(); int64(len(out)+len(chunk)) > longest {
		return nil, violation("message longer than %d bytes", longest)
	}
	if f.grown != nil {
		if err := f.grown(len(out) + len(chunk)); err != nil {
			return nil, err
		}
	}
	out = append(out, chunk...)
	_, err := f.r.Discard(len(chunk))
	return out, err
}

func (f *frameReader) skipBlanks() error {
	for {
		c, err := f.r.ReadByte()
		if err != nil {
			return err
		}
		switch c {
		case ' ', '\t', '\r', '\n':
		case '{':
			return f.r.UnreadByte()
		default:
			return violation("byte 0x%02x where a message should begin", c)
		}
	}
}
