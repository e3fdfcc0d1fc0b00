package northbound

import (
	"google.golang.org/grpc/codes"

	v1 "poolwire/proto/poolwire/v1"
)

// badMembers are private networks with names, numbers or members that cannot be.
func badMembers(f *fixture) []badInput {
	invalid := codes.InvalidArgument
	private := func(spoil func(*v1.PrivateNetwork)) func() error {
		return func() error { _, err := f.CreatePrivateNetwork(f.ctx, privateNet("red", spoil)); return err }
	}
	return []badInput{
		{"VNI over 24 bits", private(func(n *v1.PrivateNetwork) { n.Vni = 1 << 24 }), refusal{invalid, "private_network.vni", []string{"16777216", "1 to 16777215"}}, false},
		{"VNI in use", private(func(n *v1.PrivateNetwork) { n.Vni, n.Bridge = 7, "red0" }),
			refusal{codes.AlreadyExists, "private_network.vni", []string{"7", "taken by", `"blue"`}}, true},
		{"VNI in use, default bridge", private(func(n *v1.PrivateNetwork) { n.Vni = 7 }),
			refusal{codes.AlreadyExists, "private_network.vni", []string{`7: is taken by private network "blue"`}}, false},
		{"name and VNI in use", func() error {
			_, err := f.CreatePrivateNetwork(f.ctx, privateNet("blue", func(n *v1.PrivateNetwork) { n.Vni = 7 }))
			return err
		}, refusal{codes.AlreadyExists, "private_network.name_label", []string{`"blue": is taken by private network "blue"`}}, false},
		{"name in use", func() error { _, err := f.CreatePrivateNetwork(f.ctx, privateNet("blue", nil)); return err },
			refusal{codes.AlreadyExists, "private_network.name_label", []string{`"blue"`, "taken"}}, true},
		{"host beside its pool", private(func(n *v1.PrivateNetwork) { n.Members = append(n.Members, member("", xcp1)) }),
			refusal{invalid, "private_network.members[2].host_uuid", []string{xcp1, `"xcp1" belongs to the pool "paris"`, "members[0]"}}, false},
		{"pool twice", private(func(n *v1.PrivateNetwork) { n.Members = append(n.Members, member(paris, "")) }),
			refusal{invalid, "private_network.members[2].pool_uuid", []string{paris, "is members[0] already"}}, false},
		{"host twice", private(func(n *v1.PrivateNetwork) { n.Members = append(n.Members, member("", xcp3)) }),
			refusal{invalid, "private_network.members[2].host_uuid", []string{xcp3, "is members[1] already"}}, false},
		{"unknown member host", private(func(n *v1.PrivateNetwork) { n.Members[1] = member("", id('b', 99)) }),
			refusal{invalid, "private_network.members[1].host_uuid", []string{id('b', 99), "no host", "xcp1"}}, false},
		{"unknown member pool", private(func(n *v1.PrivateNetwork) { n.Members[0] = member(id('a', 99), "") }),
			refusal{invalid, "private_network.members[0].pool_uuid", []string{id('a', 99), "no pool"}}, false},
		{"empty member", private(func(n *v1.PrivateNetwork) { n.Members[0] = &v1.PrivateNetworkMember{} }),
			refusal{invalid, "private_network.members[0]", []string{"pool_uuid or host_uuid"}}, false},
	}
}

// badNetworks are private networks that could not be carried as they are wanted.
func badNetworks(f *fixture) []badInput {
	invalid := codes.InvalidArgument
	private := func(spoil func(*v1.PrivateNetwork)) func() error {
		return func() error { _, err := f.CreatePrivateNetwork(f.ctx, privateNet("red", spoil)); return err }
	}
	return []badInput{
		{"bridge taken by another", private(func(n *v1.PrivateNetwork) { n.Bridge = "pw7" }),
			refusal{invalid, "private_network.members[0].bridge", []string{`"pw7"`, `"blue"`}}, false},
		{"bridge name too long", private(func(n *v1.PrivateNetwork) { n.Bridge = "a-very-long-name" }),
			refusal{invalid, "private_network.bridge", []string{`"a-very-long-name"`, "1 to 15"}}, false},
		{"bridge name of ours", private(func(n *v1.PrivateNetwork) { n.Bridge = "pw-overlay" }), refusal{invalid, "private_network.bridge", []string{`"pw-overlay"`}}, false},
		{"VLAN as carrier", private(func(n *v1.PrivateNetwork) { n.Bridge = "xapi1" }),
			refusal{invalid, "private_network.members[0].bridge", []string{`"xapi1"`, "VLAN 10 of xenbr0"}}, false},
		{"carrier with a NIC", private(func(n *v1.PrivateNetwork) { n.Bridge = "xenbr0" }),
			refusal{invalid, "private_network.members[0].bridge", []string{`"xenbr0"`, "eth0", `"xcp1"`}}, false},
		{"MTU that cannot fit", private(func(n *v1.PrivateNetwork) { n.Mtu, n.StrictMtu = 1451, true }),
			refusal{invalid, "private_network.mtu", []string{"1451", "underlay MTU 1500", "1450"}}, false},
		{"MTU that cannot fit GRE", private(func(n *v1.PrivateNetwork) {
			n.Mtu, n.StrictMtu, n.Encapsulation = 1459, true, v1.Encapsulation_ENCAPSULATION_GRE
		}), refusal{invalid, "private_network.mtu", []string{"1459", "1458"}}, false},
		{"encrypted on a port of its own", private(func(n *v1.PrivateNetwork) { n.Encrypted, n.UdpPort = true, 8472 }),
			refusal{invalid, "private_network.udp_port", []string{"8472", "clear"}}, true},
		{"a port that UDP does not have", private(func(n *v1.PrivateNetwork) { n.UdpPort = 65536 }),
			refusal{invalid, "private_network.udp_port", []string{"65536", "65535"}}, false},
		{"a centre in a mesh", private(func(n *v1.PrivateNetwork) { n.PreferredCenter = xcp3 }),
			refusal{invalid, "private_network.preferred_center", []string{xcp3}}, true},
		{"MTU out of range", private(func(n *v1.PrivateNetwork) { n.Mtu = 100 }), refusal{invalid, "private_network.mtu", []string{"100", "576 to 9000"}}, false},
	}
}
