// Package chaos holds a cluster of three poolwired nodes to its promises while they are killed,
// paused, cut off from each other or late, short of their disks, and wrong about the time.
//
// Every node runs in a network namespace of its own, with its data on a file system of its own
// (an image of ext4). Clients work through package client, over the sockets of all nodes, so
// that they reach a node also while other nodes do not: what a leader says that does not know
// yet that it was replaced is heard. Three things are checked in the end:
//
//   - reads and writes of pools are linearizable, each pool taken as a register;
//   - what was acknowledged is there, also after all nodes were killed at once, and what was
//     acknowledged to be gone is gone; nothing is done twice;
//   - watches bring every revision once and in order, with what was acknowledged for it, and
//     lead to the state that a list shows.
//
// Clocks are set too, each node's by itself: the wall clock as poolwired sees it, not the one
// that the kernel stamps files with (package skew). Certificates are valid from a day before
// they are made, so that clocks are up to 20 hours wrong without any node noticing; one fault
// sets a clock past their end. No fault here is about hosts: those are in package e2e.
package chaos
