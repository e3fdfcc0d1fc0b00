// Package flowcompiler turns what one bridge of one host should know into
// OpenFlow flows. It is pure: no I/O, no clock, no randomness. A [Compiler] is
// told about networks, VIFs, ports and other hosts, and Commit returns what that
// changes.
//
// # The walk of a packet on a network bridge
//
//	 0 classify      which port? VIF, uplink, host, patch port: load registers
//	 5 vlan          which network? (ports that carry several VLANs)
//	10 spoof_guard   locked VIFs: is this its address?
//	20 from_vif      rules on what a VIF sends; network-wide rules
//	22 from_trunk    rules of the VLAN that a VM has tagged a packet into
//	25 learn         remember the sender's MAC address?  --resubmit--> 35 learned
//	27 admit         VIFs with inbound rules: is it remembered?
//	30 destination   which VIF is it for?  --resubmit--> 35 learned
//	      |  external network                    |  private network
//	      |                                      36 deliver   one VIF, elsewhere, or everyone
//	      |                                      37 flood     a copy per port  --resubmit-->.
//	40 to_vif        rules on what reaches a VIF <------------------------------------------'
//	50 forward       external: NORMAL            private: the VIF's port
//
//	45 host_delivery  what a network-wide rule denied, but the host needs
//
// External networks leave switching to NORMAL, which knows VLANs, bonds, mirrors
// and learned addresses; the tables before it only decide what gets there. An
// inbound rule there holds for packets addressed to the VIF, under whatever MAC
// address the VIF has used: it cannot use one that the switch does not remember.
// What NORMAL floods to all ports is not filtered one by one.
//
// A private network has no NORMAL. It is one bridge per host, joined by a patch
// port to the overlay bridge, which knows other hosts:
//
//	 0 classify      patch port of a network, or tunnel + VNI of a member host
//	25 learn         from a tunnel: remember by which one the sender is reached
//	30 destination   from a patch port: which tunnel?  --resubmit--> 35 learned
//	50 forward       from a tunnel: only ever to the network's patch port
//	60 tunnel_out    one member host, or all of them
//
// # Where things are declared
//
// tables.go has the tables, registers.go every bit of every register,
// priorities.go and cookies.go the rest. Each flow is held against these when it
// is made; a flow that breaks them is an error of Commit. All flows of one table
// are in table_<name>.go. docs/pipeline.md is generated from the same data.
//
// # Incremental compilation
//
// Each object's flows are a part. Set and Remove only mark the parts that read
// the object (touch.go); Commit compiles the marked ones and exchanges them in
// the program (program.go). Two parts that want the same flow key, as two VIFs
// with one MAC address do, are ordered by kind and id: the first has it, the
// other takes over when it goes.
package flowcompiler

//go:generate go run ./internal/gendocs
