package cli

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// How far the change of a command has got, as far as this client knows.
type changeStage int

const (
	// notAsked: the server has not been asked for it, or has refused it.
	notAsked changeStage = iota
	// asked: the server may have made it.
	asked
	// made: the server has said that it made it.
	made
)

// after is the stage when a request for a change has come back with err.
func (changeStage) after(err error) changeStage {
	switch {
	case err == nil:
		return made
	case isUncertain(status.Code(err)):
		return asked
	}
	return notAsked
}

// isUncertain tells codes that leave open whether the server did what it was asked.
func isUncertain(c codes.Code) bool {
	return slices.Contains([]codes.Code{codes.DeadlineExceeded, codes.Canceled, codes.Unavailable, codes.Unknown, codes.Internal}, c)
}

// timeoutError says that the time of a command has ended, and what may have come of
// it.
type timeoutError struct{ text string }

func (e *timeoutError) Error() string { return e.text }

// earlyEnd is how long before the deadline of a call the server may have ended it: it
// counts for itself, and tells of it by breaking the stream off.
const earlyEnd = 50 * time.Millisecond

// outcome is the error of a call in the words of a command: that its time ended
// comes in many forms, by whoever notices first. ctx is that of the call, parent
// that of the command.
func (a *app) outcome(parent, ctx context.Context, err error) error {
	switch {
	case err == nil || isFinal(err):
		return err
	case parent.Err() != nil, !endedEarly(ctx, err):
		if reasonOf(err) == reasonOutcomeUnknown {
			return status.Error(status.Code(err), "it is not known whether the change was made: look with "+a.lookWith())
		}
		return err
	}
	switch {
	case a.changes.stage == made:
		return &unconfirmedError{"timed out; the change was made, but not every host is known to have confirmed it: look with " + a.lookWith()}
	case a.changes.stage == asked && !a.changes.dryRun:
		return &timeoutError{"timed out; the change may have been made: look with " + a.lookWith()}
	}
	text := "timed out"
	if a.command != nil && a.command.Flags().Lookup(dryRunFlag) != nil {
		text += "; nothing was changed"
	}
	if a.client != nil && !a.client.conn.Connected() {
		text += ": no connection to " + a.client.conn.Endpoint()
	}
	return &timeoutError{text}
}

// isFinal tells errors of the client itself, which say all there is to say.
func isFinal(err error) bool {
	var usage usageError
	var unconfirmed *unconfirmedError
	var dry *dryRunAnswer
	return errors.As(err, &usage) || errors.As(err, &unconfirmed) || errors.As(err, &dry)
}

// endedEarly tells whether an error says no more than that the time of a call has
// ended.
func endedEarly(ctx context.Context, err error) bool {
	deadline, bounded := ctx.Deadline()
	over := ctx.Err() != nil || bounded && time.Until(deadline) < earlyEnd
	_, told := status.FromError(err)
	switch code := status.Code(err); {
	case code == codes.DeadlineExceeded || errors.Is(err, context.DeadlineExceeded):
		return true
	case code == codes.Unavailable: // nobody listens, or the server cannot tell
		return over && reasonOf(err) == reasonOutcomeUnknown
	default:
		return over && told && isUncertain(code)
	}
}

// Reasons that the server gives in google.rpc.ErrorInfo.
const (
	reasonOutcomeUnknown = "OUTCOME_UNKNOWN"
	reasonVifInUse       = "VIF_IN_USE"
)

// reasonOf is the reason that the server gives for an error; empty for none.
func reasonOf(err error) string {
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok {
			return info.GetReason()
		}
	}
	return ""
}

// lookWith is the command that shows what the present one may have changed.
func (a *app) lookWith() string {
	c := a.command
	if c == nil || !c.HasParent() {
		return "poolwire watch"
	}
	noun, root := c.Parent(), c.Root()
	if noun == root { // add-rule and del-rule
		noun = child(root, "rule")
	}
	for _, verb := range []string{"list", "status"} {
		if look := child(noun, verb); look != nil {
			return look.CommandPath()
		}
	}
	return "poolwire watch"
}

// child is a command's subcommand of a name; nil when there is none.
func child(c *cobra.Command, name string) *cobra.Command {
	for _, sub := range c.Commands() {
		if sub.Name() == name {
			return sub
		}
	}
	return nil
}
