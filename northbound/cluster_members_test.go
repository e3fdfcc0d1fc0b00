package northbound

import (
	"testing"

	"google.golang.org/grpc/codes"

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
