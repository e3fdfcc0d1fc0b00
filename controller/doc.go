// Package controller turns the replicated intent and the observed topology
// into the state of every managed host. It runs on the leader only.
//
//	raftstore change set ──► dispatcher ──► marks ("look at VIF x of bridge y")
//	                                          │
//	OVSDB session ──► host actor ◄────────────┤    one goroutine per host:
//	                   │  observe: rows ──► raftstore     topology and owned rows
//	                   │  plan:    desired rows ──► one guarded transaction
//	                   ▼
//	OpenFlow session ► bridge actor ◄─────────┘    one goroutine per bridge:
//	                      compile ──► one bundle + barrier ──► confirmed
//
// Everything is level-triggered: a mark only says where to look, and what is
// found there is read from a consistent view of the store. A lost event
// therefore costs a resync interval, never correctness. No actor ever waits
// for another host, so a host that is away holds up nobody.
package controller
