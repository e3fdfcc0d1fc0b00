package raftstore

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

func subscription(vif, network, group string) *storev1.Subscription {
	return &storev1.Subscription{VifUuid: vif, PrivateNetworkUuid: network, Group: group}
}

func multicast(joined, left []*storev1.Subscription) *storev1.Command {
	return &storev1.Command{Body: &storev1.Command_ObserveMulticast{ObserveMulticast: &storev1.ObserveMulticast{Joined: joined, Left: left}}}
}

func joined(s ...*storev1.Subscription) *storev1.Command { return multicast(s, nil) }

// listening is two private networks, with a VIF on either host of the first and one on the second.
func listening(t tester) *machine {
	m := plugged(t)
	m.must(putPrivate(private("pn1", onBridge(poolMember("p1"), "xenbr0")), true))
	m.must(putPrivate(private("pn2", onBridge(poolMember("p1"), "xenbr1")), true))
	m.plug("h1", vifPort("vif1.0", "xenbr0", "v1", macA), vifPort("tap1.0", "xenbr0", "v1", macA), vifPort("vif3.0", "xenbr1", "v3", ""))
	m.plug("h2", vifPort("vif2.0", "xenbr0", "v/2", macB))
	return m
}

func (m *machine) listeners(network string) string {
	var out []string
	for _, s := range m.view().Subscriptions(network) {
		out = append(out, s.GetGroup()+"="+s.GetVifUuid())
	}
	return strings.Join(out, " ")
}

func TestSubscriptions(t *testing.T) {
	t.Parallel()
	m := listening(t)
	m.must(joined(subscription("v1", "pn1", "239.1.2.3"), subscription("v/2", "pn1", "239.1.2.3"), subscription("v/2", "pn1", "::"), subscription("v1", "pn1", "FF05:0::FB"),
		subscription("v3", "pn2", "0.0.0.0"), subscription("v3", "pn1", "239.1.2.3"), subscription("v9", "pn1", "239.1.2.3"), subscription("v1", "pn9", "239.1.2.3")))
	if diff := cmp.Diff([]string{"subscriptions pn1/239.1.2.3/v/2 +", "subscriptions pn1/239.1.2.3/v1 +", "subscriptions pn1/::/v/2 +",
		"subscriptions pn1/ff05::fb/v1 +", "subscriptions pn2/0.0.0.0/v3 +"}, kinds(m.last())); diff != "" {
		t.Error(diff)
	}
	if got := m.listeners("pn1"); got != "239.1.2.3=v/2 239.1.2.3=v1 ::=v/2 ff05::fb=v1" {
		t.Errorf("pn1: %s", got)
	}
	if got := m.view().SubscriptionsOfVif("v1"); len(got) != 2 || len(m.view().SubscriptionsOfVif("v9")) != 0 {
		t.Errorf("v1: %v", got)
	}
	// Who is in both lists has joined.
	m.must(multicast([]*storev1.Subscription{subscription("v1", "pn1", "ff05::fb")},
		[]*storev1.Subscription{subscription("v1", "pn1", "ff05:0:0::fb"), subscription("v/2", "pn1", "::"), subscription("v9", "pn9", "::")}))
	if diff := cmp.Diff([]string{"subscriptions pn1/::/v/2 -", "subscriptions pn1/ff05::fb/v1 ~"}, kinds(m.last())); diff != "" {
		t.Error(diff)
	}
	invalid := func(field, value, reason string) error {
		return &InvalidError{Field: field, Value: value, Reason: reason}
	}
	group := `must be a multicast address, or "0.0.0.0" or "::" for a router`
	bad := func(group string) *storev1.Command {
		return joined(subscription("v1", "pn1", "239.1.1.1"), subscription("v1", "pn1", group))
	}
	long := strings.Repeat("x", 129)
	checkRefusals(t, m, []refusal{
		{"unicast", bad("192.0.2.1"), invalid("joined[1].group", "192.0.2.1", group)},
		{"broadcast", bad("255.255.255.255"), invalid("joined[1].group", "255.255.255.255", group)},
		{"unicast, IPv6", bad("2001:db8::1"), invalid("joined[1].group", "2001:db8::1", group)},
		{"mapped", bad("::ffff:239.1.1.1"), invalid("joined[1].group", "::ffff:239.1.1.1", group)},
		{"zone", bad("ff02::1%eth0"), invalid("joined[1].group", "ff02::1%eth0", group)},
		{"prefix", bad("239.0.0.0/8"), invalid("joined[1].group", "239.0.0.0/8", group)},
		{"nothing", bad(""), invalid("joined[1].group", "", group)},
		{"MAC", bad("01:00:5e:01:01:01"), invalid("joined[1].group", "01:00:5e:01:01:01", group)},
		{"no VIF", joined(subscription("", "pn1", "::")), invalid("joined[0].vif_uuid", "", "must have 1 to 128 bytes")},
		{"long VIF", joined(subscription(long, "pn1", "::")), invalid("joined[0].vif_uuid", long[:128], "must have 1 to 128 bytes")},
		{"no network", joined(subscription("v1", "", "::")), invalid("joined[0].private_network_uuid", "", "is required")},
		{"left", multicast(nil, []*storev1.Subscription{subscription("v1", "a/b", "::")}), invalid("left[0].private_network_uuid", "a/b", `holds a "/"`)},
	})
}

