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
	"google.golang.org/protobuf/proto"
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
	// rights are what the caller has been granted; nil for one whose role is enough by itself.
	rights *rights
	// account is what counts the call; nil for callers that are not limited.
	account *account
	// chats says that the client may send further requests, whenever it likes.
	chats bool
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

func (s *Server) logUnary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	c := callOf(ctx)
	resp, err := next(ctx, req)
	s.noteRefused(ctx, c, err)
	s.logCall(ctx, c, err)
	return resp, err
}

func (s *Server) logStream(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	ctx := ss.Context()
	c := callOf(ctx)
	err := next(srv, ss)
	s.noteRefused(ctx, c, err)
	s.logCall(ctx, c, err)
	return err
}

// logCall writes one line, whose message is the method.
func (s *Server) logCall(ctx context.Context, c *call, err error) {
	code := status.Code(err)
	level := s.logLevel(c.method, code)
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
	s.log.LogAttrs(ctx, level, shortMethod(c.method), attrs...)
}

// authorise lets a call through when the caller's role is high enough and reaches far enough: before its request is read, and again
// when that has come, since rights may have been lost meanwhile. What exactly the caller may see and touch is decided where states are read (seen)
// and commands written (permit).
func (s *Server) authorise(ctx context.Context, method string) error {
	c, v := callOf(ctx), s.cfg.Store.View()
	who, p := c.who, permissions[method]
	// Of a token that ended on the way nothing is left but a name without rights: who has it is to hear which it is.
	if err := tokenStands(v, who); err != nil {
		return err
	}
	if who.outside && !forJoining(method) {
		return errOutside(method, who.Name)
	}
	if p.reach != reachNobody && who.Role >= p.role {
		return nil
	}
	rights := rightsOf(v, who)
	if !rights.allows(p) {
		return refuse(method, p, who, rights)
	}
	c.rights = rights
	return nil
}

func errOutside(method, node string) error {
	return status.Errorf(codes.PermissionDenied, "%s is for members of the cluster; node %q is none, and may only join", shortMethod(method), node)
}

// refuse says what a caller would need.
func refuse(method string, p permission, who Identity, r *rights) error {
	have, remedy := r.highest(p.reach), ""
	if p.role < RoleNode {
		remedy = fmt.Sprintf("; ask a pool-admin: poolwire access grant %s %s%s", who.Name, p.role, p.reach.flag())
	}
	if p.reach == reachCluster && r.highest(reachNetwork) > have {
		return status.Errorf(codes.PermissionDenied, "%s needs the role %s in the whole cluster; %q has the role %s there%s", shortMethod(method), p.role, who, have, remedy)
	}
	return status.Errorf(codes.PermissionDenied, "%s needs the role %s; %q has the role %s%s", shortMethod(method), p.role, who, have, remedy)
}

// own are the services that choose themselves what a caller gets.
func isOwn(method string) bool {
	return strings.HasPrefix(method, "/"+v1.AccessService_ServiceDesc.ServiceName+"/") || strings.HasPrefix(method, "/"+v1.TokenService_ServiceDesc.ServiceName+"/")
}

// redactorOf returns what an answer has to pass; nil for callers who may read everything.
func (s *Server) redactorOf(ctx context.Context, req any) *redactor {
	c := callOf(ctx)
	if c.rights == nil || c.rights.role >= RoleReadOnly || isOwn(c.method) {
		return nil
	}
	return newRedactor(c.rights, s.cfg.Store.View(), req)
}

func (s *Server) authoriseUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if err := s.authorise(ctx, info.FullMethod); err != nil {
		return nil, err
	}
	resp, err := next(raftstore.WithOrigin(ctx, originOf(callOf(ctx))), req)
	d := s.redactorOf(ctx, req)
	if d == nil {
		return resp, err
	}
	if m, ok := resp.(proto.Message); ok && err == nil {
		return d.answer(m), nil
	}
	return nil, d.failure(err)
}

func (s *Server) authoriseStream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	ctx := ss.Context()
	if err := s.authorise(ctx, info.FullMethod); err != nil {
		return err
	}
	if c := callOf(ctx); c.rights == nil && len(membersBehind(c.who)) == 0 {
		return next(srv, ss)
	}
	ctx, end := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.follow(ctx, end)
	}()
	narrow := &narrowStream{stream: stream{ServerStream: ss, ctx: ctx}, server: s}
	err := next(srv, narrow)
	// Why the stream was ended tells more than that it was.
	if cause := context.Cause(ctx); cause != nil && ss.Context().Err() == nil {
		err = cause
	}
	end(nil)
	<-done
	if d := s.redactorOf(ss.Context(), narrow.req.Load()); d != nil && err != nil {
		return d.failure(err)
	}
	return err
}

// membersBehind are the nodes that must be members for as long as a call goes on: the one that calls, and the one that forwards it.
func membersBehind(who Identity) (ids []string) {
	if who.Role == RoleNode && !who.outside {
		ids = append(ids, who.Name)
	}
	if who.Via != "" {
		ids = append(ids, who.Via)
	}
	return ids
}

// follow ends a stream whose caller has lost the right to it: grants, tokens and members change while it runs. That a certificate was
// revoked or has ended, ends the connection, and all streams with it (daemon.node.endUnusable).
func (s *Server) follow(ctx context.Context, end context.CancelCauseFunc) {
	tick := time.NewTicker(s.cfg.Recheck)
	defer tick.Stop()
	c := callOf(ctx)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		v := s.cfg.Store.View()
		if err := tokenStands(v, c.who); err != nil {
			end(err)
			return
		}
		for _, node := range membersBehind(c.who) {
			if !s.isMember(node) {
				end(errOutside(c.method, node))
				return
			}
		}
		if c.rights == nil {
			continue
		}
		now := rightsOf(v, c.who)
		switch p := permissions[c.method]; {
		case now.equal(c.rights):
		case !now.allows(p):
			end(refuse(c.method, p, c.who, now))
			return
		default:
			end(status.Error(codes.Aborted, "what the caller has been granted has changed; call again"))
			return
		}
	}
}

// narrowStream is a stream to a caller who may not see everything, or not for ever.
type narrowStream struct {
	stream
	server *Server
	req    atomic.Value
}

// RecvMsg keeps what was asked.
func (n *narrowStream) RecvMsg(m any) error {
	err := n.stream.RecvMsg(m)
	if err == nil {
		n.req.Store(m)
	}
	return err
}

// SendMsg sends what the caller may see.
func (n *narrowStream) SendMsg(m any) error {
	if cause := context.Cause(n.ctx); cause != nil {
		return cause
	}
	d := n.server.redactorOf(n.ctx, n.req.Load())
	if msg, ok := m.(proto.Message); ok && d != nil {
		m = d.answer(msg)
	}
	return n.stream.SendMsg(m)
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
