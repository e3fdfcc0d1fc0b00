// Package overlay plans how the hosts of private networks reach each other:
// which tunnels there are, who passes traffic on, and what fits through. It is
// pure: rows, flows and status of the controller all follow from one plan, so that they
// cannot disagree.
//
// # Passing traffic on without loops
//
// In a mesh nothing is ever passed on: a frame from a tunnel goes to VMs of the host, to
// nobody else. In a star, and between pools with hubs, a relay passes frames on. Who
// does, the sender decides, frame by frame, by sending it under a second tunnel key, the
// relay VNI:
//
//	sender ──VNI──────────► host: to its VMs, nowhere else
//	sender ──relay VNI────► relay: to its VMs, and on:
//	                          star: ──VNI──────► every other member
//	                          hub, from its own pool:   ──relay VNI──► the hub of every other pool
//	                          hub, from another pool:   ──VNI──────► every other member of its pool
//
// A frame that was passed on for the last time carries the plain VNI, and there is at most
// one more step before that. So no loop can form, whatever the hosts believe about who
// is centre; and as each step is decided by the table of a single host, which changes
// atomically, nobody gets a frame twice while the centre moves. A relay and its stand-in
// both pass on all the time what they are asked to; changing the one for the other is a change
// of mind of each sender alone. A change of topology comes with a new relay VNI, because a
// centre and a hub mean different things by it.
package overlay
