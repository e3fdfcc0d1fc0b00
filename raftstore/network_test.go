package raftstore

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

func sorted(s []string) []string {
	slices.Sort(s)
	return s
}

const xapiUUID = "9e2bd4a4-4b1c-4a1e-8c53-6a6c5e4a0001"

// pair is a pool with two hosts.
func pair(t tester) *machine {
	m := newMachine(t)
	m.must(createPool("p1"))
	m.must(createHost("h1", "p1"))
	m.must(createHost("h2", "p1"))
	return m
}

func (m *machine) bridges(host string, bridges ...*storev1.Bridge) {
	m.t.Helper()
	m.must(observe(&storev1.ObserveHost{HostUuid: host, Bridges: bridges}))
}

func TestNetworkFollowsBridges(t *testing.T) {
	t.Parallel()
	m := pair(t)
	m.bridges("h2", &storev1.Bridge{Name: "xenbr0", Mtu: 1500}, &storev1.Bridge{Name: "xapi1", Parent: "xenbr0", Vlan: 42, Mtu: 1500},
		&storev1.Bridge{Name: "pwoverlay", Overlay: true, Owned: true})
	m.bridges("h1", &storev1.Bridge{Name: "xenbr0", Mtu: 9000})
	v := m.view()
	n := v.NetworkByPoolBridge("p1", "xenbr0")
	if diff := cmp.Diff([]string{"h1", "h2"}, n.GetHostUuids()); diff != "" {
		t.Error(diff)
	}
	if n.GetMtu() != 1500 || n.GetNameLabel() != "xenbr0" || n.GetUuid() != firstDerivedUUID("p1", "xenbr0") ||
		n.GetDefaultLockingMode() != poolwirev1.DefaultLockingMode_DEFAULT_LOCKING_MODE_UNLOCKED {
		t.Errorf("network %v", n)
	}
	if vlan := v.NetworkByPoolBridge("p1", "xapi1"); vlan.GetVlan() != 42 {
		t.Errorf("VLAN network %v", vlan)
	}
	if v.NetworkByPoolBridge("p1", "pwoverlay") != nil {
		t.Error("the overlay bridge became a network")
	}
	if got := v.NetworksByPool("p1"); len(got) != 2 {
		t.Errorf("NetworksByPool = %v", got)
	}
	if got := v.NetworksByBridge("xenbr0"); len(got) != 1 || got[0] != n {
		t.Errorf("NetworksByBridge = %v", got)
	}
	if len(v.BridgesByName("xenbr0")) != 2 || len(v.Bridges("h2")) != 3 || v.Bridge("h2", "xapi1").GetHostUuid() != "h2" {
		t.Error("bridges are not found")
	}

	m.must(observe(&storev1.ObserveHost{HostUuid: "h2", BridgesGone: []string{"xenbr0"}}))
	if n := m.view().NetworkByPoolBridge("p1", "xenbr0"); n.GetMtu() != 9000 || len(n.GetHostUuids()) != 1 {
		t.Errorf("network after one host lost the bridge: %v", n)
	}
	m.must(observe(&storev1.ObserveHost{HostUuid: "h1", BridgesGone: []string{"xenbr0", "never there"}}))
	if m.view().NetworkByPoolBridge("p1", "xenbr0") != nil {
		t.Error("a network nobody has or wants was kept")
	}
	// A bridge that turns out to be an overlay is no network any more.
	m.bridges("h2", &storev1.Bridge{Name: "xapi1", Overlay: true})
	if m.view().NetworkByPoolBridge("p1", "xapi1") != nil {
		t.Error("an overlay bridge is still a network")
	}
}

// Intent keeps a network known, and taking the intent back lets it go.
func TestNetworkIntentKeeps(t *testing.T) {
	t.Parallel()
	disabled := poolwirev1.DefaultLockingMode_DEFAULT_LOCKING_MODE_DISABLED
	for name, c := range map[string]struct {
		set, clear func(uuid string) *storev1.Command
	}{
		"name": {
			func(u string) *storev1.Command {
				return putNetwork(&poolwirev1.Network{Uuid: u, NameLabel: "DMZ"})
			},
			func(u string) *storev1.Command { return putNetwork(&poolwirev1.Network{Uuid: u}) },
		},
		"default locking mode": {
			func(u string) *storev1.Command {
				return putNetwork(&poolwirev1.Network{Uuid: u, DefaultLockingMode: disabled})
			},
			func(u string) *storev1.Command { return putNetwork(&poolwirev1.Network{Uuid: u}) },
		},
		"rule": {
			func(u string) *storev1.Command {
				return putRule(&poolwirev1.Rule{Uuid: "r1", NetworkUuid: u}, storev1.PutMode_PUT_MODE_CREATE)
			},
			func(string) *storev1.Command { return deleteRules("", "r1") },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := pair(t)
			m.bridges("h1", &storev1.Bridge{Name: "xenbr0", Mtu: 1500})
			uuid := m.view().NetworkByPoolBridge("p1", "xenbr0").GetUuid()
			m.must(c.set(uuid))
			id := m.view().Network(uuid).GetObjectId()
			m.must(observe(&storev1.ObserveHost{HostUuid: "h1", BridgesGone: []string{"xenbr0"}}))
			n := m.view().Network(uuid)
			if n == nil || len(n.GetHostUuids()) != 0 || n.GetMtu() != 1500 {
				t.Fatalf("network without hosts: %v", n)
			}
			m.bridges("h2", &storev1.Bridge{Name: "xenbr0", XapiNetworkUuid: xapiUUID})
			if n := m.view().NetworkByPoolBridge("p1", "xenbr0"); n.GetUuid() != uuid || n.GetObjectId() != id {
				t.Fatalf("the network came back as another: %v", n)
			}
			m.must(observe(&storev1.ObserveHost{HostUuid: "h2", BridgesGone: []string{"xenbr0"}}))
			m.must(c.clear(uuid))
			if n := m.view().Network(uuid); n != nil {
				t.Errorf("the network was kept: %v", n)
			}
		})
	}
}

