package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"poolwire/integration/lab"
)

// readJSON runs the client with -o json.
func readJSON[T any](t *testing.T, p *pair, args ...string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(p.do(t, append(args, "-o", "json")...)), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

type vifJSON struct {
	UUID      string   `json:"uuid"`
	MAC       string   `json:"mac"`
	Network   string   `json:"network_uuid"`
	Locations []vifLoc `json:"locations"`
}

type vifLoc struct {
	Host       string   `json:"host_name_label"`
	Bridge     string   `json:"bridge"`
	Interfaces []string `json:"interfaces"`
}

// VLAN fake bridges, bonds, tap and vif pairs and OVN-style ports are
// recognised as what they are.
func TestDiscovery(t *testing.T) {
	t.Parallel()
	p := &pair{World: newWorld(t, "disc")}
	p.do(t, "pool", "create", "paris")
	ctx := within(t, time.Minute)
	const network = "a2c1bd1e-54ac-4a4c-a8a5-6d8b0ac2a6a1"
	h, err := p.Join(ctx, "paris", false, lab.HostOptions{Name: "paris1", Bridges: []lab.BridgeOptions{
		{Name: "xenbr0", Uplink: true},
		{Name: "xenbr1", Uplink: true, Bond: true, VLANs: map[string]uint16{"xapi1": 42}},
		{Name: "xenbr2", Uplink: true, NetworkUUID: network},
	}})
	if err != nil {
		t.Fatal(err)
	}
	tap := vmOptions("tapped", "xapi1", 1)
	tap.Tap = true
	ovn := vmOptions("ovn", "xenbr2", 2)
	ovn.IfaceID = "5f3c1c8e-53e5-4b46-8a53-1d2d12a3ab11"
	vms := map[string]*lab.VM{}
	for _, o := range []lab.VMOptions{tap, ovn} {
		if vms[o.Name], err = h.AddVM(ctx, o); err != nil {
			t.Fatal(err)
		}
	}
	p.settled(t)

	type networkJSON struct {
		UUID, Bridge string
		VLAN         uint32
	}
	networks := readJSON[[]networkJSON](t, p, "network", "list")
	for _, want := range []networkJSON{{Bridge: "xenbr0"}, {Bridge: "xenbr1"}, {Bridge: "xapi1", VLAN: 42}, {UUID: network, Bridge: "xenbr2"}} {
		if !slices.ContainsFunc(networks, func(n networkJSON) bool {
			return n.Bridge == want.Bridge && n.VLAN == want.VLAN && (want.UUID == "" || n.UUID == want.UUID)
		}) {
			t.Errorf("network %+v is not among %+v", want, networks)
		}
	}
	type pifJSON struct {
		Device string   `json:"device"`
		VLAN   uint32   `json:"vlan"`
		Bridge string   `json:"bridge"`
		Slaves []string `json:"bond_slaves"`
	}
	pifs := readJSON[[]pifJSON](t, p, "pif", "list")
	bond := slices.IndexFunc(pifs, func(f pifJSON) bool { return len(f.Slaves) == 2 && f.VLAN == 0 })
	if bond < 0 || pifs[bond].Bridge != "xenbr1" {
		t.Errorf("no bond of two on xenbr1 among %+v", pifs)
	}
	if !slices.ContainsFunc(pifs, func(f pifJSON) bool { return f.VLAN == 42 }) {
		t.Errorf("no PIF of VLAN 42 among %+v", pifs)
	}
	tapped := readJSON[vifJSON](t, p, "vif", "show", vms["tapped"].VIF().UUID)
	port := vms["tapped"].VIF()
	if len(tapped.Locations) != 1 || tapped.Locations[0].Bridge != "xapi1" || !slices.Equal(slices.Sorted(slices.Values(tapped.Locations[0].Interfaces)), slices.Sorted(slices.Values([]string{port.Port(), port.TapPort()}))) {
		t.Errorf("vif and tap must be one VIF on xapi1: %+v", tapped)
	}
	if got := readJSON[vifJSON](t, p, "vif", "show", ovn.IfaceID); got.MAC != vms["ovn"].MAC().String() {
		t.Errorf("OVN-style VIF: %+v", got)
	}
}

// A rule holds on a plain bridge, on a VLAN, on a bond and on a VLAN of a bond
// alike, for a VIF and for a whole network.
func TestRulesOnEveryKindOfUplink(t *testing.T) {
	t.Parallel()
	p := &pair{World: newWorld(t, "uplinks")}
	p.do(t, "pool", "create", "paris")
	ctx := within(t, 2*time.Minute)
	var hosts []*lab.Host
	for i := range 2 {
		h, err := p.Join(ctx, "paris", false, lab.HostOptions{Name: fmt.Sprintf("paris%d", i+1), Bridges: []lab.BridgeOptions{
			{Name: "xenbr0", Uplink: true, VLANs: map[string]uint16{"xapi1": 7}},
			{Name: "xenbr1", Uplink: true, Bond: true, BondMode: "active-backup", Segment: "second", VLANs: map[string]uint16{"xapi2": 8}},
		}})
		if err != nil {
			t.Fatal(err)
		}
		hosts = append(hosts, h)
	}
	for i, bridge := range []string{"xenbr0", "xapi1", "xenbr1", "xapi2"} {
		t.Run(bridge, func(t *testing.T) {
			var vms []*lab.VM
			for j, h := range hosts {
				vm, err := h.AddVM(ctx, vmOptions(fmt.Sprintf("%s-%d", bridge, j), bridge, 10*i+j+1))
				if err != nil {
					t.Fatal(err)
				}
				vms = append(vms, vm)
			}
			passes(t, vms[0], vms[1].IPv4())
			for name, rule := range map[string]string{
				"to":      "mac=" + vms[0].MAC().String() + " direction=to",
				"from":    "mac=" + vms[1].MAC().String() + " direction=from",
				"network": "direction=to",
			} {
				place := append(strings.Fields(rule), "bridge="+bridge, "protocol=icmp", "ipRange=10.66.0.0/24")
				p.do(t, append([]string{"add-rule", "allow=false"}, place...)...)
				blocked(t, vms[0], vms[1].IPv4())
				p.do(t, append([]string{"del-rule"}, place...)...)
				if t.Failed() {
					t.Fatalf("with the rule %s", name)
				}
				passes(t, vms[0], vms[1].IPv4())
			}
		})
	}
}
