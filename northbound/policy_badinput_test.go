package northbound

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	v1 "poolwire/proto/poolwire/v1"
)

// policyRule is a good rule, for a test to spoil.
func policyRule(spoil func(*v1.PolicyRule)) *v1.PolicyRule {
	r := &v1.PolicyRule{
		NameLabel: "ssh", Level: v1.PolicyLevel_POLICY_LEVEL_VIF, ScopeUuid: vif1, Action: v1.RuleAction_RULE_ACTION_DROP,
		Direction: v1.TrafficDirection_TRAFFIC_DIRECTION_INBOUND, Protocol: "tcp", LocalPorts: []string{"22"}, RemotePrefixes: []string{"192.0.2.0/24"},
	}
	if spoil != nil {
		spoil(r)
	}
	return r
}

// addPolicy makes a rule and returns it as stored.
func (f *fixture) addPolicy(spoil func(*v1.PolicyRule)) *v1.PolicyRule {
	f.t.Helper()
	r, err := f.CreatePolicyRule(f.ctx, &v1.CreatePolicyRuleRequest{PolicyRule: policyRule(spoil)})
	if err != nil {
		f.t.Fatal(err)
	}
	return r.GetPolicyRule()
}

func (f *fixture) addAddressGroup(name string, addresses ...string) *v1.AddressGroup {
	f.t.Helper()
	g, err := f.CreateAddressGroup(f.ctx, &v1.CreateAddressGroupRequest{AddressGroup: &v1.AddressGroup{NameLabel: name, Addresses: addresses}})
	if err != nil {
		f.t.Fatal(err)
	}
	return g.GetAddressGroup()
}

func (f *fixture) addVifGroup(name string, spoil func(*v1.VifGroup)) *v1.VifGroup {
	f.t.Helper()
	in := &v1.VifGroup{NameLabel: name}
	if spoil != nil {
		spoil(in)
	}
	g, err := f.CreateVifGroup(f.ctx, &v1.CreateVifGroupRequest{VifGroup: in})
	if err != nil {
		f.t.Fatal(err)
	}
	return g.GetVifGroup()
}

// network1 is xenbr0 of pool paris.
func (f *fixture) network1() *v1.Network { return f.store.View().NetworkByPoolBridge(paris, "xenbr0") }

// ports makes a list of n ports.
func ports(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprint(i)
	}
	return out
}

// spoiled is a wrong value of a rule, and what is said about it.
type spoiled struct {
	name  string
	spoil func(*v1.PolicyRule)
	field string
	says  []string
}

