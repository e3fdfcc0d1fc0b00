package northbound

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// call is what the interceptors tell each other about one call: the log, which
// comes before authorisation, writes down who it was afterwards.
type call struct {
	method string
	begin  time.Time
	who    Identity
	// passedOn says that another node was asked to answer.
	passedOn atomic.Bool
}

type callKey struct{}

func callOf(ctx context.Context) *call {
	c, _ := ctx.Value(callKey{}).(*call)
	if c == nil {
		return &call{}
	}
	return c
}

// stream is a server stream with another context.
type stream struct {
	grpc.ServerStream
	ctx context.Context
}

// Context returns the replaced context.
func (s *stream) Context() context.Context { return s.ctx }

// recovered turns a panic into INTERNAL: one broken call must not take the
// node, and with it every other call, down.
func (s *Server) recovered(method string, err *error) {
	if r := recover(); r != nil {
		s.log.Error("panic in a call", "method", method, "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
		*err = status.Errorf(codes.Internal, "internal error in %s; the controller's log tells more", method)
	}
}

func (s *Server) recoverUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (_ any, err error) {
	defer s.recovered(info.FullMethod, &err)
	return next(ctx, req)
}

func (s *Server) recoverStream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
	defer s.recovered(info.FullMethod, &err)
	return next(srv, ss)
}

func (s *Server) logUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	c := &call{method: info.FullMethod, begin: time.Now()}
	ctx = context.WithValue(ctx, callKey{}, c)
	resp, err := next(ctx, req)
	s.noteRefused(ctx, c, err)
	s.logCall(ctx, c, err)
	return resp, err
}

func (s *Server) logStream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	c := &call{method: info.FullMethod, begin: time.Now()}
	ctx := context.WithValue(ss.Context(), callKey{}, c)
	err := next(srv, &stream{ServerStream: ss, ctx: ctx})
	s.noteRefused(ctx, c, err)
	s.logCall(ctx, c, err)
	return err
}

// logCall writes one line, whose message is the method: changes at info with who
// made them, the rest at debug, and failures of ours at error.
func (s *Server) logCall(ctx context.Context, c *call, err error) {
	level := slog.LevelDebug
	code := status.Code(err)
	switch {
	case code == codes.Internal || code == codes.Unknown:
		level = slog.LevelError
	case mutates(c.method):
		level = slog.LevelInfo
	}
	if !s.log.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("code", code.String()), slog.Duration("took", time.Since(c.begin)),
		slog.String("who", c.who.String()), slog.String("role", c.who.Role.String()),
	}
	if p, ok := peer.FromContext(ctx); ok && p.Addr != nil {
		attrs = append(attrs, slog.String("remote", p.Addr.String()))
	}
	if err != nil {
		attrs = append(attrs, slog.String("error", status.Convert(err).Message()))
	}
	// "/poolwire.v1.RuleService/AddRule" reads RuleService/AddRule.
	name := strings.TrimPrefix(strings.TrimPrefix(c.method, "/"), string(v1.File_poolwire_v1_pool_proto.Package())+".")
	s.log.LogAttrs(ctx, level, name, attrs...)
}

// authorise lets a call through when the caller's role is high enough.
func (s *Server) authorise(ctx context.Context, method string) error {
	who, err := s.identify(ctx)
	if err != nil {
		return err
	}
	callOf(ctx).who = who
	need := access(method)
	if need == RoleNone || who.Role < need {
		return status.Errorf(codes.PermissionDenied, "%s needs the role %s; %q has the role %s", method, need, who, who.Role)
	}
	return nil
}

func (s *Server) authoriseUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if err := s.authorise(ctx, info.FullMethod); err != nil {
		return nil, err
	}
	return next(raftstore.WithOrigin(ctx, originOf(callOf(ctx))), req)
}

func (s *Server) authoriseStream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	if err := s.authorise(ss.Context(), info.FullMethod); err != nil {
		return err
	}
	return next(srv, ss)
}

// boundUnary gives a deadline to calls that bring none, or one too far away.
// A call that says itself how long it may take gets that and a little more.
func (s *Server) boundUnary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	limit := callTimeout
	if r, ok := req.(interface{ GetTimeout() *durationpb.Duration }); ok {
		limit += waitTimeout(r.GetTimeout())
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return next(ctx, req)
}
