package northbound

import (
	"context"
	"log/slog"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"
)

// Guest is the AuthInfo of a connection that is let go when nothing is proved on it (door.Guest).
type Guest interface {
	// TLS is what the handshake found out.
	TLS() credentials.TLSInfo
	// Proved says that a call was accepted, Refused that one was not, for what its headers said.
	Proved()
	Refused()
}

// guestOf is the guest whose call this is, nil for none. In the context that is returned its connection is one like any
// other with TLS.
func guestOf(ctx context.Context) (context.Context, Guest) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return ctx, nil
	}
	guest, ok := p.AuthInfo.(Guest)
	if !ok {
		return ctx, nil
	}
	return peer.NewContext(ctx, &peer.Peer{Addr: p.Addr, LocalAddr: p.LocalAddr, AuthInfo: guest.TLS()}), guest
}

// admit decides by a call's headers, before anything of its request is read, whether there is to be a call
// (tap.ServerInHandle). gRPC reads a request before it runs interceptors: who has proved nothing
// must not get that far. admit runs where the connection is read, and waits for nothing.
func (s *Server) admit(ctx context.Context, info *tap.Info) (context.Context, error) {
	c := &call{method: info.FullMethodName, begin: time.Now()}
	ctx = context.WithValue(ctx, callKey{}, c)
	ctx, guest := guestOf(ctx)
	who, err := s.identify(ctx)
	if err == nil {
		c.who = who
		err = s.accept(ctx, c)
	}
	if guest != nil {
		if err == nil {
			guest.Proved()
		} else {
			guest.Refused()
		}
	}
	if err != nil {
		s.turnedAway(ctx, c, err)
	}
	return ctx, err
}

// accept decides about a call of somebody who is known.
func (s *Server) accept(ctx context.Context, c *call) error {
	return s.arrives(ctx, c)
}

// turnedAway logs and counts a call that was refused by its headers.
func (s *Server) turnedAway(ctx context.Context, c *call, err error) {
	s.usage.turnedAway.WithLabelValues(status.Code(err).String()).Inc()
	s.logCall(ctx, c, err)
	if refused := s.refusedCall(ctx, c, err); refused != nil && s.refusals.count(refused) {
		go s.refusals.record(ctx, refused)
	}
}

// refusedLogged are how many lines the log gets of refused calls: so many at once, and one more each second.
const refusedLogged = 50

// logLevel is how much the end of a call matters: changes, and refused calls of which there are few, at info; the rest at
// debug, and failures of ours at error.
func (s *Server) logLevel(method string, code codes.Code) slog.Level {
	switch {
	case code == codes.Internal || code == codes.Unknown:
		return slog.LevelError
	case code == codes.PermissionDenied, code == codes.Unauthenticated, code == codes.ResourceExhausted:
		if s.refusedLog.Allow() {
			return slog.LevelInfo
		}
	case mutates(method):
		return slog.LevelInfo
	}
	return slog.LevelDebug
}
