// Package openflow holds the controller's end of OpenFlow 1.3 connections to
// bridges: listening, handshake, roles, ports, reading flow tables and changing
// them, and the synchroniser that keeps one bridge at its desired flows.
//
// # One connection
//
// A [Switch] is one connection. Two goroutines serve it:
//
//	reader: net.Conn -> framing -> dispatch by type and xid; never blocks on anything but the socket
//	writer: echo replies and keepalive first, then what callers hand over; owns every write deadline
//
// The reader never writes. A switch stops reading when about a hundred of its
// own replies wait for us, so a reader that waited for room to write could wait
// for ever. Callers of [Switch.Apply] encode in their own goroutine and hand over
// chunks one at a time, which is where TCP's back-pressure reaches them.
//
// Open vSwitch executes the messages of one connection in order, and an error
// arrives before the reply of the barrier that follows it. Correlation is
// therefore by transaction id, over a range of ids for a batch (see exchange).
//
// # What the peer may do to us
//
// Everything received is hostile until checked. Message lengths, the handshake,
// requests in flight, reply parts, queued echo replies, connections per address
// and in total are all bounded. Each write, each reply and the handshake have
// deadlines. A peer that breaks the protocol loses its connection, which shows in
// [Switch.Err], or in [ServerConfig.Rejected] when it never became a Switch.
//
// The message layouts are those of the OpenFlow Switch Specification 1.3.5; the
// section is named at each. Bundles are the ONF extension 230 for 1.3.
package openflow
