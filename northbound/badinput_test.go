package northbound

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	v1 "poolwire/proto/poolwire/v1"
)

// addRule is a good request, for a test to spoil.
func addRule(spoil func(*v1.AddRuleRequest)) *v1.AddRuleRequest {
	r := &v1.AddRuleRequest{Bridge: "xenbr0", Pool: "paris", Mac: mac1, IpRange: "192.0.2.0/24",
		Direction: v1.Direction_DIRECTION_TO, Protocol: v1.Protocol_PROTOCOL_TCP, Port: proto.Uint32(22)}
	if spoil != nil {
		spoil(r)
	}
	return r
}

func member(pool, host string) *v1.PrivateNetworkMember {
	if pool != "" {
		return &v1.PrivateNetworkMember{Target: &v1.PrivateNetworkMember_PoolUuid{PoolUuid: pool}}
	}
	return &v1.PrivateNetworkMember{Target: &v1.PrivateNetworkMember_HostUuid{HostUuid: host}}
}

func privateNet(name string, spoil func(*v1.PrivateNetwork)) *v1.CreatePrivateNetworkRequest {
	n := &v1.PrivateNetwork{NameLabel: name, Members: []*v1.PrivateNetworkMember{member(paris, ""), member("", xcp3)}}
	if spoil != nil {
		spoil(n)
	}
	return &v1.CreatePrivateNetworkRequest{PrivateNetwork: n}
}

func passiveHost(spoil func(*v1.Host)) *v1.CreateHostRequest {
	h := &v1.Host{NameLabel: "xcp9", PoolUuid: paris, Mode: v1.ConnectionMode_CONNECTION_MODE_PASSIVE, Address: "192.0.2.19"}
	if spoil != nil {
		spoil(h)
	}
	return &v1.CreateHostRequest{Host: h}
}

