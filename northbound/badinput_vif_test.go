package northbound

import (
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	v1 "poolwire/proto/poolwire/v1"
)

// badVifs are changes of what VIFs may send, and VIFs that there are not, or are already.
func badVifs(f *fixture) []badInput {
	invalid := codes.InvalidArgument
	vif := func(spoil *v1.Vif, paths ...string) func() error {
		spoil.Uuid = vif1
		return func() error {
			_, err := f.UpdateVif(f.ctx, &v1.UpdateVifRequest{Vif: spoil, UpdateMask: &fieldmaskpb.FieldMask{Paths: paths}})
			return err
		}
	}
	return []badInput{
		{"IPv6 among IPv4", vif(&v1.Vif{Ipv4Allowed: []string{"192.0.2.7", "2001:db8::7"}}, "ipv4_allowed"),
			refusal{invalid, "vif.ipv4_allowed[1]", []string{`"2001:db8::7"`, "IPv4"}}, false},
		{"not an address", vif(&v1.Vif{Ipv6Allowed: []string{"fe80::1%eth0"}}, "ipv6_allowed"), refusal{invalid, "vif.ipv6_allowed[0]", []string{`"fe80::1%eth0"`}}, false},
		{"multicast", vif(&v1.Vif{Ipv4Allowed: []string{"224.0.0.0/4"}}, "ipv4_allowed"), refusal{invalid, "vif.ipv4_allowed[0]", []string{"multicast"}}, false},
		{"allowed IPv4 host bits", vif(&v1.Vif{Ipv4Allowed: []string{"10.0.0.1", "10.0.0.5/24"}}, "ipv4_allowed"),
			refusal{invalid, "vif.ipv4_allowed[1]", []string{`"10.0.0.5/24"`, "10.0.0.0/24", "10.0.0.5/32"}}, false},
		{"allowed IPv6 host bits", vif(&v1.Vif{Ipv6Allowed: []string{"2001:db8::5/64"}}, "ipv6_allowed"),
			refusal{invalid, "vif.ipv6_allowed[0]", []string{`"2001:db8::5/64"`, "2001:db8::/64", "2001:db8::5/128"}}, false},
		{"too many addresses", vif(&v1.Vif{Ipv4Allowed: make([]string, 257)}, "ipv4_allowed"), refusal{invalid, "vif.ipv4_allowed", []string{"257", "256"}}, false},
		{"locking mode", vif(&v1.Vif{LockingMode: 9}, "locking_mode"), refusal{invalid, "vif.locking_mode", []string{"NETWORK_DEFAULT, UNLOCKED, LOCKED, DISABLED"}}, false},
		{"unknown mask path", vif(&v1.Vif{}, "locking_mode", "mac"), refusal{invalid, "update_mask.paths[1]", []string{`"mac"`, "accepted: name_label, locking_mode, ipv4_allowed, ipv6_allowed"}}, false},
		{"empty mask", vif(&v1.Vif{}), refusal{invalid, "update_mask", []string{"required", "locking_mode"}}, false},
		{"VIF name like a MAC", vif(&v1.Vif{NameLabel: mac1}, "name_label"), refusal{invalid, "vif.name_label", []string{"MAC"}}, false},
		{"unknown VIF", func() error {
			_, err := f.UpdateVif(f.ctx, &v1.UpdateVifRequest{Vif: &v1.Vif{Uuid: id('c', 99)}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"locking_mode"}}})
			return err
		}, refusal{codes.NotFound, "vif.uuid", []string{id('c', 99)}}, false},
		{"known VIF created", func() error { _, err := f.CreateVif(f.ctx, &v1.CreateVifRequest{Vif: &v1.Vif{Uuid: vif1}}); return err },
			refusal{codes.AlreadyExists, "vif.uuid", []string{vif1}}, true},
	}
}
