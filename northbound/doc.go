// Package northbound serves the API (poolwire.v1) over gRPC.
//
// A call passes, in this order: recovery from panics, the log, the metrics,
// authorisation by the role of the client's certificate, and the way to the
// leader. Writes, and reads that need live knowledge of the hosts, are answered
// by the leader, to which any other node forwards them. Reads of the state only
// are answered by the node that is asked, and are linearizable there too: it asks
// the leader for a revision and waits until it has got as far (readsState).
// Watch needs no leader: each node serves it from its own copy of the history.
//
// A write goes through these steps, in the file of its service:
//
//	request ──► names to objects ──► checks, all violations together ──► command ──► raftstore
//	                                                                        │
//	answer  ◄── realization on the hosts ◄── the object as stored ◄──────────┘
//
// What can be said without the state is said by the field tables (fieldtable.go):
// one row per field, with its check. What only the state can decide comes back
// from raftstore as a typed error, and statusOf (errors.go) maps it.
package northbound

//go:generate go run ./internal/accessdocs
