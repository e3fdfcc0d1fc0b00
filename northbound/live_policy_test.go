package northbound

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/proto"

	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// fakePolicy is the part of fakeLive that is about policies. Its fields are
// guarded by fakeLive's mu.
type fakePolicy struct {
	// asked are the packets that were to be explained.
	asked []*v1.ExplainRequest
	// hits are counts by object id, uncounted the hosts that could not be asked.
	hits      map[uint32][]*v1.HostHits
	uncounted []string
	// denied are the samples every watch gets before it goes on to ends.
	denied []*v1.WatchDeniedResponse
	// ends closes every watch when it is closed: the lead is lost. nil: never.
	ends chan struct{}
	// fails is what everything fails with.
	fails error
}

// Preview lists the objects that would change instead of the flows.
func (l *fakeLive) Preview(_ context.Context, before, after *raftstore.View, changes raftstore.ChangeSet) (*v1.Preview, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.policy.fails != nil {
		return nil, l.policy.fails
	}
	diff := &v1.BridgeDiff{Bridge: fmt.Sprintf("from %d to %d rules", len(before.PolicyRules()), len(after.PolicyRules()))}
	for _, c := range changes.Changes {
		diff.Added = append(diff.Added, fmt.Sprintf("%d/%s", c.Table, c.Key))
	}
	return &v1.Preview{Bridges: []*v1.BridgeDiff{diff}, SessionsNote: "give some"}, nil
}

// PreviewSessions cuts every session.
func (l *fakeLive) PreviewSessions(_ context.Context, _, _ *raftstore.View, host string, lines []string) ([]*v1.SessionVerdict, *v1.SessionCounts, error) {
	var out []*v1.SessionVerdict
	for _, line := range lines {
		out = append(out, &v1.SessionVerdict{Session: line, Cut: true, RuleText: "on " + host})
	}
	return out, &v1.SessionCounts{Given: uint32(len(lines)), Owned: uint32(len(out))}, nil
}

func (l *fakeLive) Explain(_ context.Context, v *raftstore.View, q *v1.ExplainRequest) (*v1.ExplainResponse, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.policy.fails != nil {
		return nil, l.policy.fails
	}
	l.policy.asked = append(l.policy.asked, proto.CloneOf(q))
	return &v1.ExplainResponse{Verdict: v1.Verdict_VERDICT_PASSES, Assumptions: []string{"all is well"}}, nil
}

func (l *fakeLive) RuleHits(_ context.Context, ids []uint32) (map[uint32][]*v1.HostHits, []string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := map[uint32][]*v1.HostHits{}
	for _, id := range ids {
		if h, ok := l.policy.hits[id]; ok {
			out[id] = h
		}
	}
	return out, l.policy.uncounted, l.policy.fails
}

func (l *fakeLive) WatchDenied(ctx context.Context) (<-chan *v1.WatchDeniedResponse, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.policy.fails != nil {
		return nil, l.policy.fails
	}
	out := make(chan *v1.WatchDeniedResponse, len(l.policy.denied))
	for _, m := range l.policy.denied {
		out <- proto.CloneOf(m)
	}
	ends := l.policy.ends
	go func() {
		select {
		case <-ctx.Done():
		case <-ends:
		}
		close(out)
	}()
	return out, nil
}
