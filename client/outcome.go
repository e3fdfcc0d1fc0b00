package client

import (
	"slices"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

// Reasons that nodes give in google.rpc.ErrorInfo.
const (
	errorDomain      = "poolwire"
	reasonNotLeader  = "NOT_LEADER"
	reasonUnknownEnd = "OUTCOME_UNKNOWN"
)

// reasonOf is the reason a node gives for an error; empty for none.
func reasonOf(err error) string {
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok && info.GetDomain() == errorDomain {
			return info.GetReason()
		}
	}
	return ""
}

// didNothing says whether a node has told that it did nothing: because it does not lead, or
// because it could not just then, and says when to come again (google.rpc.RetryInfo).
func didNothing(err error) bool {
	st := status.Convert(err)
	switch {
	case reasonOf(err) == reasonNotLeader:
		return true
	case reasonOf(err) == reasonUnknownEnd || st.Code() != codes.Unavailable:
		return false
	}
	return slices.ContainsFunc(st.Details(), func(d any) bool {
		_, ok := d.(*errdetails.RetryInfo)
		return ok
	})
}

// leavesOpen says whether a change that was sent may have been made although it came back with
// err.
func leavesOpen(err error) bool {
	switch status.Code(err) {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled:
		return !didNothing(err)
	}
	return reasonOf(err) == reasonUnknownEnd
}

// settles says whether the last answer tells what became of the attempts before: the leader
// gives those only after it has looked for the request id, or whatever the state is.
func settles(code codes.Code) bool {
	switch code {
	case codes.OK, codes.InvalidArgument, codes.NotFound, codes.AlreadyExists, codes.FailedPrecondition, codes.Aborted, codes.OutOfRange:
		return true
	}
	return false
}

// unknownOutcome is the error of a change that an attempt may have made, with err the last
// word. What that says of itself, such as that nothing was done, holds for its own attempt only.
func unknownOutcome(err error) error {
	st := status.Convert(err)
	if settles(st.Code()) || reasonOf(err) == reasonUnknownEnd {
		return err
	}
	said := status.New(st.Code(), "it is not known whether the change was made: read it, or repeat the call with the same request_id; the last attempt: "+st.Message())
	if with, err := said.WithDetails(&errdetails.ErrorInfo{Reason: reasonUnknownEnd, Domain: errorDomain}); err == nil {
		said = with
	}
	return said.Err()
}

// changes says whether a call changes something.
func changes(method string, args any) bool {
	if tried, ok := args.(interface{ GetValidateOnly() bool }); ok && tried.GetValidateOnly() {
		return false
	}
	return strings.HasPrefix(method, "/"+string(poolwirev1.File_poolwire_v1_pool_proto.Package())+".") && !reads(method)
}
