package northbound

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	storev1 "poolwire/proto/poolwire/store/v1"
	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// TestExplainResolves: the controller gets a question in which nothing is left
// open.
func TestExplainResolves(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	number := proto.Uint32
	for _, tt := range []struct{ asked, want *v1.ExplainRequest }{
		{&v1.ExplainRequest{Vif: "xcp1/vif1.0", Remote: "192.0.2.8", Port: number(22)},
			&v1.ExplainRequest{Vif: vif1, Direction: outbound, Remote: "192.0.2.8", Protocol: "tcp", Port: number(22), SourcePort: number(40000)}},
		{&v1.ExplainRequest{Vif: mac1, Direction: inbound, Remote: "xcp2/vif2.0", Protocol: "17", Port: number(0), SourcePort: number(53), Reply: true},
			&v1.ExplainRequest{Vif: vif1, Direction: inbound, Remote: vif2, Protocol: "udp", Port: number(0), SourcePort: number(53), Reply: true}},
		{&v1.ExplainRequest{Vif: vif1, Remote: "6E-0B-9E-72-AB-02", Protocol: "ICMP", Vlan: 7, Established: true},
			&v1.ExplainRequest{Vif: vif1, Direction: outbound, Remote: mac2, Protocol: "icmp", IcmpType: number(8), IcmpCode: number(0), Vlan: 7, Established: true}},
		{&v1.ExplainRequest{Vif: vif1, Remote: "2001:DB8::1", Protocol: "icmpv6", LocalAddress: "2001:DB8::2", IcmpType: number(135)},
			&v1.ExplainRequest{Vif: vif1, Direction: outbound, Remote: "2001:db8::1", Protocol: "icmpv6", LocalAddress: "2001:db8::2", IcmpType: number(135), IcmpCode: number(0)}},
		{&v1.ExplainRequest{Vif: vif1, Remote: "2001:db8::1", Protocol: "58"},
			&v1.ExplainRequest{Vif: vif1, Direction: outbound, Remote: "2001:db8::1", Protocol: "icmpv6", IcmpType: number(128), IcmpCode: number(0)}},
		{&v1.ExplainRequest{Vif: vif1, Protocol: "47"}, &v1.ExplainRequest{Vif: vif1, Direction: outbound, Protocol: "47"}},
		{&v1.ExplainRequest{Vif: vif1, Remote: "FF02::1", Protocol: "icmpv6", LocalAddress: "fe80::1"},
			&v1.ExplainRequest{Vif: vif1, Direction: outbound, Remote: "ff02::1", Protocol: "icmpv6", LocalAddress: "fe80::1", IcmpType: number(128), IcmpCode: number(0)}},
		{&v1.ExplainRequest{Vif: vif1, Remote: vif2, RemoteAddress: "255.255.255.255", SourceMac: "00-00-5E-00-01-33", Protocol: "47"},
			&v1.ExplainRequest{Vif: vif1, Direction: outbound, Remote: vif2, RemoteAddress: "255.255.255.255", SourceMac: "00:00:5e:00:01:33", Protocol: "47"}},
		{&v1.ExplainRequest{Vif: vif1, Direction: inbound, Remote: vif2, LocalAddress: "224.0.0.251", RemoteAddress: "192.0.2.9", Protocol: "47"},
			&v1.ExplainRequest{Vif: vif1, Direction: inbound, Remote: vif2, LocalAddress: "224.0.0.251", RemoteAddress: "192.0.2.9", Protocol: "47"}},
		{&v1.ExplainRequest{Vif: vif1, Remote: vif2},
			&v1.ExplainRequest{Vif: vif1, Direction: outbound, Remote: vif2, Protocol: "tcp", Port: number(80), SourcePort: number(40000)}},
	} {
		out, err := f.Explain(f.ctx, tt.asked)
		if err != nil {
			t.Errorf("%v: %v", tt.asked, err)
			continue
		}
		got := f.live.policy.asked[len(f.live.policy.asked)-1]
		if !proto.Equal(got, tt.want) {
			t.Errorf("%v became\n%v\nwant\n%v", tt.asked, got, tt.want)
		}
		assumed := strings.Join(out.GetAssumptions(), "; ")
		if strings.Contains(assumed, "port is not given; 80") != (tt.want.Port != nil && tt.asked.Port == nil) || !strings.Contains(assumed, "all is well") {
			t.Errorf("%v: assumptions %s", tt.asked, assumed)
		}
	}
}

