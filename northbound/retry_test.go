package northbound

import (
	"context"
	"sync"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	v1 "poolwire/proto/poolwire/v1"
)

// TestRetry: a repeated request with the same id returns the first answer and
// does nothing, also when its target is gone or its checks would now fail.
func TestRetry(t *testing.T) {
	t.Parallel()
	type revised interface{ GetRevision() uint64 }
	tests := map[string]struct {
		before func(f *fixture)
		call   func(f *fixture) (revised, error)
		// between happens after the first answer.
		between func(f *fixture)
	}{
		"create": {call: func(f *fixture) (revised, error) {
			return f.CreatePool(f.ctx, &v1.CreatePoolRequest{Pool: &v1.Pool{NameLabel: "nice"}, RequestId: "r"})
		}},
		"create, then renamed": {call: func(f *fixture) (revised, error) {
			return f.CreatePool(f.ctx, &v1.CreatePoolRequest{Pool: &v1.Pool{NameLabel: "nice"}, RequestId: "r"})
		}, between: func(f *fixture) {
			f.apply(putPool(&v1.Pool{Uuid: f.store.View().PoolByName("nice").GetUuid(), NameLabel: "nancy"}, false))
		}},
		"update": {call: func(f *fixture) (revised, error) {
			return f.UpdateVif(f.ctx, &v1.UpdateVifRequest{Vif: &v1.Vif{Uuid: vif1, LockingMode: v1.LockingMode_LOCKING_MODE_LOCKED},
				UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"locking_mode"}}, RequestId: "r"})
		}},
		"update with etag": {call: func(f *fixture) (revised, error) {
			return f.UpdatePool(f.ctx, &v1.UpdatePoolRequest{Pool: &v1.Pool{Uuid: paris, Etag: f.etag, NameDescription: "x"},
				UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"name_description"}}, RequestId: "r"})
		}, before: func(f *fixture) { f.etag = f.store.View().Pool(paris).GetEtag() }},
		"delete by name": {call: func(f *fixture) (revised, error) {
			return f.DeletePool(f.ctx, &v1.DeletePoolRequest{Pool: "nice", RequestId: "r"})
		}, before: func(f *fixture) { f.apply(putPool(&v1.Pool{Uuid: id('a', 3), NameLabel: "nice"}, true)) }},
		"delete, then another of the name": {call: func(f *fixture) (revised, error) {
			return f.DeletePool(f.ctx, &v1.DeletePoolRequest{Pool: "nice", RequestId: "r"})
		}, before: func(f *fixture) { f.apply(putPool(&v1.Pool{Uuid: id('a', 3), NameLabel: "nice"}, true)) },
			between: func(f *fixture) { f.apply(putPool(&v1.Pool{Uuid: id('a', 4), NameLabel: "nice"}, true)) }},
		"delete VIF": {call: func(f *fixture) (revised, error) {
			return f.DeleteVif(f.ctx, &v1.DeleteVifRequest{Vif: "web", RequestId: "r"})
		}, before: func(f *fixture) { f.apply(putVif(&v1.Vif{Uuid: id('c', 8), NameLabel: "web"}, true)) }},
		"add rule": {call: func(f *fixture) (revised, error) {
			return f.AddRule(f.ctx, addRule(func(r *v1.AddRuleRequest) { r.RequestId = "r" }))
		}},
		"add rule, then the bridge is gone": {call: func(f *fixture) (revised, error) {
			return f.AddRule(f.ctx, addRule(func(r *v1.AddRuleRequest) { r.RequestId, r.Bridge = "r", "pw7" }))
		}, before: func(f *fixture) {
			f.apply(putPrivateNetwork(&v1.PrivateNetwork{Uuid: id('e', 1), NameLabel: "blue", Vni: 7, Members: []*v1.PrivateNetworkMember{member(paris, "")}}, true))
		}, between: func(f *fixture) {
			if _, err := f.DeletePrivateNetwork(f.ctx, &v1.DeletePrivateNetworkRequest{PrivateNetwork: "blue"}); err != nil {
				f.t.Fatal(err)
			}
		}},
		"remove rule": {call: func(f *fixture) (revised, error) {
			return f.RemoveRule(f.ctx, &v1.RemoveRuleRequest{Bridge: "xenbr0", Pool: "paris", Cookie: "7", RequestId: "r"})
		}, before: func(f *fixture) { f.add(addRule(func(r *v1.AddRuleRequest) { r.Cookie = "7" })) }},
		"remove nothing, then add": {call: func(f *fixture) (revised, error) {
			return f.RemoveRule(f.ctx, &v1.RemoveRuleRequest{Bridge: "xenbr0", Pool: "paris", Cookie: "7", RequestId: "r"})
		}, between: func(f *fixture) { f.add(addRule(func(r *v1.AddRuleRequest) { r.Cookie = "7" })) }},
		"delete rule": {call: func(f *fixture) (revised, error) {
			return f.DeleteRule(f.ctx, &v1.DeleteRuleRequest{Rule: f.rule, RequestId: "r"})
		}, before: func(f *fixture) { f.rule = f.add(addRule(nil)).GetRule().GetUuid() }},
		"release, then managed again": {call: func(f *fixture) (revised, error) {
			return f.ReleaseHost(f.ctx, &v1.ReleaseHostRequest{Host: "xcp1", RequestId: "r"})
		}, between: func(f *fixture) {
			f.manage(xcp1)
			f.live.change(func() { f.live.released = nil })
		}},
		"delete host": {call: func(f *fixture) (revised, error) {
			return f.DeleteHost(f.ctx, &v1.DeleteHostRequest{Host: "xcp1", RequestId: "r"})
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newWorld(t)
			if tt.before != nil {
				tt.before(f)
			}
			first, err := tt.call(f)
			if err != nil {
				t.Fatal(err)
			}
			if tt.between != nil {
				tt.between(f)
			}
			before := f.state()
			second, err := tt.call(f)
			if err != nil {
				t.Fatalf("repeated: %v", err)
			}
			if first.GetRevision() != second.GetRevision() || first.GetRevision() == 0 {
				t.Errorf("revision %d, first it was %d", second.GetRevision(), first.GetRevision())
			}
			if tt.between == nil && !proto.Equal(first.(proto.Message), second.(proto.Message)) && name != "remove rule" {
				t.Errorf("answer %v\nfirst it was %v", second, first)
			}
			if f.state() != before {
				t.Error("the repeated request changed the state")
			}
			if name == "release, then managed again" && len(f.live.released) > 0 {
				t.Error("the repeated request released the host again")
			}
		})
	}
}

