package northbound

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	v1 "poolwire/proto/poolwire/v1"
)

// leaderPoll is how often a waiting call looks for a leader.
const leaderPoll = 20 * time.Millisecond

// isLocal tells whether every node answers a method itself.
func isLocal(method string) bool {
	// The descriptors of poolwire.v1 name the forwarded methods; health and
	// reflection are about the node that is asked, and so are Watch and the chain of audit records.
	switch method {
	case v1.WatchService_Watch_FullMethodName, v1.ClusterService_GetNodeStatus_FullMethodName, v1.ClusterService_ReadRevision_FullMethodName,
		v1.AuditService_WatchAuditRecords_FullMethodName, v1.AuditService_ReadAuditChain_FullMethodName,
		v1.PkiService_RenewCertificate_FullMethodName, v1.PkiService_SignCertificate_FullMethodName, v1.PkiService_PrepareCa_FullMethodName:
		return true
	}
	return answerType(method) == nil
}

// forwardUnary answers on the leader, and elsewhere forwards what needs the leader. A call that met a
// node which no longer leads is tried again until LeaderWait is over: such a
// node has written nothing.
func (s *Server) forwardUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if isLocal(info.FullMethod) {
		return next(ctx, req)
	}
	if stale, err := wantsStale(ctx, info.FullMethod); err != nil {
		return nil, err
	} else if stale {
		own, err := s.fromOwnCopy(ctx)
		if err != nil {
			return nil, err
		}
		return next(own, req)
	}
	patience := time.Now().Add(s.cfg.LeaderWait)
	for {
		resp, err := s.answerOrForward(ctx, req, info.FullMethod, next)
		if !isNotLeading(err) {
			return resp, err
		}
		switch {
		case info.FullMethod == v1.ClusterService_GetClusterStatus_FullMethodName && !forwarded(ctx):
			// How the cluster is doing is asked most urgently when nobody leads.
			return next(withoutLeader(ctx), req)
		case forwarded(ctx), time.Now().After(patience), ctx.Err() != nil:
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(leaderPoll):
		}
	}
}

// answerOrForward makes one attempt.
func (s *Server) answerOrForward(ctx context.Context, req any, method string, next grpc.UnaryHandler) (any, error) {
	conn, release, err := s.wayToLeader(ctx)
	switch {
	case err != nil:
		return nil, err
	case conn == nil:
		return next(ctx, req)
	}
	defer release()
	if readsState(method) {
		if resp, done, err := s.answerHere(ctx, req, next); done {
			return resp, err
		}
	}
	resp := answerType(method).New().Interface()
	var at peer.Peer
	callOf(ctx).passedOn.Store(true)
	err = conn.Invoke(s.speakFor(ctx), method, req, resp, grpc.MaxCallRecvMsgSize(math.MaxInt32), grpc.Peer(&at))
	switch {
	case err == nil:
		return resp, nil
	case at.Addr == nil: // no connection has taken the call
		return nil, unsent(ctx, err)
	}
	return nil, unanswered(ctx, method, req, err)
}

// wayToLeader returns the connection to the leader, with what releases it, nil
// when this node is to answer itself, or the error that nobody leads. A forwarded
// call is never forwarded again.
func (s *Server) wayToLeader(ctx context.Context) (conn grpc.ClientConnInterface, release func(), err error) {
	id, address := s.cfg.Store.Leader()
	switch {
	case s.cfg.Store.IsLeader(), id == s.cfg.NodeID:
		return nil, nil, nil
	case id == "" || address == "":
		return nil, nil, notLeading("no controller node leads now; try again in a moment", id, address)
	case forwarded(ctx):
		return nil, nil, notLeading("this node does not lead", id, address)
	}
	if conn, release, err = s.cfg.Peers.Reach(address); err != nil {
		return nil, nil, notReached(fmt.Errorf("connecting to %s at %s: %w", id, address, err))
	}
	return conn, release, nil
}

// speakFor is the context of a forwarded call: the client's deadline, and its
// identity instead of this node's.
func (s *Server) speakFor(ctx context.Context) context.Context {
	who := callOf(ctx).who
	issuer, _ := s.madeWith(who)
	return metadata.NewOutgoingContext(ctx, metadata.Pairs(
		forwardedKey, s.cfg.NodeID, callerNameKey, who.Name, callerRoleKey, who.Role.wire(),
		callerCredentialKey, who.Credential, callerAddressKey, who.Address, callerIssuerKey, issuer))
}

// isEndless tells whether a stream goes on for as long as the client wants.
func isEndless(method string) bool { return method == v1.PolicyService_WatchDenied_FullMethodName }

// forwardStream does for DumpFlows and WatchDenied what forwardUnary does for the
// rest.
func (s *Server) forwardStream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	if isLocal(info.FullMethod) {
		return next(srv, ss)
	}
	ctx, cancel := boundStream(ss.Context(), info.FullMethod)
	defer cancel()
	conn, release, err := s.awaitWay(ctx)
	switch {
	case err != nil:
		return err
	case conn == nil:
		return next(srv, &stream{ServerStream: ss, ctx: ctx})
	}
	defer release()
	return s.relay(ctx, ss, conn, info.FullMethod)
}

// backupTimeout ends the sending of a backup, the largest over a slow line.
const backupTimeout = 10 * time.Minute

// boundStream gives a deadline to streams that end by themselves.
func boundStream(ctx context.Context, method string) (context.Context, context.CancelFunc) {
	switch {
	case isEndless(method):
		return context.WithCancel(ctx)
	case method == v1.BackupService_SaveBackup_FullMethodName:
		return context.WithTimeout(ctx, backupTimeout)
	}
	return context.WithTimeout(ctx, callTimeout)
}

// awaitWay is wayToLeader that waits for an election.
func (s *Server) awaitWay(ctx context.Context) (conn grpc.ClientConnInterface, release func(), err error) {
	patience := time.Now().Add(s.cfg.LeaderWait)
	for {
		conn, release, err = s.wayToLeader(ctx)
		if !isNotLeading(err) || forwarded(ctx) || time.Now().After(patience) {
			return conn, release, err
		}
		select {
		case <-ctx.Done():
			return nil, nil, err
		case <-time.After(leaderPoll):
		}
	}
}

// relay passes one request on and the answers back.
func (s *Server) relay(ctx context.Context, ss grpc.ServerStream, conn grpc.ClientConnInterface, method string) error {
	callOf(ctx).passedOn.Store(true)
	question, answer := requestType(method), answerType(method)
	req := question.New().Interface()
	if err := ss.RecvMsg(req); err != nil {
		return err
	}
	out, err := conn.NewStream(s.speakFor(ctx), &grpc.StreamDesc{ServerStreams: true}, method, grpc.MaxCallRecvMsgSize(math.MaxInt32))
	if err != nil {
		return err
	}
	if err := out.SendMsg(req); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if err := out.CloseSend(); err != nil {
		return err
	}
	// That an endless stream has begun is told by its header. A stream that is
	// refused has none; its error comes with the first message.
	if md, err := out.Header(); err == nil && md != nil && isEndless(method) {
		if err := ss.SendHeader(nil); err != nil {
			return err
		}
	}
	for {
		resp := answer.New().Interface()
		err := out.RecvMsg(resp)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if err := ss.SendMsg(resp); err != nil {
			return err
		}
	}
}
