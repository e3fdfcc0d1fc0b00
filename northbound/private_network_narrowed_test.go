package northbound

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	storev1 "poolwire/proto/poolwire/store/v1"
	v1 "poolwire/proto/poolwire/v1"
)

// TestEncryptionLeavesOthersRoom: a network is not encrypted, nor gets members that are, where that takes the room of another
// that is strict about its MTU; one that is not is named.
func TestEncryptionLeavesOthersRoom(t *testing.T) {
	t.Parallel()
	both, one := []*v1.PrivateNetworkMember{member(paris, "")}, []*v1.PrivateNetworkMember{member("", xcp1), member("", xcp3)}
	strict := func(n *v1.PrivateNetwork) { n.Members, n.Mtu, n.StrictMtu = both, 1450, true }
	for name, tt := range map[string]struct {
		// other is the network in clear, members those of the one that is to be encrypted.
		other   func(n *v1.PrivateNetwork)
		members []*v1.PrivateNetworkMember
		refused bool
		warned  bool
	}{
		"strict":              {strict, both, true, false},
		"not strict":          {func(n *v1.PrivateNetwork) { n.Members, n.Mtu = both, 1450 }, both, false, true},
		"with room":           {func(n *v1.PrivateNetwork) { n.Members, n.Mtu, n.StrictMtu = both, 1416, true }, both, false, false},
		"one byte too much":   {func(n *v1.PrivateNetwork) { n.Members, n.Mtu, n.StrictMtu = both, 1417, true }, both, true, false},
		"one host in common":  {strict, one, false, false},
		"a port of its own":   {func(n *v1.PrivateNetwork) { strict(n); n.UdpPort = 4790 }, both, false, false},
		"encrypted by itself": {func(n *v1.PrivateNetwork) { strict(n); n.Mtu, n.Encrypted = 1416, true }, both, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newWorld(t)
			if _, err := f.CreatePrivateNetwork(f.ctx, privateNet("clear", tt.other)); err != nil {
				t.Fatal(err)
			}
			judge := func(what string, n *v1.PrivateNetwork, err error) {
				t.Helper()
				if tt.refused {
					refusal{codes.InvalidArgument, "private_network.encrypted", []string{`"clear"`, "1500", "1416", "strict", "IPsec"}}.check(t, err)
					return
				}
				warned := slices.ContainsFunc(n.GetWarnings(), func(w string) bool { return strings.Contains(w, `"clear"`) && strings.Contains(w, "1416") })
				if err != nil || warned != tt.warned {
					t.Errorf("%s: %v, warnings %q", what, err, n.GetWarnings())
				}
			}
			sealed := privateNet("vault", func(n *v1.PrivateNetwork) { n.Members, n.Encrypted = tt.members, true })
			sealed.ValidateOnly = true
			dry, err := f.CreatePrivateNetwork(f.ctx, sealed)
			judge("would be made", dry.GetPrivateNetwork(), err)
			made, err := f.CreatePrivateNetwork(f.ctx, privateNet("vault", func(n *v1.PrivateNetwork) { n.Members = tt.members }))
			if err != nil || len(made.GetPrivateNetwork().GetWarnings()) > 0 {
				t.Fatalf("%v, %v", made, err)
			}
			now, err := f.UpdatePrivateNetwork(f.ctx, &v1.UpdatePrivateNetworkRequest{
				PrivateNetwork: &v1.PrivateNetwork{Uuid: made.GetPrivateNetwork().GetUuid(), Encrypted: true}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"encrypted", "mtu"}},
			})
			judge("encrypted", now.GetPrivateNetwork(), err)
		})
	}
}

// TestMembersLeaveOthersRoom: members of an encrypted network count as encryption does, unless the other has no room as it is.
func TestMembersLeaveOthersRoom(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	made, err := f.CreatePrivateNetwork(f.ctx, privateNet("vault", func(n *v1.PrivateNetwork) {
		n.Members, n.Encrypted = []*v1.PrivateNetworkMember{member("", xcp1)}, true
	}))
	if err != nil {
		t.Fatal(err)
	}
	open, err := f.CreatePrivateNetwork(f.ctx, privateNet("clear", func(n *v1.PrivateNetwork) { n.StrictMtu = true }))
	if err != nil || open.GetPrivateNetwork().GetMtu() != 1450 {
		t.Fatalf("%v, %v", open, err)
	}
	grow := func(members ...*v1.PrivateNetworkMember) error {
		_, err := f.UpdatePrivateNetwork(f.ctx, &v1.UpdatePrivateNetworkRequest{
			PrivateNetwork: &v1.PrivateNetwork{Uuid: made.GetPrivateNetwork().GetUuid(), Members: members}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"members"}},
		})
		return err
	}
	wide := []*v1.PrivateNetworkMember{member("", xcp1), member("", xcp2)}
	refusal{codes.InvalidArgument, "private_network.members", []string{`"clear"`, "1416", "strict"}}.check(t, grow(wide...))
	f.observe(&storev1.ObserveHost{HostUuid: xcp3, Facts: &storev1.HostFacts{TransportAddress: "192.0.2.13", TransportMtu: 1400}})
	if err := grow(wide...); err != nil {
		t.Errorf("beside a network that does not fit as it is: %v", err)
	}
	f.observe(&storev1.ObserveHost{HostUuid: xcp3, Facts: &storev1.HostFacts{TransportAddress: "192.0.2.13", TransportMtu: 1500}})
	if err := grow(append(wide, member("", xcp3))...); err != nil {
		t.Errorf("more members, beside a network that has lost its room already: %v", err)
	}
}
