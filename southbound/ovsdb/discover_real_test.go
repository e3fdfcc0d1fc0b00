package ovsdb

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// xenHost builds what XAPI and xenopsd build: a bridge on a NIC, one on a bond
// with VLAN 100 on it, and guests with vif and tap.
func xenHost(h *realHost) {
	h.vsctl("set", "Open_vSwitch", ".", "ovs_version=3.1.0", "external_ids:system-id=sys1", "external_ids:xs-system-uuid=xs1", "external_ids:poolwire-encap-ip=192.0.2.7",
		"--", "add-br", "xenbr0", "--", "br-set-external-id", "xenbr0", "xs-network-uuids", "net0",
		"--", "set", "Bridge", "xenbr0", "fail_mode=standalone", "other_config:disable-in-band=true", "other_config:hwaddr=02:00:00:00:00:01",
		"--", "add-port", "xenbr0", "eth0", "--", "set-controller", "xenbr0", "tcp:127.0.0.1:1")
	h.vsctl("add-br", "xapi0", "--", "set", "Bridge", "xapi0", "external_ids:xs-network-uuids=vlannet;parentnet",
		"--", "add-bond", "xapi0", "bond0", "eth1", "eth2",
		"--", "set", "Bridge", "xapi0", "mcast_snooping_enable=true", "--", "add-br", "xapi1", "xapi0", "100", "--", "br-set-external-id", "xapi1", "xs-network-uuids", "vlannet",
		"--", "add-br", "xapi2", "xapi0", "200")
	for i, p := range []string{"vif1.0", "tap1.0", "vif2.0", "tap2.0"} {
		args := []string{"add-port", "xapi0", p, "tag=100"}
		if p != "tap2.0" {
			args = append(args, "--", "set", "Interface", p, fmt.Sprintf("external_ids:xs-vif-uuid=vif%c", p[3]), fmt.Sprintf("external_ids:xs-vm-uuid=vm%c", p[3]),
				"external_ids:xs-network-uuid=vlannet", fmt.Sprintf("external_ids:attached-mac=02:00:00:00:01:0%d", i))
		}
		h.vsctl(args...)
	}
	h.vsctl("add-port", "xapi0", "vif3.0", "--", "add-port", "xapi0", "vif4.1", "trunks=[7,8]",
		"--", "set", "Interface", "vif4.1", "external_ids:xs-vif-uuid=vif4", "external_ids:iface-id=ignored")
}

// libvirtHost builds what libvirt and OVN-style integrations build.
func libvirtHost(h *realHost) {
	h.vsctl("add-br", "br-int", "--", "add-port", "br-int", "vnet0",
		"--", "set", "Interface", "vnet0", "external_ids:iface-id=iface0", "external_ids:vm-id=kvm0", "external_ids:attached-mac=02:00:00:00:02:00",
		"--", "add-port", "br-int", "int0", "--", "set", "Interface", "int0", "type=internal", "external_ids:iface-id=iface1",
		"--", "add-port", "br-int", "vnet1", "--", "add-port", "br-int", "mgmt", "--", "set", "Interface", "mgmt", "type=internal",
		"--", "add-port", "br-int", "gnv0", "--", "set", "Interface", "gnv0", "type=geneve", "options:remote_ip=192.0.2.9", "options:key=flow",
		"--", "add-port", "br-int", "pt0", "--", "set", "Interface", "pt0", "type=patch", "options:peer=nowhere",
		"--", "add-port", "br-int", "odd0", "--", "set", "Interface", "odd0", "type=nonsense")
}

// seenPort is what the test compares of a Port.
type seenPort struct {
	Bridge, Network, PortName string
	Kind                      PortKind
	VLAN                      uint16
	VIF, VM, Bond             string
	Peer                      string
	Broken                    bool
}