// TestBadQuestions: packets that cannot be are refused with the field.
func TestBadQuestions(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	f.apply(putVif(&v1.Vif{Uuid: id('c', 60)}, true))
	number := proto.Uint32
	invalid := codes.InvalidArgument
	for _, tt := range []struct {
		asked *v1.ExplainRequest
		want  refusal
	}{
		{&v1.ExplainRequest{}, refusal{invalid, "vif", []string{"is required"}}},
		{&v1.ExplainRequest{Vif: "nobody"}, refusal{codes.NotFound, "vif", []string{`"nobody"`}}},
		{&v1.ExplainRequest{Vif: id('c', 60)}, refusal{codes.FailedPrecondition, "", []string{id('c', 60), "not plugged"}}},
		{&v1.ExplainRequest{Vif: vif1, Direction: both}, refusal{invalid, "direction", []string{"BOTH", "one direction"}}},
		{&v1.ExplainRequest{Vif: vif1, Direction: 9}, refusal{invalid, "direction", []string{"9"}}},
		{&v1.ExplainRequest{Vif: vif1, Remote: "nobody"}, refusal{invalid, "remote", []string{`"nobody"`}}},
		{&v1.ExplainRequest{Vif: vif1, Remote: "xcp1/vif1.0"}, refusal{invalid, "remote", []string{"is the VIF itself"}}},
		{&v1.ExplainRequest{Vif: vif1, Remote: "fe80::1%eth0"}, refusal{invalid, "remote", []string{"fe80::1%eth0", "IP address"}}},
		{&v1.ExplainRequest{Vif: vif1, Remote: "0.0.0.0"}, refusal{invalid, "remote", []string{"0.0.0.0"}}},
		{&v1.ExplainRequest{Vif: vif1, Protocol: "gre"}, refusal{invalid, "protocol", []string{`"gre"`, "0 to 255"}}},
		{&v1.ExplainRequest{Vif: vif1, Protocol: "icmp", Port: number(22)}, refusal{invalid, "port", []string{"22", "protocol icmp"}}},
		{&v1.ExplainRequest{Vif: vif1, Port: number(65536)}, refusal{invalid, "port", []string{"65536"}}},
		{&v1.ExplainRequest{Vif: vif1, SourcePort: number(65536)}, refusal{invalid, "source_port", []string{"65536"}}},
		{&v1.ExplainRequest{Vif: vif1, IcmpType: number(8)}, refusal{invalid, "icmp_type", []string{"8", "protocol tcp"}}},
		{&v1.ExplainRequest{Vif: vif1, Protocol: "icmp", IcmpCode: number(256)}, refusal{invalid, "icmp_code", []string{"256"}}},
		{&v1.ExplainRequest{Vif: vif1, Vlan: 4095}, refusal{invalid, "vlan", []string{"4095"}}},
		{&v1.ExplainRequest{Vif: vif1, LocalAddress: "192.0.2"}, refusal{invalid, "local_address", []string{`"192.0.2"`}}},
		{&v1.ExplainRequest{Vif: vif1, Remote: "192.0.2.1", LocalAddress: "2001:db8::1"}, refusal{invalid, "local_address", []string{"another family", "192.0.2.1"}}},
		{&v1.ExplainRequest{Vif: vif1, Direction: inbound, Remote: "224.0.0.251"}, refusal{invalid, "remote", []string{"224.0.0.251", "nothing sends from"}}},
		{&v1.ExplainRequest{Vif: vif1, Direction: inbound, Remote: "255.255.255.255"}, refusal{invalid, "remote", []string{"nothing sends from"}}},
		{&v1.ExplainRequest{Vif: vif1, Direction: inbound, Remote: "33:33:00:00:00:01"}, refusal{invalid, "remote", []string{"nothing sends from"}}},
		{&v1.ExplainRequest{Vif: vif1, Direction: inbound, Remote: vif2, RemoteAddress: "ff02::1"}, refusal{invalid, "remote_address", []string{"ff02::1", "unicast"}}},
		{&v1.ExplainRequest{Vif: vif1, Remote: "192.0.2.1", LocalAddress: "224.0.0.1"}, refusal{invalid, "local_address", []string{"224.0.0.1", "unicast"}}},
		{&v1.ExplainRequest{Vif: vif1, Remote: "192.0.2.1", LocalAddress: "255.255.255.255"}, refusal{invalid, "local_address", []string{"nothing sends from"}}},
		{&v1.ExplainRequest{Vif: vif1, Remote: "192.0.2.1", RemoteAddress: "192.0.2.2"}, refusal{invalid, "remote_address", []string{"192.0.2.1", "must be empty"}}},
		{&v1.ExplainRequest{Vif: vif1, Remote: vif2, RemoteAddress: "2001:db8::1", LocalAddress: "192.0.2.1"}, refusal{invalid, "local_address", []string{"remote_address"}}},
		{&v1.ExplainRequest{Vif: vif1, Remote: vif2, SourceMac: "01:00:5e:00:00:01"}, refusal{invalid, "source_mac", []string{"multicast"}}},
		{&v1.ExplainRequest{Vif: vif1, Remote: "2001:db8::1", Protocol: "icmp"}, refusal{invalid, "remote", []string{"is IPv6", "icmpv6"}}},
		{&v1.ExplainRequest{Vif: vif1, LocalAddress: "192.0.2.1", Protocol: "icmpv6"}, refusal{invalid, "local_address", []string{"is IPv4"}}},
	} {
		_, err := f.Explain(f.ctx, tt.asked)
		tt.want.check(t, err)
	}
	f.live.change(func() { f.live.policy.fails = errors.New("the tables are gone") })
	_, err := f.Explain(f.ctx, &v1.ExplainRequest{Vif: vif1})
	refusal{code: codes.Unavailable, says: []string{"the tables are gone"}}.check(t, err)
}

