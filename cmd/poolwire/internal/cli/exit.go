package cli

import (
	"context"
	"errors"
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
	var late *timeoutError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &unconfirmed):
		return exitUnconfirmed
	case errors.As(err, &late), errors.Is(err, context.DeadlineExceeded):
		return exitUnavailable
	}
	switch status.Code(err) {
	case codes.InvalidArgument, codes.OutOfRange:
		return exitUsage
	case codes.NotFound:
		return exitNotFound
	case codes.AlreadyExists, codes.Aborted, codes.FailedPrecondition:
		return exitConflict
	case codes.Unavailable, codes.DeadlineExceeded, codes.ResourceExhausted: // later it may work
		return exitUnavailable
	case codes.PermissionDenied, codes.Unauthenticated:
		return exitNotPermitted
	}
	return exitFailed
}

// describe writes an error for a person. What the server complains about is
// said field by field: one complaint is the whole message, several are a list.
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
				violations = append(violations, complaint(v))
			}
		}
	}
	switch len(violations) {
	case 0:
		b.WriteString("poolwire: " + st.Message())
	case 1:
		b.WriteString("poolwire: " + violations[0])
	default:
		b.WriteString("poolwire: " + header(st.Code()))
		for _, v := range violations {
			b.WriteString("\n  " + v)
		}
	}
	if reasonOf(err) == reasonVifInUse {
		b.WriteString("\nGive --force to do that.")
	}
	if st.Code() == codes.Unavailable && len(st.Details()) == 0 && strings.Contains(st.Message(), "while dialing") { // else the server has answered
		b.WriteString("\nIs poolwired running? On another machine use --server with --cert, --key and --ca.")
	}
	return b.String()
}

// complaint joins a field with what is said about it. The server begins with the
// value where there is one: mac "zz": is no MAC address.
func complaint(v *errdetails.BadRequest_FieldViolation) string {
	field, text := v.GetField(), v.GetDescription()
	value, _, _ := strings.Cut(text, ": ")
	isNumber := digits(value) > 0 && !strings.Contains(value, " ") // durations too
	switch {
	case field == "":
		return text
	case strings.HasPrefix(text, `"`) || strings.HasPrefix(text, "is ") || isNumber:
		return field + " " + text
	}
	return field + ": " + text
}

// header introduces several complaints.
func header(code codes.Code) string {
	switch code {
	case codes.NotFound:
		return "not found:"
	case codes.AlreadyExists:
		return "exists already:"
	}
	return "not accepted, nothing was changed:"
}
