// Package scale measures a cluster of three poolwired nodes with many simulated hosts
// (package simhost): how long it takes until all are mastered and configured, what it costs,
// what one change costs then, and what happens when the leader or all nodes are killed.
//
// Everything runs on one machine: the nodes compete with the hosts that are simulated, which in
// a real pool bring processors of their own. So times of work that hosts take part in are
// longer here than there.
package scale
