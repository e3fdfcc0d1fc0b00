package controller

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// site is two hosts with a NIC each: w1 and w3 on host1, w2 on host2, all on one network,
// and far on another network of host1.
type site struct {
	*world
	t                *testing.T
	hosts            [2]string
	w1, w2, w3, far  string
	network, distant string
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{world: newWorld(newState(t)), t: t, w1: uuidOf("dddd", 1), w2: uuidOf("dddd", 2), w3: uuidOf("dddd", 3), far: uuidOf("dddd", 4),
		network: uuidOf("eeee", 1), distant: uuidOf("eeee", 2)}
	pool := s.pool(1)
	port := func(host, name, vif string, n uint32) *storev1.Port {
		p := vifPort(host, name, vif, n)
		p.Ofport, p.AttachedMac = 10+n, macOf(int(n))
		return p
	}
	nic := func(name, bridge string, n uint32) *storev1.Port {
		return &storev1.Port{Name: name, Bridge: bridge, NetworkBridge: bridge, Kind: storev1.PortKind_PORT_KIND_PHYSICAL, Ofport: n}
	}
	for i := range s.hosts {
		s.hosts[i] = s.host(pool, i+1)
	}
	s.do(seen(s.hosts[0], &storev1.Bridge{Name: "xenbr0", DatapathId: 1, XapiNetworkUuid: s.network}, nic("eth0", "xenbr0", 1),
		port(s.hosts[0], "vif1.0", s.w1, 1), port(s.hosts[0], "vif3.0", s.w3, 3)))
	elsewhere := port(s.hosts[0], "vif4.0", s.far, 4)
	elsewhere.Bridge, elsewhere.NetworkBridge = "xenbr1", "xenbr1"
	s.do(seen(s.hosts[0], &storev1.Bridge{Name: "xenbr1", DatapathId: 2, XapiNetworkUuid: s.distant}, nic("eth1", "xenbr1", 2), elsewhere))
	s.do(seen(s.hosts[1], &storev1.Bridge{Name: "xenbr0", DatapathId: 1, XapiNetworkUuid: s.network}, nic("eth0", "xenbr0", 1), port(s.hosts[1], "vif1.0", s.w2, 2)))
	for name, uuid := range map[string]string{"w1": s.w1, "w2": s.w2, "w3": s.w3, "far": s.far} {
		s.vif(uuid, func(v *poolwirev1.Vif) { v.NameLabel = name })
	}
	return s
}

// vif changes what is wanted of a VIF.
func (s *site) vif(uuid string, change func(*poolwirev1.Vif)) {
	s.t.Helper()
	v := proto.CloneOf(s.view().Vif(uuid))
	change(v)
	s.do(putVif(v, false))
}

// own gives a VIF an address, without locking it.
func (s *site) own(uuid string, addresses ...string) {
	s.t.Helper()
	s.vif(uuid, func(v *poolwirev1.Vif) { v.Ipv4Allowed = addresses })
}

// deny makes a rule that drops; change makes it another one.
func (s *site) deny(n int, vif string, direction poolwirev1.TrafficDirection, change func(*poolwirev1.PolicyRule)) *poolwirev1.PolicyRule {
	s.t.Helper()
	r := inboundRule(n, poolwirev1.PolicyLevel_POLICY_LEVEL_VIF, vif)
	r.Direction, r.Protocol, r.LocalPorts = direction, "", nil
	if change != nil {
		change(r)
	}
	s.do(putPolicyRule(r, true))
	return s.view().PolicyRule(r.Uuid)
}

// ask explains a packet.
func (s *site) ask(q *poolwirev1.ExplainRequest) *poolwirev1.ExplainResponse {
	s.t.Helper()
	if q.Protocol == "" {
		q.Protocol, q.Port, q.SourcePort = "tcp", proto.Uint32(80), proto.Uint32(40000)
	}
	question, err := questionOf(s.view(), q)
	if err != nil {
		s.t.Fatal(err)
	}
	x, err := explain(s.t.Context(), s.view(), question)
	if err != nil {
		s.t.Fatalf("%v: %v", q, err)
	}
	return x.out
}

const (
	in  = poolwirev1.TrafficDirection_TRAFFIC_DIRECTION_INBOUND
	out = poolwirev1.TrafficDirection_TRAFFIC_DIRECTION_OUTBOUND

	passes  = poolwirev1.Verdict_VERDICT_PASSES
	dropped = poolwirev1.Verdict_VERDICT_DROPPED
)

