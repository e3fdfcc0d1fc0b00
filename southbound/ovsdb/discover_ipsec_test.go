package ovsdb

import (
	"slices"
	"testing"
)

// TestCredentialsTheHostTakes: ovs-monitor-ipsec takes a key only on a host without a certificate, and the name of a
// peer only on one with all of it.
func TestCredentialsTheHostTakes(t *testing.T) {
	t.Parallel()
	all := map[string]string{"certificate": "/c", "private_key": "/k", "ca_cert": "/a", "vlan-limit": "0"}
	some := map[string]string{"certificate": "/c", "private_key": "/k"}
	key, name := map[string]string{"psk": "x"}, map[string]string{"remote_name": "x"}
	for _, tt := range []struct {
		name            string
		config, options map[string]string
		set             []string
		want            bool
	}{
		{"nothing", nil, nil, nil, false},
		{"a key", nil, key, nil, true},
		{"a key beside a certificate", some, key, []string{"certificate", "private_key"}, false},
		{"a name", all, name, []string{"ca_cert", "certificate", "private_key"}, true},
		{"a name without a certificate", nil, name, nil, false},
		{"a name without the CA", some, name, []string{"certificate", "private_key"}, false},
		{"a certificate of the peer", some, map[string]string{"remote_cert": "/p"}, []string{"certificate", "private_key"}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			options := map[string]string{"remote_ip": "192.0.2.1"}
			for k, v := range tt.options {
				options[k] = v
			}
			topo := Discover(&Snapshot{
				OpenVSwitch: &OpenVSwitchRow{OtherConfig: tt.config},
				Bridges:     map[string]*BridgeRow{"b": {UUID: "b", Name: "br0", Ports: []string{"p"}}},
				Ports:       map[string]*PortRow{"p": {UUID: "p", Name: "tun0", Interfaces: []string{"i"}}},
				Interfaces:  map[string]*InterfaceRow{"i": {UUID: "i", Name: "tun0", Type: "vxlan", Options: options}},
			})
			if !slices.Equal(topo.IPsecKeys, tt.set) {
				t.Errorf("set are %q, want %q", topo.IPsecKeys, tt.set)
			}
			if len(topo.Ports) != 1 || topo.Ports[0].Tunnel.Protected != tt.want {
				t.Errorf("ports %+v, want protected %v", topo.Ports, tt.want)
			}
		})
	}
}
