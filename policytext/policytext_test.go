package policytext

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	v1 "poolwire/proto/poolwire/v1"
)

// book is a Names of a few objects.
type book map[string]proto.Message

func find[T proto.Message](b book, id string) T {
	o, _ := b[id].(T)
	return o
}

func (b book) Pool(id string) *v1.Pool       { return find[*v1.Pool](b, id) }
func (b book) Network(id string) *v1.Network { return find[*v1.Network](b, id) }
func (b book) PrivateNetwork(id string) *v1.PrivateNetwork {
	return find[*v1.PrivateNetwork](b, id)
}
func (b book) Vif(id string) *v1.Vif                   { return find[*v1.Vif](b, id) }
func (b book) VifGroup(id string) *v1.VifGroup         { return find[*v1.VifGroup](b, id) }
func (b book) AddressGroup(id string) *v1.AddressGroup { return find[*v1.AddressGroup](b, id) }

const (
	in   = v1.TrafficDirection_TRAFFIC_DIRECTION_INBOUND
	out  = v1.TrafficDirection_TRAFFIC_DIRECTION_OUTBOUND
	both = v1.TrafficDirection_TRAFFIC_DIRECTION_BOTH
)

func world() book {
	return book{
		"p": &v1.Pool{Uuid: "p", NameLabel: "paris"}, "n": &v1.Network{Uuid: "n", NameLabel: "dmz"},
		"pn": &v1.PrivateNetwork{Uuid: "pn", NameLabel: "blue"}, "v": &v1.Vif{Uuid: "v"},
		"g": &v1.VifGroup{Uuid: "g", NameLabel: "web"}, "a": &v1.AddressGroup{Uuid: "a", NameLabel: "db"},
	}
}

