package openflow

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

const (
	// readAhead is the size of the buffer in front of the socket.
	readAhead = 4 << 10
	// keepBody is the largest message buffer kept while only small messages arrive.
	keepBody = 4 << 10
	// shrinkAfter is how many small messages in a row give a large buffer back.
	// A dump comes in parts of nearly 64 KiB; a thousand idle connections should
	// not hold on to one such buffer each.
	shrinkAfter = 16
)

// frameReader cuts a byte stream into messages. It knows only the header: a
// length below 8 cannot be resynchronised, so every error is final.
type frameReader struct {
	src   *bufio.Reader
	buf   []byte
	small int
	// limit is the largest message accepted, at most maxMessageLen.
	limit int
	// helloOnly is set before the version is agreed on: the message must be a hello,
	// of any version. What else arrives is refused by its header, before its body is
	// waited for.
	helloOnly bool
}

func newFrameReader(r io.Reader) *frameReader {
	return &frameReader{src: bufio.NewReaderSize(r, readAhead), limit: maxMessageLen}
}

// next blocks for one message. Its body is valid until the following call.
// The error is the reader's own (io.EOF only between messages) or a
// *ProtocolError.
func (f *frameReader) next() (message, error) {
	var h [headerLen]byte
	if _, err := io.ReadFull(f.src, h[:]); err != nil {
		return message{}, err
	}
	m := message{version: h[0], kind: h[1], xid: binary.BigEndian.Uint32(h[4:])}
	length := int(binary.BigEndian.Uint16(h[2:]))
	switch {
	case f.helloOnly && (m.kind != typeHello || m.version == 0):
		return message{}, protocolErrorf("first message is of version 0x%02x and type %d, want a hello", m.version, m.kind)
	case !f.helloOnly && m.version != version13:
		return message{}, protocolErrorf("message of version 0x%02x on an OpenFlow 1.3 connection", m.version)
	case length < headerLen:
		return message{}, protocolErrorf("message length %d is below that of its header", length)
	case length > f.limit:
		return message{}, protocolErrorf("message length %d, at most %d is accepted here", length, f.limit)
	}
	m.body = f.room(length - headerLen)
	if _, err := io.ReadFull(f.src, m.body); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return message{}, fmt.Errorf("in a message of %d bytes: %w", length, err)
	}
	return m, nil
}

// room returns a buffer of n bytes, reusing the last one.
func (f *frameReader) room(n int) []byte {
	if n > keepBody {
		f.small = 0
	} else if f.small++; f.small >= shrinkAfter && cap(f.buf) > keepBody {
		f.buf = nil
	}
	if cap(f.buf) < n {
		size := keepBody
		if n > keepBody {
			size = maxMessageLen
		}
		f.buf = make([]byte, size)
	}
	return f.buf[:n]
}
