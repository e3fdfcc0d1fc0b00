package northbound

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"poolwire/raftstore"
)

// statusOf is the one map from the errors of the layers below to gRPC codes.
// prefix is the field of the request that holds the resource ("pool"); the
// store names fields below it. Errors that are statuses already pass.
func statusOf(err error, prefix string) error {
	if err == nil {
		return nil
	}
	if _, ok := status.FromError(err); ok {
		return err
	}
	if st := stateError(err, prefix); st != nil {
		return st
	}
	var lead *raftstore.NotLeaderError
	switch {
	case errors.As(err, &lead):
		return notLeading("this node does not lead", lead.LeaderID, lead.LeaderAPI)
	case errors.Is(err, raftstore.ErrNotLeader):
		return notLeading("this node does not lead", "", "")
	case errors.Is(err, raftstore.ErrUnknownOutcome):
		return unknownOutcome(err)
	case errors.Is(err, raftstore.ErrBusy):
		return detailed(codes.Unavailable, "the log is busy; nothing was changed, try again in a moment",
			&errdetails.RetryInfo{RetryDelay: durationpb.New(time.Second)})
	case errors.Is(err, raftstore.ErrCompacted):
		return status.Error(codes.OutOfRange, err.Error())
	case errors.Is(err, raftstore.ErrExhausted), errors.Is(err, raftstore.ErrNoSpace):
		return status.Error(codes.ResourceExhausted, err.Error())
	case errors.Is(err, raftstore.ErrClosed), errors.Is(err, raftstore.ErrStopped):
		return status.Error(codes.Unavailable, "this node is stopping: "+err.Error())
	case errors.Is(err, context.DeadlineExceeded):
		return status.Error(codes.DeadlineExceeded, "timed out: the deadline of the call ended before there was an answer")
	case errors.Is(err, context.Canceled):
		return status.Error(codes.Canceled, "the call was cancelled")
	}
	return status.Error(codes.Internal, err.Error())
}

// stateError maps what the state machine refuses; nil for other errors.
func stateError(err error, prefix string) error {
	var (
		missing  *raftstore.NotFoundError
		exists   *raftstore.ExistsError
		conflict *raftstore.ConflictError
		not      *raftstore.PreconditionError
		invalid  *raftstore.InvalidError
	)
	switch {
	case errors.As(err, &missing):
		return detailed(codes.NotFound, "there is no "+string(missing.Kind)+" "+quote(missing.ID),
			&errdetails.ResourceInfo{ResourceType: string(missing.Kind), ResourceName: missing.ID})
	case errors.As(err, &exists):
		return existsStatus(exists, prefix, exists.By)
	case errors.As(err, &conflict):
		return detailed(codes.Aborted, "the "+string(conflict.Kind)+" "+conflict.ID+" changed since it was read: its etag is "+
			quote(conflict.Have)+", the request has "+quote(conflict.Want)+"; read it again",
			&errdetails.ResourceInfo{ResourceType: string(conflict.Kind), ResourceName: conflict.ID})
	case errors.As(err, &not):
		return detailed(codes.FailedPrecondition, string(not.Kind)+" "+not.ID+": "+not.Reason,
			&errdetails.PreconditionFailure{Violations: []*errdetails.PreconditionFailure_Violation{
				{Type: "STATE", Subject: string(not.Kind) + " " + not.ID, Description: not.Reason},
			}})
	case errors.As(err, &invalid):
		var v violations
		at := v.at(fieldPath(prefix, invalid.Field))
		if invalid.Value == "" {
			at.say("%s", invalid.Reason)
		} else {
			at.refuse(invalid.Value, "%s", invalid.Reason)
		}
		return v.err()
	}
	return nil
}

// existsStatus says which value is taken, and by what.
func existsStatus(e *raftstore.ExistsError, prefix, by string) error {
	field, text := fieldPath(prefix, e.Field), shown(e)+": is taken by "+string(e.Kind)+" "+by
	switch e.Field {
	case "identity":
		field, text = prefix, "the rule "+e.By+" has the same direction, ip_range, protocol and port on the same place; update it instead"
	case "uuid":
		text = quote(e.Value) + ": there is a " + string(e.Kind) + " with this UUID"
	}
	return detailed(codes.AlreadyExists, strings.TrimPrefix(field+": "+text, ": "),
		&errdetails.ResourceInfo{ResourceType: string(e.Kind), ResourceName: e.By},
		&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: field, Description: text}}})
}

// shown is a taken value as it appears in a message: numbers are not quoted.
func shown(e *raftstore.ExistsError) string {
	if e.Field == "vni" {
		return e.Value
	}
	return quote(e.Value)
}

// ownerOf names the resource that has a value, for a person.
func ownerOf(v *raftstore.View, e *raftstore.ExistsError) string {
	name := ""
	switch e.Kind {
	case raftstore.KindPool:
		name = v.Pool(e.By).GetNameLabel()
	case raftstore.KindHost:
		name = v.Host(e.By).GetNameLabel()
	case raftstore.KindPrivateNetwork:
		name = v.PrivateNetwork(e.By).GetNameLabel()
	}
	if name == "" {
		return e.By
	}
	return fmt.Sprintf("%q (%s)", name, e.By)
}

// fieldPath puts the resource's field before a path below it. The fields that
// belong to the request itself have none.
func fieldPath(prefix, field string) string {
	if prefix == "" || field == "request_id" || field == "etag" || strings.HasPrefix(field, prefix+".") || field == prefix {
		return field
	}
	return prefix + "." + field
}
