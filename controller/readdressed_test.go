package controller

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"poolwire/flowcompiler"
	"poolwire/overlay"
	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// readdressing is two hosts with a tunnel between them that led from 10.1.0.1 to 10.1.0.2, where there is 10.2.0.2 now.
type readdressing struct {
	*state
	hosts  [2]string
	pn     *poolwirev1.PrivateNetwork
	tunnel string
	input  rowsInput
}

func newReaddressing(t *testing.T, encrypted bool) *readdressing {
	t.Helper()
	r := &readdressing{state: newState(t)}
	pool := r.pool(1)
	for i := range 2 {
		h := hostIntent(pool, i+1)
		h.TransportAddress, r.hosts[i] = "", h.Uuid
		r.do(putHost(h, true))
		r.do(observe(&storev1.ObserveHost{HostUuid: h.Uuid, Facts: &storev1.HostFacts{OvsVersion: "3.1.0", TransportAddress: fmt.Sprintf("10.%d.0.%d", 1+i, 1+i)}}))
	}
	r.pn = &poolwirev1.PrivateNetwork{Uuid: uuidOf("cccc", 1), NameLabel: "blue", Vni: 1, Bridge: "pw1", Mtu: 1400, Encrypted: encrypted, Members: []*poolwirev1.PrivateNetworkMember{poolMember(pool)}}
	r.do(putPrivate(r.pn, true))
	if encrypted {
		r.do(&storev1.Command{Body: &storev1.Command_PutPairKeys{PutPairKeys: &storev1.PutPairKeys{
			Put: []*storev1.PairKey{{HostA: r.hosts[0], HostB: r.hosts[1], Generation: 1, SealedPsk: []byte("sealed")}},
		}}})
	}
	r.tunnel = r.conduit().tunnelName(r.view().Host(r.hosts[1]))
	r.input = rowsInput{hostUUID: r.hosts[0], cluster: "c", epoch: 1, secrets: openSealer{}, live: map[string]bool{r.tunnel: true},
		leads: map[string]tunnelAddresses{r.tunnel: {"10.1.0.2", "10.1.0.1"}}}
	return r
}

func (r *readdressing) conduit() conduit { return conduit{encapsulation: overlay.VXLAN} }

// proved stores that the tunnel is protected, or that it is not.
func (r *readdressing) proved(holds bool) {
	p := []*storev1.Protection{{HostA: r.hosts[0], HostB: r.hosts[1], Encapsulation: "vxlan"}}
	change := &storev1.ObserveProtection{Proved: p}
	if !holds {
		change = &storev1.ObserveProtection{Lost: p}
	}
	r.do(&storev1.Command{Body: &storev1.Command_ObserveProtection{ObserveProtection: change}})
}

// row is the tunnel as it is wanted, and whether BFD is.
func (r *readdressing) row() (between tunnelAddresses, bfd bool) {
	for _, p := range overlayTunnels(desiredRows(r.view(), r.input)) {
		if p.Name == r.tunnel {
			return addressesOf(p), p.BFD != nil
		}
	}
	r.t.Fatalf("no tunnel")
	return between, false
}

// TestReaddressed: a protected tunnel leads to a peer's new address only when no network sends by it any more and the guard
// stands there, and begins anew then. One in clear goes there at once.
func TestReaddressed(t *testing.T) {
	t.Parallel()
	had, want := tunnelAddresses{"10.1.0.2", "10.1.0.1"}, tunnelAddresses{"10.2.0.2", "10.1.0.1"}
	for _, tt := range []struct {
		name                                  string
		proved, withdrawn, stands, negotiates bool
		between                               tunnelAddresses
		bfd                                   bool
	}{
		{"in use, guarded", true, true, true, true, had, true},
		{"in use, not guarded", true, true, false, false, had, true},
		{"withdrawn, not guarded", false, true, false, false, had, true},
		{"withdrawn but in the switch, guarded", false, false, true, true, had, true},
		{"withdrawn, guarded", false, true, true, false, want, false},
		{"settled", false, true, true, true, want, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newReaddressing(t, true)
			r.proved(tt.proved)
			r.input.stands = func(string, conduit) bool { return tt.stands }
			r.input.withdrawn = func(*raftstore.View) bool { return tt.withdrawn }
			r.input.guarded = func(string, conduit) bool { return tt.negotiates }
			if between, bfd := r.row(); between != tt.between || bfd != tt.bfd {
				t.Errorf("the tunnel is between %v, BFD %v; want %v, %v", between, bfd, tt.between, tt.bfd)
			}
		})
	}
	open := newReaddressing(t, false)
	open.input.stands = func(string, conduit) bool { return false }
	open.input.guarded = open.input.stands
	if between, bfd := open.row(); between != (tunnelAddresses{remote: "10.2.0.2"}) || !bfd {
		t.Errorf("a tunnel in clear is between %v, BFD %v", between, bfd)
	}
}

