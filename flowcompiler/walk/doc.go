// Package walk evaluates compiled flows: it says what an OpenFlow switch that holds
// them does with a packet, table by table. It is pure: no I/O, no clock, and it does
// not know what the flows are for.
//
// It knows the part of OpenFlow 1.3 and of Open vSwitch's extensions that flows of
// this project are made of: conjunctions, resubmit, the stack, connection tracking
// with recirculation, meters, VLAN tags. [New] refuses flows beyond that, so that
// an answer is never a guess. Meaning and order of all of it are ovs-actions(7)'s,
// and a property test holds the answers against `ofproto/trace` of a real
// ovs-vswitchd.
//
// Three things are not evaluated, and are left to the caller: NORMAL, which is an
// output; learn, which changes other packets' walk only; and the connection table,
// which the caller is asked about.
package walk
