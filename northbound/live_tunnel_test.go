package northbound

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	storev1 "poolwire/proto/poolwire/store/v1"
	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// PathWarnings implements Live.
func (l *fakeLive) PathWarnings(string) []string { return nil }

// Preflight implements Live.
func (l *fakeLive) Preflight(v *raftstore.View, n *v1.PrivateNetwork) []*v1.PrivateNetworkHostStatus {
	var out []*v1.PrivateNetworkHostStatus
	for _, m := range v.PrivateNetworkMembers(n) {
		out = append(out, &v1.PrivateNetworkHostStatus{HostUuid: m.Host.GetUuid(), Ready: true})
	}
	return out
}

// Tunnels implements Live.
func (l *fakeLive) Tunnels() ([]*v1.Tunnel, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []*v1.Tunnel
	for _, t := range l.tunnels {
		out = append(out, proto.CloneOf(t))
	}
	return out, nil
}

// RotateKeys implements Live.
func (l *fakeLive) RotateKeys(ctx context.Context, q *v1.RotateTunnelKeysRequest, by raftstore.Asked) (revision uint64, pairs int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rotated = append(l.rotated, [2]string{q.GetHost(), q.GetPeer()})
	cmd := &storev1.Command{Body: &storev1.Command_PutPairKeys{PutPairKeys: &storev1.PutPairKeys{Pairs: 2}}}
	by.Sign(cmd)
	res, err := l.store.Apply(ctx, cmd)
	return res.Revision, int(res.Pairs), err
}

// between is a tunnel between two hosts of the fixture.
func between(a, b, network string, state v1.TunnelState, protection v1.TunnelProtection) *v1.Tunnel {
	return &v1.Tunnel{
		Encapsulation: "vxlan", A: &v1.TunnelEnd{HostUuid: a, HostNameLabel: a}, B: &v1.TunnelEnd{HostUuid: b, HostNameLabel: b},
		State: state, Protection: protection, PrivateNetworkUuids: []string{network},
	}
}

