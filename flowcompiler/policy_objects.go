package flowcompiler

import (
	"net/netip"

	"poolwire/southbound/openflow/flow"
)

// Level is a level of the hierarchy of policies.
type Level uint8

// The levels, from the outside in.
const (
	Global Level = iota
	Pool
	OfNetwork
	OfGroup
	OfVIF
)

// Section is the pass through the levels on which a policy rule is looked at.
type Section uint8

// The sections. Mandatory rules are looked at from the outside in, then rules of
// XCP-ng's form, then Default rules from the inside out.
const (
	Mandatory Section = iota
	Default
)

// Action is what a policy rule does.
type Action uint8

// The actions.
const (
	Allow Action = iota
	Drop
	Reject
)

// PolicyScope names one list of policy rules.
type PolicyScope struct {
	Level Level
	// Object is the id of the network, VIF group or VIF; 0 for Global and Pool: a host
	// has one pool.
	Object uint32
}

// PortRange is a range of TCP, UDP or SCTP ports, both ends included.
type PortRange struct{ First, Last uint16 }

// PolicyProtocol is what a policy rule matches.
type PolicyProtocol uint16

// The protocols besides IP protocol numbers, which stand for themselves.
const (
	// AnyProtocol matches everything but ARP and neighbour discovery; with an IP remote
	// only IP.
	AnyProtocol PolicyProtocol = 0x100
	// ARPProtocol matches ARP.
	ARPProtocol PolicyProtocol = 0x101
)

// PolicyRemote is the other end of a policy rule.
type PolicyRemote struct {
	// Any is true when every other end matches; the rest is then empty.
	Any bool
	// Prefixes and MACs are the addresses that match: any of them. Both empty, while Any is
	// false, match nothing: an empty group.
	Prefixes []netip.Prefix
	MACs     []flow.MAC
}

// PolicyRule is one rule of the hierarchy, enabled and not expired.
type PolicyRule struct {
	ID       uint32
	Section  Section
	Priority uint16
	Action   Action
	// Inbound: what reaches the VIF. Outbound: what it sends. Both may be set.
	Inbound, Outbound bool
	Protocol          PolicyProtocol
	// LocalPorts are the VIF's, RemotePorts the other end's; none: any. Sorted, apart.
	LocalPorts, RemotePorts []PortRange
	// ICMPType and ICMPCode are -1 for any.
	ICMPType, ICMPCode int16
	Remote             PolicyRemote
	// VLANs are tags as the VIF sees them; none: tagged or not.
	VLANs []uint16
	// Stateless rules look at packets, others at connections.
	Stateless bool
	// KeepEstablished restricts a Drop or Reject to new connections.
	KeepEstablished bool
}