func TestRule(t *testing.T) {
	t.Parallel()
	allow, drop, reject := v1.RuleAction_RULE_ACTION_ALLOW, v1.RuleAction_RULE_ACTION_DROP, v1.RuleAction_RULE_ACTION_REJECT
	many := make([]string, 20)
	for i := range many {
		many[i] = "192.0.2.1"
	}
	for _, tt := range []struct {
		rule *v1.PolicyRule
		want string
	}{
		{&v1.PolicyRule{Action: drop, Direction: in}, "drop any"},
		{&v1.PolicyRule{Action: allow, Direction: in, Protocol: "tcp", RemotePrefixes: []string{"192.0.2.0/24"}, LocalPorts: []string{"22"}},
			"allow tcp from 192.0.2.0/24 to local port 22"},
		{&v1.PolicyRule{Action: allow, Direction: out, Protocol: "tcp", RemotePrefixes: []string{"192.0.2.0/24"}, RemotePorts: []string{"80", "443"}},
			"allow tcp to 192.0.2.0/24 ports 80,443"},
		{&v1.PolicyRule{Action: reject, Direction: out, Protocol: "udp", LocalPorts: []string{"53"}, RemotePorts: []string{"1024-65535"}},
			"reject udp from local port 53 to remote ports 1024-65535"},
		{&v1.PolicyRule{Action: drop, Direction: both, Protocol: "sctp", LocalPorts: []string{"1"}, RemoteAddressGroupUuid: "a"},
			"drop sctp with address group db at local port 1"},
		{&v1.PolicyRule{Action: drop, Direction: in, Protocol: "icmp", IcmpType: proto.Uint32(8), IcmpCode: proto.Uint32(0), RemoteVifGroupUuid: "g"},
			"drop icmp type 8 code 0 from VIF group web"},
		{&v1.PolicyRule{Action: drop, Direction: in, Protocol: "47", RemoteMac: "6e:0b:9e:72:ab:01", Vlans: []uint32{10}, Stateless: true},
			"drop IP protocol 47 from MAC 6e:0b:9e:72:ab:01 on VLAN 10 (stateless)"},
		{&v1.PolicyRule{Action: drop, Direction: in, Protocol: "any", Vlans: []uint32{10, 20}, EstablishedSessions: v1.EstablishedSessions_ESTABLISHED_SESSIONS_KEEP},
			"drop any on VLANs 10,20 (new sessions only)"},
		{&v1.PolicyRule{Action: drop, Direction: in, Protocol: "any", RemoteAddressGroupUuid: "gone"}, "drop any from address group gone"},
		{&v1.PolicyRule{Action: drop, Direction: in, RemotePrefixes: many}, "drop any from " + strings.Repeat("192.0.2.1,", 7) + "192.0.2.1 and 12 more"},
	} {
		if got := Rule(world(), tt.rule); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}

func TestMatchOfOneDirection(t *testing.T) {
	t.Parallel()
	r := &v1.PolicyRule{Direction: both, Protocol: "tcp", RemotePrefixes: []string{"192.0.2.7"}, LocalPorts: []string{"22"}}
	for d, want := range map[v1.TrafficDirection]string{
		in: "tcp from 192.0.2.7 to local port 22", out: "tcp from local port 22 to 192.0.2.7", both: "tcp with 192.0.2.7 at local port 22",
	} {
		if got := Match(world(), r, d); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
}

func TestCompat(t *testing.T) {
	t.Parallel()
	from, to, fromTo := v1.Direction_DIRECTION_FROM, v1.Direction_DIRECTION_TO, v1.Direction_DIRECTION_FROM_TO
	for _, tt := range []struct {
		rule *v1.Rule
		want string
	}{
		{&v1.Rule{Protocol: v1.Protocol_PROTOCOL_IP, Direction: to}, "drop ip"},
		{&v1.Rule{Protocol: v1.Protocol_PROTOCOL_TCP, Direction: from, Port: proto.Uint32(22), Allow: true}, "allow tcp from port 22"},
		{&v1.Rule{Protocol: v1.Protocol_PROTOCOL_UDP, Direction: to, Port: proto.Uint32(53), IpRange: "192.0.2.7"}, "drop udp to 192.0.2.7 port 53"},
		{&v1.Rule{Protocol: v1.Protocol_PROTOCOL_ARP, Direction: fromTo, IpRange: "192.0.2.0/24"}, "drop arp from or to 192.0.2.0/24"},
	} {
		if got := CompatRule(tt.rule); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}

func TestEntry(t *testing.T) {
	t.Parallel()
	level := func(l v1.PolicyLevel, scope string) *v1.PolicyRule {
		return &v1.PolicyRule{Level: l, ScopeUuid: scope, Direction: in, Etag: "17", Author: "alice", NameLabel: "x", Uuid: "r"}
	}
	for scope, r := range map[string]*v1.PolicyRule{
		"":      level(v1.PolicyLevel_POLICY_LEVEL_GLOBAL, ""),
		"paris": level(v1.PolicyLevel_POLICY_LEVEL_POOL, "p"),
		"dmz":   level(v1.PolicyLevel_POLICY_LEVEL_NETWORK, "n"),
		"blue":  level(v1.PolicyLevel_POLICY_LEVEL_NETWORK, "pn"),
		"web":   level(v1.PolicyLevel_POLICY_LEVEL_VIF_GROUP, "g"),
		"v":     level(v1.PolicyLevel_POLICY_LEVEL_VIF, "v"), // has no name
		"gone":  level(v1.PolicyLevel_POLICY_LEVEL_VIF, "gone"),
	} {
		want := &v1.PolicyEntry{RuleUuid: "r", NameLabel: "x", Level: r.GetLevel(), Section: v1.PolicySection_POLICY_SECTION_DEFAULT,
			Scope: scope, Priority: 32768, Match: "any", Author: "alice", Revision: 17}
		if got := Entry(world(), r); !proto.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
	}
	for scope, r := range map[string]*v1.Rule{
		"v": {VifUuid: "v"}, "dmz": {NetworkUuid: "n"}, "6e:0b:9e:72:ab:01 on blue": {NetworkUuid: "pn", Mac: "6e:0b:9e:72:ab:01"},
	} {
		r.Protocol, r.Allow, r.Priority = v1.Protocol_PROTOCOL_IP, true, proto.Uint32(7)
		want := &v1.PolicyEntry{Compat: true, Scope: scope, Priority: 7, Action: v1.RuleAction_RULE_ACTION_ALLOW, Match: "ip"}
		if got := CompatEntry(world(), r); !proto.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
	}
}