// manage takes a released host back.
func (f *fixture) manage(host string) {
	f.t.Helper()
	_, err := f.UpdateHost(f.ctx, &v1.UpdateHostRequest{Host: &v1.Host{Uuid: host, Managed: true}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"managed"}}})
	if err != nil {
		f.t.Fatal(err)
	}
}

// TestRequestIDOfAnotherKind: an id stands for one request.
func TestRequestIDOfAnotherKind(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	if _, err := f.CreatePool(f.ctx, &v1.CreatePoolRequest{Pool: &v1.Pool{NameLabel: "nice"}, RequestId: "r"}); err != nil {
		t.Fatal(err)
	}
	want := refusal{codes.InvalidArgument, "request_id", []string{`"r"`, "another kind of request"}}
	_, err := f.AddRule(f.ctx, addRule(func(r *v1.AddRuleRequest) { r.RequestId = "r" }))
	want.check(t, err)
	_, err = f.DeletePool(f.ctx, &v1.DeletePoolRequest{Pool: "nowhere", RequestId: "r"})
	want.check(t, err)
}

// TestEtag: a change based on an old reading is refused with ABORTED and tells
// what is stored; without an etag nobody's change is lost.
func TestEtag(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	old := f.store.View().Pool(paris).GetEtag()
	update := func(etag, description string) error {
		_, err := f.UpdatePool(f.ctx, &v1.UpdatePoolRequest{Pool: &v1.Pool{Uuid: paris, Etag: etag, NameDescription: description},
			UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"name_description"}}})
		return err
	}
	if err := update(old, "one"); err != nil {
		t.Fatal(err)
	}
	now := f.store.View().Pool(paris).GetEtag()
	before := f.state()
	stale := refusal{code: codes.Aborted, says: []string{`"` + old + `"`, `"` + now + `"`, "read it again"}}
	stale.check(t, update(old, "two"))
	_, err := f.DeletePool(f.ctx, &v1.DeletePoolRequest{Pool: "paris", Etag: old})
	stale.check(t, err)
	if f.state() != before {
		t.Error("the state changed")
	}
	hostEtag := f.store.View().Host(xcp1).GetEtag()
	f.apply(putHost(hostWith(f, xcp1, func(h *v1.Host) { h.NameDescription = "x" }), false))
	before = f.state()
	_, err = f.DeleteHost(f.ctx, &v1.DeleteHostRequest{Host: "xcp1", Etag: hostEtag})
	refusal{code: codes.Aborted, says: []string{hostEtag}}.check(t, err)
	if len(f.live.released) > 0 {
		t.Error("a host that stays was released")
	}
	if f.state() != before {
		t.Error("the state changed")
	}
	if err := update("", "three"); err != nil {
		t.Error(err)
	}
}

