// Package openflowtest has a fake OpenFlow 1.3 switch for tests. It behaves: it
// keeps a flow table, ports, roles with generations, and bundles that apply as a
// whole or not at all, and it answers as Open vSwitch does, errors before the
// barrier reply included. State outlives connections, as in a real bridge.
//
// It reads and writes the wire format with code of its own, so that a mistake in
// package openflow does not cancel out, and it is cheap enough for a thousand
// switches in one process: one goroutine per connection.
//
// FlagSwitch is one for OpenFlow 1.0, where ports have OFPPC_NO_FLOOD.
//
// What the fakes leave out: groups, packets, conntrack, timeouts, and the non-strict flow
// mods with a match.
package openflowtest