func spoiledRules(f *fixture, addressGroup, vifGroup string) []spoiled {
	icmp := func(r *v1.PolicyRule) { r.Protocol, r.LocalPorts, r.RemotePrefixes = "icmp", nil, nil }
	global := func(r *v1.PolicyRule) { r.Level, r.ScopeUuid = v1.PolicyLevel_POLICY_LEVEL_GLOBAL, "" }
	return append(spoiledRemotes(addressGroup, vifGroup), []spoiled{
		{"no level", func(r *v1.PolicyRule) { r.Level = 0 }, "level", []string{"is required", "GLOBAL, POOL, NETWORK, VIF_GROUP, VIF"}},
		{"unknown level", func(r *v1.PolicyRule) { r.Level = 9 }, "level", []string{"9", "GLOBAL"}},
		{"no action", func(r *v1.PolicyRule) { r.Action = 0 }, "action", []string{"ALLOW, DROP, REJECT"}},
		{"no direction", func(r *v1.PolicyRule) { r.Direction = 0 }, "direction", []string{"INBOUND, OUTBOUND, BOTH"}},
		{"unknown section", func(r *v1.PolicyRule) { r.Section = 7 }, "section", []string{"7", "MANDATORY, DEFAULT"}},
		{"priority", func(r *v1.PolicyRule) { r.Priority = proto.Uint32(70000) }, "priority", []string{"70000", "0 to 65535"}},
		{"uuid", func(r *v1.PolicyRule) { r.Uuid = "7" }, "uuid", []string{`"7"`, "must be a UUID"}},
		{"long name", func(r *v1.PolicyRule) { r.NameLabel = strings.Repeat("x", 129) }, "name_label", []string{"129", "128"}},
		{"long description", func(r *v1.PolicyRule) { r.Description = strings.Repeat("x", 1025) }, "description", []string{"1025", "1024"}},

		{"scope of GLOBAL", func(r *v1.PolicyRule) { r.Level = v1.PolicyLevel_POLICY_LEVEL_GLOBAL }, "scope_uuid", []string{vif1, "must be empty for level GLOBAL"}},
		{"no scope", func(r *v1.PolicyRule) { r.ScopeUuid = "" }, "scope_uuid", []string{"is required for level VIF", "UUID of a VIF"}},
		{"unknown scope", func(r *v1.PolicyRule) { r.ScopeUuid = id('c', 99) }, "scope_uuid", []string{id('c', 99), "there is no VIF", vif1}},
		{"scope by name", func(r *v1.PolicyRule) {
			r.Level, r.ScopeUuid = v1.PolicyLevel_POLICY_LEVEL_POOL, "paris"
		}, "scope_uuid", []string{`"paris"`, "there is no pool", paris + " (paris)"}},
		{"VIF as pool", func(r *v1.PolicyRule) { r.Level = v1.PolicyLevel_POLICY_LEVEL_POOL }, "scope_uuid", []string{vif1, "is the VIF", "level POOL needs a pool", "set level to VIF"}},
		{"pool as VIF", func(r *v1.PolicyRule) { r.ScopeUuid = paris }, "scope_uuid", []string{paris, `is the pool "paris"`, "set level to POOL"}},
		{"network as VIF group", func(r *v1.PolicyRule) {
			r.Level, r.ScopeUuid = v1.PolicyLevel_POLICY_LEVEL_VIF_GROUP, f.network1().GetUuid()
		}, "scope_uuid", []string{`is the network "xenbr0"`, "needs a VIF group", "set level to NETWORK"}},

		{"protocol", func(r *v1.PolicyRule) { r.Protocol = "ospf" }, "protocol", []string{`"ospf"`, "any, tcp, udp, icmp, icmpv6, arp, sctp", "0 to 255"}},
		{"protocol number", func(r *v1.PolicyRule) { r.Protocol = "256" }, "protocol", []string{`"256"`, "0 to 255"}},
		{"reversed range", func(r *v1.PolicyRule) { r.LocalPorts = []string{"22", "90-80"} }, "local_ports[1]", []string{`"90-80"`, "write 80-90"}},
		{"port too high", func(r *v1.PolicyRule) { r.RemotePorts = []string{"65536"} }, "remote_ports[0]", []string{`"65536"`, "0 to 65535"}},
		{"port by name", func(r *v1.PolicyRule) { r.LocalPorts = []string{"ssh"} }, "local_ports[0]", []string{`"ssh"`, `"8000-8080"`}},
		{"half a range", func(r *v1.PolicyRule) { r.LocalPorts = []string{"80-"} }, "local_ports[0]", []string{`"80-"`}},
		{"empty port", func(r *v1.PolicyRule) { r.LocalPorts = []string{""} }, "local_ports[0]", []string{`""`}},
		{"too many ports", func(r *v1.PolicyRule) { r.LocalPorts = ports(257) }, "local_ports", []string{"257", "256"}},
		{"ports of icmp", func(r *v1.PolicyRule) { r.Protocol = "icmp" }, "local_ports", []string{`"22"`, "protocol icmp", "tcp, udp and sctp"}},
		{"ports of any", func(r *v1.PolicyRule) { r.Protocol = "" }, "local_ports", []string{`"22"`, "protocol any"}},
		{"ports of a number", func(r *v1.PolicyRule) { r.Protocol, r.LocalPorts, r.RemotePorts = "47", nil, []string{"1-2"} }, "remote_ports", []string{`"1-2"`, "protocol 47"}},
		{"type of tcp", func(r *v1.PolicyRule) { r.IcmpType = proto.Uint32(8) }, "icmp_type", []string{"8", "protocol tcp", "icmp and icmpv6"}},
		{"code of tcp", func(r *v1.PolicyRule) { r.IcmpCode = proto.Uint32(0) }, "icmp_code", []string{"0", "protocol tcp"}},
		{"code without type", func(r *v1.PolicyRule) { icmp(r); r.IcmpCode = proto.Uint32(3) }, "icmp_code", []string{"3", "needs icmp_type"}},
		{"type too high", func(r *v1.PolicyRule) { icmp(r); r.IcmpType = proto.Uint32(256) }, "icmp_type", []string{"256", "0 to 255"}},
		{"VLAN 0", func(r *v1.PolicyRule) { r.Vlans = []uint32{7, 0} }, "vlans[1]", []string{"0", "1 to 4094"}},
		{"VLAN 4095", func(r *v1.PolicyRule) { r.Vlans = []uint32{4095} }, "vlans[0]", []string{"4095"}},
		{"too many VLANs", func(r *v1.PolicyRule) { r.Vlans = make([]uint32, 65) }, "vlans", []string{"65", "64"}},

		{"KEEP on ALLOW", func(r *v1.PolicyRule) {
			r.Action, r.EstablishedSessions = v1.RuleAction_RULE_ACTION_ALLOW, v1.EstablishedSessions_ESTABLISHED_SESSIONS_KEEP
		}, "established_sessions", []string{"KEEP", "DROP or REJECT"}},
		{"KEEP and stateless", func(r *v1.PolicyRule) {
			r.Stateless, r.EstablishedSessions = true, v1.EstablishedSessions_ESTABLISHED_SESSIONS_KEEP
		}, "established_sessions", []string{"KEEP", "stateless"}},
		{"KEEP of ARP", func(r *v1.PolicyRule) {
			icmp(r)
			r.Protocol, r.EstablishedSessions = "arp", v1.EstablishedSessions_ESTABLISHED_SESSIONS_KEEP
		}, "established_sessions", []string{"KEEP", "ARP"}},
		{"unknown established", func(r *v1.PolicyRule) { r.EstablishedSessions = 5 }, "established_sessions", []string{"5", "CUT, KEEP"}},
		{"expired", func(r *v1.PolicyRule) { r.ExpireTime = timestamppb.New(time.Unix(1000, 0)) }, "expire_time", []string{"1970-01-01T00:16:40Z", "in the past"}},
		{"no time", func(r *v1.PolicyRule) { r.ExpireTime = &timestamppb.Timestamp{Seconds: 1 << 50} }, "expire_time", []string{"is no time"}},
		{"global with unknown group", func(r *v1.PolicyRule) { global(r); r.RemotePrefixes, r.RemoteVifGroupUuid = nil, id('e', 9) },
			"remote_vif_group_uuid", []string{id('e', 9), "no VIF group"}},
	}...)
}