// says checks the verdict, and that the answer holds some words, a word that begins with
// "!" not.
func (s *site) says(q *poolwirev1.ExplainRequest, verdict poolwirev1.Verdict, words ...string) *poolwirev1.ExplainResponse {
	s.t.Helper()
	r := s.ask(q)
	if r.GetVerdict() != verdict {
		s.t.Errorf("%v: %s, want %s:\n%s\n%s", q, r.GetVerdict(), verdict, r.GetSummary(), walked(r))
	}
	text := strings.Join(append(append(append([]string{r.GetSummary()}, r.GetDependsOn()...), r.GetRemedies()...), r.GetAssumptions()...), "\n")
	for _, w := range words {
		word, not := strings.CutPrefix(w, "!")
		if strings.Contains(text, word) == not {
			s.t.Errorf("%v: %q in\n%s", q, w, text)
		}
	}
	return r
}

// walked lists the tables of an answer.
func walked(r *poolwirev1.ExplainResponse) string {
	var b strings.Builder
	for _, s := range r.GetSteps() {
		b.WriteString(s.GetHost() + " " + s.GetTableName() + " " + s.GetFlow() + "\n")
	}
	return b.String()
}

func TestADisabledVIFGetsNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, sender := range []string{s.w2, s.w3} {
		s.says(&poolwirev1.ExplainRequest{Vif: s.w1, Direction: in, Remote: sender}, passes)
	}
	s.vif(s.w1, func(v *poolwirev1.Vif) { v.LockingMode = poolwirev1.LockingMode_LOCKING_MODE_DISABLED })
	for _, sender := range []string{s.w2, s.w3, "192.0.2.77"} {
		s.says(&poolwirev1.ExplainRequest{Vif: s.w1, Direction: in, Remote: sender}, dropped, "w1", "is disabled", "poolwire vif unlock "+s.w1)
	}
	s.says(&poolwirev1.ExplainRequest{Vif: s.w3, Remote: s.w1, Protocol: "arp"}, dropped, "is disabled")
	s.says(&poolwirev1.ExplainRequest{Vif: s.w1, Remote: s.w2}, dropped, "VIF w1 is disabled", "poolwire vif unlock "+s.w1)
	s.says(&poolwirev1.ExplainRequest{Vif: s.w2, Remote: s.w3}, passes)
}

func TestABroadcastReachesEverybody(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	arp := func(sender string) *poolwirev1.ExplainRequest {
		return &poolwirev1.ExplainRequest{Vif: s.w1, Direction: in, Remote: sender, Protocol: "arp"}
	}
	for _, sender := range []string{s.w2, s.w3, "192.0.2.77"} {
		s.says(arp(sender), passes, "!no VIF of the network is known to be the receiver")
	}
	// A VIF with rules gets a copy of its own, by these.
	s.deny(1, s.w1, in, func(r *poolwirev1.PolicyRule) { r.Protocol = "udp" })
	for _, sender := range []string{s.w2, s.w3} {
		s.says(arp(sender), passes)
	}
	r := s.deny(2, s.w1, in, func(r *poolwirev1.PolicyRule) { r.Protocol, r.NameLabel = "arp", "no-arp" })
	for _, sender := range []string{s.w2, s.w3} {
		a := s.says(arp(sender), dropped, "no-arp", "poolwire rule update no-arp --disabled", "--protocol arp")
		if a.GetDecidedBy().GetRuleUuid() != r.GetUuid() {
			t.Errorf("decided by %v", a.GetDecidedBy())
		}
	}
	// What another one's copy meets is nothing to the receiver.
	s.says(&poolwirev1.ExplainRequest{Vif: s.w2, Direction: in, Remote: s.w3, Protocol: "arp"}, passes, "!no-arp")
	s.says(&poolwirev1.ExplainRequest{Vif: s.w3, Remote: s.w2, Protocol: "arp"}, passes, "!no-arp")
}

