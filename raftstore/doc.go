// Package raftstore keeps the replicated state of Poolwire: what operators
// asked for (intent) and what hosts report (observed topology).
//
// # How it is built
//
//	Apply ──► Raft log (write-ahead log, fsync) ──► fsm ──► transaction ──► View
//	                                                 └────► change set ────────► Subscription
//
// A Store is one node. Writes are commands (poolwire.store.v1.Command) and go
// through Apply on the leader. Reads go to a View, an immutable picture of the
// state at one revision: View is whatever this node knows, ReadView on the leader
// and CurrentView on any node are linearizable. What a revision changed comes from a Subscription.
//
// Two tables drive everything: commands (command.go: number, name, apply) and
// resources (table.go: number; resource.go: key, indexes, marshalling). Dispatch,
// schema, snapshot and restore are loops over them.
//
// # The laws
//
// Apply is deterministic. It reads the command, the log index and the state,
// and nothing else: no clock, no randomness, no map order, no I/O. Times and
// UUIDs come in the command, object ids from a counter in the state.
//
// What was stored is never changed. A View, a Change and the state itself
// share the same messages; a change stores a new message. Callers clone a
// message (proto.Clone) before they alter it.
//
// A command is never skipped. A node that meets a command it does not know
// stops, because from there on it would differ from the others.
//
// An old entry means what it meant. Where a command came to do more than it did in an
// earlier version, its meaning (Command.meaning, stamped by Apply) says which version
// proposed it, and it is applied as that version would: nodes that replay the entry
// then agree with those that have its outcome from a snapshot.
//
// # Pending changes
//
// A command with confirm_within leaves a pending change: what it changed of operators'
// intent, as it was before. ResolveChange confirms it or puts all that back, under the
// same object ids. Undoing is never refused, so until it is resolved the change holds
// what undoing needs (pending_holds.go) against other commands; hosts' reports go on,
// and what they told is kept. Who leads watches the deadlines and proposes to undo.
//
// # Overlays
//
// Keys of pairs of hosts, relays, proofs of protection and multicast memberships are what
// the leader decides or sees, not intent: they are no part of pending changes. After every
// command, cascade takes away those that do not stand any more. Undoing a change does not
// bring them back; the leader makes them anew.
//
// # Revisions, etags and object ids
//
// A revision is the index of a command in the Raft log. Every command has one
// and yields one change set, an empty one when it changed nothing or was
// refused, so that whoever follows the change sets reaches every revision. An
// etag is the decimal revision at which an object last changed. An object id
// numbers an object in flow cookies; one counter serves all kinds and no id is
// given twice.
package raftstore