func spoiledRemotes(addressGroup, vifGroup string) []spoiled {
	return []spoiled{
		{"not an address", func(r *v1.PolicyRule) { r.RemotePrefixes = []string{"192.0.2.0/24", "192.0.2"} }, "remote_prefixes[1]", []string{`"192.0.2"`, "must be an IP address or prefix"}},
		{"host bits", func(r *v1.PolicyRule) { r.RemotePrefixes = []string{"10.0.0.5/24"} }, "remote_prefixes[0]", []string{`"10.0.0.5/24"`, "10.0.0.0/24", "10.0.0.5/32"}},
		{"empty prefix", func(r *v1.PolicyRule) { r.RemotePrefixes = []string{""} }, "remote_prefixes[0]", []string{"is empty"}},
		{"too many prefixes", func(r *v1.PolicyRule) { r.RemotePrefixes = make([]string, 1025) }, "remote_prefixes", []string{"1025", "1024"}},
		{"icmp with IPv6", func(r *v1.PolicyRule) {
			r.Protocol, r.LocalPorts, r.RemotePrefixes = "icmp", nil, []string{"192.0.2.1", "2001:db8::/64"}
		}, "remote_prefixes[1]", []string{`"2001:db8::/64"`, "use icmpv6"}},
		{"icmpv6 with IPv4", func(r *v1.PolicyRule) { r.Protocol, r.LocalPorts = "icmpv6", nil }, "remote_prefixes[0]", []string{`"192.0.2.0/24"`, "use icmp"}},
		{"arp with IPv6", func(r *v1.PolicyRule) {
			r.Protocol, r.LocalPorts, r.RemotePrefixes = "ARP", nil, []string{"2001:db8::1"}
		}, "remote_prefixes[0]", []string{`"2001:db8::1"`, "icmpv6"}},
		{"two kinds of remote", func(r *v1.PolicyRule) { r.RemoteMac = mac2 }, "remote_mac", []string{"must be empty beside remote_prefixes", "one kind"}},
		{"two groups", func(r *v1.PolicyRule) {
			r.RemotePrefixes, r.RemoteAddressGroupUuid, r.RemoteVifGroupUuid = nil, addressGroup, vifGroup
		}, "remote_vif_group_uuid", []string{"beside remote_address_group_uuid"}},
		{"unknown address group", func(r *v1.PolicyRule) { r.RemotePrefixes, r.RemoteAddressGroupUuid = nil, id('e', 9) },
			"remote_address_group_uuid", []string{id('e', 9), "no address group", addressGroup + " (db)"}},
		{"VIF group as address group", func(r *v1.PolicyRule) { r.RemotePrefixes, r.RemoteAddressGroupUuid = nil, vifGroup },
			"remote_address_group_uuid", []string{"it is a VIF group", "remote_vif_group_uuid"}},
		{"address group as VIF group", func(r *v1.PolicyRule) { r.RemotePrefixes, r.RemoteVifGroupUuid = nil, addressGroup },
			"remote_vif_group_uuid", []string{"it is an address group"}},
		{"group by name", func(r *v1.PolicyRule) { r.RemotePrefixes, r.RemoteAddressGroupUuid = nil, "db" },
			"remote_address_group_uuid", []string{`"db"`, "must be a UUID"}},
		{"MAC", func(r *v1.PolicyRule) { r.RemotePrefixes, r.RemoteMac = nil, "6e:0b" }, "remote_mac", []string{`"6e:0b"`, "must be a MAC address"}},
		{"zero MAC", func(r *v1.PolicyRule) { r.RemotePrefixes, r.RemoteMac = nil, "00:00:00:00:00:00" }, "remote_mac", []string{"all zeros"}},
		{"inbound from a group's MAC", func(r *v1.PolicyRule) { r.RemotePrefixes, r.RemoteMac = nil, "ff:ff:ff:ff:ff:ff" }, "remote_mac", []string{"ff:ff", "OUTBOUND only"}},
	}
}

