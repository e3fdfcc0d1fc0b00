package ovsdb

// Tables and columns that Poolwire monitors. A column is monitored when the
// host's schema has it.

const (
	tableOpenVSwitch = "Open_vSwitch"
	tableBridge      = "Bridge"
	tablePort        = "Port"
	tableInterface   = "Interface"
	tableController  = "Controller"
	tableManager     = "Manager"
	tableSSL         = "SSL"
	tableFlowTable   = "Flow_Table"
)

// column binds a column to a field of T. The field's Go type, found by at, says
// what kind of value is expected (see assign).
type column[T any] struct {
	name string
	at   func(*T) any
	// need is true for columns without which the database is of no use.
	need bool
	// keep lists the only keys of a map that are kept; nil keeps all.
	keep []string
}

// tableSpec is what is monitored of one table.
type tableSpec[T any] struct {
	name    string
	uuid    func(*T) *string
	columns []column[T]
}

// statusConnections is the key of Manager.status that counts the clients of a passive manager.
const statusConnections = "n_connections"

// Keys of Interface.status of a tunnel (ovs-vswitchd.conf.db(5)).
const (
	statusEgress        = "tunnel_egress_iface"
	statusEgressCarrier = "tunnel_egress_iface_carrier"
)

func connectionStatusKeys() []string { return []string{"state", "last_error"} }

func openVSwitchSpec() tableSpec[OpenVSwitchRow] {
	type row = OpenVSwitchRow
	return tableSpec[row]{name: tableOpenVSwitch, uuid: func(r *row) *string { return &r.UUID }, columns: []column[row]{
		{name: "bridges", at: func(r *row) any { return &r.Bridges }, need: true},
		{name: "external_ids", at: func(r *row) any { return &r.ExternalIDs }, need: true},
		{name: "manager_options", at: func(r *row) any { return &r.ManagerOptions }},
		{name: "ssl", at: func(r *row) any { return &r.SSL }},
		{name: "other_config", at: func(r *row) any { return &r.OtherConfig }},
		{name: "ovs_version", at: func(r *row) any { return &r.OVSVersion }},
		{name: "db_version", at: func(r *row) any { return &r.DBVersion }},
		{name: "system_type", at: func(r *row) any { return &r.SystemType }},
		{name: "system_version", at: func(r *row) any { return &r.SystemVersion }},
	}}
}

func bridgeSpec() tableSpec[BridgeRow] {
	type row = BridgeRow
	return tableSpec[row]{name: tableBridge, uuid: func(r *row) *string { return &r.UUID }, columns: []column[row]{
		{name: "name", at: func(r *row) any { return &r.Name }, need: true},
		{name: "ports", at: func(r *row) any { return &r.Ports }, need: true},
		{name: "controller", at: func(r *row) any { return &r.Controllers }, need: true},
		{name: "external_ids", at: func(r *row) any { return &r.ExternalIDs }, need: true},
		{name: "datapath_id", at: func(r *row) any { return &r.DatapathID }},
		{name: "datapath_type", at: func(r *row) any { return &r.DatapathType }},
		{name: "fail_mode", at: func(r *row) any { return &r.FailMode }},
		{name: "protocols", at: func(r *row) any { return &r.Protocols }},
		{name: "flow_tables", at: func(r *row) any { return &r.FlowTables }},
		{name: "mcast_snooping_enable", at: func(r *row) any { return &r.Snooping }},
		{name: "other_config", at: func(r *row) any { return &r.OtherConfig }},
	}}
}

func portSpec() tableSpec[PortRow] {
	type row = PortRow
	return tableSpec[row]{name: tablePort, uuid: func(r *row) *string { return &r.UUID }, columns: []column[row]{
		{name: "name", at: func(r *row) any { return &r.Name }, need: true},
		{name: "interfaces", at: func(r *row) any { return &r.Interfaces }, need: true},
		{name: "external_ids", at: func(r *row) any { return &r.ExternalIDs }, need: true},
		{name: "tag", at: func(r *row) any { return &r.Tag }},
		{name: "trunks", at: func(r *row) any { return &r.Trunks }},
		{name: "fake_bridge", at: func(r *row) any { return &r.FakeBridge }},
		{name: "lacp", at: func(r *row) any { return &r.LACP }},
		{name: "bond_active_slave", at: func(r *row) any { return &r.BondActive }},
		{name: "other_config", at: func(r *row) any { return &r.OtherConfig }, keep: []string{keyXONetwork}},
	}}
}

