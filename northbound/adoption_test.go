package northbound

import (
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	storev1 "poolwire/proto/poolwire/store/v1"
	v1 "poolwire/proto/poolwire/v1"
)

const foreign = "5f1c6a0e-3f43-4a35-9d43-6c1ac0ffee01"

// withStar adds a network of Xen Orchestra's plugin: its centre is xcp3 in lyon, xcp1 and xcp2 are in paris.
func withStar(f *fixture, spoil func(*storev1.Port)) {
	bridges := map[string]string{xcp1: "xapi5", xcp2: "xapi6", xcp3: "xapi5"}
	add := func(host, name, remote string) {
		p := &storev1.Port{
			Name: name, Bridge: bridges[host], NetworkBridge: bridges[host], Ofport: 5, Kind: storev1.PortKind_PORT_KIND_TUNNEL,
			AdoptableUuid: foreign, TunnelType: "gre", TunnelRemote: remote, TunnelKey: 4711,
		}
		spoil(p)
		f.observe(&storev1.ObserveHost{HostUuid: host, Bridges: []*storev1.Bridge{{Name: bridges[host], DatapathId: 9}}, Ports: []*storev1.Port{p}})
	}
	add(xcp1, "i1", "192.0.2.13")
	add(xcp2, "i1", "192.0.2.13")
	add(xcp3, "i1", "192.0.2.11")
	add(xcp3, "i2", "192.0.2.12")
	add(xcp3, "i3", "192.0.2.99")
}

func asIs(*storev1.Port) {}

func TestListAdoptable(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	withStar(f, asIs)
	r, err := v1.NewAdoptionServiceClient(f.conn).ListAdoptableNetworks(f.ctx, &v1.ListAdoptableNetworksRequest{})
	if err != nil || len(r.GetNetworks()) != 1 {
		t.Fatal(r, err)
	}
	n := r.GetNetworks()[0]
	if n.GetUuid() != foreign || n.GetVni() != 4711 || n.GetEncapsulation() != v1.Encapsulation_ENCAPSULATION_GRE || n.GetEncrypted() || len(n.GetObstacles()) > 0 {
		t.Errorf("%v", n)
	}
	if len(n.GetHosts()) != 3 || n.GetHosts()[0].GetHostUuid() != xcp3 || !n.GetHosts()[0].GetCenter() || n.GetHosts()[2].GetBridge() != "xapi6" {
		t.Errorf("hosts %v", n.GetHosts())
	}
	if w := strings.Join(n.GetWarnings(), "\n"); !strings.Contains(w, "192.0.2.99") {
		t.Errorf("warnings %q", w)
	}
}

// TestAdoptNetwork: a step at a time, the same again is nothing, and a trial changes nothing.
func TestAdoptNetwork(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	withStar(f, asIs)
	client := v1.NewAdoptionServiceClient(f.conn)
	step := func(req *v1.AdoptNetworkRequest) *v1.AdoptNetworkResponse {
		t.Helper()
		req.Uuid = foreign
		r, err := client.AdoptNetwork(f.ctx, req)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	before := f.state()
	if r := step(&v1.AdoptNetworkRequest{ValidateOnly: true}); len(r.GetPlan()) != 3 || r.GetPlan()[1].GetPoolUuid() != lyon || f.state() != before {
		t.Errorf("trial: %v", r)
	}
	if r := step(&v1.AdoptNetworkRequest{NameLabel: "green"}); len(r.GetPrivateNetwork().GetMembers()) != 0 || len(r.GetPoolsLeft()) != 2 {
		t.Errorf("preparation: %v", r)
	}
	r := step(&v1.AdoptNetworkRequest{Pools: []string{"paris"}})
	n := r.GetPrivateNetwork()
	if len(n.GetMembers()) != 2 || n.GetMembers()[0].GetBridge() != "" || n.GetMembers()[1].GetBridge() != "xapi6" || n.GetBridge() != "xapi5" || len(r.GetPoolsLeft()) != 1 {
		t.Errorf("paris: %v", r)
	}
	after := f.state()
	if again := step(&v1.AdoptNetworkRequest{Pools: []string{"paris"}}); f.state() != after || len(again.GetPoolsLeft()) != 1 {
		t.Errorf("paris again: %v", again)
	}
	r = step(&v1.AdoptNetworkRequest{Pools: []string{lyon}})
	if n := r.GetPrivateNetwork(); len(n.GetMembers()) != 3 || n.GetMembers()[2].GetPoolUuid() != lyon || len(r.GetPoolsLeft()) != 0 || n.GetAdoptedFrom() != foreign || n.GetVni() != 4711 {
		t.Errorf("lyon: %v", r)
	}
}

func TestAdoptNetworkRefusals(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(*storev1.Port)
		busy  string
		req   *v1.AdoptNetworkRequest
		want  refusal
	}{
		"nobody's":     {asIs, "", &v1.AdoptNetworkRequest{Uuid: id('f', 1)}, refusal{codes.NotFound, "uuid", []string{foreign}}},
		"no such pool": {asIs, "", &v1.AdoptNetworkRequest{Uuid: foreign, Pools: []string{"nice"}}, refusal{codes.InvalidArgument, "pools[0]", []string{`"nice"`}}},
		"another's key": {func(p *storev1.Port) {
			p.TunnelKey += uint32(len(p.GetHostUuid()+p.GetTunnelRemote())) * uint32(p.GetName()[1])
		}, "", &v1.AdoptNetworkRequest{Uuid: foreign}, refusal{codes.FailedPrecondition, "", []string{"with key"}}},
		"no key":          {func(p *storev1.Port) { p.TunnelKey = 0 }, "", &v1.AdoptNetworkRequest{Uuid: foreign}, refusal{codes.FailedPrecondition, "", []string{"have no key"}}},
		"at work":         {asIs, "a client of its OVSDB manager", &v1.AdoptNetworkRequest{Uuid: foreign}, refusal{codes.FailedPrecondition, "", []string{"xcp3", "OVSDB manager", "unload", "force"}}},
		"half a secret":   {func(p *storev1.Port) { p.TunnelEncrypted = p.GetName() == "i1" }, "", &v1.AdoptNetworkRequest{Uuid: foreign}, refusal{codes.FailedPrecondition, "", []string{"IPsec"}}},
		"part of secrets": {func(p *storev1.Port) { p.TunnelEncrypted = true }, "", &v1.AdoptNetworkRequest{Uuid: foreign, Pools: []string{"lyon"}}, refusal{codes.InvalidArgument, "pools", []string{`"paris"`, "at once"}}},
		"a bridge with a NIC": {func(p *storev1.Port) { p.Bridge, p.NetworkBridge = "xenbr0", "xenbr0" }, "", &v1.AdoptNetworkRequest{Uuid: foreign},
			refusal{codes.FailedPrecondition, "", []string{"NIC eth0"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newWorld(t)
			withStar(f, c.spoil)
			if c.busy != "" {
				facts := proto.CloneOf(f.store.View().HostFacts(xcp3))
				facts.OtherControllers = []string{c.busy}
				f.observe(&storev1.ObserveHost{HostUuid: xcp3, Facts: facts})
			}
			before := f.state()
			client := v1.NewAdoptionServiceClient(f.conn)
			_, err := client.AdoptNetwork(f.ctx, c.req)
			c.want.check(t, err)
			if f.state() != before {
				t.Error("a refused request changed something")
			}
			if c.busy != "" {
				c.req.Force = true
				if _, err := client.AdoptNetwork(f.ctx, c.req); err != nil {
					t.Errorf("with force: %v", err)
				}
			}
		})
	}
}