// TestRuleHits: counts of all hosts are added up, in the order asked for.
func TestRuleHits(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	a := f.addPolicy(nil)
	b := f.addPolicy(func(r *v1.PolicyRule) { r.NameLabel = "other" })
	compat := f.add(addRule(nil)).GetRule()
	f.live.change(func() {
		f.live.policy.hits = map[uint32][]*v1.HostHits{a.GetObjectId(): {{HostUuid: xcp1, Packets: 3, Bytes: 300}, {HostUuid: xcp2, Packets: 4, Bytes: 500}}}
		f.live.policy.uncounted = []string{"xenbr0 on xcp3: away"}
	})
	got, err := f.GetRuleHits(f.ctx, &v1.GetRuleHitsRequest{Rules: []string{compat.GetUuid(), "ssh", a.GetUuid()}})
	if err != nil || len(got.GetHits()) != 2 || !slices.Equal(got.GetMissing(), []string{"xenbr0 on xcp3: away"}) {
		t.Fatalf("%v, %v", got, err)
	}
	if h := got.GetHits()[0]; h.GetRuleUuid() != compat.GetUuid() || h.GetPackets() != 0 || h.GetRuleText() != "drop tcp to 192.0.2.0/24 port 22" {
		t.Errorf("compat %v", h)
	}
	if h := got.GetHits()[1]; h.GetPackets() != 7 || h.GetBytes() != 800 || len(h.GetHosts()) != 2 || h.GetRuleText() != "drop tcp from 192.0.2.0/24 to local port 22" {
		t.Errorf("policy rule %v", h)
	}
	all, err := f.GetRuleHits(f.ctx, &v1.GetRuleHitsRequest{})
	if err != nil || len(all.GetHits()) != 2 {
		t.Errorf("all: %v, %v", all, err)
	}
	_, err = f.GetRuleHits(f.ctx, &v1.GetRuleHitsRequest{Rules: []string{b.GetUuid(), "none"}})
	refusal{codes.NotFound, "rules[1]", []string{`"none"`}}.check(t, err)
	_, err = f.GetRuleHits(f.ctx, &v1.GetRuleHitsRequest{Rules: make([]string, 1001)})
	refusal{codes.InvalidArgument, "rules", []string{"1001", "1000"}}.check(t, err)
}