// TestBadPolicyRules: each wrong field is refused with its value, at creation and
// where it can be changed also in an update, and nothing is written.
func TestBadPolicyRules(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	addresses := f.addAddressGroup("db", "192.0.2.9")
	vifs := f.addVifGroup("web", nil)
	good := f.addPolicy(nil)
	for _, tt := range spoiledRules(f, addresses.GetUuid(), vifs.GetUuid()) {
		t.Run(tt.name, func(t *testing.T) {
			before, revision := f.state(), f.store.View().Revision()
			want := refusal{codes.InvalidArgument, "policy_rule." + tt.field, tt.says}
			_, err := f.CreatePolicyRule(f.ctx, &v1.CreatePolicyRuleRequest{PolicyRule: policyRule(tt.spoil)})
			want.check(t, err)
			_, err = f.CreatePolicyRule(f.ctx, &v1.CreatePolicyRuleRequest{PolicyRule: policyRule(tt.spoil), ValidateOnly: true})
			want.check(t, err)
			bad := policyRule(tt.spoil)
			if tt.field == "uuid" || tt.field == "level" || tt.field == "scope_uuid" {
				return // fixed at creation
			}
			bad.Uuid = good.GetUuid()
			_, err = f.UpdatePolicyRule(f.ctx, &v1.UpdatePolicyRuleRequest{PolicyRule: bad, UpdateMask: changeablePaths()})
			want.check(t, err)
			if f.state() != before || f.store.View().Revision() != revision {
				t.Errorf("the state changed: revision %d, was %d", f.store.View().Revision(), revision)
			}
		})
	}
}

