package raftstore

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// at applies a report at a time, counted from some beginning.
func (m *machine) at(seconds int, host string, ports []*storev1.Port, gone ...string) {
	m.t.Helper()
	c := observe(&storev1.ObserveHost{HostUuid: host, Ports: ports, PortsGone: gone})
	c.Time = timestamppb.New(time.Unix(int64(1_700_000_000+seconds), 0))
	m.must(c)
}

func these(p *storev1.Port) []*storev1.Port { return []*storev1.Port{p} }

// wantHosts checks which hosts have a VIF, and which say they do and are refused.
func (m *machine) wantHosts(when, vif string, has []string, refused map[string]storev1.ClaimRefusal) {
	m.t.Helper()
	seen := map[string]bool{}
	for _, p := range m.view().PortsByVif(vif) {
		seen[p.GetHostUuid()] = true
	}
	for _, host := range has {
		if !seen[host] {
			m.t.Fatalf("%s: host %s does not have %s", when, host, vif)
		}
	}
	if len(seen) != len(has) {
		m.t.Fatalf("%s: hosts %v have %s, want %v", when, seen, vif, has)
	}
	got := map[string]storev1.ClaimRefusal{}
	for _, p := range m.view().PortsByClaim(vif) {
		got[p.GetHostUuid()] = p.GetRefusal()
		if p.GetVifUuid() != "" || p.GetZone() != 0 {
			m.t.Fatalf("%s: a port that is refused is VIF %q in zone %d", when, p.GetVifUuid(), p.GetZone())
		}
	}
	if len(got) != len(refused) {
		m.t.Fatalf("%s: refused %v, want %v", when, got, refused)
	}
	for host, why := range refused {
		if got[host] != why {
			m.t.Fatalf("%s: refused %v, want %v", when, got, refused)
		}
	}
}

// bind says where a VIF may be.
func (m *machine) bind(vif string, hosts ...string) {
	m.t.Helper()
	m.must(&storev1.Command{Body: &storev1.Command_PutVif{PutVif: &storev1.PutVif{Vif: &poolwirev1.Vif{Uuid: vif, AllowedHosts: hosts}}}})
}

// A VIF that is bound to hosts is nobody else's, whichever comes first, and another VIF with its
// address is not either on its network.
func TestBoundVif(t *testing.T) {
	t.Parallel()
	m := plugged(t)
	byHosts, byAddress := storev1.ClaimRefusal_CLAIM_REFUSAL_HOSTS, storev1.ClaimRefusal_CLAIM_REFUSAL_ADDRESS
	port, tap := vifPort("vif1.0", "xenbr0", "v1", macA), vifPort("tap1.0", "xenbr0", "v1", macA)
	m.plug("h1", port)
	m.plug("h2", port, tap)
	m.wantHosts("free", "v1", []string{"h1", "h2"}, nil)
	m.bind("v1", "h1")
	m.wantHosts("bound", "v1", []string{"h1"}, map[string]storev1.ClaimRefusal{"h2": byHosts})
	if n := len(m.view().PortsByClaim("v1")); n != 2 {
		t.Errorf("vif and tap are refused, not %d of them", n)
	}
	m.plug("h2", port)
	m.unplug("h1", "vif1.0")
	m.wantHosts("unplugged where it may be", "v1", nil, map[string]storev1.ClaimRefusal{"h2": byHosts})
	m.plug("h1", port)

	// Another name for the same address.
	m.unplug("h2", "vif1.0", "tap1.0")
	m.plug("h2", vifPort("vif9.0", "xenbr0", "v9", macA), vifPort("vif8.0", "xenbr1", "v8", macA))
	m.wantHosts("same address", "v9", nil, map[string]storev1.ClaimRefusal{"h2": byAddress})
	if got := m.view().PortsByClaim("v9")[0].GetRefusedFor(); got != "v1" {
		t.Errorf("refused for %q", got)
	}
	m.wantHosts("same address on another network", "v8", []string{"h2"}, nil)

	m.bind("v1")
	m.wantHosts("free again", "v9", []string{"h2"}, nil)
	m.plug("h2", port)
	m.wantHosts("free again", "v1", []string{"h1", "h2"}, nil)
	if m.zone("h2", "vif1.0") == 0 {
		t.Error("a port that is taken for a VIF again has no zone")
	}
	m.bind("v1", m.view().Host("h1").GetPoolUuid())
	m.wantHosts("bound to the pool", "v1", []string{"h1", "h2"}, nil)
	m.bind("v1", "somewhere else")
	m.wantHosts("bound to what is gone", "v1", nil, map[string]storev1.ClaimRefusal{"h1": byHosts, "h2": byHosts})
}

