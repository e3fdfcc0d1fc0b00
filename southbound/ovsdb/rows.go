package ovsdb

// Rows of a host's database as a Snapshot holds them: the columns Poolwire
// reads, by the names and meanings of ovs-vswitchd.conf.db(5). A column that
// the host's schema lacks has its zero value. Sets are sorted; references to
// other rows are uuids. Rows are shared between snapshots: never change one.

// Optional is an integer column that may be empty.
type Optional struct {
	Value int64
	Set   bool
}

// OpenVSwitchRow is the root row.
type OpenVSwitchRow struct {
	UUID                      string
	Bridges, ManagerOptions   []string
	SSL                       string
	ExternalIDs, OtherConfig  map[string]string
	OVSVersion, DBVersion     string
	SystemType, SystemVersion string
}

// BridgeRow is a real bridge; fake bridges are ports.
type BridgeRow struct {
	UUID, Name               string
	DatapathID, DatapathType string
	FailMode                 string
	Ports, Controllers       []string
	Protocols                []string
	// Snooping is mcast_snooping_enable (Open vSwitch 2.4 and later).
	Snooping bool
	// FlowTables maps table numbers to Flow_Table rows.
	FlowTables               map[int64]string
	ExternalIDs, OtherConfig map[string]string
}

// PortRow is a port of a bridge: one interface, or the several of a bond.
type PortRow struct {
	UUID, Name  string
	Interfaces  []string
	Tag         Optional
	Trunks      []int64
	FakeBridge  bool
	ExternalIDs map[string]string
	// OtherConfig is reduced to what tells tunnels of Xen Orchestra's plugin.
	OtherConfig map[string]string
	// LACP is "active", "passive", "off" or empty, which means off. BondActive is the MAC
	// address of a bond's active member, empty when there is none or it is not known.
	LACP, BondActive string
}

// InterfaceRow is a network device, tunnel or patch of a port.
type InterfaceRow struct {
	UUID, Name, Type     string
	Options, ExternalIDs map[string]string
	MACInUse             string
	// OFPort is -1 when the switch could not add the interface.
	OFPort          Optional
	Error           string
	LinkState       string
	MTU, MTURequest Optional
	// PolicingRate is in kbit/s and PolicingBurst in kbit; rate 0 polices nothing.
	PolicingRate, PolicingBurst int64
	// Status is reduced to driver_name and, of a tunnel, the interface that its packets leave by.
	Status map[string]string
	// BFD is the configuration of bidirectional forwarding detection; BFDStatus is reduced to its
	// state, diagnostic and forwarding.
	BFD, BFDStatus map[string]string
}

// ControllerRow is an OpenFlow controller of one bridge.
type ControllerRow struct {
	UUID, Target    string
	InactivityProbe Optional
	ConnectionMode  string
	ExternalIDs     map[string]string
	IsConnected     bool
	Role            string
	// Status is reduced to state and last_error: its clocks would make every
	// snapshot differ from the one before.
	Status map[string]string
}

// ManagerRow is an OVSDB connection that the host's administrator configured.
type ManagerRow struct {
	UUID, Target string
	IsConnected  bool
	ExternalIDs  map[string]string
	// Status is reduced to state, last_error and n_connections.
	Status map[string]string
}

// SSLRow holds the host's own TLS files.
type SSLRow struct {
	UUID, CACert, Certificate, PrivateKey string
	BootstrapCACert                       bool
}

// FlowTableRow configures one OpenFlow table of a bridge.
type FlowTableRow struct {
	UUID, Name  string
	ExternalIDs map[string]string
}
