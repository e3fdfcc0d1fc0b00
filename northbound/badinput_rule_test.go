package northbound

import (
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	v1 "poolwire/proto/poolwire/v1"
)

// badRuleTargets are rules for bridges, pools and addresses that there are not.
func badRuleTargets(f *fixture) []badInput {
	invalid := codes.InvalidArgument
	rule := func(spoil func(*v1.AddRuleRequest)) func() error {
		return func() error { _, err := f.AddRule(f.ctx, addRule(spoil)); return err }
	}
	return []badInput{
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
	}
}

// badRuleFields are rules whose own fields are wrong or do not go together.
func badRuleFields(f *fixture) []badInput {
	invalid := codes.InvalidArgument
	rule := func(spoil func(*v1.AddRuleRequest)) func() error {
		return func() error { _, err := f.AddRule(f.ctx, addRule(spoil)); return err }
	}
	return []badInput{
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
	}
}

// badRules are rules on objects that there are not, and removals that name none.
func badRules(f *fixture) []badInput {
	invalid := codes.InvalidArgument
	return []badInput{
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
	}
}
