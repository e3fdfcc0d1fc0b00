package northbound

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"poolwire/client"
	storev1 "poolwire/proto/poolwire/store/v1"
	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// replica is what a client knows: resources by kind and UUID.
type replica map[string]proto.Message

func keyOf(c *v1.Change) (string, proto.Message) {
	m := c.ProtoReflect()
	fd := m.WhichOneof(m.Descriptor().Oneofs().ByName("resource"))
	r := m.Get(fd).Message().Interface()
	return string(fd.Name()) + " " + r.(interface{ GetUuid() string }).GetUuid(), r
}

func (r replica) take(t tester, resp *v1.WatchResponse) {
	seen := map[string]bool{}
	for _, c := range resp.GetChanges() {
		key, m := keyOf(c)
		if seen[key] {
			t.Fatalf("revision %d tells of %s twice", resp.GetRevision(), key)
		}
		seen[key] = true
		if c.GetKind() == v1.ChangeKind_CHANGE_KIND_DELETE {
			delete(r, key)
		} else {
			r[key] = m
		}
	}
}

type tester interface {
	Fatalf(format string, args ...any)
}

// replicaOf is what a client knows who lists everything.
func replicaOf(v *raftstore.View) replica {
	r := replica{}
	add := func(c *v1.Change) {
		key, m := keyOf(c)
		r[key] = m
	}
	for _, o := range v.Pools() {
		add(change(nil, o))
	}
	for _, o := range v.Hosts() {
		add(change(nil, o))
	}
	for _, o := range v.Networks() {
		add(change(nil, o))
	}
	for _, o := range v.PrivateNetworks() {
		add(change(nil, o))
	}
	for _, o := range v.Vifs() {
		add(change(nil, placedVif(v, o)))
	}
	for _, o := range v.Rules() {
		add(change(nil, o))
	}
	for _, o := range v.Pifs() {
		add(change(nil, o))
	}
	return r
}

// differences lists the keys in which two replicas differ.
func (r replica) differences(other replica) []string {
	var out []string
	keys := slices.Sorted(maps.Keys(r))
	for k := range other {
		if r[k] == nil {
			keys = append(keys, k)
		}
	}
	for _, k := range keys {
		a, b := r[k], other[k]
		if a == nil || b == nil || !proto.Equal(a, b) {
			out = append(out, fmt.Sprintf("%s:\n  %v\n  %v", k, a, b))
		}
	}
	return out
}

// watchUntil follows a watch into a replica until a revision is reached.
func (f *fixture) watchUntil(t tester, r replica, req *v1.WatchRequest, revision uint64) uint64 {
	ctx, cancel := context.WithCancel(f.ctx)
	defer cancel()
	s, err := f.Watch(ctx, req)
	if err != nil {
		t.Fatalf("watch: %v", err)
	}
	reached := req.GetFromRevision()
	for reached < revision {
		resp, err := s.Recv()
		if err != nil {
			t.Fatalf("watch: %v", err)
		}
		if resp.GetRevision() < reached || len(resp.GetChanges()) > 0 && resp.GetRevision() == reached {
			t.Fatalf("revision %d after %d", resp.GetRevision(), reached)
		}
		reached = resp.GetRevision()
		r.take(t, resp)
	}
	return reached
}

// TestWatchResume: a client that lists at any revision, watches from there, is
// cut off anywhere and resumes, knows in the end exactly what a list tells.
func TestWatchResume(t *testing.T) {
	t.Parallel()
	f := newFixtureWith(t, func(c *Config) { c.Heartbeat = 5 * time.Millisecond })
	f.populate()
	rapid.Check(t, func(t *rapid.T) {
		start, from := replicaOf(f.store.View()), f.store.View().Revision()
		for range rapid.IntRange(1, 12).Draw(t, "changes") {
			f.anything(t)
		}
		end := f.store.View()
		reached := from
		for reached < end.Revision() {
			// Cut off after some revision, then come back.
			stop := rapid.Uint64Range(reached+1, end.Revision()).Draw(t, "stop")
			reached = f.watchUntil(t, start, &v1.WatchRequest{FromRevision: reached}, stop)
		}
		if diff := start.differences(replicaOf(f.store.View())); len(diff) > 0 {
			t.Fatalf("after the watch the client is wrong about\n%s", strings.Join(diff, "\n"))
		}
	})
}