func TestWhatIsForAGroupHasTheGroupsAddress(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	echo := func(to string) *poolwirev1.ExplainRequest {
		return &poolwirev1.ExplainRequest{Vif: s.w1, Remote: to, Protocol: "icmpv6", IcmpType: proto.Uint32(128), IcmpCode: proto.Uint32(0)}
	}
	a := s.says(echo("ff02::1"), passes)
	if !strings.Contains(a.GetPacket(), "dl_dst=33:33:00:00:00:01") {
		t.Errorf("packet %s", a.GetPacket())
	}
	s.deny(1, s.w1, out, func(r *poolwirev1.PolicyRule) { r.NameLabel, r.RemoteMac = "no-all-nodes", "33:33:00:00:00:01" })
	s.says(echo("ff02::1"), dropped, "no-all-nodes")
	s.says(echo("ff02::2"), passes)
	s.deny(2, s.w1, out, func(r *poolwirev1.PolicyRule) { r.NameLabel, r.RemoteMac = "no-mdns", "01:00:5e:00:00:fb" })
	s.says(&poolwirev1.ExplainRequest{Vif: s.w1, Remote: "224.0.0.251"}, dropped, "no-mdns")
	s.says(&poolwirev1.ExplainRequest{Vif: s.w1, Remote: "255.255.255.255"}, passes)
	s.deny(3, s.w1, out, func(r *poolwirev1.PolicyRule) { r.NameLabel, r.RemoteMac = "no-broadcast", "ff:ff:ff:ff:ff:ff" })
	s.says(&poolwirev1.ExplainRequest{Vif: s.w1, Remote: "255.255.255.255"}, dropped, "no-broadcast")

	// Whether one VIF gets it is for that VIF's rules.
	s.deny(4, s.w2, in, func(r *poolwirev1.PolicyRule) { r.NameLabel, r.RemotePrefixes = "not-from-9", []string{"10.0.0.9"} })
	heard := &poolwirev1.ExplainRequest{Vif: s.w2, Direction: in, Remote: s.w3, RemoteAddress: "10.0.0.9", LocalAddress: "224.0.0.251"}
	s.says(heard, dropped, "not-from-9")
	heard.RemoteAddress = "10.0.0.8"
	s.says(heard, passes)
}

func TestTheReceiversRulesAreAskedOnAnotherNetworkToo(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.own(s.w1, "10.0.0.1")
	s.own(s.far, "10.1.0.4")
	q := &poolwirev1.ExplainRequest{Vif: s.w1, Direction: in, Remote: s.far}
	s.says(q, passes, "as far as is known, no rule is about it", "what the router between the two networks does")
	r := s.deny(1, s.w1, in, func(r *poolwirev1.PolicyRule) { r.NameLabel = "closed" })
	for _, q := range []*poolwirev1.ExplainRequest{q, {Vif: s.far, Remote: s.w1}} {
		a := s.says(q, dropped, "by closed", "!as far as is known")
		if a.GetDecidedBy().GetRuleUuid() != r.GetUuid() {
			t.Errorf("decided by %v", a.GetDecidedBy())
		}
	}
	s.do(deletePolicyRule(r.GetUuid()))
	s.deny(2, s.far, out, func(r *poolwirev1.PolicyRule) { r.NameLabel, r.RemotePrefixes = "not-there", []string{"10.0.0.0/24"} })
	s.says(q, dropped, "by not-there")
	s.says(&poolwirev1.ExplainRequest{Vif: s.far, Remote: s.w1, RemoteAddress: "10.9.0.1"}, passes, "as far as is known")
	s.says(&poolwirev1.ExplainRequest{Vif: s.w1, Remote: s.far, Protocol: "arp"}, dropped, "different networks")
}

func TestAddressesThatAreMadeUp(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	q := func() *poolwirev1.ExplainRequest {
		return &poolwirev1.ExplainRequest{Vif: s.w1, Direction: in, Remote: s.w2}
	}
	a := s.says(q(), passes, "192.0.2.1 is made up", "192.0.2.2 is made up", "!as far as is known")
	if !strings.Contains(a.GetPacket(), "nw_src=192.0.2.1,nw_dst=192.0.2.2") {
		t.Errorf("packet %s", a.GetPacket())
	}
	// A rule that tells addresses apart makes the answer depend on one.
	s.deny(1, s.w1, in, func(r *poolwirev1.PolicyRule) { r.NameLabel, r.RemotePrefixes = "not-from-10", []string{"10.0.0.0/8"} })
	s.says(q(), passes, "as far as is known", "the address 192.0.2.1, which is made up: with 10.0.0.0 in its place it is dropped by not-from-10", "--remote-address")
	known := q()
	known.RemoteAddress = "10.2.3.4"
	s.says(known, dropped, "by not-from-10", "!as far as is known", "!192.0.2.1")
	known.RemoteAddress = "11.2.3.4"
	s.says(known, passes, "!as far as is known")
	// Within a prefix that is allowed another is told apart.
	s.deny(2, s.w1, in, func(r *poolwirev1.PolicyRule) {
		p := uint32(40000)
		r.NameLabel, r.RemotePrefixes, r.Action, r.Priority = "but-from-this", []string{"10.0.0.128/25"}, poolwirev1.RuleAction_RULE_ACTION_ALLOW, &p
	})
	s.own(s.w2, "10.0.0.0/24")
	s.says(q(), dropped, "as far as is known", "with 10.0.0.128 in its place it passes by but-from-this")
	// The VIF's own address matters to nobody.
	s.says(&poolwirev1.ExplainRequest{Vif: s.w3, Remote: "10.9.9.9"}, passes, "!as far as is known")
}

