package northbound

import (
	"context"
	"errors"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

// unknownOutcome says that a change may have been made: the deadline of the call
// ended while it was under way, or the lead or the leader's answer was lost.
func unknownOutcome(err error) error {
	code, why := codes.Unavailable, "it is not known whether the change was made"
	if errors.Is(err, context.DeadlineExceeded) || status.Code(err) == codes.DeadlineExceeded {
		code, why = codes.DeadlineExceeded, "timed out; the change may have been made"
	}
	return detailed(code, why+": read it, or repeat the call with the same request_id",
		&errdetails.ErrorInfo{Reason: reasonUnknownEnd, Domain: errorDomain})
}

// notReached says that nothing was done, because the leader was not even asked.
func notReached(err error) error {
	return detailed(codes.Unavailable, "the leader cannot be reached; nothing was done, try again in a moment: "+status.Convert(err).Message(),
		&errdetails.RetryInfo{RetryDelay: durationpb.New(time.Second)})
}

// unsent is the error of a call that no connection to the leader took.
func unsent(ctx context.Context, err error) error {
	switch status.Code(err) {
	case codes.Unavailable:
		return notReached(err)
	case codes.Canceled: // the connection was closed, unless the client is gone
		if ctx.Err() == nil {
			return notReached(err)
		}
	}
	return err
}

// unanswered is the error of a call that was sent to the leader. Where a node says something of
// the outcome, its errors have details: one without may come from the connection.
func unanswered(ctx context.Context, method string, req any, err error) error {
	st := status.Convert(err)
	switch st.Code() {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled:
	default:
		return err
	}
	tried, _ := req.(interface{ GetValidateOnly() bool })
	switch trial := tried != nil && tried.GetValidateOnly(); {
	case len(st.Details()) > 0:
		return err
	case mutates(method) && !trial:
		return unknownOutcome(err)
	case st.Code() == codes.Canceled && ctx.Err() == nil: // by this node, not by the client
		return status.Error(codes.Unavailable, "the connection to the leader was closed: "+st.Message())
	}
	return err
}
