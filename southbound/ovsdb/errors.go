package ovsdb

import (
	"errors"
	"fmt"
)

var (
	// ErrClosed is the end of a session that was closed on this side.
	ErrClosed = errors.New("ovsdb session closed")
	// ErrInactive is the end of a session whose peer was silent for too long.
	ErrInactive = errors.New("ovsdb peer does not answer")
	// ErrUnknownOutcome says that a transaction was sent and no answer came: the
	// host may or may not have carried it out. Look before trying again.
	ErrUnknownOutcome = errors.New("outcome of the transaction is unknown")
	// ErrFenced says that a guard refused a transaction: the host's cluster or
	// epoch is not the one the transaction was planned for.
	ErrFenced = errors.New("another epoch owns the host")
	// ErrNewerEpoch says that a leader with a later epoch has claimed the host.
	ErrNewerEpoch = errors.New("host is claimed by a newer epoch")
	// ErrForeignCluster says that the host belongs to another Poolwire cluster.
	ErrForeignCluster = errors.New("host is claimed by another cluster")
	// ErrNoRoot says that the host's database has no Open_vSwitch row (yet).
	ErrNoRoot = errors.New("host's database has no Open_vSwitch row")
)

// ProtocolError is a message that a server must not send. The session it
// arrived on is closed.
type ProtocolError struct {
	// Reason says what is wrong, with a bounded excerpt of the input.
	Reason string
}

func (e *ProtocolError) Error() string { return "ovsdb protocol violation: " + e.Reason }

func violation(format string, args ...any) error {
	return &ProtocolError{Reason: fmt.Sprintf(format, args...)}
}

// RPCError is the error a server answered a request with (RFC 7047, 4.1).
type RPCError struct {
	// Method is the request.
	Method string
	// Text is the error as the server wrote it: a string, or JSON.
	Text string
}

func (e *RPCError) Error() string { return fmt.Sprintf("ovsdb %s refused: %s", e.Method, e.Text) }

// TransactError names the operation that made a transaction fail. Nothing of
// the transaction was carried out.
type TransactError struct {
	// Index of the failing operation; the number of operations when all of them
	// passed and the commit failed.
	Index int
	// Operation that failed; its zero value when the commit did.
	Operation Operation
	// Code is the error of RFC 7047, 5.1, for example "constraint violation".
	Code string
	// Details is the server's explanation, possibly empty.
	Details string
}

func (e *TransactError) Error() string {
	what := "commit"
	if e.Operation.Op != "" {
		what = fmt.Sprintf("operation %d (%s %s)", e.Index, e.Operation.Op, e.Operation.Table)
	}
	if e.Details == "" {
		return fmt.Sprintf("ovsdb transaction: %s failed: %s", what, e.Code)
	}
	return fmt.Sprintf("ovsdb transaction: %s failed: %s: %s", what, e.Code, e.Details)
}

// Is reports a failed guard as [ErrFenced].
func (e *TransactError) Is(target error) bool {
	return target == ErrFenced && e.Operation.Op == opWait
}

// ConflictError is a wish that cannot be fulfilled without touching something
// of someone else's.
type ConflictError struct {
	// Bridge and Port name the desired object; Port is empty for a bridge.
	Bridge, Port string
	// Reason says who is in the way.
	Reason string
}

func (e *ConflictError) Error() string {
	if e.Port != "" {
		return fmt.Sprintf("port %s of bridge %s: %s", e.Port, e.Bridge, e.Reason)
	}
	return fmt.Sprintf("bridge %s: %s", e.Bridge, e.Reason)
}
