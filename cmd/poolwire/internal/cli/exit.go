package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Exit codes, documented in the root command's help and fixed.
const (
	exitOK           = 0
	exitFailed       = 1
	exitUsage        = 2
	exitNotFound     = 3
	exitConflict     = 4
	exitUnavailable  = 5
	exitUnconfirmed  = 6
	exitNotPermitted = 7
)

// usageError is a mistake on the command line itself.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// unconfirmedError says that a change was accepted but is not a fact everywhere.
type unconfirmedError struct{ reason string }

func (e *unconfirmedError) Error() string { return e.reason }

// exitCode maps an error to the process's exit code.
func exitCode(err error) int {
	var usage usageError
	var unconfirmed *unconfirmedError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &unconfirmed):
		return exitUnconfirmed
	case errors.Is(err, context.DeadlineExceeded):
		return exitUnavailable
	}
	switch status.Code(err) {
	case codes.InvalidArgument, codes.OutOfRange:
		return exitUsage
	case codes.NotFound:
		return exitNotFound
	case codes.AlreadyExists, codes.Aborted, codes.FailedPrecondition:
		return exitConflict
	case codes.Unavailable, codes.DeadlineExceeded:
		return exitUnavailable
	case codes.PermissionDenied, codes.Unauthenticated:
		return exitNotPermitted
	}
	return exitFailed
}

// describe writes an error for a person: the server's message, then one line
// for each field it complains about.
func describe(err error) string {
	st, ok := status.FromError(err)
	if !ok {
		return "poolwire: " + err.Error()
	}
	var b strings.Builder
	var violations []string
	for _, d := range st.Details() {
		if bad, ok := d.(*errdetails.BadRequest); ok {
			for _, v := range bad.GetFieldViolations() {
				violations = append(violations, fmt.Sprintf("%s: %s", v.GetField(), v.GetDescription()))
			}
		}
	}
	if len(violations) == 0 {
		b.WriteString("poolwire: " + st.Message())
	} else {
		b.WriteString("poolwire: refused")
		for _, v := range violations {
			b.WriteString("\n  " + v)
		}
	}
	if st.Code() == codes.Unavailable {
		b.WriteString("\nIs poolwired running? On another machine use --server with --cert, --key and --ca.")
	}
	return b.String()
}
