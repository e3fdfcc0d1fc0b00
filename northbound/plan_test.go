package northbound

import (
	"context"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/fieldmaskpb"

	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// replaced is a store whose node takes itself for the leader and is none any more.
type replaced struct{ Store }

// Prove says that another node leads (Store).
func (replaced) Prove(context.Context, *raftstore.View) error { return &raftstore.NotLeaderError{} }

// TestRefusalIsProved: a change is not refused, and not found to be made already, by a node
// that has been replaced without knowing: others may have written since.
func TestRefusalIsProved(t *testing.T) {
	t.Parallel()
	f := newFixtureWith(t, func(c *Config) { c.Store, c.LeaderWait = replaced{c.Store}, time.Millisecond })
	f.populate()
	name := &fieldmaskpb.FieldMask{Paths: []string{"name_label"}}
	_, missing := f.UpdatePool(f.ctx, &v1.UpdatePoolRequest{Pool: &v1.Pool{Uuid: id('a', 99), NameLabel: "x"}, UpdateMask: name})
	_, absent := f.RemoveRule(f.ctx, &v1.RemoveRuleRequest{Bridge: "xenbr0", Pool: "paris", Cookie: "7"})
	for what, err := range map[string]error{"a pool that is not there": missing, "nothing to remove": absent} {
		if !isNotLeading(err) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := f.UpdatePool(f.ctx, &v1.UpdatePoolRequest{Pool: &v1.Pool{Uuid: paris, NameLabel: "lutetia"}, UpdateMask: name}); err != nil {
		t.Errorf("a change that the log has taken needs no other proof: %v", err)
	}
}
