package ovsdb

import "poolwire/southbound/openflow/flow"

// Topology is what a host reports, in the words of networks and VIFs. Bridges
// and ports are sorted by name.
type Topology struct {
	// SystemID is external_ids:system-id of the host, its name towards controllers.
	SystemID string
	// XSSystemUUID is external_ids:xs-system-uuid: the host's uuid in XAPI.
	XSSystemUUID string
	// OVSVersion and DBVersion are what the host says of itself.
	OVSVersion, DBVersion string
	// EncapIP is external_ids:poolwire-encap-ip, empty when not set.
	EncapIP string
	// IPsecKeys are those of the keys of other_config by which ovs-monitor-ipsec finds the host's certificate that are
	// set: "ca_cert", "certificate" and "private_key".
	IPsecKeys []string
	// Epoch and Owner are the claim on the host: 0 and empty when there is none.
	Epoch uint64
	Owner string
	// Bridges, fake ones included.
	Bridges []Bridge
	// Ports lists every interface once.
	Ports []Port
	// ManagerClients counts the clients of the managers that the host listens as, ours included where we dialled.
	ManagerClients int
}

// Bridge is a bridge of a host, real or fake.
type Bridge struct {
	Name string
	// RowUUID is the Bridge row, for a fake bridge the Port row.
	RowUUID string
	// DatapathID is 16 hexadecimal digits, empty before the switch made one and for
	// fake bridges.
	DatapathID   string
	DatapathType string
	// FailMode is "secure", "standalone" or empty, which means standalone.
	FailMode string
	// Snooping is true where NORMAL sends multicast to the ports that have asked for it
	// (Bridge.mcast_snooping_enable), on a fake bridge as on its real one.
	Snooping bool
	// Parent and VLAN are set for a fake bridge: its real bridge and its tag.
	Parent string
	VLAN   uint16
	// LocalMAC and MTU are those of the bridge's own interface.
	LocalMAC    flow.MAC
	MTU         int
	Controllers []ControllerState
	// NetworkUUIDs are the XAPI networks of the bridge. They are empty for a bridge
	// with fake bridges on it: there XAPI overwrites the key with each VLAN, so
	// that it tells neither the bridge's own network nor all the others.
	NetworkUUIDs []string
	Protocols    []string
	// Owned is true for a bridge made by the cluster that claimed the host.
	Owned bool
	// ExternalIDs as they are; for a fake bridge without the prefix that ovs-vsctl
	// puts before its keys.
	ExternalIDs map[string]string
	// DisableInBand is other_config:disable-in-band.
	DisableInBand bool
}

// ControllerState is one OpenFlow controller of a bridge, ours or not.
type ControllerState struct {
	Target    string
	Connected bool
	// Role is "master", "slave", "other" or empty.
	Role string
	// LastError of the switch's connection attempts.
	LastError string
	// Owned is true for a controller that the claiming cluster added.
	Owned bool
}

// PortKind says what is behind a port.
type PortKind int

// The kinds of ports. A device that nothing is known of is PortPhysical only
// when it does not look like a virtual machine's.
const (
	// PortOther is a device that is none of the others: untrusted.
	PortOther PortKind = iota
	// PortVIF is a virtual machine's interface: vif, tap, or any with an iface-id.
	PortVIF
	// PortPhysical is a NIC of the host.
	PortPhysical
	// PortBondMember is one NIC of a bond.
	PortBondMember
	// PortLocal is the bridge's own interface.
	PortLocal
	// PortInternal is another interface of the host's own, a fake bridge's included.
	PortInternal
	// PortPatch is one end of a patch between two bridges.
	PortPatch
	// PortTunnel is a VXLAN, GRE, Geneve or other tunnel.
	PortTunnel
)

func (k PortKind) String() string {
	switch k {
	case PortVIF:
		return "vif"
	case PortPhysical:
		return "physical"
	case PortBondMember:
		return "bond-member"
	case PortLocal:
		return "local"
	case PortInternal:
		return "internal"
	case PortPatch:
		return "patch"
	case PortTunnel:
		return "tunnel"
	}
	return "other"
}

// Port is one interface of a bridge.
type Port struct {
	// Bridge is the real bridge; Network is the bridge a user would name: the fake
	// bridge when the port is tagged with the VLAN of one.
	Bridge, Network string
	// Name of the interface; PortName of its port, the same but for bonds.
	Name, PortName string
	InterfaceUUID  string
	// OFPort is the OpenFlow port number, 0 while there is none; see Error.
	OFPort uint32
	Kind   PortKind
	// VLAN is the access tag, 0 for none.
	VLAN   uint16
	Trunks []uint16
	// MAC is in use on the host's side; AttachedMAC is the virtual machine's.
	MAC, AttachedMAC flow.MAC
	// VIFUUID is xs-vif-uuid, or iface-id where there is none. A VIF's vif and tap
	// devices both carry it.
	VIFUUID, VMUUID, NetworkUUID string
	// Bond is the name of the bond for its members. BondInactive is true for a member that
	// is not the active one of a bond without LACP: what the other end floods arrives by
	// the active one too.
	Bond         string
	BondInactive bool
	// Labels are what external_ids:poolwire-label-KEY says of a VIF, by KEY.
	Labels map[string]string
	// Type is the type column: "vxlan", "internal", ...
	Type string
	// RemoteIP of a tunnel, and LocalIP when it has one; PatchPeer of a patch.
	RemoteIP, LocalIP, PatchPeer string
	// Tunnel is what else is known of a tunnel.
	Tunnel TunnelFacts
	LinkUp bool
	// MTU in bytes, 0 when not known.
	MTU int
	// Error is why the switch has not added the interface.
	Error string
	// Owned is true for a port made by the cluster that claimed the host.
	Owned       bool
	ExternalIDs map[string]string
}

// TunnelFacts is what a switch says of a tunnel. The zero value is that of every other port.
type TunnelFacts struct {
	// Key is options:key as a number; 0 when flows set it, or there is none.
	Key uint32
	// Protected is true when the tunnel has credentials for IPsec that the host's ovs-monitor-ipsec takes.
	Protected bool
	// Egress is the interface that its packets leave by, EgressUp whether that has a carrier. Empty while
	// the switch knows no route.
	Egress   string
	EgressUp bool
	// BFD is "up", "down", "init", "admin_down", or empty when it does not run; BFDDiagnostic says why.
	BFD, BFDDiagnostic string
	// Network is the private network of Xen Orchestra's plugin that the tunnel was made for.
	Network string
}
