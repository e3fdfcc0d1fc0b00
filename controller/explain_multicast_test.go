package controller

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// newGroupSite is a private network over two hosts that have a tunnel to each other: w1 and w3 are on host1, w2 and w4 on host2.
func newGroupSite(t *testing.T) *site {
	t.Helper()
	s := &site{world: newWorld(newState(t)), t: t, w1: uuidOf("dddd", 1), w2: uuidOf("dddd", 2), w3: uuidOf("dddd", 3), far: uuidOf("dddd", 4)}
	pool := s.pool(1)
	for i := range s.hosts {
		s.hosts[i] = s.host(pool, i+1)
	}
	pn := blue(poolMember(pool))
	s.network = pn.GetUuid()
	s.do(putPrivate(pn, true))
	vifs := [2][]string{{s.w1, s.w3}, {s.w2, s.far}}
	for i, host := range s.hosts {
		owned := func(name, bridge, object string, kind storev1.PortKind, number uint32) *storev1.Port {
			return &storev1.Port{HostUuid: host, Name: name, Bridge: bridge, NetworkBridge: bridge, Kind: kind, Owned: true, Object: object, Ofport: number}
		}
		peer := s.view().Host(s.hosts[1-i])
		s.do(seen(host, &storev1.HostFacts{OvsVersion: "3.1.0", TransportAddress: []string{"10.1.0.1", "10.1.0.2"}[i]},
			&storev1.Bridge{Name: "pw100", DatapathId: 2, Owned: true}, &storev1.Bridge{Name: overlayBridge, DatapathId: 3, Owned: true, Overlay: true},
			owned("pwp100", "pw100", objectPatch+pn.GetUuid(), storev1.PortKind_PORT_KIND_PATCH, 80),
			owned("pwu100", overlayBridge, objectUplink+pn.GetUuid(), storev1.PortKind_PORT_KIND_PATCH, 81),
			owned(conduitOf(pn).tunnelName(peer), overlayBridge, conduitOf(pn).tunnelObject(peer.GetUuid()), storev1.PortKind_PORT_KIND_TUNNEL, 82)))
		for n, vif := range vifs[i] {
			number := 10*i + n + 1
			s.do(seen(host, onBlue(host, "vif"+string(rune('1'+number))+".0", vif, number)))
		}
	}
	for name, uuid := range map[string]string{"w1": s.w1, "w2": s.w2, "w3": s.w3, "w4": s.far} {
		s.vif(uuid, func(v *poolwirev1.Vif) { v.NameLabel = name })
	}
	return s
}

// join has a VIF listen to groups.
func (s *site) join(vif string, groups ...string) {
	s.t.Helper()
	var joined []*storev1.Subscription
	for _, g := range groups {
		joined = append(joined, subscribed(vif, s.network, g))
	}
	s.do(multicast(joined, nil))
}

// told lists who gets a packet, and who does not: "w2 via host1,host2", "!w3".
func told(m *poolwirev1.ExplainMulticast) []string {
	out := []string{}
	for _, l := range m.GetListeners() {
		if l.GetGets() {
			out = append(out, l.GetVifNameLabel()+" via "+strings.Join(l.GetHosts(), ","))
		} else {
			out = append(out, "!"+l.GetVifNameLabel())
		}
	}
	return out
}

