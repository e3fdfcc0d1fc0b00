package northbound

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"poolwire/raftstore"
)

// TestStatusOf: each kind of error of the layers below has its code, wrapped or
// not, and says what to do.
func TestStatusOf(t *testing.T) {
	t.Parallel()
	tests := []struct {
		err  error
		want refusal
	}{
		{&raftstore.NotFoundError{Kind: raftstore.KindPool, ID: "p"}, refusal{code: codes.NotFound, says: []string{"pool", `"p"`}}},
		{&raftstore.ExistsError{Kind: raftstore.KindPool, Field: "name_label", Value: "x", By: "u"}, refusal{codes.AlreadyExists, "pool.name_label", []string{`"x"`, "u"}}},
		{&raftstore.ConflictError{Kind: raftstore.KindPool, ID: "p", Have: "2", Want: "1"}, refusal{code: codes.Aborted, says: []string{`"2"`, `"1"`}}},
		{&raftstore.PreconditionError{Kind: raftstore.KindNode, ID: "n", Reason: "it is the last voter"}, refusal{code: codes.FailedPrecondition, says: []string{"last voter"}}},
		{&raftstore.InvalidError{Field: "members[2].host_uuid", Value: "h", Reason: "names no host"}, refusal{codes.InvalidArgument, "pool.members[2].host_uuid", []string{`"h"`, "names no host"}}},
		{&raftstore.InvalidError{Field: "request_id", Value: "r", Reason: "was used"}, refusal{codes.InvalidArgument, "request_id", []string{`"r"`}}},
		{&raftstore.NotLeaderError{LeaderID: "n2", LeaderAPI: "192.0.2.2:8443"}, refusal{code: codes.Unavailable, says: []string{"does not lead"}}},
		{raftstore.ErrNotLeader, refusal{code: codes.Unavailable, says: []string{"does not lead"}}},
		{fmt.Errorf("%w: %w", raftstore.ErrUnknownOutcome, context.DeadlineExceeded), refusal{code: codes.DeadlineExceeded, says: []string{"timed out", "may have been made", "request_id"}}},
		{fmt.Errorf("%w: leadership lost", raftstore.ErrUnknownOutcome), refusal{code: codes.Unavailable, says: []string{"not known", "request_id"}}},
		{raftstore.ErrBusy, refusal{code: codes.Unavailable, says: []string{"nothing was changed"}}},
		{raftstore.ErrCompacted, refusal{code: codes.OutOfRange}},
		{raftstore.ErrExhausted, refusal{code: codes.ResourceExhausted}},
		{raftstore.ErrClosed, refusal{code: codes.Unavailable, says: []string{"stopping"}}},
		{raftstore.ErrStopped, refusal{code: codes.Unavailable}},
		{context.DeadlineExceeded, refusal{code: codes.DeadlineExceeded}},
		{context.Canceled, refusal{code: codes.Canceled}},
		{errors.New("disk on fire"), refusal{code: codes.Internal, says: []string{"disk on fire"}}},
		{status.Error(codes.DataLoss, "as it is"), refusal{code: codes.DataLoss, says: []string{"as it is"}}},
	}
	for _, tt := range tests {
		tt.want.check(t, statusOf(tt.err, "pool"))
		if _, done := status.FromError(tt.err); !done {
			tt.want.check(t, statusOf(fmt.Errorf("applying: %w", tt.err), "pool"))
		}
		if leads := isNotLeading(statusOf(tt.err, "")); leads != errors.Is(tt.err, raftstore.ErrNotLeader) {
			t.Errorf("%v: to be forwarded: %v", tt.err, leads)
		}
	}
	if statusOf(nil, "pool") != nil {
		t.Error("no error became one")
	}
}

// errorInfo is the google.rpc.ErrorInfo of an error, nil when it has none.
func errorInfo(err error) *errdetails.ErrorInfo {
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok {
			return info
		}
	}
	return nil
}