// anything changes something, seen or wished.
func (f *fixture) anything(t *rapid.T) {
	host := rapid.SampledFrom([]string{xcp1, xcp2, xcp3}).Draw(t, "host")
	n := rapid.IntRange(1, 4).Draw(t, "n")
	name := fmt.Sprintf("vif%d.0", n)
	nic := fmt.Sprintf("eth%d", n)
	bridge := rapid.SampledFrom([]string{"xenbr0", "xapi1", "xapi2"}).Draw(t, "bridge")
	var o *storev1.ObserveHost
	switch rapid.IntRange(0, 8).Draw(t, "what") {
	case 0:
		o = &storev1.ObserveHost{Ports: []*storev1.Port{vifPort(host, name, bridge, id('c', n), mac(n), uint32(n))}}
	case 1:
		o = &storev1.ObserveHost{PortsGone: []string{name}}
	case 2:
		kind := rapid.SampledFrom([]storev1.PortKind{storev1.PortKind_PORT_KIND_PHYSICAL, storev1.PortKind_PORT_KIND_BOND_MEMBER}).Draw(t, "kind")
		p := &storev1.Port{HostUuid: host, Name: nic, Bridge: "xenbr0", NetworkBridge: "xenbr0", Ofport: uint32(10 + n), Kind: kind}
		if kind == storev1.PortKind_PORT_KIND_BOND_MEMBER {
			p.Bond = "bond0"
		}
		o = &storev1.ObserveHost{Ports: []*storev1.Port{p}}
	case 3:
		o = &storev1.ObserveHost{PortsGone: []string{nic}}
	case 4:
		o = &storev1.ObserveHost{Bridges: []*storev1.Bridge{{HostUuid: host, Name: "xapi2", Parent: "xenbr0", Vlan: uint32(20 + n)}}}
	case 5:
		o = &storev1.ObserveHost{BridgesGone: []string{"xapi2"}, PortsGone: []string{name, nic}}
	case 6:
		f.apply(putRule(&v1.Rule{NetworkUuid: f.network(paris, "xenbr0").GetUuid(), Mac: mac(n), Direction: 1, Protocol: 1, Priority: proto.Uint32(1),
			Allow: rapid.Bool().Draw(t, "allow")}, storev1.PutMode_PUT_MODE_REPLACE))
		return
	case 7:
		v := f.store.View()
		if vifs := v.Vifs(); len(vifs) > 0 {
			vif := proto.CloneOf(rapid.SampledFrom(vifs).Draw(t, "vif"))
			vif.Etag, vif.LockingMode = "", v1.LockingMode(rapid.IntRange(1, 4).Draw(t, "mode"))
			f.apply(putVif(vif, false))
		}
		return
	default:
		if rules := f.store.View().Rules(); len(rules) > 0 {
			f.apply(deleteRules("", rapid.SampledFrom(rules).Draw(t, "rule").GetUuid()))
		}
		return
	}
	o.HostUuid = host
	f.observe(o)
}

// TestWatchMessages: the first message says where the watch starts, later ones
// hold the changes of one revision each, and only of the kinds wanted.
func TestWatchMessages(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	ctx, cancel := context.WithCancel(f.ctx)
	defer cancel()
	start := f.store.View().Revision()
	s, err := f.Watch(ctx, &v1.WatchRequest{Kinds: []v1.ResourceKind{v1.ResourceKind_RESOURCE_KIND_VIF, v1.ResourceKind_RESOURCE_KIND_POOL}})
	if err != nil {
		t.Fatal(err)
	}
	if first := recv(t, s); first.GetRevision() != start || len(first.GetChanges()) != 0 {
		t.Errorf("first message %v, want revision %d", first, start)
	}
	f.add(addRule(nil)) // not wanted
	plug := f.observe(&storev1.ObserveHost{HostUuid: xcp2, Ports: []*storev1.Port{
		vifPort(xcp2, "vif1.0", "xenbr0", vif1, mac1, 5), vifPort(xcp2, "tap1.0", "xenbr0", vif1, mac1, 6),
	}})
	got := recv(t, s)
	if got.GetRevision() != plug.Revision || len(got.GetChanges()) != 1 {
		t.Fatalf("got %v, want one change at %d", got, plug.Revision)
	}
	vif := got.GetChanges()[0].GetVif()
	if len(vif.GetLocations()) != 2 || !slices.Equal(vif.GetLocations()[1].GetInterfaces(), []string{"tap1.0", "vif1.0"}) || vif.GetLocations()[1].GetHostNameLabel() != "xcp2" {
		t.Errorf("a VIF that migrates: %v", vif)
	}
	gone := f.observe(&storev1.ObserveHost{HostUuid: xcp3, PortsGone: []string{"vif3.0"}})
	got = recv(t, s)
	if c := got.GetChanges(); got.GetRevision() != gone.Revision || len(c) != 1 || c[0].GetKind() != v1.ChangeKind_CHANGE_KIND_DELETE || c[0].GetVif().GetUuid() != vif3 {
		t.Errorf("an unplugged VIF nobody cares about: %v", got)
	}
}

