package portflags

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

func FuzzHello(f *testing.F) {
	f.Add([]byte{0, 1, 0, 8, 0, 0, 0, 0x12})
	f.Add([]byte{0, 9, 0, 6, 1, 2, 0, 0, 0, 1, 0, 8, 0, 0, 0, 0x10})
	f.Fuzz(func(t *testing.T, body []byte) {
		err := checkHello(message{version: 4, kind: typeHello, body: body})
		if err != nil && !errors.Is(err, ErrProtocol) && !errors.Is(err, ErrVersion) {
			t.Error(err)
		}
	})
}

func FuzzFeatures(f *testing.F) {
	f.Add(make([]byte, 24+portLen))
	f.Fuzz(func(t *testing.T, body []byte) {
		if _, err := decodeFeatures(body); err != nil && !errors.Is(err, ErrProtocol) {
			t.Error(err)
		}
	})
}

func FuzzPorts(f *testing.F) {
	f.Add(append([]byte{0, portDesc, 0, 1}, make([]byte, 2*portLen)...))
	f.Fuzz(func(t *testing.T, body []byte) {
		ports, _, err := decodePorts(body)
		if err != nil && !errors.Is(err, ErrProtocol) || err == nil && 4+len(ports)*portLen != len(body) {
			t.Errorf("%d ports in %d bytes: %v", len(ports), len(body), err)
		}
	})
}

func FuzzError(f *testing.F) {
	f.Add([]byte{0, 4, 0, 1})
	f.Fuzz(func(_ *testing.T, body []byte) { _ = decodeError(body).Error() })
}

// FuzzSession gives a session arbitrary bytes after a handshake, while requests wait for
// answers. Whatever comes, they end with the session.
func FuzzSession(f *testing.F) {
	f.Add(encode(typeStatsReply, firstXid+1, append([]byte{0, portDesc, 0, 0}, make([]byte, portLen)...)...))
	f.Add(append(encode(typeEchoRequest, 1), encode(typeBarrierReply, firstXid+1)...))
	f.Add(encode(typeError, firstXid+2, 0, 4, 0, 1))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		ours, theirs := net.Pipe()
		var wg sync.WaitGroup
		asked := make(chan struct{})
		wg.Go(func() {
			_, _ = io.CopyN(io.Discard, theirs, headerLen+int64(len(silence(0)))+headerLen)
			close(asked)
			_, _ = io.Copy(io.Discard, theirs)
		})
		wg.Go(func() {
			_ = theirs.SetWriteDeadline(time.Now().Add(10 * time.Second))
			handshake := append(encode(typeHello, 1), encode(typeFeaturesReply, xidFeatures, make([]byte, 24)...)...)
			_, _ = theirs.Write(handshake)
			<-asked
			_, _ = theirs.Write(stream)
			_ = theirs.Close()
		})
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		s, err := Accept(ctx, ours)
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() { _, _ = s.Ports(ctx) })
		wg.Go(func() { _ = s.SetNoFlood(ctx, Port{Number: 1}, true) })
		wg.Wait()
		<-s.Done()
		if ctx.Err() != nil || s.Err() == nil {
			t.Errorf("session ended with %v, requests with %v", s.Err(), ctx.Err())
		}
	})
}

func FuzzReading(f *testing.F) {
	f.Add(append(encode(typeBarrierReply, 1), encode(typeEchoRequest, 2, 1, 2, 3)...))
	f.Fuzz(func(t *testing.T, stream []byte) {
		read := 0
		for r := bytes.NewReader(stream); ; {
			m, err := readMessage(r, maxMessage)
			if err != nil {
				break
			}
			read += headerLen + len(m.body)
		}
		if read > len(stream) {
			t.Errorf("%d bytes of messages in %d", read, len(stream))
		}
	})
}
