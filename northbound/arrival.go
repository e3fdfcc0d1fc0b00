package northbound

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// arrives counts a call in until ctx ends.
func (s *Server) arrives(ctx context.Context, c *call) error {
	if exempt(c.who) {
		return nil
	}
	account, err := s.usage.enter(c.who)
	if err != nil {
		return err
	}
	c.account = account
	context.AfterFunc(ctx, func() { s.usage.leave(account) })
	return nil
}

// receive has a request read by read, as soon as there is room for it. When it does not come in time, or others need
// the room, the call is to end, which also ends the reading that is left behind.
func (s *Server) receive(ctx context.Context, read func() error) error {
	c := callOf(ctx)
	if c.account == nil {
		return read()
	}
	r, of := s.usage.arriving, &c.account.arriving
	if c.chats {
		r, of = s.usage.chatting, &c.account.chatting
	}
	a := r.enter(of)
	select {
	case <-a.placed:
	case <-a.ousted:
		return s.ousted(c)
	case <-ctx.Done():
		r.leave(a)
		return status.FromContextError(ctx.Err()).Err()
	}
	late := time.NewTimer(s.cfg.Limits.Arrival)
	defer late.Stop()
	done := make(chan error, 1)
	go func() {
		var err error
		// Before anybody learns of it: whoever has an answer has no place any more.
		defer func() {
			r.leave(a)
			done <- err
		}()
		defer s.recovered(c.method, &err)
		err = read()
	}()
	select {
	case err := <-done:
		return err
	case <-a.ousted:
		return s.ousted(c)
	case <-late.C:
		return status.Errorf(codes.DeadlineExceeded, "the request has not come within %s", s.cfg.Limits.Arrival)
	}
}

// ousted is the answer to a call whose request had to make room.
func (s *Server) ousted(c *call) error {
	return s.usage.limited("api_message", "this node needs the room that requests of client %q have taken for those of others; send it again", c.who)
}

// RecvMsg receives a request (grpc.ServerStream).
func (b *boundedStream) RecvMsg(m any) error {
	if err := b.server.receive(b.Context(), func() error { return b.ServerStream.RecvMsg(m) }); err != nil {
		return err
	}
	return b.usage.lists(m)
}

// receiving is a gRPC server whose unary methods read their requests by Server.receive: gRPC reads these before it runs
// interceptors, and tells interceptors nothing about it. Those of streams are read behind them, by boundedStream.
type receiving struct {
	*grpc.Server
	api *Server
}

// RegisterService adds a service (grpc.ServiceRegistrar).
func (r receiving) RegisterService(desc *grpc.ServiceDesc, service any) {
	own := *desc
	own.Methods = nil
	for _, m := range desc.Methods {
		own.Methods = append(own.Methods, grpc.MethodDesc{MethodName: m.MethodName, Handler: r.api.receives(m.Handler)})
	}
	r.Server.RegisterService(&own, service)
}

// receives is a unary method that reads its request by receive, and not at all when the caller may not call the method: the
// interceptors refuse that, as they refuse streams before anything of them is read.
func (s *Server) receives(method grpc.MethodHandler) grpc.MethodHandler {
	return func(service any, ctx context.Context, read func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
		if err := s.authorise(ctx, callOf(ctx).method); err != nil {
			info := &grpc.UnaryServerInfo{Server: service, FullMethod: callOf(ctx).method}
			return interceptor(ctx, nil, info, func(context.Context, any) (any, error) { return nil, err })
		}
		return method(service, ctx, func(m any) error {
			err := s.receive(ctx, func() error { return read(m) })
			if err != nil {
				s.logCall(ctx, callOf(ctx), err)
			}
			return err
		}, interceptor)
	}
}
