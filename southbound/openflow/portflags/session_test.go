package portflags_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"poolwire/southbound/openflow/openflowtest"
	"poolwire/southbound/openflow/portflags"
)

// TestGreeting looks at what the session says first: its version, the wish for silence,
// and nothing that changes the switch.
func TestGreeting(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var seen []openflowtest.Message
	s := attach(t, openflowtest.NewFlagSwitch(openflowtest.FlagConfig{DatapathID: 0xab, Intercept: func(_ net.Conn, m openflowtest.Message) bool {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, m)
		return false
	}}))
	if s.DatapathID() != 0xab || s.PeerCertificates() != nil || s.RemoteAddr() == nil || s.Err() != nil {
		t.Errorf("datapath id %x, certificates %v, %v", s.DatapathID(), s.PeerCertificates(), s.Err())
	}
	mu.Lock()
	defer mu.Unlock()
	want := [][]byte{
		raw(hello, 1),
		raw(vendor, 2, append([]byte{0, 0, 0x23, 0x20, 0, 0, 0, 19}, make([]byte, 24)...)...),
		raw(featuresRequest, 3),
	}
	for i, m := range seen {
		if i >= len(want) || !bytes.Equal(m.Raw, want[i]) {
			t.Errorf("message %d: % x", i, m.Raw)
		}
	}
	if len(seen) != len(want) {
		t.Errorf("%d messages", len(seen))
	}
}

// TestHandshakeWith has peers that are not what a bridge should be.
func TestHandshakeWith(t *testing.T) {
	t.Parallel()
	features := func(body ...byte) []byte { return raw(featuresReply, 3, body...) }
	for name, test := range map[string]struct {
		sends []byte
		want  error
	}{
		"a bridge without 1.0":         {[]byte{4, 0, 0, 16, 0, 0, 0, 1, 0, 1, 0, 8, 0, 0, 0, 0x10}, portflags.ErrVersion},
		"versions after an unknown":    {[]byte{4, 0, 0, 24, 0, 0, 0, 1, 0, 9, 0, 6, 0, 0, 0, 0, 0, 1, 0, 8, 0, 0, 0, 0x10}, portflags.ErrVersion},
		"an element without end":       {[]byte{4, 0, 0, 16, 0, 0, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0}, portflags.ErrProtocol},
		"a longer element than hello":  {[]byte{4, 0, 0, 16, 0, 0, 0, 1, 0, 1, 0, 9, 0, 0, 0, 0}, portflags.ErrProtocol},
		"version 0":                    {[]byte{0, 0, 0, 8, 0, 0, 0, 1}, portflags.ErrProtocol},
		"no hello":                     {raw(echoRequest, 1), portflags.ErrProtocol},
		"HTTP":                         {[]byte("GET / HTTP/1.1\r\nHost: controller\r\n\r\n"), portflags.ErrProtocol},
		"a length below the header":    {[]byte{1, 0, 0, 7, 0, 0, 0, 1}, portflags.ErrProtocol},
		"a hello of 64 KiB":            {[]byte{1, 0, 0xff, 0xff, 0, 0, 0, 1}, portflags.ErrProtocol},
		"another version afterwards":   {append(raw(hello, 1), 4, featuresReply, 0, 8, 0, 0, 0, 3), portflags.ErrProtocol},
		"features cut short":           {append(raw(hello, 1), features(1, 2, 3)...), portflags.ErrProtocol},
		"features with half a port":    {append(raw(hello, 1), features(make([]byte, 24+20)...)...), portflags.ErrProtocol},
		"an error of 2 bytes":          {append(raw(hello, 1), raw(1, 3, 0, 0)...), portflags.ErrProtocol},
		"an end after hello":           {raw(hello, 1), io.EOF},
		"features that nobody asked":   {append(raw(hello, 1), raw(featuresReply, 9, make([]byte, 24)...)...), io.EOF},
		"an end in a message":          {append(raw(hello, 1), 1, featuresReply, 1, 0), io.ErrUnexpectedEOF},
		"nothing but echoes for hello": {append(raw(hello, 1), bytes.Repeat(raw(echoRequest, 7), 100)...), portflags.ErrProtocol},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ours, theirs := connect(t)
			var wg sync.WaitGroup
			wg.Go(func() { _, _ = io.Copy(io.Discard, theirs) })
			_, _ = theirs.Write(test.sends)
			_ = theirs.(*net.TCPConn).CloseWrite()
			s, err := portflags.Accept(testContext(t), ours)
			if s != nil || !errors.Is(err, test.want) {
				t.Errorf("session %v, error %v, want %v", s, err, test.want)
			}
			wg.Wait()
			_ = theirs.Close()
		})
	}
}

