package northbound

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
	"poolwire/southbound/openflow/flow"
)

// apiNode is one controller of a cluster, with its API on loopback TLS.
type apiNode struct {
	id    string
	store *raftstore.Store
	live  *fakeLive
	wire  wire
	api   string
	log   *lines
}

func startNode(t testing.TB, ca *authority, id string, bootstrap bool) *apiNode {
	t.Helper()
	return startNodeWith(t, ca, raftstore.Config{NodeID: id, Bootstrap: bootstrap, AskRevision: ca.askRevision}, func(*Config) {})
}

// askRevision asks a node as another node does.
func (a *authority) askRevision(ctx context.Context, address string) (uint64, error) {
	a.mu.Lock()
	if a.nodes[address] == nil {
		a.nodes[address] = a.dial(address, "n1", "node") // a member of every cluster of a test
	}
	conn := a.nodes[address]
	a.mu.Unlock()
	r, err := v1.NewClusterServiceClient(conn).ReadRevision(ctx, &v1.ReadRevisionRequest{})
	return r.GetRevision(), err
}

// startNodeWith starts a node whose API's configuration change has the last word on.
func startNodeWith(t testing.TB, ca *authority, sc raftstore.Config, change func(*Config)) *apiNode {
	t.Helper()
	id, l, w := sc.NodeID, listen(t), newWire(t)
	n := &apiNode{id: id, wire: w, api: l.Addr().String(), log: &lines{}}
	sc.Stream, sc.APIAddress, sc.Version, sc.Raft.HeartbeatTimeout = w, n.api, "test", 2*time.Second
	n.store = openStore(t, sc)
	n.live = newFakeLive(n.store)
	cfg := serverConfig(n.store, n.live)
	cfg.NodeID, cfg.Log = id, slog.New(recorder{slog.DiscardHandler, n.log})
	cfg.Peers = reaches(func(address string) (*grpc.ClientConn, error) {
		return grpc.NewClient("passthrough:"+address, grpc.WithTransportCredentials(credentials.NewTLS(ca.config(id, "node"))))
	})
	change(&cfg)
	ca.serve(newServer(t, cfg), l)
	return n
}

// pair is a leader and a follower that joined through the API.
func pair(t testing.TB, ca *authority) (leader, follower *apiNode) {
	t.Helper()
	leader, follower = startNode(t, ca, "n1", true), startNode(t, ca, "n2", false)
	joinPair(t, ca, leader, follower)
	return leader, follower
}

