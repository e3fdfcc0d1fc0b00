package northbound

import (
	"context"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Reasons in google.rpc.ErrorInfo.
const (
	errorDomain      = "poolwire"
	reasonNotLeader  = "NOT_LEADER"
	reasonUnknownEnd = "OUTCOME_UNKNOWN"
)

// notLeading says that nothing was done, because only the leader can do it.
func notLeading(message, id, address string) error {
	return detailed(codes.Unavailable, message, &errdetails.ErrorInfo{
		Reason: reasonNotLeader, Domain: errorDomain, Metadata: map[string]string{"leader_id": id, "leader_api_address": address},
	})
}

// isNotLeading recognises notLeading, from this node or another one.
func isNotLeading(err error) bool {
	if err == nil {
		return false
	}
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok && info.GetDomain() == errorDomain && info.GetReason() == reasonNotLeader {
			return true
		}
	}
	return false
}

type leaderlessKey struct{}

// withoutLeader marks a call that is answered although nobody leads.
func withoutLeader(ctx context.Context) context.Context {
	return context.WithValue(ctx, leaderlessKey{}, true)
}

func isWithoutLeader(ctx context.Context) bool { return ctx.Value(leaderlessKey{}) != nil }
