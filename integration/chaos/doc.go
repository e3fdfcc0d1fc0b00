// Package chaos holds a cluster of three poolwired nodes to its promises while they are killed,
// paused, cut off from each other, and short of their disks.
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
// Two faults are not among those injected. The kernel this was made on cannot delay packets at
// will (sch_netem); a narrow link (tc-tbf(8)) delays and drops them instead. The wall clock
// belongs to the machine: time_namespaces(7) have none, and a program without a C library
// cannot be given one from outside. A paused node has both its clocks jump ahead, seen from
// itself.
package chaos
