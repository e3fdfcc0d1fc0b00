package controller

import (
	"fmt"
	"strings"
	"testing"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// twoHosts is a world of two hosts with a VIF each on one network.
func twoHosts(t *testing.T) (w *world, hosts [2]string, vifs [2]string) {
	t.Helper()
	w = newWorld(newState(t))
	pool := w.pool(1)
	for i := range hosts {
		hosts[i], vifs[i] = w.host(pool, i+1), uuidOf("dddd", i+1)
		p := vifPort(hosts[i], "vif1.0", vifs[i], 1)
		p.AttachedMac = macOf(i + 1)
		w.do(seen(hosts[i], &storev1.Bridge{Name: "xenbr0", DatapathId: 1, XapiNetworkUuid: uuidOf("eeee", 1)}, p))
	}
	w.settle()
	return w, hosts, vifs
}

func (w *world) settle() {
	w.t.Helper()
	w.plan(w.dispatch())
	w.follow()
	w.step()
	w.compare()
}

// touched settles, and says which hosts' bridges had to look at something.
func (w *world) touched() string {
	w.t.Helper()
	w.plan(w.dispatch())
	w.follow()
	var out []string
	for _, h := range w.view().Hosts() {
		for place, b := range w.bridges {
			if place.host == h.GetUuid() && !b.marks.empty() {
				out = append(out, h.GetNameLabel())
			}
		}
	}
	w.step()
	w.compare()
	return strings.Join(out, " ")
}

// flowsWith counts the flows on a host's bridge that hold a text.
func (w *world) flowsWith(host, text string) int {
	n := 0
	for _, line := range lines(w.bridges[at{host, "xenbr0"}].program.compiler) {
		n += strings.Count(line, text)
	}
	return n
}

func inboundRule(n int, level poolwirev1.PolicyLevel, scope string) *poolwirev1.PolicyRule {
	return &poolwirev1.PolicyRule{
		Uuid: uuidOf("efef", n), NameLabel: fmt.Sprint("r", n), Level: level, ScopeUuid: scope, Action: poolwirev1.RuleAction_RULE_ACTION_DROP,
		Section:   poolwirev1.PolicySection_POLICY_SECTION_DEFAULT,
		Direction: poolwirev1.TrafficDirection_TRAFFIC_DIRECTION_INBOUND, Protocol: "tcp", LocalPorts: []string{"22"},
	}
}

func TestAnAddressGroupConcernsOnlyTheBridgesOfItsRules(t *testing.T) {
	t.Parallel()
	w, hosts, vifs := twoHosts(t)
	w.do(putRule(&poolwirev1.Rule{Uuid: uuidOf("ffff", 1), VifUuid: vifs[1], Direction: poolwirev1.Direction_DIRECTION_TO, Protocol: poolwirev1.Protocol_PROTOCOL_IP}))
	w.settle() // with the first rule, ports that nobody has classified are shut everywhere
	inner, outer := addressGroup(1), addressGroup(2)
	w.do(putAddressGroup(&poolwirev1.AddressGroup{Uuid: inner, NameLabel: "inner", Addresses: []string{"10.8.0.1"}}, true))
	w.do(putAddressGroup(&poolwirev1.AddressGroup{Uuid: outer, NameLabel: "outer", Groups: []string{inner}}, true))
	if who := w.touched(); who != "" {
		t.Errorf("a group that no rule names touches %q", who)
	}
	r := inboundRule(1, poolwirev1.PolicyLevel_POLICY_LEVEL_VIF, vifs[0])
	r.RemoteAddressGroupUuid = outer
	w.do(putPolicyRule(r, true))
	if who := w.touched(); who != "host1" {
		t.Errorf("a rule of host1's VIF touches %q", who)
	}
	before := w.flowsWith(hosts[0], "10.8.0.1")
	w.do(modifyGroup(inner, []string{"10.8.0.2"}, nil))
	if who := w.touched(); who != "host1" {
		t.Errorf("a member of its group touches %q", who)
	}
	if n := w.flowsWith(hosts[0], "10.8.0.2"); before == 0 || n != before {
		t.Errorf("%d flows have the new member, %d the old one", n, before)
	}
	if n := w.flowsWith(hosts[1], "10.8.0"); n != 0 {
		t.Errorf("%d flows on a host that has nothing to do with it", n)
	}
}

func TestAVIFGroupIsFollowed(t *testing.T) {
	t.Parallel()
	w, hosts, vifs := twoHosts(t)
	web, all := vifGroup(1), vifGroup(2)
	w.do(putVifGroup(&poolwirev1.VifGroup{Uuid: web, NameLabel: "web", Selector: "app=web"}, true))
	w.do(putVifGroup(&poolwirev1.VifGroup{Uuid: all, NameLabel: "all", Groups: []string{web}}, true))
	scope := inboundRule(1, poolwirev1.PolicyLevel_POLICY_LEVEL_VIF_GROUP, all)
	w.do(putPolicyRule(scope, true))
	remote := inboundRule(2, poolwirev1.PolicyLevel_POLICY_LEVEL_VIF, vifs[1])
	remote.RemoteVifGroupUuid = all
	w.do(putPolicyRule(remote, true))
	w.settle()
	scoped := fmt.Sprintf("cookie=%#x", uint64(0x500b)<<48|uint64(w.view().PolicyRule(scope.GetUuid()).GetObjectId()))
	if n := w.flowsWith(hosts[0], scoped); n != 0 {
		t.Errorf("%d flows of a group without members", n)
	}

	w.do(putVif(&poolwirev1.Vif{Uuid: vifs[0], Labels: map[string]string{"app": "web"}}, false))
	if who := w.touched(); who != "host1 host2" {
		t.Errorf("a label touches %q: the VIF's own host and that of the rule are meant", who)
	}
	if n := w.flowsWith(hosts[0], scoped); n == 0 {
		t.Error("the rule of the group does not reach its new member")
	}
	if n := w.flowsWith(hosts[1], macOf(1)); n == 0 {
		t.Error("the other end is not known by its MAC address")
	}

	w.do(putVif(&poolwirev1.Vif{Uuid: vifs[0], Labels: map[string]string{"app": "web"}, Ipv4Allowed: []string{"10.9.0.1"}}, false))
	w.settle()
	if n := w.flowsWith(hosts[1], "10.9.0.1"); n == 0 {
		t.Error("the other end is not known by its address")
	}
	w.do(modifyGroup(all, []string{vifs[1]}, nil))
	w.settle()
	if n := w.flowsWith(hosts[1], scoped); n == 0 {
		t.Error("the rule of the group does not reach the member that was added")
	}
	w.do(putVif(&poolwirev1.Vif{Uuid: vifs[0]}, false))
	w.settle()
	if n := w.flowsWith(hosts[0], scoped) + w.flowsWith(hosts[1], "10.9.0.1"); n != 0 {
		t.Errorf("%d flows of what has left the group", n)
	}
}

func TestRestrictedVIFsAreKnownOnTheOtherHosts(t *testing.T) {
	t.Parallel()
	w, hosts, vifs := twoHosts(t)
	w.do(putVif(&poolwirev1.Vif{Uuid: vifs[0], Isolation: poolwirev1.Isolation_ISOLATION_ISOLATED}, false))
	if who := w.touched(); who != "host1 host2" {
		t.Errorf("isolation touches %q", who)
	}
	if n := w.flowsWith(hosts[1], macOf(1)); n == 0 {
		t.Error("the other host does not know whom to keep apart")
	}
	w.do(&storev1.Command{Body: &storev1.Command_ObserveHost{ObserveHost: &storev1.ObserveHost{HostUuid: hosts[0], PortsGone: []string{"vif1.0"}}}})
	w.settle()
	if n := w.flowsWith(hosts[1], macOf(1)); n != 0 {
		t.Errorf("%d flows know a VIF that is unplugged", n)
	}
}

// What a thousand hosts have in common, a network above all, must not make each of them a
// matter of all others.
func TestAHostThatGetsANetworkConcernsTheOthersOnlyForRestrictedVIFs(t *testing.T) {
	t.Parallel()
	w, _, vifs := twoHosts(t)
	pool := w.view().Pools()[0].GetUuid()
	join := func(n int) string {
		host := w.host(pool, n)
		w.touched()
		p := vifPort(host, "vif1.0", uuidOf("dddd", n), 1)
		p.AttachedMac = macOf(n)
		w.do(seen(host, &storev1.Bridge{Name: "xenbr0", DatapathId: 1, XapiNetworkUuid: uuidOf("eeee", 1)}, p))
		return w.touched()
	}
	if who := join(3); who != "host3" {
		t.Errorf("a third host touches %q", who)
	}
	w.do(putVif(&poolwirev1.Vif{Uuid: vifs[0], Isolation: poolwirev1.Isolation_ISOLATION_ISOLATED}, false))
	w.settle()
	if who := join(4); who != "host1 host2 host3 host4" {
		t.Errorf("a fourth host, where a VIF is isolated, touches %q", who)
	}
}

func TestANameIsNothingToASwitch(t *testing.T) {
	t.Parallel()
	w, _, vifs := twoHosts(t)
	g := &poolwirev1.VifGroup{Uuid: vifGroup(1), NameLabel: "a", VifUuids: []string{vifs[0]}}
	w.do(putVifGroup(g, true))
	w.do(putPolicyRule(inboundRule(1, poolwirev1.PolicyLevel_POLICY_LEVEL_VIF_GROUP, g.Uuid), true))
	remote := inboundRule(2, poolwirev1.PolicyLevel_POLICY_LEVEL_VIF, vifs[1])
	remote.RemoteVifGroupUuid = g.Uuid
	w.do(putPolicyRule(remote, true))
	w.settle()
	g.NameLabel, g.Description = "b", "c"
	w.do(putVifGroup(g, false))
	if who := w.touched(); who != "" {
		t.Errorf("a group's name touches %q", who)
	}
}