func TestAddressesUnderAnotherMACAddress(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	const virtual = "00:00:5e:00:01:33"
	s.vif(s.w1, func(v *poolwirev1.Vif) {
		v.LockingMode, v.Ipv4Allowed = poolwirev1.LockingMode_LOCKING_MODE_LOCKED, []string{"10.0.0.1"}
		v.VirtualRouters = []*poolwirev1.VirtualRouter{{Vrid: 51, Addresses: []string{"10.0.0.100"}}}
		v.AllowedAddressPairs = []*poolwirev1.AddressPair{{Mac: "02:00:5e:00:00:09", Address: "10.0.0.102"}}
	})
	from := func(address, mac string) *poolwirev1.ExplainRequest {
		return &poolwirev1.ExplainRequest{Vif: s.w1, Remote: s.w2, LocalAddress: address, SourceMac: mac}
	}
	s.says(from("10.0.0.1", ""), passes)
	s.says(from("10.0.0.100", ""), dropped, "only under the MAC address "+virtual, "--source-mac", "!--ipv4")
	s.says(from("10.0.0.102", ""), dropped, "only under the MAC address 02:00:5e:00:00:09")
	s.says(from("10.0.0.100", virtual), passes)
	if a := s.says(from("", virtual), passes); !strings.Contains(a.GetPacket(), "nw_src=10.0.0.100") {
		t.Errorf("packet %s", a.GetPacket())
	}
	s.says(from("10.0.0.7", ""), dropped, "poolwire vif update "+s.w1+" --ipv4 10.0.0.1,10.0.0.7", "poolwire vif unlock "+s.w1)
	s.says(from("10.0.0.7", "02:00:5e:00:00:0a"), dropped, "--pair 02:00:5e:00:00:09=10.0.0.102,02:00:5e:00:00:0a=10.0.0.7")
	s.says(from("2001:db8::7", ""), dropped, "--ipv6 2001:db8::7")
	// With rules of its own, the switch must know the address: it does.
	s.deny(1, s.w1, out, func(r *poolwirev1.PolicyRule) { r.Protocol = "udp" })
	s.says(from("10.0.0.100", virtual), passes, "the switch knows "+virtual)
}

func TestSuggestedCommandsFindTheRule(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	dup := func(r *poolwirev1.PolicyRule) { r.NameLabel, r.Protocol, r.LocalPorts = "dup", "tcp", []string{"80"} }
	first := s.deny(1, s.w1, in, dup)
	q := &poolwirev1.ExplainRequest{Vif: s.w1, Direction: in, Remote: "10.0.0.9"}
	s.says(q, dropped, "poolwire rule update dup --disabled")
	second := s.deny(2, s.w1, in, dup)
	decided := s.says(q, dropped, "!update dup", "--disabled").GetDecidedBy().GetRuleUuid()
	if decided != first.GetUuid() && decided != second.GetUuid() {
		t.Fatalf("decided by %s", decided)
	}
	s.says(q, dropped, "poolwire rule update "+decided+" --disabled")
	s.do(deletePolicyRule(first.GetUuid()))
	s.do(deletePolicyRule(second.GetUuid()))
	spaced := s.deny(3, s.w1, in, func(r *poolwirev1.PolicyRule) { r.NameLabel = "no web; rm" })
	s.says(q, dropped, "poolwire rule update "+spaced.GetUuid()+" --disabled",
		"poolwire rule add --vif "+s.w1+" --allow --inbound --protocol tcp --local-port 80 --remote 10.0.0.9 --priority 32769")
	s.do(deletePolicyRule(spaced.GetUuid()))
	wide := inboundRule(4, poolwirev1.PolicyLevel_POLICY_LEVEL_NETWORK, s.network)
	wide.Section, wide.LocalPorts = poolwirev1.PolicySection_POLICY_SECTION_MANDATORY, nil
	s.do(putPolicyRule(wide, true))
	s.says(q, dropped, "poolwire rule add --network "+s.network+" --mandatory --allow --inbound --protocol tcp --local-port 80 --remote 10.0.0.9 --priority 32769")
	// An answer is for the rules of the direction in which the session was opened.
	s.says(&poolwirev1.ExplainRequest{Vif: s.w1, Remote: "10.0.0.9", Reply: true, Protocol: "tcp", Port: proto.Uint32(40000), SourcePort: proto.Uint32(80)}, dropped,
		"--allow --inbound --protocol tcp --local-port 80 --remote 10.0.0.9")
}