func TestSubscriptionBounds(t *testing.T) {
	t.Parallel()
	m := listening(t)
	group := func(i int) string { return fmt.Sprintf("239.1.%d.%d", i/256, i%256) }
	var many []*storev1.Subscription
	for i := range 70 {
		many = append(many, subscription("v1", "pn1", group(i)))
	}
	m.must(joined(many...))
	if n := len(m.view().SubscriptionsOfVif("v1")); n != MaxVifGroups {
		t.Errorf("v1 is in %d groups", n)
	}
	m.must(multicast([]*storev1.Subscription{many[69]}, many[:1])) // makes room first
	if n := len(m.view().SubscriptionsOfVif("v1")); n != MaxVifGroups || m.view().message(TableSubscriptions, subscriptionKey(many[69])) == nil {
		t.Errorf("v1 is in %d groups", n)
	}
	many = nil
	ports := &storev1.ObserveHost{HostUuid: "h1"}
	for i := range 65 {
		vif := fmt.Sprintf("w%02d", i)
		ports.Ports = append(ports.Ports, vifPort("vif-"+vif, "xenbr0", vif, ""))
		for j := range MaxVifGroups {
			many = append(many, subscription(vif, "pn1", group(j)))
		}
	}
	m.must(observe(ports))
	m.must(joined(append(many, subscription("v3", "pn2", "::"))...))
	if n := len(m.view().Subscriptions("pn1")); n != MaxSubscriptions || len(m.view().Subscriptions("pn2")) != 1 {
		t.Errorf("%d memberships in pn1", n)
	}
	m.must(joined(many[len(many)-1]))
	if len(m.last().Changes) != 0 {
		t.Errorf("one more: %v", kinds(m.last()))
	}
}

func TestSubscriptionsFollow(t *testing.T) {
	t.Parallel()
	gone := func(host string, ports ...string) *storev1.Command {
		return observe(&storev1.ObserveHost{HostUuid: host, PortsGone: ports})
	}
	here := func(host string, ports ...*storev1.Port) *storev1.Command {
		return observe(&storev1.ObserveHost{HostUuid: host, Ports: ports})
	}
	all := "239.1.2.3=v/2 239.1.2.3=v1"
	for _, tt := range []struct {
		name string
		cmds []*storev1.Command
		want string
	}{
		{"one of two ports gone", []*storev1.Command{gone("h1", "vif1.0")}, all},
		{"VIF forgotten", []*storev1.Command{gone("h1", "vif1.0", "tap1.0")}, "239.1.2.3=v/2"},
		{"VIF unplugged, but wanted", []*storev1.Command{putVif(&poolwirev1.Vif{Uuid: "v1", NameLabel: "web"}, false), gone("h1", "vif1.0", "tap1.0")}, all},
		{"and deleted", []*storev1.Command{putVif(&poolwirev1.Vif{Uuid: "v1", NameLabel: "web"}, false), gone("h1", "vif1.0", "tap1.0"), deleteVif("v1", "")}, "239.1.2.3=v/2"},
		{"VIF plugged in elsewhere", []*storev1.Command{here("h1", vifPort("vif1.0", "xenbr1", "v1", macA), vifPort("tap1.0", "xenbr1", "v1", macA))}, "239.1.2.3=v/2"},
		{"lock lifted from a VIF that has come elsewhere", []*storev1.Command{putVif(&poolwirev1.Vif{Uuid: "v1", NameLabel: "web", AllowedHosts: []string{"h1"}}, false),
			gone("h1", "vif1.0", "tap1.0"), here("h2", vifPort("vif9.0", "xenbr1", "v1", macA)), putVif(&poolwirev1.Vif{Uuid: "v1", NameLabel: "web"}, false)}, "239.1.2.3=v/2"},
		{"port is another VIF's", []*storev1.Command{here("h2", vifPort("vif2.0", "xenbr0", "v5", macA))}, "239.1.2.3=v1"},
		{"migration", []*storev1.Command{here("h2", vifPort("vif9.0", "xenbr0", "v1", macA)), gone("h1", "vif1.0", "tap1.0")}, all},
		{"host gone", []*storev1.Command{deleteHost("h2", "")}, "239.1.2.3=v1"},
		{"host no member", []*storev1.Command{putPrivate(private("pn1", onBridge(hostMember("h2"), "xenbr0")), false)}, "239.1.2.3=v/2"},
		{"member on another bridge", []*storev1.Command{putPrivate(private("pn1", onBridge(poolMember("p1"), "xapi9")), false)}, ""},
		{"network gone", []*storev1.Command{deletePrivate("pn1", "")}, ""},
		{"nothing to do with it", []*storev1.Command{deletePrivate("pn2", ""), gone("h1", "vif3.0"), putPrivate(private("pn1", onBridge(hostMember("h1"), "xenbr0"), onBridge(hostMember("h2"), "xenbr0")), false)}, all},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := listening(t)
			m.must(joined(subscription("v1", "pn1", "239.1.2.3"), subscription("v/2", "pn1", "239.1.2.3")))
			for _, c := range tt.cmds {
				m.must(c)
			}
			if got := m.listeners("pn1"); got != tt.want {
				t.Errorf("memberships %q, want %q", got, tt.want)
			}
		})
	}
}