// changeablePaths is a mask of every field of a rule that can change.
func changeablePaths() *fieldmaskpb.FieldMask {
	var mask fieldmaskpb.FieldMask
	for _, row := range policyRuleFields() {
		if row.when == always {
			mask.Paths = append(mask.Paths, row.path)
		}
	}
	return &mask
}

// TestFixedFields: level and scope stay what they were.
func TestFixedFields(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	r := f.addPolicy(nil)
	for _, path := range []string{"level", "scope_uuid", "uuid", "author", "active", "object_id"} {
		_, err := f.UpdatePolicyRule(f.ctx, &v1.UpdatePolicyRuleRequest{PolicyRule: r, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{path}}})
		refusal{codes.InvalidArgument, "update_mask.paths[0]", []string{path, "cannot be changed", "accepted: name_label"}}.check(t, err)
	}
}

// TestCanonicalRule: what is accepted in several spellings is stored in one.
func TestCanonicalRule(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	r := f.addPolicy(func(r *v1.PolicyRule) {
		r.Protocol, r.LocalPorts, r.RemotePorts = "6", []string{"22", "80-80", "022", "8000-8080"}, nil
		r.RemotePrefixes = []string{"192.0.2.7/32", "2001:DB8::/32", "192.0.2.7"}
		r.Vlans = []uint32{30, 10, 30}
	})
	want := policyRule(func(r *v1.PolicyRule) {
		r.LocalPorts = []string{"22", "80", "8000-8080"}
		r.RemotePrefixes = []string{"192.0.2.7", "2001:db8::/32"}
		r.Vlans = []uint32{10, 30}
		r.Priority, r.Enabled = proto.Uint32(32768), proto.Bool(true)
		r.Section = v1.PolicySection_POLICY_SECTION_DEFAULT
		r.EstablishedSessions = v1.EstablishedSessions_ESTABLISHED_SESSIONS_CUT
	})
	want.Uuid, want.Author, want.Active = r.GetUuid(), "local root", true
	want.ObjectId, want.Etag, want.CreateTime, want.Realization = r.GetObjectId(), r.GetEtag(), r.GetCreateTime(), r.GetRealization()
	if !proto.Equal(r, want) {
		t.Errorf("stored\n%v\nwant\n%v", r, want)
	}
	for spelled, canonical := range map[string]string{"": "any", "ANY": "any", "Tcp": "tcp", "17": "udp", "1": "icmp", "58": "icmpv6", "132": "sctp", "047": "47", "arp": "arp"} {
		s := spelled
		if (&violations{}).at("").policyProtocol(&s); s != canonical {
			t.Errorf("protocol %q became %q, want %q", spelled, s, canonical)
		}
	}
	out := f.addPolicy(func(r *v1.PolicyRule) {
		r.Direction, r.RemotePrefixes, r.RemoteMac = v1.TrafficDirection_TRAFFIC_DIRECTION_OUTBOUND, nil, "FF-FF-FF-FF-FF-FF"
	})
	if out.GetRemoteMac() != "ff:ff:ff:ff:ff:ff" {
		t.Errorf("remote_mac %q", out.GetRemoteMac())
	}
}
