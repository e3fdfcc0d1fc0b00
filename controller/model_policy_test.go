package controller

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"poolwire/flowcompiler"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/southbound/openflow/flow"
)

func TestPortsAreSortedAndJoined(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in   []string
		want []flowcompiler.PortRange
	}{
		{nil, nil},
		{[]string{"22"}, []flowcompiler.PortRange{{First: 22, Last: 22}}},
		{[]string{"8000-8080", "22", "8081", "8070-9000"}, []flowcompiler.PortRange{{First: 22, Last: 22}, {First: 8000, Last: 9000}}},
		{[]string{"65535", "0-65534"}, []flowcompiler.PortRange{{First: 0, Last: 65535}}},
		{[]string{"9-8", "x", "70000", ""}, nil},
	} {
		if got := portRanges(c.in); !slices.Equal(got, c.want) {
			t.Errorf("%v: %v, want %v", c.in, got, c.want)
		}
	}
}

func TestPolicyRulesAreTranslated(t *testing.T) {
	t.Parallel()
	s := newState(t)
	m := newModel(s.view(), &poolwirev1.Host{}, "xenbr0", portNumbers{}, false)
	rule := &poolwirev1.PolicyRule{
		ObjectId: 7, Section: poolwirev1.PolicySection_POLICY_SECTION_MANDATORY, Priority: proto.Uint32(9), Action: poolwirev1.RuleAction_RULE_ACTION_REJECT,
		Direction: poolwirev1.TrafficDirection_TRAFFIC_DIRECTION_BOTH, Protocol: "icmpv6", IcmpType: proto.Uint32(128), IcmpCode: proto.Uint32(0),
		RemotePrefixes: []string{"2001:db8::/32", "2001:db8::1", "2001:db8::1/128"}, Vlans: []uint32{20, 10, 10, 5000}, Stateless: true,
		EstablishedSessions: poolwirev1.EstablishedSessions_ESTABLISHED_SESSIONS_KEEP,
	}
	want := flowcompiler.PolicyRule{
		ID: 7, Section: flowcompiler.Mandatory, Priority: 9, Action: flowcompiler.Reject, Inbound: true, Outbound: true, Protocol: 58,
		ICMPType: 128, ICMPCode: 0, VLANs: []uint16{10, 20}, Stateless: true, KeepEstablished: true,
		Remote: flowcompiler.PolicyRemote{Prefixes: []netip.Prefix{netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("2001:db8::1/128")}},
	}
	compare := cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })
	if diff := cmp.Diff(want, m.policyRule(rule), compare); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	plain := flowcompiler.PolicyRule{
		Section: flowcompiler.Default, Priority: defaultPriority, Action: flowcompiler.Allow, Inbound: true, Protocol: flowcompiler.AnyProtocol,
		ICMPType: -1, ICMPCode: -1, Remote: flowcompiler.PolicyRemote{Any: true},
	}
	in := &poolwirev1.PolicyRule{Action: poolwirev1.RuleAction_RULE_ACTION_ALLOW, Direction: poolwirev1.TrafficDirection_TRAFFIC_DIRECTION_INBOUND}
	if diff := cmp.Diff(plain, m.policyRule(in), compare); diff != "" {
		t.Errorf("a rule that says little (-want +got):\n%s", diff)
	}
	for name, want := range map[string]flowcompiler.PolicyProtocol{"tcp": 6, "UDP": 17, "sctp": 132, "icmp": 1, "arp": flowcompiler.ARPProtocol, "47": 47, "any": flowcompiler.AnyProtocol} {
		if got := policyProtocol(name); got != want {
			t.Errorf("protocol %s is %v, want %v", name, got, want)
		}
	}
}

func TestVirtualRoutersHaveTheirAddresses(t *testing.T) {
	t.Parallel()
	own := flow.MAC{2, 0, 0, 0, 0, 1}
	v := &poolwirev1.Vif{
		AllowedAddressPairs: []*poolwirev1.AddressPair{{Address: "10.0.0.9"}, {Mac: "02:00:00:00:00:09", Address: "10.0.1.0/24"}, {Mac: "x", Address: "10.0.0.1"}},
		VirtualRouters:      []*poolwirev1.VirtualRouter{{Vrid: 7, Addresses: []string{"10.0.0.254", "2001:db8::fe"}}, {Vrid: 256, Addresses: []string{"10.0.0.1"}}},
	}
	var got []string
	for _, p := range addressPairs(v, own) {
		got = append(got, fmt.Sprint(p.MAC, " ", p.Prefix))
	}
	want := []string{"00:00:5e:00:01:07 10.0.0.254/32", "00:00:5e:00:02:07 2001:db8::fe/128", "02:00:00:00:00:01 10.0.0.9/32", "02:00:00:00:00:09 10.0.1.0/24"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if n := len(senders(v, own)); n < 5 {
		t.Errorf("%d addresses to send from: its own, those of pairs and both of each router are meant", n)
	}
}

func TestLimitsHaveABurst(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ bps, burst, want uint64 }{{0, 5, 0}, {1_000_000_000, 0, 200_000_000}, {1000, 0, leastBurst}, {1000, 7, 7}} {
		if got := limit(c.bps, c.burst); got.BitsPerSecond != c.bps || got.Burst != c.want {
			t.Errorf("%v: %+v", c, got)
		}
	}
}

func TestCommunityNumbersDependOnTheNamesAlone(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfN(rapid.StringMatching("[a-z]{1,3}"), 0, 200).Draw(t, "names")
		numbers := communityNumbers(names)
		if diff := cmp.Diff(numbers, communityNumbers(rapid.Permutation(append(names, names...)).Draw(t, "shuffled"))); diff != "" {
			t.Fatalf("order and repeats matter:\n%s", diff)
		}
		taken := map[uint16]string{}
		for name, n := range numbers {
			if n < 1 || n > flowcompiler.MaxCommunity {
				t.Fatalf("%s has number %d", name, n)
			}
			if other, twice := taken[n]; twice {
				t.Fatalf("%s and %s are one community", name, other)
			}
			taken[n] = name
		}
	})
	many := make([]string, flowcompiler.MaxCommunity+10)
	for i := range many {
		many[i] = fmt.Sprint(i)
	}
	if n := len(communityNumbers(many)); n != flowcompiler.MaxCommunity {
		t.Errorf("%d names have a number", n)
	}
}
