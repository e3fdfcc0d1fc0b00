package ovsdb

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLabelsThatMakeNoSenseAreLeftOut(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 64)
	got := labelsIn(map[string]string{
		"poolwire-label-app": "web", "poolwire-label-tier/x.y_z-1": "", "poolwire-label-Upper": "a", "poolwire-label-": "b",
		"poolwire-label-sp ace": "c", "poolwire-label-bad": "sp ace", "poolwire-label-" + long: "d", "poolwire-label-value": long, "app": "other",
	})
	if diff := cmp.Diff(map[string]string{"app": "web", "tier/x.y_z-1": ""}, got); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	many := map[string]string{}
	for i := range 1000 {
		many[fmt.Sprintf("poolwire-label-%04d", i)] = "v"
	}
	if got := labelsIn(many); len(got) != maxLabels || got["0063"] != "v" {
		t.Errorf("%d labels are taken of a thousand", len(got))
	}
}

func TestTheTapHasTheLabelsOfItsVIF(t *testing.T) {
	t.Parallel()
	h := newRealSwitch(t)
	h.vsctl("add-br", "xenbr0", "--", "add-port", "xenbr0", "vif1.0", "--", "add-port", "xenbr0", "tap1.0", "--",
		"set", "Interface", "vif1.0", "type=dummy", "external_ids:xs-vif-uuid=v1", "external_ids:poolwire-label-app=web")
	for _, p := range Discover(h.session(nil).Snapshot()).Ports {
		if p.Kind == PortVIF && p.Labels["app"] != "web" {
			t.Errorf("port %s has labels %v", p.Name, p.Labels)
		}
	}
}

// member is a bond's member with a MAC address.
func member(uuid, mac string) *InterfaceRow {
	return &InterfaceRow{UUID: uuid, Name: "eth" + uuid, MACInUse: mac}
}

func TestOnlyTheActiveMemberOfABondWithoutLACPIsActive(t *testing.T) {
	t.Parallel()
	const one, two = "02:00:00:00:00:01", "02:00:00:00:00:02"
	for name, c := range map[string]struct {
		active, lacp string
		want         []string
	}{
		"active":                {one, "", []string{"eth2"}},
		"the other":             {two, "off", []string{"eth1"}},
		"letter case":           {strings.ToUpper(two), "", []string{"eth1"}},
		"not known":             {"", "", nil},
		"none of the members":   {"02:00:00:00:00:09", "", nil},
		"LACP uses all members": {one, "active", nil},
	} {
		s := &Snapshot{
			OpenVSwitch: &OpenVSwitchRow{UUID: "r", Bridges: []string{"b"}},
			Bridges:     map[string]*BridgeRow{"b": {UUID: "b", Name: "xenbr0", Ports: []string{"p"}}},
			Ports:       map[string]*PortRow{"p": {UUID: "p", Name: "bond0", Interfaces: []string{"1", "2"}, BondActive: c.active, LACP: c.lacp}},
			Interfaces:  map[string]*InterfaceRow{"1": member("1", one), "2": member("2", two)},
		}
		var got []string
		for _, p := range Discover(s).Ports {
			if p.BondInactive {
				got = append(got, p.Name)
			}
		}
		if !cmp.Equal(c.want, got) {
			t.Errorf("%s: inactive are %v, want %v", name, got, c.want)
		}
	}
}

func TestTheActiveMemberOfARealBondIsKnown(t *testing.T) {
	t.Parallel()
	h := newRealSwitch(t)
	h.vsctl("add-br", "xenbr0", "--", "add-bond", "xenbr0", "bond0", "eth0", "eth1", "bond_mode=active-backup", "--",
		"set", "Interface", "eth0", "type=dummy", "--", "set", "Interface", "eth1", "type=dummy")
	s := h.session(nil)
	await(t, s, "one of two members is inactive", func(snap *Snapshot) bool {
		inactive := 0
		for _, p := range Discover(snap).Ports {
			if p.Bond == "bond0" && p.BondInactive {
				inactive++
			}
		}
		return inactive == 1
	})
}