// TestRefusedHandshake: an error of the switch's own, but for the wish for silence.
func TestRefusedHandshake(t *testing.T) {
	t.Parallel()
	for refused, want := range map[uint8]bool{vendor: true, featuresRequest: false} {
		fake := openflowtest.NewFlagSwitch(openflowtest.FlagConfig{Intercept: func(nc net.Conn, m openflowtest.Message) bool {
			if m.Type == refused {
				_, _ = nc.Write(raw(1, byte(m.XID), 0, 1, 0, 3))
			}
			return m.Type == refused
		}})
		ours, theirs := connect(t)
		var wg sync.WaitGroup
		wg.Go(func() { _ = fake.Serve(context.Background(), theirs) })
		s, err := portflags.Accept(testContext(t), ours)
		var answer *portflags.SwitchError
		if (err == nil) != want || err != nil && !errors.As(err, &answer) {
			t.Errorf("type %d refused: %v", refused, err)
		}
		if err == nil {
			s.Close(nil)
		}
		wg.Wait()
	}
}

// TestHandshakeTakesItsTime: neither a silent peer nor one that drips bytes holds it up.
func TestHandshakeTakesItsTime(t *testing.T) {
	t.Parallel()
	for name, sends := range map[string]func(net.Conn){
		"silence": func(net.Conn) {},
		"drops": func(nc net.Conn) {
			for _, b := range append(raw(hello, 1), make([]byte, 100)...) {
				<-time.After(time.Second)
				if _, err := nc.Write([]byte{b}); err != nil {
					return
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours, theirs := net.Pipe()
				var wg sync.WaitGroup
				wg.Go(func() { _, _ = io.Copy(io.Discard, theirs) })
				wg.Go(func() { sends(theirs) })
				started := time.Now()
				_, err := portflags.Accept(t.Context(), ours)
				if took := time.Since(started); err == nil || took < 9*time.Second || took > 11*time.Second {
					t.Errorf("%v after %v", err, took)
				}
				wg.Wait()
			})
		})
	}
}

// TestHandshakeCancelled: the caller's context ends it at once.
func TestHandshakeCancelled(t *testing.T) {
	t.Parallel()
	ours, theirs := connect(t)
	defer theirs.Close()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := portflags.Accept(ctx, ours); err == nil {
		t.Error("accepted")
	}
}

// TestSilence: a bridge that answers echoes keeps its session, one that does not loses it.
func TestSilence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mute atomic.Bool
		var probes atomic.Int32
		s := attachPipe(t, openflowtest.NewFlagSwitch(openflowtest.FlagConfig{Intercept: func(_ net.Conn, m openflowtest.Message) bool {
			if m.Type == echoRequest {
				probes.Add(1)
			}
			return mute.Load()
		}}))
		<-time.After(time.Hour) // on the bubble's clock
		if err := s.Err(); err != nil || probes.Load() < 600 {
			t.Fatalf("after an hour of echoes: %v, %d probes", err, probes.Load())
		}
		mute.Store(true)
		started := time.Now()
		if err := ended(t, s); !errors.Is(err, portflags.ErrSilent) {
			t.Errorf("session: %v", err)
		}
		if took := time.Since(started); took < 10*time.Second || took > 21*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// TestEndOfSession: whatever ends it, the reason is told and requests end with it.
