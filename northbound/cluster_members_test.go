package northbound

import (
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	storev1 "poolwire/proto/poolwire/store/v1"
	v1 "poolwire/proto/poolwire/v1"
)

// What is recorded of a node that is no member can be removed like a member, once.
func TestRemovingARecord(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	if _, err := f.store.Apply(f.ctx, &storev1.Command{Body: &storev1.Command_PutNode{PutNode: &storev1.PutNode{Node: &v1.Node{Id: "n9"}}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.RemoveNode(f.ctx, &v1.RemoveNodeRequest{Id: "n9"}); err != nil || f.store.View().Node("n9") != nil {
		t.Errorf("%v, %v", f.store.View().Node("n9"), err)
	}
	_, err := f.RemoveNode(f.ctx, &v1.RemoveNodeRequest{Id: "n9"})
	refusal{code: codes.NotFound, field: "id", says: []string{`"n9"`, "known: n1"}}.check(t, err)
}

// Giving a member its addresses again leaves alone what is not given: how bridges reach it, and what it understands.
func TestAddingAMemberAgain(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	leader, follower := pair(t, ca)
	admin := clientsOf(ca.dial(leader.api, "ada", "pool-admin"))
	add := func(n *v1.Node) *v1.Node {
		t.Helper()
		n.Id = follower.id
		if _, err := admin.AddNode(patience(t), &v1.AddNodeRequest{Node: n}); err != nil {
			t.Fatal(err)
		}
		return leader.store.View().Node(follower.id)
	}
	raft := follower.wire.Addr().String()
	before := add(&v1.Node{RaftAddress: raft, ApiAddress: follower.api, OpenflowAddress: "192.0.2.2:6653", Version: "test", Commands: 31, Meaning: 3, StaysLearner: true})
	if got := add(&v1.Node{RaftAddress: raft, ApiAddress: follower.api}); !proto.Equal(got, before) || got.GetOpenflowAddress() == "" {
		t.Errorf("%v, was %v", got, before)
	}
	if got := add(&v1.Node{ApiAddress: "192.0.2.2:6700"}); got.GetApiAddress() != "192.0.2.2:6700" || got.GetRaftAddress() != raft {
		t.Errorf("a new API address alone: %v", got)
	}
	// The version that the node went back to tells nothing.
	if got := add(&v1.Node{RaftAddress: raft, Version: "older"}); got.GetCommands() != 0 || got.GetMeaning() != 0 || got.GetVersion() != "older" {
		t.Errorf("an older version: %v", got)
	}
}