func TestNetworkUUID(t *testing.T) {
	t.Parallel()
	m := pair(t)
	m.must(createPool("p2"))
	m.must(createHost("h3", "p2"))
	at := func(pool, bridge string) string { return m.view().NetworkByPoolBridge(pool, bridge).GetUuid() }

	m.bridges("h1", &storev1.Bridge{Name: "xenbr0", XapiNetworkUuid: xapiUUID})
	if got := at("p1", "xenbr0"); got != xapiUUID {
		t.Errorf("XAPI's UUID was not taken: %s", got)
	}
	m.bridges("h3", &storev1.Bridge{Name: "xenbr0", XapiNetworkUuid: xapiUUID})
	if got := at("p2", "xenbr0"); got != firstDerivedUUID("p2", "xenbr0") {
		t.Errorf("a UUID that is taken was not replaced: %s", got)
	}
	for _, bad := range []string{"nonsense", "{" + xapiUUID + "}", "9E2BD4A4-4B1C-4A1E-8C53-6A6C5E4A0001"} {
		m.bridges("h1", &storev1.Bridge{Name: "xenbr1", XapiNetworkUuid: bad})
		if got := at("p1", "xenbr1"); got != firstDerivedUUID("p1", "xenbr1") {
			t.Errorf("XapiNetworkUuid %q gave %s", bad, got)
		}
	}
	// A hostile host claims the UUID another network will be derived to.
	m.bridges("h3", &storev1.Bridge{Name: "evil", XapiNetworkUuid: firstDerivedUUID("p1", "xenbr2")})
	m.bridges("h1", &storev1.Bridge{Name: "xenbr2"})
	if got := at("p1", "xenbr2"); got == "" || got == at("p2", "evil") {
		t.Errorf("xenbr2 got %s", got)
	}
}

// The bridge may be reported before XAPI has marked it: the UUID is corrected
// as long as nobody has referred to the network, and its VIFs follow.
func TestNetworkUUIDIsCorrected(t *testing.T) {
	t.Parallel()
	m := pair(t)
	m.must(observe(&storev1.ObserveHost{HostUuid: "h1", Bridges: []*storev1.Bridge{{Name: "xenbr0"}},
		Ports: []*storev1.Port{vifPort("vif1.0", "xenbr0", "v1", "02:00:00:00:00:01")}}))
	m.bridges("h2", &storev1.Bridge{Name: "xenbr0"})
	m.bridges("h1", &storev1.Bridge{Name: "xenbr0", XapiNetworkUuid: xapiUUID})
	n := m.view().NetworkByPoolBridge("p1", "xenbr0")
	if n.GetUuid() != xapiUUID || len(n.GetHostUuids()) != 2 {
		t.Fatalf("network %v", n)
	}
	if got := m.view().Vif("v1").GetNetworkUuid(); got != xapiUUID {
		t.Errorf("the VIF is on %s", got)
	}
	if len(m.view().Networks()) != 1 {
		t.Errorf("networks: %v", m.view().Networks())
	}
	// From then on it stays.
	other := "9e2bd4a4-4b1c-4a1e-8c53-6a6c5e4a0002"
	m.bridges("h2", &storev1.Bridge{Name: "xenbr0", XapiNetworkUuid: other})
	if got := m.view().NetworkByPoolBridge("p1", "xenbr0").GetUuid(); got != xapiUUID {
		t.Errorf("the UUID moved on to %s", got)
	}
}

func TestPutNetworkRefuses(t *testing.T) {
	t.Parallel()
	m := pair(t)
	m.bridges("h1", &storev1.Bridge{Name: "xenbr0", XapiNetworkUuid: xapiUUID})
	checkRefusals(t, m, []refusal{
		{"unknown", putNetwork(&poolwirev1.Network{Uuid: "x"}), &NotFoundError{Kind: KindNetwork, ID: "x"}},
		{"nothing", putNetwork(nil), &NotFoundError{Kind: KindNetwork}},
		{"old etag", putNetwork(&poolwirev1.Network{Uuid: xapiUUID, Etag: "1"}), &ConflictError{Kind: KindNetwork, ID: xapiUUID, Have: "4", Want: "1"}},
	})
	// Observed fields of the command are ignored.
	m.must(putNetwork(&poolwirev1.Network{Uuid: xapiUUID, NameLabel: "x", Bridge: "other", Vlan: 7, Mtu: 3, HostUuids: []string{"h9"}}))
	n := m.view().Network(xapiUUID)
	if n.GetBridge() != "xenbr0" || n.GetVlan() != 0 || n.GetMtu() != 0 || len(n.GetHostUuids()) != 1 || n.GetNameLabel() != "x" {
		t.Errorf("network %v", n)
	}
}