// TestWhomAGroupGoesTo: members, multicast routers and everybody, on the sender's host and on another, as the compiled tables send it.
func TestWhomAGroupGoesTo(t *testing.T) {
	t.Parallel()
	s := newGroupSite(t)
	to := func(group string) *poolwirev1.ExplainRequest {
		return &poolwirev1.ExplainRequest{Vif: s.w1, Remote: group, Protocol: "udp", Port: proto.Uint32(5000), SourcePort: proto.Uint32(5000)}
	}
	goes := func(q *poolwirev1.ExplainRequest, verdict poolwirev1.Verdict, where string, want []string, words ...string) *poolwirev1.ExplainResponse {
		t.Helper()
		r := s.says(q, verdict, words...)
		if got := told(r.GetMulticast()); !slices.Equal(got, want) || !strings.Contains(r.GetMulticast().GetGoesTo(), where) {
			t.Errorf("%s: to %s: %q, want %q: %q\n%s", q.GetRemote(), r.GetMulticast().GetGoesTo(), got, where, want, walked(r))
		}
		return r
	}
	goes(to("239.1.2.3"), dropped, "multicast routers only", []string{}, "nobody else listens to 239.1.2.3 on blue", "--flood-multicast")
	s.join(s.w2, "239.1.2.3")
	s.join(s.w3, "238.129.2.3", "ff05::1:3") // the same MAC address
	s.join(s.w1, "239.1.2.3")
	r := goes(to("239.1.2.3"), passes, "those who listen", []string{"w2 via host1,host2", "w3 via host1"}, "2 of the 2 VIFs")
	if m := r.GetMulticast(); m.GetMacAddress() != "01:00:5e:01:02:03" || m.GetPrivateNetworkUuid() != s.network || !strings.Contains(m.GetQuerier(), "Poolwire") ||
		!slices.Equal(m.GetListeners()[1].GetGroups(), []string{"238.129.2.3"}) || m.GetListeners()[1].GetAllGroups() {
		t.Errorf("%v", m)
	}
	s.join(s.far, "0.0.0.0")
	r = goes(to("239.1.2.3"), passes, "those who listen", []string{"w2 via host1,host2", "w3 via host1", "w4 via host1,host2"})
	if !r.GetMulticast().GetListeners()[2].GetAllGroups() {
		t.Errorf("the router is no router: %v", r.GetMulticast())
	}
	goes(to("239.9.9.9"), passes, "multicast routers only", []string{"w4 via host1,host2"})
	goes(to("ff05::1:3"), passes, "those who listen", []string{"w3 via host1"})
	goes(to("ff05::9:9"), dropped, "multicast routers only", []string{})
	goes(to("224.0.0.251"), passes, "everybody gets groups", []string{"w2 via host1,host2", "w3 via host1", "w4 via host1,host2"}, "3 of the 3")
	report := to("239.1.2.3")
	report.Protocol, report.Port, report.SourcePort = "2", nil, nil
	goes(report, passes, "it says who listens", []string{"!w2", "!w3", "w4 via host1,host2"}, "1 of the 3")

	// One of them denies it, and says why.
	s.deny(1, s.w2, in, func(r *poolwirev1.PolicyRule) { r.NameLabel, r.Protocol = "no-streams", "udp" })
	r = goes(to("239.1.2.3"), passes, "those who listen", []string{"!w2", "w3 via host1", "w4 via host1,host2"}, "2 of the 3")
	if l := r.GetMulticast().GetListeners()[0]; !strings.Contains(l.GetReason(), "no-streams") {
		t.Errorf("why not: %q", l.GetReason())
	}
	// Asked from the receiver's end.
	from := &poolwirev1.ExplainRequest{Vif: s.w3, Direction: in, Remote: s.w1, LocalAddress: "239.9.9.9", RemoteAddress: "10.0.0.1", Protocol: "udp", Port: proto.Uint32(1), SourcePort: proto.Uint32(1)}
	s.says(from, dropped, "VIF w3 does not listen to 239.9.9.9 on blue")
	from.LocalAddress = "239.1.2.3"
	s.says(from, passes)
	// Dropped before anybody asks.
	s.deny(2, s.w1, out, func(r *poolwirev1.PolicyRule) { r.NameLabel, r.RemoteMac = "no-group", "01:00:5e:01:02:03" })
	goes(to("239.1.2.3"), dropped, "dropped before", []string{"!w2", "!w3", "!w4"}, "no-group")
	// Nothing is said of packets for one station, or for all.
	for _, remote := range []string{s.w2, "255.255.255.255"} {
		if r := s.ask(to(remote)); r.GetMulticast() != nil {
			t.Errorf("%s: %v", remote, r.GetMulticast())
		}
	}

	flooded := proto.CloneOf(s.view().PrivateNetwork(s.network))
	flooded.FloodMulticast = true
	s.do(putPrivate(flooded, false))
	r = goes(to("239.9.9.9"), passes, "flood_multicast", []string{"!w2", "w3 via host1", "w4 via host1,host2"})
	if !strings.Contains(r.GetMulticast().GetQuerier(), "nobody") {
		t.Errorf("querier: %s", r.GetMulticast().GetQuerier())
	}
}