func recv(t *testing.T, s grpc.ServerStreamingClient[v1.WatchResponse]) *v1.WatchResponse {
	t.Helper()
	r, err := s.Recv()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestWatchHeartbeat: without changes there is a sign of life, which says that
// nothing wanted has happened up to its revision.
func TestWatchHeartbeat(t *testing.T) {
	t.Parallel()
	f := newFixtureWith(t, func(c *Config) { c.Heartbeat = 10 * time.Millisecond })
	ctx, cancel := context.WithCancel(f.ctx)
	defer cancel()
	s, err := f.Watch(ctx, &v1.WatchRequest{Kinds: []v1.ResourceKind{v1.ResourceKind_RESOURCE_KIND_RULE}})
	if err != nil {
		t.Fatal(err)
	}
	recv(t, s)
	made := f.apply(putPool(&v1.Pool{NameLabel: "paris"}, true))
	for {
		r := recv(t, s)
		if len(r.GetChanges()) > 0 {
			t.Fatalf("a change that was not wanted: %v", r)
		}
		if r.GetRevision() == made.Revision {
			return
		}
	}
}

// forgetful is a store whose history is gone.
type forgetful struct{ Store }

func (forgetful) Subscribe(uint64) (*raftstore.Subscription, error) {
	return nil, fmt.Errorf("subscribe: %w", raftstore.ErrCompacted)
}

// TestWatchCompacted: a history that is gone is OUT_OF_RANGE, with what to do.
func TestWatchCompacted(t *testing.T) {
	t.Parallel()
	f := newFixtureWith(t, func(c *Config) { c.Store = forgetful{c.Store} })
	err := drain(f.Watch(f.ctx, &v1.WatchRequest{FromRevision: 1}))
	refusal{codes.OutOfRange, "from_revision", []string{"list again"}}.check(t, err)
}

// TestWatchWhereTheHistoryIs: a client that comes to a node which remembers too little goes on with
// another one that remembers more; when there is none, it is told what to do.
func TestWatchWhereTheHistoryIs(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	leader := startNode(t, ca, "n1", true)
	follower := startNodeWith(t, ca, raftstore.Config{NodeID: "n2"}, func(c *Config) { c.Store = forgetful{c.Store} })
	joinPair(t, ca, leader, follower)
	for n := range 5 {
		if _, err := leader.store.Apply(patience(t), putPool(&v1.Pool{NameLabel: fmt.Sprint(n)}, true)); err != nil {
			t.Fatal(err)
		}
	}
	end := leader.store.View().Revision()
	done := errors.New("seen all")
	watch := func(from uint64, nodes ...*apiNode) (pools int, err error) {
		cfg := client.Config{TLS: ca.config("vera", "read-only")}
		for _, n := range nodes {
			cfg.Endpoints = append(cfg.Endpoints, n.api)
		}
		c, err := client.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		return pools, c.Watch(patience(t), &v1.WatchRequest{FromRevision: from}, func(r *v1.WatchResponse) error {
			if pools += len(r.GetChanges()); pools == 5 {
				return done
			}
			return nil
		})
	}
	if pools, err := watch(1, follower, leader); !errors.Is(err, done) {
		t.Errorf("%d pools of 5 up to revision %d: %v", pools, end, err)
	}
	_, err := watch(1, follower)
	refusal{codes.OutOfRange, "from_revision", []string{"list again"}}.check(t, err)
}