func joinPair(t testing.TB, ca *authority, leader, follower *apiNode) {
	t.Helper()
	version := leader.store.View().Node("n1") // that of both
	joined, err := v1.NewClusterServiceClient(ca.dial(leader.api, "n2", "node")).AddNode(patience(t), &v1.AddNodeRequest{
		Node: &v1.Node{Id: "n2", RaftAddress: follower.wire.Addr().String(), ApiAddress: follower.api, Version: "test", Leader: true,
			Commands: version.GetCommands(), Meaning: version.GetMeaning()}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v1.NewClusterServiceClient(ca.dial(leader.api, "ada", "pool-admin")).PromoteNode(patience(t), &v1.PromoteNodeRequest{Id: "n2"}); err != nil {
		t.Fatal(err)
	}
	if joined.GetClusterUuid() != leader.store.View().ClusterUUID() || joined.GetClusterUuid() == "" {
		t.Errorf("joined %v", joined)
	}
	sub, err := follower.store.Subscribe(0)
	for set := (raftstore.ChangeSet{}); err == nil && set.Revision < joined.GetRevision(); {
		set, err = sub.Next(patience(t))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestForwarding: a follower answers everything as the leader does, with the
// caller's own role and with the leader's errors as they are.
func TestForwarding(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	leader, follower := pair(t, ca)
	ctx := patience(t)
	operator := clientsOf(ca.dial(follower.api, "olga", "pool-operator"))

	made, err := operator.CreatePool(ctx, &v1.CreatePoolRequest{Pool: &v1.Pool{Uuid: paris, NameLabel: "paris"}})
	if err != nil {
		t.Fatal(err)
	}
	if leader.store.View().Pool(paris) == nil {
		t.Error("the leader has no such pool")
	}
	got, err := operator.GetPool(ctx, &v1.GetPoolRequest{Pool: "paris"})
	if err != nil || !proto.Equal(got.GetPool(), made.GetPool()) {
		t.Errorf("read after write: %v, %v", got, err)
	}
	_, err = operator.CreatePool(ctx, &v1.CreatePoolRequest{Pool: &v1.Pool{NameLabel: "paris"}})
	refusal{codes.AlreadyExists, "pool.name_label", []string{`"paris"`, paris}}.check(t, err)

	// The leader knows who asked, not only which node did.
	for node, want := range map[*apiNode]string{leader: "CreatePool code=OK", follower: "CreatePool code=OK"} {
		who := map[*apiNode]string{leader: "who=olga via n2 role=pool-operator", follower: "who=olga role=pool-operator"}[node]
		if !node.log.has(want, who) {
			t.Errorf("no line %q with %q in the log of %s:\n%s", want, who, node.id, node.log)
		}
	}

	viewer := clientsOf(ca.dial(follower.api, "vera", "read-only"))
	_, err = viewer.CreatePool(ctx, &v1.CreatePoolRequest{Pool: &v1.Pool{NameLabel: "nice"}})
	refusal{code: codes.PermissionDenied, says: []string{"vera"}}.check(t, err)
	st, err := viewer.GetClusterStatus(ctx, &v1.GetClusterStatusRequest{})
	if err != nil || st.GetLeaderId() != "n1" || len(st.GetNodes()) != 2 || st.GetPools() != 1 {
		t.Errorf("status %v, %v", st, err)
	}
	if n := st.GetNodes()[1]; n.GetId() != "n2" || n.GetLeader() || !n.GetVoter() || n.GetApiAddress() != follower.api {
		t.Errorf("node %v", n)
	}
	wait, err := viewer.WaitForHosts(ctx, &v1.WaitForHostsRequest{Revision: made.GetRevision(), Timeout: durationpb.New(time.Minute)})
	if err != nil || wait.GetRealization().GetState() != v1.RealizationState_REALIZATION_STATE_CONFIRMED {
		t.Errorf("wait %v, %v", wait, err)
	}
}

// TestForwardDumpFlows: a stream comes through too, whole and in order.
func TestForwardDumpFlows(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	leader, follower := pair(t, ca)
	f := &fixture{t: t, ctx: patience(t), store: leader.store, live: leader.live}
	f.populate()
	var want []string
	leader.live.change(func() {
		for i := range 1201 {
			st := flow.Stats{Flow: flow.Flow{Table: 10, Priority: uint16(i), Cookie: 0x5001000000000000}}
			leader.live.flows[xcp1+"/xenbr0"] = append(leader.live.flows[xcp1+"/xenbr0"], st)
			want = append(want, st.String())
		}
	})
	s, err := v1.NewFlowServiceClient(ca.dial(follower.api, "vera", "read-only")).DumpFlows(f.ctx, &v1.DumpFlowsRequest{Host: "xcp1", Bridge: "xapi1"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	parts := 0
	for {
		r, err := s.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		parts++
		if r.GetBridge() != "xenbr0" || r.GetHostUuid() != xcp1 || len(r.GetFlows()) > flowsPerMessage {
			t.Errorf("part of %d flows of %s on %s", len(r.GetFlows()), r.GetBridge(), r.GetHostUuid())
		}
		for _, fl := range r.GetFlows() {
			got = append(got, fl.GetText())
		}
	}
	if parts != 3 || !slices.EqualFunc(got, want, func(a, b string) bool { return a == trim(b) }) {
		t.Errorf("%d flows in %d parts, want %d in 3", len(got), parts, len(want))
	}
}

func trim(s string) string {
	for len(s) > 0 && s[0] == ' ' {
		s = s[1:]
	}
	return s
}

// TestNoLoop: a forwarded call is not forwarded again.
func TestNoLoop(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	_, follower := pair(t, ca)
	ctx := metadata.AppendToOutgoingContext(patience(t), forwardedKey, "n1", callerNameKey, "olga", callerRoleKey, "pool-operator")
	conn := ca.dial(follower.api, "n1", "node")
	_, err := v1.NewPoolServiceClient(conn).ListPools(ctx, &v1.ListPoolsRequest{})
	if !isNotLeading(err) {
		t.Errorf("unary: %v", err)
	}
	err = drain(v1.NewFlowServiceClient(conn).DumpFlows(ctx, &v1.DumpFlowsRequest{Bridge: "xenbr0"}))
	if !isNotLeading(err) {
		t.Errorf("stream: %v", err)
	}
}

// TestWatchOnFollower: each node serves watches itself.
func TestWatchOnFollower(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	leader, follower := pair(t, ca)
	ctx, cancel := context.WithCancel(patience(t))
	defer cancel()
	s, err := v1.NewWatchServiceClient(ca.dial(follower.api, "vera", "read-only")).Watch(ctx, &v1.WatchRequest{})
	if err != nil {
		t.Fatal(err)
	}
	recv(t, s)
	res, err := leader.store.Apply(ctx, putPool(&v1.Pool{NameLabel: "paris"}, true))
	if err != nil {
		t.Fatal(err)
	}
	if got := recv(t, s); got.GetRevision() != res.Revision || got.GetChanges()[0].GetPool().GetNameLabel() != "paris" {
		t.Errorf("%v, want revision %d", got, res.Revision)
	}
}

// TestLeaderLeaves: the leader takes itself out through the API of the other
// node: it hands over, and the call ends on its successor.
func TestLeaderLeaves(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	leader, follower := pair(t, ca)
	admin := clientsOf(ca.dial(follower.api, "ada", "pool-admin"))
	if _, err := admin.RemoveNode(patience(t), &v1.RemoveNodeRequest{Id: leader.id}); err != nil {
		t.Fatal(err)
	}
	st, err := admin.GetClusterStatus(patience(t), &v1.GetClusterStatusRequest{})
	if err != nil || st.GetLeaderId() != follower.id || len(st.GetNodes()) != 1 {
		t.Errorf("status %v, %v", st, err)
	}
}

// TestNoLeader: a node alone waits a moment for a leader, then says so; health
// says so too, and the status is answered all the same.
func TestNoLeader(t *testing.T) {
	t.Parallel()
	store := openStore(t, raftstore.Config{NodeID: "n1"})
	cfg := serverConfig(store, newFakeLive(store))
	cfg.LeaderWait = 50 * time.Millisecond
	conn := serveLocal(t, newServer(t, cfg))
	c := clientsOf(conn)
	_, err := c.ListPools(patience(t), &v1.ListPoolsRequest{})
	refusal{code: codes.Unavailable, says: []string{"no controller node leads"}}.check(t, err)
	err = drain(c.DumpFlows(patience(t), &v1.DumpFlowsRequest{Bridge: "xenbr0"}))
	refusal{code: codes.Unavailable, says: []string{"no controller node leads"}}.check(t, err)
	st, err := c.GetClusterStatus(patience(t), &v1.GetClusterStatusRequest{})
	if err != nil || st.GetLeaderId() != "" || st.GetVersion() != "test" {
		t.Errorf("status %v, %v", st, err)
	}
	health, err := healthv1.NewHealthClient(conn).Check(patience(t), &healthv1.HealthCheckRequest{})
	if err != nil || health.GetStatus() != healthv1.HealthCheckResponse_NOT_SERVING {
		t.Errorf("health %v, %v", health, err)
	}
}

// TestHealth: SERVING once a leader is known.
func TestHealth(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	h := healthv1.NewHealthClient(f.conn)
	for _, name := range []string{"", "poolwire.v1"} {
		got, err := h.Check(f.ctx, &healthv1.HealthCheckRequest{Service: name})
		if err != nil || got.GetStatus() != healthv1.HealthCheckResponse_SERVING {
			t.Errorf("%q: %v, %v", name, got, err)
		}
	}
	_, err := h.Check(f.ctx, &healthv1.HealthCheckRequest{Service: "other"})
	refusal{code: codes.NotFound, says: []string{`"other"`}}.check(t, err)
	list, err := h.List(f.ctx, &healthv1.HealthListRequest{})
	if err != nil || list.GetStatuses()[""].GetStatus() != healthv1.HealthCheckResponse_SERVING {
		t.Errorf("%v, %v", list, err)
	}
	ctx, cancel := context.WithCancel(f.ctx)
	defer cancel()
	w, err := h.Watch(ctx, &healthv1.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := w.Recv(); err != nil || got.GetStatus() != healthv1.HealthCheckResponse_SERVING {
		t.Errorf("watch: %v, %v", got, err)
	}
}

// TestForwardPolicies: what only the leader can answer about policies is asked of
// it: what a change would do, what becomes of a packet, counts, and the endless
// stream of denied packets, whose beginning is told before its first message.
func TestForwardPolicies(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	leader, follower := pair(t, ca)
	f := &fixture{t: t, ctx: patience(t), store: leader.store, live: leader.live}
	f.populate()
	olga := clientsOf(ca.dial(follower.api, "olga", "pool-operator"))
	tried, err := olga.CreatePolicyRule(f.ctx, &v1.CreatePolicyRuleRequest{PolicyRule: policyRule(nil), ValidateOnly: true})
	if err != nil || len(tried.GetPreview().GetBridges()) != 1 {
		t.Errorf("preview: %v, %v", tried, err)
	}
	made, err := olga.CreatePolicyRule(f.ctx, &v1.CreatePolicyRuleRequest{PolicyRule: policyRule(nil)})
	if err != nil || made.GetPolicyRule().GetAuthor() != "olga" {
		t.Fatalf("%v, %v", made, err)
	}
	if _, err := olga.Explain(f.ctx, &v1.ExplainRequest{Vif: vif1}); err != nil || len(leader.live.policy.asked) != 1 {
		t.Errorf("explain: %v", err)
	}
	leader.live.change(func() {
		leader.live.policy.hits = map[uint32][]*v1.HostHits{made.GetPolicyRule().GetObjectId(): {{Packets: 7}}}
	})
	hits, err := olga.GetRuleHits(f.ctx, &v1.GetRuleHitsRequest{Rules: []string{"ssh"}})
	if err != nil || hits.GetHits()[0].GetPackets() != 7 {
		t.Errorf("hits: %v, %v", hits, err)
	}

	ends := make(chan struct{})
	leader.live.change(func() { leader.live.policy.ends = ends })
	quiet, err := olga.WatchDenied(f.ctx, &v1.WatchDeniedRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := quiet.Header(); err != nil {
		t.Errorf("the beginning: %v", err)
	}
	leader.live.change(func() { leader.live.policy.denied = []*v1.WatchDeniedResponse{{VifUuid: vif1, SourcePort: 9}} })
	busy, err := olga.WatchDenied(f.ctx, &v1.WatchDeniedRequest{Vif: vif1})
	if err != nil {
		t.Fatal(err)
	}
	if m, err := busy.Recv(); err != nil || m.GetSourcePort() != 9 {
		t.Errorf("sample: %v, %v", m, err)
	}
	close(ends)
	if _, err := busy.Recv(); !isNotLeading(err) {
		t.Errorf("after the lead is lost: %v", err)
	}
	if _, err := quiet.Recv(); !isNotLeading(err) {
		t.Errorf("after the lead is lost: %v", err)
	}
	refused, err := olga.WatchDenied(f.ctx, &v1.WatchDeniedRequest{Vif: "nobody"})
	err = drain(refused, err)
	refusal{codes.NotFound, "vif", []string{`"nobody"`}}.check(t, err)
}

// TestStaleRead: a client that is content with it gets a node's own state, though nobody leads, and is told how old that is.
func TestStaleRead(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	leader, follower := pair(t, ca)
	made, err := clientsOf(ca.dial(leader.api, "olga", "pool-operator")).CreatePool(patience(t), &v1.CreatePoolRequest{Pool: &v1.Pool{NameLabel: "paris"}})
	if err != nil {
		t.Fatal(err)
	}
	sub, err := follower.store.Subscribe(made.GetRevision() - 1)
	if err == nil {
		_, err = sub.Next(patience(t))
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := leader.store.Close(patience(t)); err != nil {
		t.Fatal(err)
	}
	viewer := clientsOf(ca.dial(follower.api, "vera", "read-only"))
	stale := func(wish string) context.Context {
		return metadata.AppendToOutgoingContext(patience(t), "poolwire-consistency", wish)
	}
	var header metadata.MD
	got, err := viewer.GetPool(stale("stale"), &v1.GetPoolRequest{Pool: "paris"}, grpc.Header(&header))
	if err != nil || got.GetPool().GetNameLabel() != "paris" {
		t.Errorf("a stale read without a leader: %v, %v", got, err)
	}
	if revision := header.Get("poolwire-revision"); len(revision) != 1 || revision[0] < fmt.Sprint(made.GetRevision()) {
		t.Errorf("revision %q, want %d or later", revision, made.GetRevision())
	}
	_, err = viewer.GetPool(stale("soon"), &v1.GetPoolRequest{Pool: "paris"})
	refusal{code: codes.InvalidArgument, says: []string{"soon", "stale"}}.check(t, err)
}
