package northbound

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	v1 "poolwire/proto/poolwire/v1"
)

// TestCovers: which rule leaves nothing for another one. When in doubt it is no.
func TestCovers(t *testing.T) {
	t.Parallel()
	type rule = v1.PolicyRule
	number := proto.Uint32
	for _, tt := range []struct {
		a, b *rule
		want bool
	}{
		{&rule{Protocol: "any"}, &rule{Protocol: "tcp", LocalPorts: []string{"22"}}, true},
		{&rule{Protocol: "any"}, &rule{Protocol: "arp"}, false},
		{&rule{Protocol: "any"}, &rule{Protocol: "icmpv6", IcmpType: number(135)}, false},
		{&rule{Protocol: "icmpv6"}, &rule{Protocol: "icmpv6", IcmpType: number(135)}, false},
		{&rule{Protocol: "icmpv6", IcmpType: number(135)}, &rule{Protocol: "icmpv6", IcmpType: number(135), IcmpCode: number(0)}, true},
		{&rule{Protocol: "icmp", IcmpType: number(8)}, &rule{Protocol: "icmp"}, false},
		{&rule{Protocol: "icmp", IcmpType: number(8), IcmpCode: number(1)}, &rule{Protocol: "icmp", IcmpType: number(8)}, false},
		{&rule{Protocol: "tcp"}, &rule{Protocol: "udp"}, false},
		{&rule{Protocol: "tcp", LocalPorts: []string{"20-30", "80"}}, &rule{Protocol: "tcp", LocalPorts: []string{"22", "25-30", "80"}}, true},
		{&rule{Protocol: "tcp", LocalPorts: []string{"20-30"}}, &rule{Protocol: "tcp", LocalPorts: []string{"25-31"}}, false},
		{&rule{Protocol: "tcp", LocalPorts: []string{"20-30"}}, &rule{Protocol: "tcp"}, false},
		{&rule{Protocol: "tcp", RemotePorts: []string{"80"}}, &rule{Protocol: "tcp", LocalPorts: []string{"80"}}, false},
		{&rule{Protocol: "tcp", RemotePrefixes: []string{"10.0.0.0/8", "2001:db8::/32"}}, &rule{Protocol: "tcp", RemotePrefixes: []string{"10.1.0.0/16", "2001:db8::1"}}, true},
		{&rule{Protocol: "tcp", RemotePrefixes: []string{"10.1.0.0/16"}}, &rule{Protocol: "tcp", RemotePrefixes: []string{"10.0.0.0/8"}}, false},
		{&rule{Protocol: "tcp", RemotePrefixes: []string{"0.0.0.0/0"}}, &rule{Protocol: "tcp", RemotePrefixes: []string{"::/0"}}, false},
		{&rule{Protocol: "tcp", RemotePrefixes: []string{"0.0.0.0/0"}}, &rule{Protocol: "tcp"}, false},
		{&rule{Protocol: "tcp", RemoteAddressGroupUuid: "g"}, &rule{Protocol: "tcp", RemoteAddressGroupUuid: "g"}, true},
		{&rule{Protocol: "tcp", RemoteVifGroupUuid: "g"}, &rule{Protocol: "tcp"}, false},
		{&rule{Protocol: "any", RemoteMac: mac1}, &rule{Protocol: "any", RemoteMac: mac2}, false},
		{&rule{Protocol: "any", Vlans: []uint32{10, 20}}, &rule{Protocol: "any", Vlans: []uint32{20}}, true},
		{&rule{Protocol: "any", Vlans: []uint32{10}}, &rule{Protocol: "any"}, false},
		{&rule{Protocol: "any", Direction: both}, &rule{Protocol: "any", Direction: inbound}, true},
		{&rule{Protocol: "any", Direction: inbound}, &rule{Protocol: "any", Direction: both}, false},
		{&rule{Protocol: "any", Stateless: true}, &rule{Protocol: "any"}, false},
		{&rule{Protocol: "any", EstablishedSessions: v1.EstablishedSessions_ESTABLISHED_SESSIONS_KEEP}, &rule{Protocol: "any"}, false},
	} {
		if got := covers(tt.a, tt.b); got != tt.want {
			t.Errorf("%v covers %v: %v, want %v", tt.a, tt.b, got, tt.want)
		}
	}
}

// TestHiddenRule: a trial says that a rule would never be looked at.
func TestHiddenRule(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	f.addPolicy(func(r *v1.PolicyRule) { r.NameLabel, r.LocalPorts, r.Priority = "all", nil, proto.Uint32(50000) })
	try := func(spoil func(*v1.PolicyRule)) string {
		t.Helper()
		out, err := f.CreatePolicyRule(f.ctx, &v1.CreatePolicyRuleRequest{ValidateOnly: true, PolicyRule: policyRule(spoil)})
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(out.GetPreview().GetWarnings(), "; ")
	}
	if got := try(nil); got != `policy rule "ssh": policy rule "all" is looked at before and matches all that it matches` {
		t.Errorf("hidden: %q", got)
	}
	for _, spoil := range []func(*v1.PolicyRule){
		func(r *v1.PolicyRule) { r.Priority = proto.Uint32(50001) },
		func(r *v1.PolicyRule) { r.Section = v1.PolicySection_POLICY_SECTION_MANDATORY },
		func(r *v1.PolicyRule) { r.ScopeUuid = vif2 },
		func(r *v1.PolicyRule) { r.RemotePrefixes = []string{"198.51.100.0/24"} },
	} {
		if got := try(spoil); got != "" {
			t.Errorf("not hidden: %q", got)
		}
	}
}
