// Package gate bounds how much of setting up sessions goes on at the same time.
//
// When a cluster has restarted, or has a new leader, all hosts come at once, and each costs
// milliseconds of a processor: two signatures, a schema, all rows of a database, a compilation and a flow
// table. Started all together, a thousand hosts would be a thousand goroutines ready to
// run, and whatever else the node has to do, heartbeats of the cluster first of all, would get
// its turn after them. With a gate, as many of them run as there are processors. The others
// wait in their order, and waiting goroutines are in nobody's way.
//
// A place is held while a processor is at work, never while a peer is waited for: a [Conn]
// gives its place back before it reads and takes one again afterwards. So a peer that stalls,
// on purpose or not, holds up nobody but itself. A peer whose patience ended while it waited
// is found out before work is done for it.
package gate