// A VM that migrates, also to and fro, is followed. A host that claims a VIF of another one
// again and again is not believed for a while, and nobody else is hindered by that.
func TestVifMoves(t *testing.T) {
	t.Parallel()
	m := plugged(t)
	m.must(createHost("h3", "p1"))
	m.bridges("h3", &storev1.Bridge{Name: "xenbr0"})
	port := vifPort("vif1.0", "xenbr0", "v1", macA)
	moves := storev1.ClaimRefusal_CLAIM_REFUSAL_MOVES
	m.at(0, "h1", these(port))
	now := 10
	for range 5 { // live migration to and fro: both have it for some seconds
		for _, way := range [][2]string{{"h1", "h2"}, {"h2", "h1"}} {
			m.at(now, way[1], these(port))
			m.wantHosts("migrating", "v1", []string{"h1", "h2"}, nil)
			m.at(now+5, way[0], nil, "vif1.0")
			m.wantHosts("migrated", "v1", []string{way[1]}, nil)
			now += 30
		}
	}
	if got := m.view().Vif("v1").GetMoves(); len(got) != 10 || got[0].GetHostUuid() != "h2" || got[0].GetFromHostUuid() != "h1" {
		t.Errorf("moves of ten migrations: %v", got)
	}

	now += 600
	for range maxHostMoves {
		m.at(now, "h2", these(port))
		m.wantHosts("claimed", "v1", []string{"h1", "h2"}, nil)
		m.at(now+1, "h2", nil, "vif1.0")
		now += 2
	}
	etag := ""
	for i := range 20 {
		m.at(now, "h2", these(port))
		m.wantHosts("claimed too often", "v1", []string{"h1"}, map[string]storev1.ClaimRefusal{"h2": moves})
		if i > 0 && m.view().Vif("v1").GetEtag() != etag {
			t.Fatal("every further claim changes the VIF")
		}
		etag = m.view().Vif("v1").GetEtag()
		m.at(now+1, "h2", nil, "vif1.0")
		now += 10
	}
	m.at(now, "h2", these(port))
	// Somebody else may have it all the same.
	m.at(now, "h3", these(port))
	m.wantHosts("a third one", "v1", []string{"h1", "h3"}, map[string]storev1.ClaimRefusal{"h2": moves})
	m.at(now+1, "h3", nil, "vif1.0")
	// And when nobody has it, it is the host's that says so.
	m.at(now+2, "h1", nil, "vif1.0")
	m.wantHosts("nobody else", "v1", []string{"h2"}, nil)
	m.at(now+3, "h1", these(port))
	m.at(now+4, "h2", nil, "vif1.0")
	m.at(now+300, "h2", these(port))
	m.wantHosts("after the while", "v1", []string{"h1", "h2"}, nil)
	stored := m.view().Port("h2", "vif1.0")
	if !m.view().ClaimStands(m.view().Host("h2"), stored, time.Unix(int64(1_700_000_000+now+400), 0)) {
		t.Error("a port that was judged as it would be now is to be looked at again")
	}
}

// Hosts that take turns do not get further than one.
func TestVifMovesOfMany(t *testing.T) {
	t.Parallel()
	m := plugged(t)
	m.must(createHost("h3", "p1"))
	m.bridges("h3", &storev1.Bridge{Name: "xenbr0"})
	port := vifPort("vif1.0", "xenbr0", "v1", macA)
	m.at(0, "h1", these(port))
	taken := 0
	for i := range 200 {
		host := []string{"h2", "h3"}[i%2]
		m.at(10+i/20, host, these(port))
		taken += len(m.view().PortsByVif("v1")) - 1
		m.at(10+i/20, host, nil, "vif1.0")
	}
	if taken != 2*maxHostMoves || len(m.view().Vif("v1").GetMoves()) > maxMoves {
		t.Errorf("%d of 200 claims were believed; %d moves are kept", taken, len(m.view().Vif("v1").GetMoves()))
	}
}

// checkClaims checks that no port is a VIF that may not be where it is, and that one that is
// refused is nothing.
func checkClaims(t tester, v *View) {
	t.Helper()
	for _, h := range v.Hosts() {
		for _, p := range v.Ports(h.GetUuid()) {
			refused := p.GetRefusal() != storev1.ClaimRefusal_CLAIM_REFUSAL_UNSPECIFIED
			switch {
			case refused != (p.GetClaimedVifUuid() != ""), refused && (p.GetVifUuid() != "" || p.GetZone() != 0):
				t.Fatalf("port is half refused: %v", p)
			case p.GetVifUuid() != "" && !vifAllows(v.Vif(p.GetVifUuid()), h):
				t.Fatalf("port is a VIF that may not be there: %v", p)
			case p.GetRefusal() == storev1.ClaimRefusal_CLAIM_REFUSAL_HOSTS && vifAllows(v.Vif(p.GetClaimedVifUuid()), h):
				t.Fatalf("port is refused a VIF that may be there: %v", p)
			case p.GetRefusal() == storev1.ClaimRefusal_CLAIM_REFUSAL_MOVES && len(v.PortsByVif(p.GetClaimedVifUuid())) == 0:
				t.Fatalf("port is refused a VIF that nobody has: %v", p)
			}
		}
	}
}
