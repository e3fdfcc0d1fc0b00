package ovsdbtest

import "github.com/ovn-kubernetes/libovsdb/model"

// Rows as libovsdb's server keeps them: a field per column of the schema.

type openVSwitch struct {
	UUID           string            `ovsdb:"_uuid"`
	Bridges        []string          `ovsdb:"bridges"`
	ManagerOptions []string          `ovsdb:"manager_options"`
	OVSVersion     *string           `ovsdb:"ovs_version"`
	DBVersion      *string           `ovsdb:"db_version"`
	ExternalIDs    map[string]string `ovsdb:"external_ids"`
	OtherConfig    map[string]string `ovsdb:"other_config"`
}

type bridge struct {
	UUID         string            `ovsdb:"_uuid"`
	Name         string            `ovsdb:"name"`
	DatapathID   *string           `ovsdb:"datapath_id"`
	DatapathType string            `ovsdb:"datapath_type"`
	FailMode     *string           `ovsdb:"fail_mode"`
	Ports        []string          `ovsdb:"ports"`
	Controller   []string          `ovsdb:"controller"`
	Protocols    []string          `ovsdb:"protocols"`
	FlowTables   map[int]string    `ovsdb:"flow_tables"`
	ExternalIDs  map[string]string `ovsdb:"external_ids"`
	OtherConfig  map[string]string `ovsdb:"other_config"`
}

type port struct {
	UUID        string            `ovsdb:"_uuid"`
	Name        string            `ovsdb:"name"`
	Interfaces  []string          `ovsdb:"interfaces"`
	Tag         *int              `ovsdb:"tag"`
	Trunks      []int             `ovsdb:"trunks"`
	FakeBridge  bool              `ovsdb:"fake_bridge"`
	ExternalIDs map[string]string `ovsdb:"external_ids"`
}

type netInterface struct {
	UUID        string            `ovsdb:"_uuid"`
	Name        string            `ovsdb:"name"`
	Type        string            `ovsdb:"type"`
	Options     map[string]string `ovsdb:"options"`
	ExternalIDs map[string]string `ovsdb:"external_ids"`
	OFPort      *int              `ovsdb:"ofport"`
	MACInUse    *string           `ovsdb:"mac_in_use"`
	Error       *string           `ovsdb:"error"`
	LinkState   *string           `ovsdb:"link_state"`
	MTU         *int              `ovsdb:"mtu"`
	MTURequest  *int              `ovsdb:"mtu_request"`
	Status      map[string]string `ovsdb:"status"`
}

type controller struct {
	UUID            string            `ovsdb:"_uuid"`
	Target          string            `ovsdb:"target"`
	InactivityProbe *int              `ovsdb:"inactivity_probe"`
	ConnectionMode  *string           `ovsdb:"connection_mode"`
	ExternalIDs     map[string]string `ovsdb:"external_ids"`
	IsConnected     bool              `ovsdb:"is_connected"`
	Role            *string           `ovsdb:"role"`
	Status          map[string]string `ovsdb:"status"`
}

type manager struct {
	UUID        string            `ovsdb:"_uuid"`
	Target      string            `ovsdb:"target"`
	IsConnected bool              `ovsdb:"is_connected"`
	ExternalIDs map[string]string `ovsdb:"external_ids"`
	Status      map[string]string `ovsdb:"status"`
}

type flowTable struct {
	UUID        string            `ovsdb:"_uuid"`
	Name        *string           `ovsdb:"name"`
	ExternalIDs map[string]string `ovsdb:"external_ids"`
}

func clientModel() (model.ClientDBModel, error) {
	return model.NewClientDBModel(database, map[string]model.Model{
		"Open_vSwitch": &openVSwitch{}, "Bridge": &bridge{}, "Port": &port{}, "Interface": &netInterface{},
		"Controller": &controller{}, "Manager": &manager{}, "Flow_Table": &flowTable{},
	})
}