func hostWith(f *fixture, uuid string, change func(*v1.Host)) *v1.Host {
	h := proto.CloneOf(f.store.View().Host(uuid))
	h.Etag = ""
	change(h)
	return h
}

// TestNoLostUpdate: many clients change different fields of one object at once
// without an etag, and every change is there in the end.
func TestNoLostUpdate(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	changes := []*v1.UpdateVifRequest{
		{Vif: &v1.Vif{NameLabel: "web"}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"name_label"}}},
		{Vif: &v1.Vif{LockingMode: v1.LockingMode_LOCKING_MODE_LOCKED}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"locking_mode"}}},
		{Vif: &v1.Vif{Ipv4Allowed: []string{"192.0.2.7", "192.0.2.7/32", "192.0.2.0/28"}}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"ipv4_allowed"}}},
		{Vif: &v1.Vif{Ipv6Allowed: []string{"2001:DB8::7"}}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"ipv6_allowed"}}},
	}
	var all sync.WaitGroup
	for _, c := range changes {
		c.Vif.Uuid = vif1
		all.Go(func() {
			if _, err := f.UpdateVif(context.Background(), c); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	got := f.store.View().Vif(vif1)
	want := proto.CloneOf(got)
	want.NameLabel, want.LockingMode = "web", v1.LockingMode_LOCKING_MODE_LOCKED
	want.Ipv4Allowed, want.Ipv6Allowed = []string{"192.0.2.7", "192.0.2.0/28"}, []string{"2001:db8::7"}
	if !proto.Equal(got, want) {
		t.Errorf("stored %v\nwant   %v", got, want)
	}
}

// TestRetriesAtOnce: one request that reaches several nodes many times at the same moment is
// carried out once, and all are told the same.
func TestRetriesAtOnce(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	leader, follower := pair(t, ca)
	apis := []clients{clientsOf(ca.dial(leader.api, "olga", "pool-operator")), clientsOf(ca.dial(follower.api, "olga", "pool-operator"))}
	answers := make([]*v1.CreatePoolResponse, 32)
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() {
			r, err := apis[i%2].CreatePool(patience(t), &v1.CreatePoolRequest{Pool: &v1.Pool{NameLabel: "nice"}, RequestId: "r"})
			if err != nil {
				t.Error(err)
			}
			answers[i] = r
		})
	}
	all.Wait()
	for _, r := range answers {
		if !proto.Equal(r, answers[0]) {
			t.Errorf("answers %v and %v", r, answers[0])
		}
	}
	if n := len(leader.store.View().Pools()); n != 1 {
		t.Errorf("%d pools", n)
	}
}