// TestBadInput: each wrong input is refused with the code, the field, the value
// and what would be accepted, and changes nothing: not even the revision moves
// for what can be told without the log.
func TestBadInput(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	if _, err := f.CreatePrivateNetwork(f.ctx, privateNet("blue", func(n *v1.PrivateNetwork) { n.Vni = 7 })); err != nil {
		t.Fatal(err)
	}
	invalid := codes.InvalidArgument
	rule := func(spoil func(*v1.AddRuleRequest)) func() error {
		return func() error { _, err := f.AddRule(f.ctx, addRule(spoil)); return err }
	}
	private := func(spoil func(*v1.PrivateNetwork)) func() error {
		return func() error { _, err := f.CreatePrivateNetwork(f.ctx, privateNet("red", spoil)); return err }
	}
	host := func(spoil func(*v1.Host)) func() error {
		return func() error { _, err := f.CreateHost(f.ctx, passiveHost(spoil)); return err }
	}
	pool := func(p *v1.Pool) func() error {
		return func() error { _, err := f.CreatePool(f.ctx, &v1.CreatePoolRequest{Pool: p}); return err }
	}
	vif := func(spoil *v1.Vif, paths ...string) func() error {
		spoil.Uuid = vif1
		return func() error {
			_, err := f.UpdateVif(f.ctx, &v1.UpdateVifRequest{Vif: spoil, UpdateMask: &fieldmaskpb.FieldMask{Paths: paths}})
			return err
		}
	}
	tests := []struct {
		name string
		call func() error
		want refusal
		// logged: the state decides, so the attempt is in the log.
		logged bool
	}{
		{"unknown bridge", rule(func(r *v1.AddRuleRequest) { r.Bridge = "xenbr9" }),
			refusal{invalid, "bridge", []string{`"xenbr9"`, `no host of pool "paris" has this bridge`, "known: xapi1, xenbr0"}}, false},
		{"unknown bridge, no pool", rule(func(r *v1.AddRuleRequest) { r.Bridge, r.Pool = "xenbr9", "" }),
			refusal{invalid, "bridge", []string{`"xenbr9"`, "no host has this bridge", "known: xapi1, xenbr0"}}, false},
		{"bridge of two pools", rule(func(r *v1.AddRuleRequest) { r.Pool, r.Mac = "", "" }),
			refusal{invalid, "bridge", []string{`"xenbr0" is ambiguous: `, `in pool "paris"`, `in pool "lyon"`, "name the pool (pool=lyon or pool=paris)"}}, false},
		{"no bridge", rule(func(r *v1.AddRuleRequest) { r.Bridge = "" }), refusal{invalid, "bridge", []string{"is required"}}, false},
		{"unknown pool", rule(func(r *v1.AddRuleRequest) { r.Pool = "nice" }), refusal{invalid, "pool", []string{`"nice"`, "known: lyon, paris"}}, false},
		{"malformed MAC", rule(func(r *v1.AddRuleRequest) { r.Mac = "6e:0b:9e:72:ab" }), refusal{invalid, "mac", []string{`"6e:0b:9e:72:ab"`, "must be a MAC address like"}}, false},
		{"multicast MAC", rule(func(r *v1.AddRuleRequest) { r.Mac = "01:00:5e:00:00:01" }), refusal{invalid, "mac", []string{`"01:00:5e:00:00:01"`, "multicast"}}, false},
		{"malformed CIDR", rule(func(r *v1.AddRuleRequest) { r.IpRange = "192.0.2.0/99" }), refusal{invalid, "ip_range", []string{`"192.0.2.0/99"`, "0 to 32"}}, false},
		{"IPv4 host bits", rule(func(r *v1.AddRuleRequest) { r.IpRange = "10.0.0.5/24" }),
			refusal{invalid, "ip_range", []string{`"10.0.0.5/24"`, "10.0.0.0/24", "10.0.0.5/32"}}, false},
		{"IPv6 host bits", rule(func(r *v1.AddRuleRequest) { r.IpRange = "2001:DB8::1/64" }),
			refusal{invalid, "ip_range", []string{`"2001:DB8::1/64"`, "2001:db8::/64", "2001:db8::1/128"}}, false},
		{"malformed address", rule(func(r *v1.AddRuleRequest) { r.IpRange = "192.0.2" }), refusal{invalid, "ip_range", []string{`"192.0.2"`}}, false},
		{"TCP without port", rule(func(r *v1.AddRuleRequest) { r.Port = nil }), refusal{invalid, "port", []string{"required for protocol TCP", "0 to 65535"}}, false},
		{"port without TCP or UDP", rule(func(r *v1.AddRuleRequest) { r.Protocol = v1.Protocol_PROTOCOL_ICMP }),
			refusal{invalid, "port", []string{"22", "absent for protocol ICMP", "TCP and UDP"}}, false},
		{"port too high", rule(func(r *v1.AddRuleRequest) { r.Port = proto.Uint32(65536) }), refusal{invalid, "port", []string{"65536", "0 to 65535"}}, false},
		{"priority too high", rule(func(r *v1.AddRuleRequest) { r.Priority = proto.Uint32(65536) }), refusal{invalid, "priority", []string{"65536", "0 to 65535", "32768"}}, false},
		{"no direction", rule(func(r *v1.AddRuleRequest) { r.Direction = 0 }), refusal{invalid, "direction", []string{"FROM, TO, FROM_TO"}}, false},
		{"unknown direction", rule(func(r *v1.AddRuleRequest) { r.Direction = 9 }), refusal{invalid, "direction", []string{"9", "FROM, TO, FROM_TO"}}, false},
		{"no protocol", rule(func(r *v1.AddRuleRequest) { r.Protocol, r.Port = 0, nil }), refusal{invalid, "protocol", []string{"IP, TCP, UDP, ICMP, ARP"}}, false},
		{"ARP over IPv6", rule(func(r *v1.AddRuleRequest) {
			r.Protocol, r.Port, r.IpRange = v1.Protocol_PROTOCOL_ARP, nil, "2001:db8::/64"
		}), refusal{invalid, "ip_range", []string{`"2001:db8::/64"`, "IPv4"}}, false},
		{"cookie", rule(func(r *v1.AddRuleRequest) { r.Cookie = "0xZZ" }), refusal{invalid, "cookie", []string{`"0xZZ"`, "1 to 16 hexadecimal digits"}}, false},
		{"cookie too long", rule(func(r *v1.AddRuleRequest) { r.Cookie = "11112222333344445" }), refusal{invalid, "cookie", []string{"1 to 16"}}, false},
		{"request id too long", rule(func(r *v1.AddRuleRequest) { r.RequestId = strings.Repeat("x", 65) }), refusal{invalid, "request_id", []string{"65", "at most 64"}}, false},
		{"del-rule without anything", func() error {
			_, err := f.RemoveRule(f.ctx, &v1.RemoveRuleRequest{Bridge: "xenbr0", Pool: "paris"})
			return err
		},
			refusal{invalid, "direction", []string{"required"}}, false},
		{"del-rule by no cookie", func() error {
			_, err := f.RemoveRule(f.ctx, &v1.RemoveRuleRequest{Bridge: "xenbr0", Pool: "paris", Cookie: "0x0"})
			return err
		}, refusal{invalid, "cookie", []string{`"0x0"`, "no label"}}, false},
		{"rule for unknown VIF", func() error {
			_, err := f.CreateRule(f.ctx, &v1.CreateRuleRequest{Rule: &v1.Rule{VifUuid: id('c', 99), Direction: 1, Protocol: 1}})
			return err
		}, refusal{invalid, "rule.vif_uuid", []string{id('c', 99), "no VIF"}}, false},
		{"rule for unknown network", func() error {
			_, err := f.CreateRule(f.ctx, &v1.CreateRuleRequest{Rule: &v1.Rule{NetworkUuid: id('c', 99), Direction: 1, Protocol: 1}})
			return err
		}, refusal{invalid, "rule.network_uuid", []string{id('c', 99), "no network"}}, false},
		{"rule for nothing", func() error {
			_, err := f.CreateRule(f.ctx, &v1.CreateRuleRequest{Rule: &v1.Rule{Direction: 1, Protocol: 1}})
			return err
		}, refusal{invalid, "rule.network_uuid", []string{"vif_uuid is required"}}, false},

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

		{"unknown host", func() error { _, err := f.GetHost(f.ctx, &v1.GetHostRequest{Host: "xcp7"}); return err },
			refusal{codes.NotFound, "host", []string{`"xcp7"`, "known: xcp1, xcp2, xcp3"}}, false},
		{"host of unknown pool", host(func(h *v1.Host) { h.PoolUuid = id('a', 99) }), refusal{invalid, "host.pool_uuid", []string{id('a', 99), paris + " (paris)"}}, false},
		{"host without pool", host(func(h *v1.Host) { h.PoolUuid = "" }), refusal{invalid, "host.pool_uuid", []string{"required"}}, false},
		{"passive host without address", host(func(h *v1.Host) { h.Address = "" }), refusal{invalid, "host.address", []string{"the controller connects to the host", "192.0.2.11"}}, false},
		{"host by name", host(func(h *v1.Host) { h.Address = "xcp9.example:6640" }), refusal{invalid, "host.address", []string{`"xcp9.example:6640"`, "ssl:IP[:PORT]"}}, false},
		{"host port", host(func(h *v1.Host) { h.Address = "192.0.2.19:99999" }), refusal{invalid, "host.address", []string{`"192.0.2.19:99999"`}}, false},
		{"tcp target", host(func(h *v1.Host) { h.Address = "tcp:192.0.2.19:6640" }), refusal{invalid, "host.address", []string{"ssl:IP[:PORT]"}}, false},
		{"active host with address", host(func(h *v1.Host) { h.Mode = v1.ConnectionMode_CONNECTION_MODE_ACTIVE }),
			refusal{invalid, "host.address", []string{"192.0.2.19", "the host connects to the controller"}}, false},
		{"active host without system-id", host(func(h *v1.Host) { h.Mode = v1.ConnectionMode_CONNECTION_MODE_ACTIVE }), refusal{invalid, "host.system_id", []string{"system-id"}}, false},
		{"pinned without certificate", host(func(h *v1.Host) { h.Trust = v1.TrustMode_TRUST_MODE_PINNED }), refusal{invalid, "host.certificate_sha256", []string{"64 hexadecimal digits"}}, false},
		{"short fingerprint", host(func(h *v1.Host) { h.CertificateSha256 = "ab:cd" }), refusal{invalid, "host.certificate_sha256", []string{`"ab:cd"`, "64"}}, false},
		{"transport address", host(func(h *v1.Host) { h.TransportAddress = "0.0.0.0" }), refusal{invalid, "host.transport_address", []string{`"0.0.0.0"`}}, false},
		{"mode", host(func(h *v1.Host) { h.Mode = 0 }), refusal{invalid, "host.mode", []string{"PASSIVE, ACTIVE"}}, false},
		{"system-id in use", host(func(h *v1.Host) { h.SystemId = "sys-xcp1" }), refusal{codes.AlreadyExists, "host.system_id", []string{`"sys-xcp1"`, `"xcp1"`}}, true},

		{"pool without name", pool(&v1.Pool{}), refusal{invalid, "pool.name_label", []string{"1 to 128"}}, false},
		{"no pool", pool(nil), refusal{invalid, "pool", []string{"required"}}, false},
		{"long name", pool(&v1.Pool{NameLabel: strings.Repeat("é", 129)}), refusal{invalid, "pool.name_label", []string{"129", "128"}}, false},
		{"name like a UUID", pool(&v1.Pool{NameLabel: id('a', 5)}), refusal{invalid, "pool.name_label", []string{"UUID"}}, false},
		{"name with newline", pool(&v1.Pool{NameLabel: "a\nb"}), refusal{invalid, "pool.name_label", []string{`"a\nb"`}}, false},
		{"pool uuid", pool(&v1.Pool{Uuid: "1234", NameLabel: "x"}), refusal{invalid, "pool.uuid", []string{`"1234"`, "must be a UUID like"}}, false},
		{"grace", pool(&v1.Pool{NameLabel: "x", ControllerGrace: durationpb.New(time.Second)}), refusal{invalid, "pool.controller_grace", []string{"1s", "3s to 24h"}}, false},
		{"fail mode", pool(&v1.Pool{NameLabel: "x", FailMode: 7}), refusal{invalid, "pool.fail_mode", []string{"7", "STANDALONE, SECURE"}}, false},
		{"pool name in use", pool(&v1.Pool{NameLabel: "paris"}), refusal{codes.AlreadyExists, "pool.name_label", []string{`"paris"`, paris}}, true},
		{"pool with hosts", func() error { _, err := f.DeletePool(f.ctx, &v1.DeletePoolRequest{Pool: "paris"}); return err },
			refusal{codes.FailedPrecondition, "", []string{"2 hosts belong to it"}}, true},

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

		{"page size", func() error { _, err := f.ListVifs(f.ctx, &v1.ListVifsRequest{PageSize: 1001}); return err }, refusal{invalid, "page_size", []string{"1001", "1 to 1000"}}, false},
		{"page token", func() error { _, err := f.ListVifs(f.ctx, &v1.ListVifsRequest{PageToken: "garbage!"}); return err }, refusal{invalid, "page_token", []string{`"garbage!"`}}, false},
		{"flow table", func() error {
			return drain(f.DumpFlows(f.ctx, &v1.DumpFlowsRequest{Bridge: "xenbr0", Host: "xcp1", Table: proto.Uint32(254)}))
		},
			refusal{invalid, "table", []string{"254", "0 to 253"}}, false},
		{"flows of unknown bridge", func() error { return drain(f.DumpFlows(f.ctx, &v1.DumpFlowsRequest{Bridge: "xenbr9", Host: "xcp1"})) },
			refusal{codes.NotFound, "bridge", []string{`"xenbr9"`, "xapi1, xenbr0"}}, false},
		{"flows of a common bridge", func() error { return drain(f.DumpFlows(f.ctx, &v1.DumpFlowsRequest{Bridge: "xenbr0"})) },
			refusal{invalid, "bridge", []string{`"xenbr0" is ambiguous: `, "xcp1, xcp2, xcp3", "name the host (host=xcp1)"}}, false},
		{"future revision", func() error { _, err := f.WaitForHosts(f.ctx, &v1.WaitForHostsRequest{Revision: 1 << 40}); return err },
			refusal{invalid, "revision", []string{"1099511627776"}}, false},
		{"long wait", func() error {
			_, err := f.WaitForHosts(f.ctx, &v1.WaitForHostsRequest{Timeout: durationpb.New(time.Hour)})
			return err
		}, refusal{invalid, "timeout", []string{"1h", "10m"}}, false},
		{"watch of nothing", func() error {
			return drain(f.Watch(f.ctx, &v1.WatchRequest{Kinds: []v1.ResourceKind{v1.ResourceKind_RESOURCE_KIND_UNSPECIFIED}}))
		}, refusal{invalid, "kinds[0]", []string{"POOL, HOST, PIF"}}, false},
		{"node", func() error {
			_, err := f.AddNode(f.ctx, &v1.AddNodeRequest{Node: &v1.Node{Id: "a/b", RaftAddress: "x"}})
			return err
		},
			refusal{invalid, "node.id", []string{`"a/b"`}}, false},
		{"last node", func() error { _, err := f.RemoveNode(f.ctx, &v1.RemoveNodeRequest{Id: "n1"}); return err },
			refusal{codes.FailedPrecondition, "", []string{`"n1"`, "last voter"}}, false},
		{"unknown node", func() error { _, err := f.RemoveNode(f.ctx, &v1.RemoveNodeRequest{Id: "n9"}); return err },
			refusal{codes.NotFound, "id", []string{`"n9"`, "known: n1"}}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before, revision := f.state(), f.store.View().Revision()
			tt.want.check(t, tt.call())
			if after := f.state(); after != before {
				t.Errorf("the state changed:\n%s\nwas\n%s", after, before)
			}
			if now := f.store.View().Revision(); now != revision && !tt.logged {
				t.Errorf("revision %d, was %d", now, revision)
			}
		})
	}
}

// TestAllViolationsTogether: one answer tells everything that is wrong.
func TestAllViolationsTogether(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	_, err := f.AddRule(f.ctx, &v1.AddRuleRequest{Bridge: "xenbr9", Mac: "nonsense", IpRange: "300.1.1.1", Protocol: v1.Protocol_PROTOCOL_TCP,
		Priority: proto.Uint32(70000), Cookie: "g"})
	var fields []string
	for _, v := range violationsOf(err) {
		fields = append(fields, v.GetField())
	}
	want := "mac direction ip_range port priority cookie bridge"
	if got := strings.Join(fields, " "); got != want {
		t.Errorf("fields %q, want %q", got, want)
	}
	t.Log(err)
}

// receiver is the client's end of a stream.
type receiver[T any] interface{ Recv() (*T, error) }

// drain reads a stream to its end and returns the error it ended with.
func drain[T any, S receiver[T]](s S, err error) error {
	for err == nil {
		_, err = s.Recv()
	}
	return err
}