func TestDiscoverARealSwitch(t *testing.T) {
	t.Parallel()
	h := newRealSwitch(t)
	xenHost(h)
	libvirtHost(h)
	h.settle()
	s := h.session(nil)
	h.catchUp(s)
	topo := Discover(s.Snapshot())
	if topo.SystemID != "sys1" || topo.XSSystemUUID != "xs1" || topo.EncapIP != "192.0.2.7" || topo.OVSVersion == "" || topo.Owner != "" {
		t.Errorf("host: %+v", topo)
	}
	got := map[string]seenPort{}
	numbers := map[string]bool{}
	for _, p := range topo.Ports {
		got[p.Name] = seenPort{p.Bridge, p.Network, p.PortName, p.Kind, p.VLAN, p.VIFUUID, p.VMUUID, p.Bond, p.PatchPeer + p.RemoteIP, p.Error != ""}
		if number := fmt.Sprintf("%s %d", p.Bridge, p.OFPort); p.OFPort != 0 && numbers[number] {
			t.Errorf("two ports have the number %s", number)
		} else if numbers[number] = true; (p.OFPort == 0) != (p.Name == "odd0") {
			t.Errorf("port %s: number %d, error %q", p.Name, p.OFPort, p.Error)
		} else if want := h.get("Interface", p.Name, "ofport"); p.OFPort != 0 && fmt.Sprint(p.OFPort) != want {
			t.Errorf("port %s: number %d, ovs-vsctl says %s", p.Name, p.OFPort, want)
		}
	}
	want := map[string]seenPort{
		"xenbr0": {"xenbr0", "xenbr0", "xenbr0", PortLocal, 0, "", "", "", "", false},
		"eth0":   {"xenbr0", "xenbr0", "eth0", PortPhysical, 0, "", "", "", "", false},
		"xapi0":  {"xapi0", "xapi0", "xapi0", PortLocal, 0, "", "", "", "", false},
		"eth1":   {"xapi0", "xapi0", "bond0", PortBondMember, 0, "", "", "bond0", "", false},
		"eth2":   {"xapi0", "xapi0", "bond0", PortBondMember, 0, "", "", "bond0", "", false},
		"xapi1":  {"xapi0", "xapi1", "xapi1", PortInternal, 100, "", "", "", "", false},
		"xapi2":  {"xapi0", "xapi2", "xapi2", PortInternal, 200, "", "", "", "", false},
		"vif1.0": {"xapi0", "xapi1", "vif1.0", PortVIF, 100, "vif1", "vm1", "", "", false},
		"tap1.0": {"xapi0", "xapi1", "tap1.0", PortVIF, 100, "vif1", "vm1", "", "", false},
		"vif2.0": {"xapi0", "xapi1", "vif2.0", PortVIF, 100, "vif2", "vm2", "", "", false},
		"tap2.0": {"xapi0", "xapi1", "tap2.0", PortVIF, 100, "vif2", "vm2", "", "", false},
		"vif3.0": {"xapi0", "xapi0", "vif3.0", PortOther, 0, "", "", "", "", false},
		"vif4.1": {"xapi0", "xapi0", "vif4.1", PortVIF, 0, "vif4", "", "", "", false},
		"br-int": {"br-int", "br-int", "br-int", PortLocal, 0, "", "", "", "", false},
		"vnet0":  {"br-int", "br-int", "vnet0", PortVIF, 0, "iface0", "kvm0", "", "", false},
		"vnet1":  {"br-int", "br-int", "vnet1", PortOther, 0, "", "", "", "", false},
		"int0":   {"br-int", "br-int", "int0", PortVIF, 0, "iface1", "", "", "", false},
		"mgmt":   {"br-int", "br-int", "mgmt", PortInternal, 0, "", "", "", "", false},
		"gnv0":   {"br-int", "br-int", "gnv0", PortTunnel, 0, "", "", "", "192.0.2.9", false},
		// A patch without its other end has a number and an error, a type that the
		// switch does not know only an error.
		"pt0":  {"br-int", "br-int", "pt0", PortPatch, 0, "", "", "", "nowhere", true},
		"odd0": {"br-int", "br-int", "odd0", PortOther, 0, "", "", "", "", true},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("ports:\n%s", d)
	}
	checkBridges(t, h, topo)
}

func checkBridges(t *testing.T, h *realHost, topo Topology) {
	t.Helper()
	bridges := map[string]Bridge{}
	for _, b := range topo.Bridges {
		bridges[b.Name] = b
		if b.LocalMAC.String() != h.get("Interface", b.Name, "mac_in_use") {
			t.Errorf("bridge %s: MAC %s", b.Name, b.LocalMAC)
		}
		if b.Parent == "" && b.DatapathID != h.get("Bridge", b.Name, "datapath_id") {
			t.Errorf("bridge %s: datapath id %s", b.Name, b.DatapathID)
		}
		if b.MTU == 0 {
			t.Errorf("bridge %s has no MTU", b.Name)
		}
	}
	if len(bridges) != 5 {
		t.Errorf("bridges: %v", names(bridges))
	}
	if b := bridges["xenbr0"]; !cmp.Equal(b.NetworkUUIDs, []string{"net0"}) || b.FailMode != "standalone" || !b.DisableInBand ||
		len(b.Controllers) != 1 || b.Controllers[0].Target != "tcp:127.0.0.1:1" || b.Controllers[0].Connected || b.LocalMAC.String() != "02:00:00:00:00:01" {
		t.Errorf("xenbr0: %+v", b)
	}
	for name, b := range bridges {
		if b.Snooping != (b.Name == "xapi0" || b.Parent == "xapi0") {
			t.Errorf("bridge %s: snooping %v", name, b.Snooping)
		}
	}
	if b := bridges["xapi0"]; len(b.NetworkUUIDs) != 0 || b.ExternalIDs["xs-network-uuids"] == "" {
		t.Errorf("xapi0 has VLANs, its networks cannot be known: %+v", b)
	}
	if b := bridges["xapi1"]; b.Parent != "xapi0" || b.VLAN != 100 || !cmp.Equal(b.NetworkUUIDs, []string{"vlannet"}) {
		t.Errorf("xapi1: %+v", b)
	}
	if b := bridges["xapi2"]; b.Parent != "xapi0" || b.VLAN != 200 || len(b.NetworkUUIDs) != 0 {
		t.Errorf("xapi2: %+v", b)
	}
}

// TestHostileReferences: thousands of places that refer to one row cost no more
// than one.
func TestHostileReferences(t *testing.T) {
	t.Parallel()
	const many = 1000
	s := &Snapshot{
		OpenVSwitch: &OpenVSwitchRow{UUID: rootUUID}, Bridges: map[string]*BridgeRow{}, Ports: map[string]*PortRow{}, Interfaces: map[string]*InterfaceRow{},
	}
	var ports, interfaces []string
	for i := range many {
		uuid := fmt.Sprintf("%08x-0000-0000-0000-000000000000", i)
		ports, interfaces = append(ports, uuid), append(interfaces, uuid)
		s.Interfaces[uuid] = &InterfaceRow{UUID: uuid, Name: fmt.Sprint("i", i)}
	}
	for i, uuid := range ports {
		s.Ports[uuid] = &PortRow{UUID: uuid, Name: fmt.Sprint("p", i), Interfaces: interfaces}
		s.Bridges[uuid] = &BridgeRow{UUID: uuid, Name: fmt.Sprint("b", i), Ports: ports}
	}
	if got := len(Discover(s).Ports); got != many {
		t.Errorf("%d ports, want each interface once", got)
	}
	if _, err := Plan(s, typicalDesired()); err != nil {
		t.Error(err)
	}
}
