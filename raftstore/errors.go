package raftstore

import (
	"errors"
	"fmt"
)

// Kind names a kind of resource in errors.
type Kind string

// The kinds of resources that errors speak of.
const (
	KindCluster        Kind = "cluster"
	KindPool           Kind = "pool"
	KindHost           Kind = "host"
	KindNetwork        Kind = "network"
	KindPrivateNetwork Kind = "private network"
	KindVif            Kind = "VIF"
	KindRule           Kind = "rule"
	KindNode           Kind = "node"
	KindPolicyRule     Kind = "policy rule"
	KindAddressGroup   Kind = "address group"
	KindVifGroup       Kind = "VIF group"
	KindPendingChange  Kind = "pending change"
	KindGrant          Kind = "grant"
	KindToken          Kind = "token"
	KindCertificate    Kind = "certificate"
	KindTrustAnchor    Kind = "trust anchor"
)

var (
	// ErrNotLeader says that only the leader can do this. The error is a
	// *NotLeaderError; nothing was written.
	ErrNotLeader = errors.New("this node is not the leader")
	// ErrUnknownOutcome says that the command may or may not take effect: it
	// was handed to Raft and leadership, the node or the caller's patience
	// ended before the answer. Read, or retry with the same request id.
	ErrUnknownOutcome = errors.New("outcome unknown: the command may still take effect")
	// ErrBusy says that Raft did not take the command in time. Nothing was
	// written.
	ErrBusy = errors.New("the log is busy; nothing was written")
	// ErrClosed says that the store is closed.
	ErrClosed = errors.New("store is closed")
	// ErrCompacted says that the history of changes does not reach back to the
	// revision asked for: take a View and subscribe from its revision.
	ErrCompacted = errors.New("changes after this revision are no longer kept")
	// ErrStopped says that the state machine met a log entry it cannot apply
	// and refuses to go on. The node has to be upgraded and restarted.
	ErrStopped = errors.New("state machine stopped")
	// ErrBehind says that this node, which does not lead, is too far behind to read from.
	ErrBehind = errors.New("this node is too far behind to read from")
	// ErrTooNew says that data on the disk, or sent by another node, is of a later version, which
	// has to be installed again, or here as well.
	ErrTooNew = errors.New("a newer version wrote this: install that version on this node")
	// ErrLocked says that another process uses the directory.
	ErrLocked = errors.New("directory is in use by another process")
	// ErrNoSpace says that this node's disk is too full to write. Nothing was written.
	ErrNoSpace = errors.New("the disk of the leading node is too full; nothing was written")
	// ErrExhausted says that all object ids have been given.
	ErrExhausted = errors.New("object ids are exhausted")
)

// NotLeaderError says where to go instead. errors.Is reports it as
// ErrNotLeader.
type NotLeaderError struct {
	// LeaderID is the id of the leader as this node knows it; empty when there
	// is none.
	LeaderID string
	// LeaderAPI is the leader's API address, "IP:PORT"; empty when not known.
	LeaderAPI string
}

func (e *NotLeaderError) Error() string {
	if e.LeaderID == "" {
		return "this node is not the leader and knows of none"
	}
	return fmt.Sprintf("this node is not the leader; %s at %q is", e.LeaderID, e.LeaderAPI)
}

// Is makes errors.Is(err, ErrNotLeader) hold.
func (e *NotLeaderError) Is(target error) bool { return target == ErrNotLeader }

// NotFoundError says that a resource does not exist.
type NotFoundError struct {
	Kind Kind
	// ID is the UUID, or the id of a node.
	ID string
}

func (e *NotFoundError) Error() string { return fmt.Sprintf("%s %q does not exist", e.Kind, e.ID) }

// ExistsError says that a value that has to be unique is taken.
type ExistsError struct {
	Kind Kind
	// Field is the proto name of the field ("uuid", "name_label", "vni",
	// "system_id", "address", "certificate_sha256"), or "identity" for a rule's direction, range, protocol and
	// port.
	Field string
	// Value is what was asked for.
	Value string
	// By is the UUID of the resource that has it.
	By string
}

func (e *ExistsError) Error() string {
	return fmt.Sprintf("%s: %s %q is taken by %s", e.Kind, e.Field, e.Value, e.By)
}

// ConflictError says that the resource changed since it was read.
type ConflictError struct {
	Kind Kind
	ID   string
	// Have is the stored etag.
	Have string
	// Want is the etag the command gave.
	Want string
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("%s %q has etag %s, not %s", e.Kind, e.ID, e.Have, e.Want)
}

// PreconditionError says that the state does not allow the command now.
type PreconditionError struct {
	Kind Kind
	ID   string
	// Reason is a clause for a person.
	Reason string
}

func (e *PreconditionError) Error() string { return fmt.Sprintf("%s %q: %s", e.Kind, e.ID, e.Reason) }

// InvalidError says that a value is refused for a reason only the state can
// decide, or that could not have been proposed by a correct proposer.
type InvalidError struct {
	// Field is the path of the field below the resource ("pool_uuid",
	// "members[2].host_uuid").
	Field string
	// Value is what was given.
	Value string
	// Reason is a clause for a person: what is wrong and what would be
	// accepted.
	Reason string
}

func (e *InvalidError) Error() string { return fmt.Sprintf("%s: %q %s", e.Field, e.Value, e.Reason) }