func TestMatrix(t *testing.T) {
	t.Parallel()
	const up, down = v1.TunnelState_TUNNEL_STATE_UP, v1.TunnelState_TUNNEL_STATE_DOWN
	const none, proved, pending = v1.TunnelProtection_TUNNEL_PROTECTION_NONE, v1.TunnelProtection_TUNNEL_PROTECTION_PROVED, v1.TunnelProtection_TUNNEL_PROTECTION_PENDING
	at := hostPair{0, 1}
	for name, tt := range map[string]struct {
		tunnels []*v1.Tunnel
		want    *v1.TunnelMatrixCell
	}{
		"one":                    {[]*v1.Tunnel{between("a", "b", "n", up, none)}, &v1.TunnelMatrixCell{Column: 1, State: up, Protection: none}},
		"the worse state":        {[]*v1.Tunnel{between("a", "b", "n", down, none), between("a", "b", "n", up, none)}, &v1.TunnelMatrixCell{Column: 1, State: down, Protection: none}},
		"in the other order":     {[]*v1.Tunnel{between("a", "b", "n", up, none), between("a", "b", "n", down, none)}, &v1.TunnelMatrixCell{Column: 1, State: down, Protection: none}},
		"one protected":          {[]*v1.Tunnel{between("a", "b", "n", up, proved), between("a", "b", "n", up, none)}, &v1.TunnelMatrixCell{Column: 1, State: up, Protection: proved}},
		"one not protected yet":  {[]*v1.Tunnel{between("a", "b", "n", up, pending), between("a", "b", "n", up, proved)}, &v1.TunnelMatrixCell{Column: 1, State: up, Protection: pending}},
		"the same, other order":  {[]*v1.Tunnel{between("a", "b", "n", up, proved), between("a", "b", "n", up, pending)}, &v1.TunnelMatrixCell{Column: 1, State: up, Protection: pending}},
		"with the loss of worst": {[]*v1.Tunnel{{Loss: 0.5, State: up, Protection: none}, {Loss: 0.1, State: up, Protection: none}}, &v1.TunnelMatrixCell{Column: 1, State: up, Protection: none, Loss: 0.5}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := &v1.TunnelMatrixCell{Relayed: true}
			for _, tunnel := range tt.tunnels {
				got = worse(got, tunnel, at)
			}
			if diff := cmp.Diff(tt.want, got, protocmp.Transform()); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestTunnels(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	f.live.tunnels = []*v1.Tunnel{
		between(xcp1, xcp2, "x", v1.TunnelState_TUNNEL_STATE_UP, v1.TunnelProtection_TUNNEL_PROTECTION_NONE),
		between(xcp1, xcp3, "x", v1.TunnelState_TUNNEL_STATE_UP, v1.TunnelProtection_TUNNEL_PROTECTION_PENDING),
		between(xcp2, xcp3, "x", v1.TunnelState_TUNNEL_STATE_DOWN, v1.TunnelProtection_TUNNEL_PROTECTION_NONE),
	}
	client := v1.NewTunnelServiceClient(f.conn)
	ctx := t.Context()
	for name, tt := range map[string]struct {
		q    *v1.ListTunnelsRequest
		want int
	}{
		"all":        {&v1.ListTunnelsRequest{}, 3},
		"of a host":  {&v1.ListTunnelsRequest{Host: xcp1}, 2},
		"in trouble": {&v1.ListTunnelsRequest{ProblemsOnly: true}, 2},
		"both":       {&v1.ListTunnelsRequest{Host: xcp2, ProblemsOnly: true}, 1},
	} {
		got, err := client.ListTunnels(ctx, tt.q)
		if err != nil || len(got.GetTunnels()) != tt.want {
			t.Errorf("%s: %d tunnels, %v; want %d", name, len(got.GetTunnels()), err, tt.want)
		}
	}
	if _, err := client.ListTunnels(ctx, &v1.ListTunnelsRequest{Host: "nobody"}); status.Code(err) != codes.NotFound {
		t.Errorf("tunnels of nobody: %v", err)
	}
	if _, err := client.RotateTunnelKeys(ctx, &v1.RotateTunnelKeysRequest{Peer: xcp1}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("a peer without a host: %v", err)
	}
	if r, err := client.RotateTunnelKeys(ctx, &v1.RotateTunnelKeysRequest{Host: xcp1, Peer: xcp2}); err != nil || r.GetPairs() != 2 {
		t.Errorf("rotated %v, %v", r, err)
	}
	if !slices.Equal(f.live.rotated, [][2]string{{xcp1, xcp2}}) {
		t.Errorf("rotated %v", f.live.rotated)
	}
}

// TestRotatesOnce: a repeated request for new keys gets the first answer and rotates nothing, also when its host is gone; its id is
// good for no other kind of request.
func TestRotatesOnce(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	client := v1.NewTunnelServiceClient(f.conn)
	ask := func(host, id string) (*v1.RotateTunnelKeysResponse, error) {
		return client.RotateTunnelKeys(t.Context(), &v1.RotateTunnelKeysRequest{Host: host, RequestId: id})
	}
	first, err := ask(xcp1, "r")
	if err != nil || first.GetPairs() != 2 {
		t.Fatalf("%v, %v", first, err)
	}
	before := f.state()
	if again, err := ask(xcp1, "r"); err != nil || !proto.Equal(again, first) {
		t.Errorf("%v, %v; first it was %v", again, err, first)
	}
	_, err = ask("gone", "r")
	refusal{codes.InvalidArgument, "request_id", []string{`"r"`, "something else"}}.check(t, err)
	if len(f.live.rotated) != 1 || f.state() != before {
		t.Errorf("rotated %v", f.live.rotated)
	}
	f.apply(&storev1.Command{Body: &storev1.Command_DeleteHost{DeleteHost: &storev1.Delete{Uuid: xcp1}}})
	if again, err := ask(xcp1, "r"); err != nil || !proto.Equal(again, first) || len(f.live.rotated) != 1 {
		t.Errorf("its host is gone: %v, %v; first it was %v", again, err, first)
	}
	if other, err := ask(xcp2, "s"); err != nil || other.GetRevision() == first.GetRevision() || len(f.live.rotated) != 2 {
		t.Errorf("another request: %v, %v, rotated %v", other, err, f.live.rotated)
	}
	_, err = f.CreatePool(f.ctx, &v1.CreatePoolRequest{Pool: &v1.Pool{NameLabel: "nice"}, RequestId: "r"})
	refusal{codes.InvalidArgument, "request_id", []string{`"r"`, "another kind of request"}}.check(t, err)
	_, err = ask(xcp1, strings.Repeat("x", 65))
	refusal{codes.InvalidArgument, "request_id", []string{"65 characters"}}.check(t, err)
	if len(f.live.rotated) != 2 {
		t.Errorf("rotated %v", f.live.rotated)
	}
}