// TestWatchDenied: samples carry the rule in words, filters choose among them,
// and what was lost before one that is left out is told with the next.
func TestWatchDenied(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	r := f.addPolicy(nil)
	ends := make(chan struct{})
	f.live.change(func() {
		f.live.policy.ends = ends
		f.live.policy.denied = []*v1.WatchDeniedResponse{
			{VifUuid: vif2, Lost: 3}, {VifUuid: vif1, RuleUuid: r.GetUuid(), Lost: 1, SourcePort: 1}, {VifUuid: vif1, SourcePort: 2},
		}
	})
	close(ends) // the lead is lost as soon as the samples are read
	read := func(req *v1.WatchDeniedRequest) (out []*v1.WatchDeniedResponse, err error) {
		s, err := f.WatchDenied(f.ctx, req)
		for err == nil {
			var m *v1.WatchDeniedResponse
			if m, err = s.Recv(); err == nil {
				out = append(out, m)
			}
		}
		return out, err
	}
	got, err := read(&v1.WatchDeniedRequest{Vif: "xcp1/vif1.0"})
	if !isNotLeading(err) || len(got) != 2 || got[0].GetLost() != 4 || got[1].GetLost() != 0 ||
		got[0].GetRuleText() != "drop tcp from 192.0.2.0/24 to local port 22" || got[1].GetRuleText() != "" {
		t.Errorf("of a VIF: %v, %v", got, err)
	}
	if got, _ = read(&v1.WatchDeniedRequest{Rule: "ssh"}); len(got) != 1 || got[0].GetSourcePort() != 1 {
		t.Errorf("of a rule: %v", got)
	}
	if got, _ = read(&v1.WatchDeniedRequest{}); len(got) != 3 {
		t.Errorf("all: %v", got)
	}
	_, err = read(&v1.WatchDeniedRequest{Vif: "nobody"})
	refusal{codes.NotFound, "vif", []string{`"nobody"`}}.check(t, err)
	_, err = read(&v1.WatchDeniedRequest{Rule: "nothing"})
	refusal{codes.NotFound, "rule", []string{`"nothing"`}}.check(t, err)
}

// TestWatchDeniedEnds: a watch lasts for as long as the client wants.
func TestWatchDeniedEnds(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	ctx, cancel := context.WithCancel(f.ctx)
	s, err := f.WatchDenied(ctx, &v1.WatchDeniedRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Header(); err != nil {
		t.Errorf("begun: %v", err)
	}
	cancel()
	if _, err := s.Recv(); status.Code(err) != codes.Canceled {
		t.Errorf("cancelled: %v", err)
	}
	for method, bounded := range map[string]bool{v1.PolicyService_WatchDenied_FullMethodName: false, v1.FlowService_DumpFlows_FullMethodName: true} {
		ctx, cancel := boundStream(context.Background(), method)
		if _, ends := ctx.Deadline(); ends != bounded {
			t.Errorf("%s ends by itself: %v", method, ends)
		}
		cancel()
	}
}

// TestWatchOfPolicies: changes of policy rules and groups are told, in the order
// of kinds.
func TestWatchOfPolicies(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	from := f.store.View().Revision()
	g := f.addAddressGroup("db", "192.0.2.1")
	vifs := f.addVifGroup("web", nil)
	r := f.addPolicy(nil)
	if _, err := f.DeletePolicyRule(f.ctx, &v1.DeletePolicyRuleRequest{PolicyRule: r.GetUuid()}); err != nil {
		t.Fatal(err)
	}
	var s grpc.ServerStreamingClient[v1.WatchResponse]
	s, err := f.Watch(f.ctx, &v1.WatchRequest{FromRevision: from, Kinds: []v1.ResourceKind{
		v1.ResourceKind_RESOURCE_KIND_POLICY_RULE, v1.ResourceKind_RESOURCE_KIND_ADDRESS_GROUP, v1.ResourceKind_RESOURCE_KIND_VIF_GROUP}})
	if err != nil {
		t.Fatal(err)
	}
	var got []*v1.Change
	for len(got) < 4 {
		m, err := s.Recv()
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, m.GetChanges()...)
	}
	gone := got[3]
	if got[0].GetAddressGroup().GetUuid() != g.GetUuid() || got[1].GetVifGroup().GetUuid() != vifs.GetUuid() ||
		got[2].GetPolicyRule().GetUuid() != r.GetUuid() || !got[2].GetPolicyRule().GetActive() ||
		gone.GetKind() != v1.ChangeKind_CHANGE_KIND_DELETE || gone.GetPolicyRule().GetUuid() != r.GetUuid() {
		t.Errorf("changes %v", got)
	}
}

// TestChangedObject: what a pending change did, in words.
func TestChangedObject(t *testing.T) {
	t.Parallel()
	for want, o := range map[string]*storev1.ChangedObject{
		"policy rule ssh created":   {Table: uint32(raftstore.TablePolicyRules), Key: "u", Name: "ssh"},
		"VIF u changed":             {Table: uint32(raftstore.TableVifs), Key: "u", Before: []byte{1}},
		"address group db deleted":  {Table: uint32(raftstore.TableAddressGroups), Name: "db", Before: []byte{1}, Removed: true},
		"private network n changed": {Table: uint32(raftstore.TablePrivateNetworks), Name: "n", Before: []byte{1}},
	} {
		if got := changedObject(o); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