func interfaceSpec() tableSpec[InterfaceRow] {
	type row = InterfaceRow
	return tableSpec[row]{name: tableInterface, uuid: func(r *row) *string { return &r.UUID }, columns: []column[row]{
		{name: "name", at: func(r *row) any { return &r.Name }, need: true},
		{name: "type", at: func(r *row) any { return &r.Type }, need: true},
		{name: "options", at: func(r *row) any { return &r.Options }, need: true},
		{name: "external_ids", at: func(r *row) any { return &r.ExternalIDs }, need: true},
		{name: "ofport", at: func(r *row) any { return &r.OFPort }, need: true},
		{name: "mac_in_use", at: func(r *row) any { return &r.MACInUse }},
		{name: "error", at: func(r *row) any { return &r.Error }},
		{name: "link_state", at: func(r *row) any { return &r.LinkState }},
		{name: "mtu", at: func(r *row) any { return &r.MTU }},
		{name: "mtu_request", at: func(r *row) any { return &r.MTURequest }},
		{name: "ingress_policing_rate", at: func(r *row) any { return &r.PolicingRate }},
		{name: "ingress_policing_burst", at: func(r *row) any { return &r.PolicingBurst }},
		{name: "status", at: func(r *row) any { return &r.Status }, keep: []string{"driver_name", statusEgress, statusEgressCarrier}},
		{name: "bfd", at: func(r *row) any { return &r.BFD }},
		{name: "bfd_status", at: func(r *row) any { return &r.BFDStatus }, keep: []string{"state", "diagnostic", "forwarding"}},
	}}
}

func controllerSpec() tableSpec[ControllerRow] {
	type row = ControllerRow
	return tableSpec[row]{name: tableController, uuid: func(r *row) *string { return &r.UUID }, columns: []column[row]{
		{name: "target", at: func(r *row) any { return &r.Target }, need: true},
		{name: "external_ids", at: func(r *row) any { return &r.ExternalIDs }, need: true},
		{name: "inactivity_probe", at: func(r *row) any { return &r.InactivityProbe }},
		{name: "connection_mode", at: func(r *row) any { return &r.ConnectionMode }},
		{name: "is_connected", at: func(r *row) any { return &r.IsConnected }},
		{name: "role", at: func(r *row) any { return &r.Role }},
		{name: "status", at: func(r *row) any { return &r.Status }, keep: connectionStatusKeys()},
	}}
}

func managerSpec() tableSpec[ManagerRow] {
	type row = ManagerRow
	return tableSpec[row]{name: tableManager, uuid: func(r *row) *string { return &r.UUID }, columns: []column[row]{
		{name: "target", at: func(r *row) any { return &r.Target }},
		{name: "is_connected", at: func(r *row) any { return &r.IsConnected }},
		{name: "external_ids", at: func(r *row) any { return &r.ExternalIDs }},
		{name: "status", at: func(r *row) any { return &r.Status }, keep: append(connectionStatusKeys(), statusConnections)},
	}}
}

func sslSpec() tableSpec[SSLRow] {
	type row = SSLRow
	return tableSpec[row]{name: tableSSL, uuid: func(r *row) *string { return &r.UUID }, columns: []column[row]{
		{name: "ca_cert", at: func(r *row) any { return &r.CACert }},
		{name: "certificate", at: func(r *row) any { return &r.Certificate }},
		{name: "private_key", at: func(r *row) any { return &r.PrivateKey }},
		{name: "bootstrap_ca_cert", at: func(r *row) any { return &r.BootstrapCACert }},
	}}
}

func flowTableSpec() tableSpec[FlowTableRow] {
	type row = FlowTableRow
	return tableSpec[row]{name: tableFlowTable, uuid: func(r *row) *string { return &r.UUID }, columns: []column[row]{
		{name: "name", at: func(r *row) any { return &r.Name }},
		{name: "external_ids", at: func(r *row) any { return &r.ExternalIDs }},
	}}
}
