package northbound

import (
	"context"
	"strconv"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"poolwire/raftstore"
)

// Reads hold every change that was acknowledged before they were asked for. A client that would
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

type staleKey struct{}

// fromOwnCopy marks a call that is answered from this node's own copy.
func fromOwnCopy(ctx context.Context) context.Context {
	return context.WithValue(ctx, staleKey{}, true)
}

// ownCopy returns this node's state for a call that is content with it, else nil.
func (s *Server) ownCopy(ctx context.Context) (*raftstore.View, error) {
	if ctx.Value(staleKey{}) == nil {
		return nil, nil
	}
	v := s.cfg.Store.View()
	return v, grpc.SetHeader(ctx, metadata.Pairs(revisionKey, strconv.FormatUint(v.Revision(), 10)))
}
