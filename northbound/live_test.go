package northbound

import (
	"context"
	"errors"
	"sync"

	storev1 "poolwire/proto/poolwire/store/v1"
	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
	"poolwire/southbound/openflow/flow"
)

// fakeLive is a controller whose hosts do at once what they are asked: all are
// connected and have confirmed everything, unless a test says otherwise.
type fakeLive struct {
	store fakeStore

	mu        sync.Mutex
	state     map[string]v1.HostState
	refusing  map[string]string
	lagging   map[string]bool
	released  []string
	flows     map[string][]flow.Stats // by host UUID "/" bridge
	private   map[string][]*v1.PrivateNetworkHostStatus
	warnings  map[string][]string          // of VIFs
	obstacles map[string]map[string]string // of VIFs, by host UUID
	policy    fakePolicy
	tunnels   []*v1.Tunnel
	rotated   [][2]string
	progress  chan struct{} // closed and replaced whenever something changes
}

// fakeStore is the store that the fake's controller works on.
type fakeStore interface {
	View() *raftstore.View
	Apply(ctx context.Context, cmd *storev1.Command) (raftstore.Result, error)
}

func newFakeLive(store fakeStore) *fakeLive {
	return &fakeLive{
		store: store, state: map[string]v1.HostState{}, refusing: map[string]string{}, lagging: map[string]bool{},
		flows: map[string][]flow.Stats{}, private: map[string][]*v1.PrivateNetworkHostStatus{}, progress: make(chan struct{}),
	}
}

// change alters the fake and wakes those who wait.
func (l *fakeLive) change(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
	close(l.progress)
	l.progress = make(chan struct{})
}

func (l *fakeLive) stateOf(host string) v1.HostState {
	if s, ok := l.state[host]; ok {
		return s
	}
	return v1.HostState_HOST_STATE_READY
}

func (l *fakeLive) HostStatus(host string) *v1.HostStatus {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.store.View().Host(host) == nil {
		return nil
	}
	return &v1.HostStatus{State: l.stateOf(host)}
}

func (l *fakeLive) HostRealization(host string, revision uint64) *v1.HostRealization {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.realization(host, revision)
}

func (l *fakeLive) realization(host string, revision uint64) *v1.HostRealization {
	out := &v1.HostRealization{HostUuid: host, State: v1.RealizationState_REALIZATION_STATE_CONFIRMED,
		HostNameLabel: l.store.View().Host(host).GetNameLabel(), ConfirmedRevision: revision}
	switch {
	case l.stateOf(host) == v1.HostState_HOST_STATE_AWAY:
		out.State, out.Error = v1.RealizationState_REALIZATION_STATE_PENDING, "host is away"
	case l.refusing[host] != "":
		out.State, out.Error = v1.RealizationState_REALIZATION_STATE_FAILED, l.refusing[host]
	case l.lagging[host]:
		out.State = v1.RealizationState_REALIZATION_STATE_IN_PROGRESS
	}
	return out
}

func (l *fakeLive) WaitForHosts(ctx context.Context, revision uint64) *v1.Realization {
	for {
		l.mu.Lock()
		out := &v1.Realization{State: v1.RealizationState_REALIZATION_STATE_CONFIRMED}
		for _, h := range l.store.View().Hosts() {
			r := l.realization(h.GetUuid(), revision)
			out.Hosts = append(out.Hosts, r)
			switch r.GetState() {
			case v1.RealizationState_REALIZATION_STATE_IN_PROGRESS:
				out.State = r.GetState()
			case v1.RealizationState_REALIZATION_STATE_PENDING:
				if out.State == v1.RealizationState_REALIZATION_STATE_CONFIRMED {
					out.State = v1.RealizationState_REALIZATION_STATE_PARTIAL
				}
				out.Message = "away: " + h.GetNameLabel()
			}
		}
		progress := l.progress
		l.mu.Unlock()
		if out.State != v1.RealizationState_REALIZATION_STATE_IN_PROGRESS {
			return out
		}
		select {
		case <-ctx.Done():
			return out
		case <-progress:
		}
	}
}

var errAway = errors.New("host is not connected")

func (l *fakeLive) DumpFlows(_ context.Context, host, bridge string) ([]flow.Stats, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stateOf(host) == v1.HostState_HOST_STATE_AWAY {
		return nil, errAway
	}
	return l.flows[host+"/"+bridge], nil
}

func (l *fakeLive) Release(_ context.Context, host string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stateOf(host) == v1.HostState_HOST_STATE_AWAY {
		return errAway
	}
	l.released = append(l.released, host)
	l.state[host] = v1.HostState_HOST_STATE_RELEASED
	return nil
}

func (l *fakeLive) PrivateNetworkHosts(uuid string) []*v1.PrivateNetworkHostStatus {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.private[uuid]
}

func (l *fakeLive) VifWarnings(uuid string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.warnings[uuid]
}

func (l *fakeLive) VifObstacles(uuid string) map[string]string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.obstacles[uuid]
}

func (l *fakeLive) RefusedConnections() []string { return []string{"192.0.2.99: unknown authority"} }
