// Package ovsdb is the controller's side of a host's OVSDB: sessions with
// ovsdb-server, what a host reports, and the rows Poolwire wants there.
//
// It has three layers, each usable without the next:
//
//	Dial, Serve     connections to passive hosts, and from active ones
//	Session         RFC 7047 over one net.Conn: one monitor, immutable
//	                snapshots, transactions
//	Discover, Plan  pure functions from a Snapshot to a Topology, and from a
//	                Snapshot and a Desired to the operations that remove the
//	                difference; ClaimEpoch and Release frame a leader's work
//
// # Trust
//
// A host is hostile until proven otherwise. Messages, rows and the sum of all
// rows are bounded; a server may send only replies to what was asked, echo
// requests and updates of our monitor; anything else ends the session with a
// *ProtocolError. Every write has a deadline. Values are decoded here, by the
// type the schema gives them, because the decoders of libovsdb trust their
// input; its types are used for what is sent.
//
// # Ownership
//
// Everything of ours is marked in external_ids, the one column that survives
// `ovs-vsctl emer-reset`. Rows without our mark are never deleted or rewritten;
// what is added to them (a controller, a port, a flow table's name) is added by
// mutating the set that holds it. See marks.go for the keys.
//
// # Fencing
//
// The leader writes its cluster and epoch into the Open_vSwitch row (ClaimEpoch).
// The first operation of every plan is a `wait` with timeout 0 on that pair: the
// transaction of a deposed leader fails at the host as a whole.
package ovsdb