func TestEndOfSession(t *testing.T) {
	t.Parallel()
	mine := errors.New("enough")
	for name, test := range map[string]struct {
		end  func(s *portflags.Session, peer net.Conn)
		want error
	}{
		"closed":             {func(s *portflags.Session, _ net.Conn) { s.Close(nil); s.Close(mine) }, portflags.ErrClosed},
		"closed with reason": {func(s *portflags.Session, _ net.Conn) { s.Close(mine); s.Close(nil) }, mine},
		"the peer closes":    {func(_ *portflags.Session, peer net.Conn) { _ = peer.Close() }, io.EOF},
		"another version": {func(_ *portflags.Session, peer net.Conn) {
			_, _ = peer.Write([]byte{4, echoRequest, 0, 8, 0, 0, 0, 1})
		}, portflags.ErrProtocol},
		"a message without length": {func(_ *portflags.Session, peer net.Conn) {
			_, _ = peer.Write([]byte{1, echoRequest, 0, 0, 0, 0, 0, 1})
		}, portflags.ErrProtocol},
		"an answer that is none": {func(_ *portflags.Session, peer net.Conn) {
			_, _ = peer.Write(raw(17, 17, 0, 13, 0, 0, 1))
		}, portflags.ErrProtocol},
		"an answer about something else": {func(_ *portflags.Session, peer net.Conn) {
			_, _ = peer.Write(raw(17, 17, 0, 4, 0, 0))
		}, portflags.ErrProtocol},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asked := make(chan net.Conn, 1)
			s := attach(t, openflowtest.NewFlagSwitch(openflowtest.FlagConfig{Intercept: func(nc net.Conn, m openflowtest.Message) bool {
				if m.Type == statsRequest {
					asked <- nc
				}
				return m.Type == statsRequest
			}}))
			answered := make(chan error, 1)
			go func() {
				_, err := s.Ports(context.Background())
				answered <- err
			}()
			test.end(s, <-asked)
			if err := ended(t, s); !errors.Is(err, test.want) {
				t.Errorf("session: %v", err)
			}
			if err := <-answered; !errors.Is(err, test.want) {
				t.Errorf("request: %v", err)
			}
			if _, err := s.Ports(testContext(t)); !errors.Is(err, test.want) {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

// TestEchoesAndNoise: the session answers echoes, and passes over what it did not ask for.
func TestEchoesAndNoise(t *testing.T) {
	t.Parallel()
	echoed := make(chan []byte, 1)
	fake := openflowtest.NewFlagSwitch(openflowtest.FlagConfig{Ports: somePorts(2), Intercept: func(nc net.Conn, m openflowtest.Message) bool {
		switch m.Type {
		case echoReply:
			echoed <- m.Raw
		case statsRequest:
			// In front of the answer: a packet, a port's news, and answers to nobody.
			noise := append(raw(packetIn, 0, make([]byte, 60)...), raw(portStatus, 0, make([]byte, 56)...)...)
			noise = append(noise, raw(1, 99, 0, 1, 0, 1)...)
			_, _ = nc.Write(append(noise, raw(echoRequest, 7, 'p', 'w')...))
		}
		return false
	}})
	s := attach(t, fake)
	if ports, err := s.Ports(testContext(t)); err != nil || len(ports) != 2 {
		t.Errorf("%v, %v", ports, err)
	}
	select {
	case got := <-echoed:
		if !bytes.Equal(got, raw(echoReply, 7, 'p', 'w')) {
			t.Errorf("echo reply % x", got)
		}
	case <-s.Done():
		t.Error(s.Err())
	}
}

// lingering is a connection that takes its time to close.
type lingering struct {
	net.Conn
	closing chan struct{}
	closed  chan struct{}
}

func (l *lingering) Close() error {
	close(l.closing)
	<-l.closed
	return l.Conn.Close()
}

// TestSlowClose: whoever asks why a session ended does not wait until its connection has
// said farewell.
func TestSlowClose(t *testing.T) {
	t.Parallel()
	ours, theirs := connect(t)
	slow := &lingering{Conn: ours, closing: make(chan struct{}), closed: make(chan struct{})}
	s := attachOver(t, openflowtest.NewFlagSwitch(openflowtest.FlagConfig{}), slow, theirs)
	reason := errors.New("no more")
	over := make(chan struct{})
	go func() {
		defer close(over)
		s.Close(reason)
	}()
	<-slow.closing
	told := make(chan error, 1)
	go func() { told <- s.Err() }()
	select {
	case err := <-told:
		if !errors.Is(err, reason) {
			t.Errorf("ended with %v", err)
		}
	case <-time.After(patience / 6):
		t.Error("nobody hears why until the connection is closed")
	}
	close(slow.closed)
	<-over
	if err := ended(t, s); !errors.Is(err, reason) {
		t.Errorf("ended with %v", err)
	}
}
