package northbound

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// Reads hold every change that was acknowledged before they were asked for. What needs the replicated
// state only is answered by the node that is asked: it asks the leader for a revision and waits until
// it has got as far. Other reads are forwarded to the leader. A client that would
// rather have an old answer than none says so in the request's metadata: the node that is asked
// then answers from its own copy, with the revision it is of in the header.
const (
	// consistencyKey is the client's wish: consistencyStale, or nothing.
	consistencyKey   = "poolwire-consistency"
	consistencyStale = "stale"
	// revisionKey is the revision of the state that a stale answer was made from.
	revisionKey = "poolwire-revision"
)

// wantsStale says whether the node that is asked is to answer from its own copy.
func wantsStale(ctx context.Context, method string) (bool, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	wish := md.Get(consistencyKey)
	switch {
	case len(wish) == 0, len(wish) == 1 && wish[0] == "linearizable":
		return false, nil
	case len(wish) != 1 || wish[0] != consistencyStale:
		return false, status.Errorf(codes.InvalidArgument, "%s: %s: must be %q or \"linearizable\"", consistencyKey, quote(strings.Join(wish, ", ")), consistencyStale)
	}
	name := method[strings.LastIndex(method, "/")+1:]
	return strings.HasPrefix(name, "Get") || strings.HasPrefix(name, "List"), nil
}

// readsState tells whether a method reads the replicated state and nothing else: no live knowledge
// of hosts or of other nodes, which only the leader has. Every node answers such a call itself.
func readsState(method string) bool {
	switch method {
	case v1.PoolService_GetPool_FullMethodName, v1.PoolService_ListPools_FullMethodName,
		v1.PifService_GetPif_FullMethodName, v1.PifService_ListPifs_FullMethodName,
		v1.NetworkService_GetNetwork_FullMethodName, v1.NetworkService_ListNetworks_FullMethodName,
		v1.PrivateNetworkService_ListMulticastGroups_FullMethodName, v1.TunnelService_DescribeHostGuard_FullMethodName,
		v1.PolicyService_GetEffectivePolicy_FullMethodName,
		v1.AuditService_ListAuditRecords_FullMethodName, v1.AuditService_GetAuditRecord_FullMethodName,
		v1.AddressGroupService_GetAddressGroup_FullMethodName, v1.AddressGroupService_ListAddressGroups_FullMethodName,
		v1.VifGroupService_GetVifGroup_FullMethodName, v1.VifGroupService_ListVifGroups_FullMethodName,
		v1.ChangeService_ListPendingChanges_FullMethodName, v1.ClusterService_GetClusterSettings_FullMethodName,
		v1.AccessService_ListGrants_FullMethodName, v1.TokenService_ListTokens_FullMethodName:
		return true
	}
	return false
}

type viewKey struct{}

// readingFrom gives a call the state that it is answered from.
func readingFrom(ctx context.Context, v *raftstore.View) context.Context {
	return context.WithValue(ctx, viewKey{}, v)
}

// givenView is the state that a call is answered from; nil when that is still to be found.
func givenView(ctx context.Context) *raftstore.View {
	v, _ := ctx.Value(viewKey{}).(*raftstore.View)
	return v
}

// fromOwnCopy has a call answered from this node's own copy, however old, and says how old.
func (s *Server) fromOwnCopy(ctx context.Context) (context.Context, error) {
	v := s.cfg.Store.View()
	return readingFrom(ctx, v), grpc.SetHeader(ctx, metadata.Pairs(revisionKey, strconv.FormatUint(v.Revision(), 10)))
}

// answerHere answers a read on a node that does not lead. done is false when the leader is of a
// version that does not help with that, and when this node lags far behind it.
func (s *Server) answerHere(ctx context.Context, req any, next grpc.UnaryHandler) (resp any, done bool, err error) {
	v, err := s.cfg.Store.CurrentView(ctx)
	switch {
	case errors.Is(err, errors.ErrUnsupported), errors.Is(err, raftstore.ErrBehind):
		return nil, false, nil
	case errors.Is(err, raftstore.ErrNotLeader):
		id, address := s.cfg.Store.Leader()
		return nil, true, notLeading("the leader did not tell how far a read has to reach; try again in a moment", id, address)
	case err != nil:
		return nil, true, statusOf(err, "")
	}
	resp, err = next(readingFrom(ctx, v), req)
	return resp, true, err
}
