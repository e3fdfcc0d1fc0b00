package northbound

import (
	"context"
	"math"
	"strings"
	"time"

	"google.golang.org/grpc"

	v1 "poolwire/proto/poolwire/v1"
)

// watches tells whether a method's answers go on until the client ends them.
func watches(method string) bool {
	switch method {
	case v1.WatchService_Watch_FullMethodName, v1.PolicyService_WatchDenied_FullMethodName:
		return true
	}
	return strings.Contains(method[strings.LastIndexByte(method, '/')+1:], "Watch")
}

func (s *Server) limitUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	who := callOf(ctx).who
	if err := s.usage.begin(who); err != nil {
		return nil, err
	}
	if err := s.usage.room(who); err != nil {
		return nil, err
	}
	if err := s.usage.lists(req); err != nil {
		return nil, err
	}
	resp, err := next(ctx, req)
	if err != nil {
		return nil, err
	}
	b := bill{who: who, msg: resp, most: s.cfg.Limits.Unread, stall: s.cfg.Limits.Stall}
	if mutates(info.FullMethod) {
		b.most = math.MaxInt
	}
	return s.usage.owed(ctx, b)
}

func (s *Server) limitStream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	c := callOf(ss.Context())
	c.chats = info.IsClientStream
	who := c.who
	if err := s.usage.begin(who); err != nil {
		return err
	}
	if err := s.usage.room(who); err != nil {
		return err
	}
	if watches(info.FullMethod) {
		release, err := s.usage.watch(who)
		if err != nil {
			return err
		}
		defer release()
	}
	return next(srv, &boundedStream{ServerStream: ss, usage: s.usage, server: s, who: who})
}

// boundedStream refuses requests with lists that are too long, and ends the stream of a client
// that does not read.
type boundedStream struct {
	grpc.ServerStream
	usage  *usage
	server *Server
	who    Identity
}

// SendMsg sends a message (grpc.ServerStream), as soon as there is room for it beside all that its client has left
// unread. When the client makes no room in time, the call is to end: its status waits for the client, and nothing
// else does. The end of the call also ends the sending that is left behind.
func (b *boundedStream) SendMsg(m any) error {
	stalled := time.NewTimer(b.usage.limits.Stall)
	defer stalled.Stop()
	// What is left in the queue when the stream has ended has as long again.
	m, err := b.usage.owed(b.Context(), bill{
		who: b.who, msg: m, most: b.usage.limits.Unread, late: stalled.C, stall: 2 * b.usage.limits.Stall,
	})
	if err != nil {
		return err
	}
	sent := make(chan error, 1)
	go func() { sent <- b.ServerStream.SendMsg(m) }()
	select {
	case err := <-sent:
		return err
	case <-stalled.C:
		return b.usage.limited("stalled_stream", "the client has not read for %s", b.usage.limits.Stall)
	}
}
