// Package flow holds OpenFlow 1.3 flow entries as values: it builds, encodes,
// decodes, prints and compares them, and does no I/O.
//
// A [Flow] keeps its match and its instructions as encoded strings. That makes
// flows comparable, cheap to copy and usable as map keys, and makes a flow mod
// a header followed by two copies. The price is one canonical form:
//
//   - A [Match] holds OXM TLVs sorted by class and field, with masks that
//     select every bit left out, bits outside the mask zeroed, and fields that
//     match anything left out.
//   - [Instructions] hold the instruction list byte for byte as ovs-vswitchd
//     reports it back. The builders therefore choose, among the encodings that
//     mean the same, the one Open vSwitch itself uses for OpenFlow 1.3.
//
// From both follows the law this package is tested against on a real
// ovs-vswitchd: what was pushed is what a dump returns, so a second [Diff] is
// empty.
//
// Encoding is built on libOpenflow's message types and constants where these
// are right. Its decoders are never used, because valid switch replies make
// them panic or loop; everything that reads bytes here is bounds-checked, and
// keeps what it does not understand in raw form instead of losing the flow.
//
// The text form ([Flow.String], [Stats.String]) is that of
// `ovs-ofctl -O OpenFlow13 dump-flows` of Open vSwitch 3.1.
package flow
