package raftstore

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	storev1 "poolwire/proto/poolwire/store/v1"
)

func relay(network, pool, active, standby string) *storev1.Relay {
	return &storev1.Relay{PrivateNetworkUuid: network, PoolUuid: pool, Active: active, Standby: standby}
}

// putRelays replaces the relays of the networks, those of which it names relays included.
func putRelays(networks []string, relays ...*storev1.Relay) *storev1.Command {
	for _, r := range relays {
		networks = append(networks, r.GetPrivateNetworkUuid())
	}
	return &storev1.Command{Body: &storev1.Command_PutRelays{PutRelays: &storev1.PutRelays{PrivateNetworkUuids: networks, Relays: relays}}}
}

func (m *machine) relays(network string) string {
	var out []string
	for _, r := range m.view().Relays(network) {
		out = append(out, r.GetPoolUuid()+":"+r.GetActive()+"/"+r.GetStandby())
	}
	return strings.Join(out, " ")
}

func (m *machine) wantRelays(when string, want map[string]string) {
	m.t.Helper()
	for network, relays := range want {
		if got := m.relays(network); got != relays {
			m.t.Fatalf("%s: %s has relays %q, want %q", when, network, got, relays)
		}
	}
}

func TestPutRelays(t *testing.T) {
	t.Parallel()
	m := sites(t)
	m.must(putPrivate(shaped("pn1", star, of(poolMember("p1"), hostMember("h3"))), true))
	m.must(putPrivate(shaped("pn2", hub, of(poolMember("p1"), hostMember("h3"))), true))
	m.must(putPrivate(shaped("pn3", mesh), true))
	m.must(putRelays(nil, relay("pn1", "", "h1", "h3"), relay("pn2", "p1", "h1", "h2"), relay("pn2", "p2", "h3", "")))
	if diff := cmp.Diff([]string{"relays pn1/ +", "relays pn2/p1 +", "relays pn2/p2 +"}, kinds(m.last())); diff != "" {
		t.Error(diff)
	}
	m.wantRelays("first", map[string]string{"pn1": ":h1/h3", "pn2": "p1:h1/h2 p2:h3/"})
	if got := m.view().RelaysOfHost("h3"); len(got) != 2 || len(m.view().RelaysOfHost("h4")) != 0 {
		t.Errorf("relays of h3: %v", got)
	}
	// Decided on an older state: other places, hosts that are no members of the place, networks that are gone.
	m.must(putRelays(nil, relay("pn1", "p1", "h1", ""), relay("pn1", "", "h4", "h2"), relay("pn2", "", "h1", ""), relay("pn2", "p9", "h1", ""),
		relay("pn2", "p1", "h3", "h9"), relay("pn2", "p2", "h3", "h4"), relay("pn3", "", "h1", ""), relay("pn9", "", "h1", "")))
	m.wantRelays("older state", map[string]string{"pn1": ":h2/", "pn2": "p1:/ p2:h3/", "pn3": "", "pn9": ""})
	// The same again changes nothing; what is left out goes, other networks stay.
	m.must(putRelays([]string{"pn2"}, relay("pn2", "p2", "h3", "")))
	if diff := cmp.Diff([]string{"relays pn2/p1 -"}, kinds(m.last())); diff != "" {
		t.Error(diff)
	}
	m.must(putRelays([]string{"pn1", "pn9"}))
	m.wantRelays("left out", map[string]string{"pn1": "", "pn2": "p2:h3/"})
	checkRefusals(t, m, []refusal{
		{"other network", &storev1.Command{Body: &storev1.Command_PutRelays{PutRelays: &storev1.PutRelays{PrivateNetworkUuids: []string{"pn1"},
			Relays: []*storev1.Relay{relay("pn1", "", "h1", ""), relay("pn2", "p1", "h1", "")}}}},
			&InvalidError{Field: "relays[1].private_network_uuid", Value: "pn2", Reason: "is not among private_network_uuids"}},
		{"host twice", putRelays(nil, relay("pn1", "", "h1", "h1")), &InvalidError{Field: "relays[0].standby", Value: "h1", Reason: "is active already"}},
	})
}

func TestRelaysFollow(t *testing.T) {
	t.Parallel()
	begin := func(t *testing.T) *machine {
		m := sites(t)
		m.must(putPrivate(shaped("pn1", star), true))
		m.must(putPrivate(shaped("pn2", hub), true))
		m.must(putRelays(nil, relay("pn1", "", "h1", "h3"), relay("pn2", "p1", "h1", "h2"), relay("pn2", "p2", "h3", "h4")))
		return m
	}
	for _, tt := range []struct {
		name     string
		cmds     []*storev1.Command
		pn1, pn2 string
	}{
		{"active host gone", []*storev1.Command{deleteHost("h1", "")}, ":h3/", "p1:h2/ p2:h3/h4"},
		{"standby gone", []*storev1.Command{deleteHost("h4", "")}, ":h1/h3", "p1:h1/h2 p2:h3/"},
		{"both gone", []*storev1.Command{deleteHost("h1", ""), deleteHost("h3", "")}, ":/", "p1:h2/ p2:h4/"},
		{"pool no member", []*storev1.Command{putPrivate(shaped("pn1", star, of(poolMember("p1"))), false), putPrivate(shaped("pn2", hub, of(poolMember("p2"))), false)}, ":h1/", "p2:h3/h4"},
		{"hosts of a pool", []*storev1.Command{putPrivate(shaped("pn2", hub, of(hostMember("h2"), poolMember("p2"))), false)}, ":h1/h3", "p1:h2/ p2:h3/h4"},
		{"other topology", []*storev1.Command{putPrivate(shaped("pn1", hub), false), putPrivate(shaped("pn2", mesh), false)}, "", ""},
		{"network gone", []*storev1.Command{deletePrivate("pn1", ""), deletePrivate("pn2", "")}, "", ""},
		{"nothing to do with it", []*storev1.Command{deleteHost("h5", ""), putPrivate(shaped("pn1", star, encrypted), false)}, ":h1/h3", "p1:h1/h2 p2:h3/h4"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := begin(t)
			for _, c := range tt.cmds {
				m.must(c)
			}
			m.wantRelays("then", map[string]string{"pn1": tt.pn1, "pn2": tt.pn2})
		})
	}
	t.Run("undo", func(t *testing.T) {
		t.Parallel()
		m := begin(t)
		id := m.hold(putPrivate(shaped("pn1", hub), false))
		m.must(putRelays(nil, relay("pn1", "p1", "h1", "")))
		m.must(rollback(id))
		m.wantRelays("undone", map[string]string{"pn1": ""})
		id = m.hold(createHost("h9", "p1"))
		m.must(putRelays(nil, relay("pn1", "", "h9", "h1")))
		m.must(putKey(key("h1", "h9", 1)))
		m.must(rollback(id))
		m.wantRelays("host unmade", map[string]string{"pn1": ":h1/"})
		if m.view().PairKey("h1", "h9") != nil {
			t.Error("the key of a host that is gone is there")
		}
	})
}