// TestFirstCredentialsSilenceATunnel: when encryption is switched on for a tunnel that speaks, it falls silent with its first
// credentials until both ends can negotiate; one that has them goes on whatever is known of the other end.
func TestFirstCredentialsSilenceATunnel(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ bare, negotiates, bfd bool }{{true, false, false}, {true, true, true}, {false, false, true}} {
		r := newReaddressing(t, true)
		r.input.leads[r.tunnel] = tunnelAddresses{"10.2.0.2", "10.1.0.1"}
		r.input.bare = map[string]bool{r.tunnel: tt.bare}
		r.input.guarded = func(string, conduit) bool { return tt.negotiates }
		if _, bfd := r.row(); bfd != tt.bfd {
			t.Errorf("%+v: BFD %v", tt, bfd)
		}
	}
}

// TestOwnAddressChanges: the host's own address needs no other guard, but the tunnel begins anew all the same.
func TestOwnAddressChanges(t *testing.T) {
	t.Parallel()
	r := newReaddressing(t, true)
	r.input.leads[r.tunnel] = tunnelAddresses{"10.2.0.2", "10.9.0.1"}
	r.input.stands = func(string, conduit) bool { return false }
	r.input.guarded = r.input.stands
	r.proved(true)
	if between, bfd := r.row(); between.local != "10.9.0.1" || !bfd {
		t.Errorf("while networks send by it: %v, BFD %v", between, bfd)
	}
	r.proved(false)
	if between, bfd := r.row(); between != (tunnelAddresses{"10.2.0.2", "10.1.0.1"}) || bfd {
		t.Errorf("then: %v, BFD %v", between, bfd)
	}
}

// TestFormerAddressIsGuarded: for as long as a tunnel leads to an address that the peer does not have any more, the guard is
// there too.
func TestFormerAddressIsGuarded(t *testing.T) {
	t.Parallel()
	r := newReaddressing(t, true)
	m := newModel(r.view(), r.view().Host(r.hosts[0]), "xenbr0", portNumbers{}, false)
	guard := flowcompiler.Guard{Host: r.view().Host(r.hosts[1]).GetObjectId(), Peer: netip.MustParseAddr("10.2.0.2")}
	addr := cmpopts.EquateComparable(netip.Addr{})
	if diff := cmp.Diff(map[string]flowcompiler.Guard{r.hosts[1]: guard}, m.guards(), addr); diff != "" {
		t.Errorf("without tunnels: %s", diff)
	}
	for _, remote := range []string{"10.1.0.2", "10.2.0.2", "nonsense"} {
		m.ends = map[string]linkEnd{r.tunnel: {host: r.hosts[0], peer: r.hosts[1], conduit: r.conduit(), ends: tunnelAddresses{remote: remote}}}
		guard.Former = nil
		if remote == "10.1.0.2" {
			guard.Former = []netip.Addr{netip.MustParseAddr(remote)}
		}
		if diff := cmp.Diff(map[string]flowcompiler.Guard{r.hosts[1]: guard}, m.guards(), addr); diff != "" {
			t.Errorf("a tunnel that leads to %s: %s", remote, diff)
		}
	}
}
