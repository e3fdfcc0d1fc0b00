// Package simhost simulates hosts by the hundred in one process, for what a lab of real
// switches is too small for: how controllers do with many hosts.
//
// A simulated host is what a controller sees of a host, over the same protocols and the same
// TLS: an OVSDB server on an address of its own (ovsdbtest), which listens or dials, and a switch for each bridge
// (openflowtest) that dials the targets in the bridge's Controller rows, at the pace of
// ovs-vswitchd: one second after a failure, then two, four and eight, and with no more patience for one
// attempt than that. Switches keep their flow tables, roles and generations while controllers
// come and go.
//
// No packet is ever switched, statistics rest, and a host's certificate has an elliptic curve
// key, where a real host's is RSA: what that saves is the host's work, not the controller's.
//
// Addresses are of 127.0.0.0/8, so that every host has its own without any setup. Run a fleet
// in a network namespace of its own (see [Isolate]).
package simhost
