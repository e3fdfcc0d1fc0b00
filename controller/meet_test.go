package controller

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"poolwire/strangers"
)

// shown is a connection whose peer has presented a certificate.
type shown struct {
	net.Conn
	cert *x509.Certificate
}

// ConnectionState has the certificate.
func (s shown) ConnectionState() tls.ConnectionState {
	return tls.ConnectionState{PeerCertificates: []*x509.Certificate{s.cert}}
}

// slowHosts dial a switchboard and are asked who they are; they say so when answer is closed.
type slowHosts struct {
	board  *Switchboard
	asked  atomic.Int64
	answer chan struct{}
	work   sync.WaitGroup
}

// dial has one more host dial in, which shows a certificate.
func (s *slowHosts) dial(ctx context.Context, id string, cert *x509.Certificate) {
	ours, theirs := net.Pipe()
	s.work.Go(func() { s.board.AcceptOVSDB(ctx, shown{ours, cert}) })
	s.work.Go(func() {
		defer func() { _ = theirs.Close() }()
		var m struct {
			ID json.RawMessage `json:"id"`
		}
		if json.NewDecoder(theirs).Decode(&m) != nil {
			return
		}
		s.asked.Add(1)
		<-s.answer
		_, _ = fmt.Fprintf(theirs, `{"id":%s,"error":null,"result":[{"rows":[{"external_ids":["map",[["system-id",%q]]]}]}]}`, m.ID, id)
		_, _ = io.Copy(io.Discard, theirs)
	})
}

// Registered hosts that are being met push nobody out, and no stranger pushes them out.
func TestRegisteredHostsAreNoStrangersWhileTheyAreMet(t *testing.T) {
	t.Parallel()
	const room, hosts, crowd = 8, 9, 20
	ctx, cancel := context.WithCancel(context.Background())
	registered, unknown := &x509.Certificate{}, &x509.Certificate{}
	var limited atomic.Int64
	s := &slowHosts{answer: make(chan struct{})}
	s.board = NewSwitchboard(BoardConfig{
		Log: slog.New(slog.DiscardHandler), Strangers: room, Limited: func(string) { limited.Add(1) },
		Known: func(_ string, certs []*x509.Certificate) bool { return len(certs) == 1 && certs[0] == registered },
	})
	answer := sync.OnceFunc(func() { close(s.answer) })
	defer s.work.Wait()
	defer answer()
	defer cancel()
	for i := range hosts {
		s.dial(ctx, fmt.Sprint("host", i), registered)
	}
	eventually(t, "the hosts are asked who they are", func() bool { return s.asked.Load() == hosts })
	for i := range crowd {
		s.dial(ctx, fmt.Sprint("nobody", i), unknown)
	}
	// All are of one address.
	eventually(t, "strangers make room for strangers", func() bool { return limited.Load() == crowd-room/strangers.Share })
	answer()
	eventually(t, "all others are there", func() bool { return s.board.callers.size() == hosts+room/strangers.Share })
	for i := range hosts {
		if _, ok := s.board.callers.newest(fmt.Sprint("host", i), func([]*x509.Certificate) error { return nil }); !ok {
			t.Errorf("host%d was let go: %v", i, s.board.Refused())
		}
	}
}
