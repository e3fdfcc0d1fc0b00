// Package flowcompiler turns what one bridge of one host should know into
// OpenFlow flows. It is pure: no I/O, no clock, no randomness. A [Compiler] is
// told about networks, VIFs, ports, other hosts and policies, and Commit returns what
// that changes.
//
// # The walk of a packet on a network bridge
//
//	 0 classify      which port? VIF, uplink, host, patch port: load registers
//	 5 vlan          which network? (ports that carry several VLANs)
//	10 spoof_guard   locked VIFs: is this its address?
//	12 guest_guard   tags, router advertisements, DHCP answers that no guest sends
//	14 out_state     tracked VIFs: which connection?              ct --recirculate--> 20
//	20 from_vif      XCP-ng's rules on what a VIF sends; network-wide rules
//	22 from_trunk    rules of the VLAN that a VM has tagged a packet into
//	23 out_policy    the sender's policy                --resubmit--> 70 or, for a reply, 75
//	24 out_verdict   drop, or remember the connection and go on
//	25 learn         remember the sender's MAC address?           --resubmit--> 35 learned
//	27 admit         VIFs with inbound rules: is it remembered?
//	30 destination   which VIF is it for?                         --resubmit--> 35 learned
//	      |  external network                    |  private network
//	      |                                      32 multicast  who listens to the group?
//	      |                                      36 deliver   one VIF, elsewhere, or everyone
//	      |                                      37 flood     a copy per port  --resubmit-->.
//	38 in_state      the receiver: may it hear the sender? <--------------------------------'
//	39 in_track      tracked VIFs: which connection?              ct --recirculate--> 40
//	40 to_vif        XCP-ng's rules on what reaches a VIF
//	41 in_policy     the receiver's policy              --resubmit--> 75 or, for a reply, 70
//	42 in_verdict    drop, or remember the connection and go on
//	50 forward       external: NORMAL            private: the VIF's port
//
//	45 host_delivery  what a network-wide rule denied, but the host needs
//	48 denied         a sample of what was denied, for the controller
//
//	70 mandatory_out, 71 default_out   rules on connections that the subject opens
//	75 mandatory_in,  76 default_in    rules on connections that others open to it
//
// External networks leave switching to NORMAL, which knows VLANs, bonds, mirrors
// and learned addresses; the tables before it only decide what gets there. An
// inbound rule there holds for packets addressed to the VIF, under whatever MAC
// address the VIF has used: it cannot use one that the switch does not remember.
// What goes to several ports NORMAL leaves a guarded VIF's out of (OFPPC_NO_FLOOD), and
// the VIF gets a copy of its own by way of in_state.
//
// # Policies
//
// The subject of a policy is the sender, then the receiver. Its lists of rules lie one
// above the other in the rule tables: mandatory rules from the outside in, what rules of
// XCP-ng's form said, then default rules from the inside out and the network's default
// action. The switch takes the flow of the highest priority, which is the first match.
//
// A rule looks at connections unless it is stateless: at the tuple of the connection's
// first packet, which the tracker tells of every packet. So the flows of a rule hold for
// packets of both directions; a reply walks the lists of the direction in which its
// connection was opened, and a policy that denies the connection ends it at once in both.
// Where no rule looks at connections, a VIF's are tracked only for a default action that
// drops one direction and not the other: it lets answers pass. ARP, neighbour discovery, IGMP and MLD are not tracked.
//
// A rule whose addresses, ports and VLANs would multiply to many flows is a conjunction.
//
// A private network has no NORMAL. It is one bridge per host, joined by a patch
// port to the overlay bridge, which knows other hosts:
//
//	 0 classify      patch port of a network, or tunnel + VNI of a member host
//	25 learn         from a tunnel: remember by which one the sender is reached
//	30 destination   from a patch port: which tunnel?  --resubmit--> 35 learned
//	32 multicast     which hosts have listeners?
//	50 forward       from a tunnel: only ever to the network's patch port
//	60 tunnel_out    one member host, or all of them
//
// # Where things are declared
//
// tables.go numbers the tables, tables_source.go, tables_destination.go and
// tables_policy.go have a row for each, fields.go names what registers hold and
// registers.go has every bit of it, priorities.go and cookies.go the rest. Each
// flow is held against these when it is made; a flow that breaks them is an error
// of Commit. All flows of one table are in table_<name>.go. docs/pipeline.md is
// generated from the same data.
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
