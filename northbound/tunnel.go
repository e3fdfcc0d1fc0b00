package northbound

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	storev1 "poolwire/proto/poolwire/store/v1"
	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// tunnelService implements poolwire.v1.TunnelService.
type tunnelService struct {
	v1.UnsafeTunnelServiceServer
	*Server
}

// maxMatrix is how many hosts a matrix holds.
const maxMatrix = 256

// ListTunnels returns tunnels ordered by the names of their hosts.
func (s *tunnelService) ListTunnels(ctx context.Context, req *v1.ListTunnelsRequest) (*v1.ListTunnelsResponse, error) {
	var bad violations
	at := pageQuery{
		size: req.GetPageSize(), token: req.GetPageToken(),
		query: []string{"tunnels", req.GetHost(), req.GetPrivateNetwork(), fmt.Sprint(req.GetProblemsOnly())},
	}.cursor(&bad)
	if err := bad.err(); err != nil {
		return nil, err
	}
	tunnels, _, err := s.tunnels(ctx, req.GetHost(), req.GetPrivateNetwork())
	if err != nil {
		return nil, err
	}
	if req.GetProblemsOnly() {
		tunnels = slices.DeleteFunc(tunnels, func(t *v1.Tunnel) bool { return !troubled(t) })
	}
	out := &v1.ListTunnelsResponse{}
	out.Tunnels, out.NextPageToken = pageOf(at, tunnels, func(t *v1.Tunnel) string {
		return sortKey(t.GetA().GetHostNameLabel(), t.GetB().GetHostNameLabel(), t.GetEncapsulation(), fmt.Sprintf("%05d", t.GetUdpPort()))
	})
	return out, nil
}

// troubled tells whether a tunnel is not as it should be.
func troubled(t *v1.Tunnel) bool {
	return t.GetState() != v1.TunnelState_TUNNEL_STATE_UP || unprotected(t)
}

func unprotected(t *v1.Tunnel) bool {
	p := t.GetProtection()
	return p != v1.TunnelProtection_TUNNEL_PROTECTION_NONE && p != v1.TunnelProtection_TUNNEL_PROTECTION_PROVED
}

// tunnels lists those of one host and of one network, where they are named.
func (s *tunnelService) tunnels(ctx context.Context, host, network string) ([]*v1.Tunnel, *raftstore.View, error) {
	v, err := s.read(ctx)
	if err != nil {
		return nil, nil, err
	}
	hostUUID, networkUUID := "", ""
	if host != "" {
		h, err := findHost(v, "host", host)
		if err != nil {
			return nil, nil, err
		}
		hostUUID = h.GetUuid()
	}
	if network != "" {
		n, err := findPrivateNetwork(v, network)
		if err != nil {
			return nil, nil, err
		}
		networkUUID = n.GetUuid()
	}
	tunnels, err := s.cfg.Live.Tunnels()
	if err != nil {
		return nil, nil, err
	}
	return slices.DeleteFunc(tunnels, func(t *v1.Tunnel) bool {
		return hostUUID != "" && t.GetA().GetHostUuid() != hostUUID && t.GetB().GetHostUuid() != hostUUID ||
			v.Host(t.GetA().GetHostUuid()) == nil && v.Host(t.GetB().GetHostUuid()) == nil && v.Restricted() ||
			networkUUID != "" && !slices.Contains(t.GetPrivateNetworkUuids(), networkUUID)
	}), v, nil
}

// GetTunnelMatrix returns the state of every pair of hosts that share a private network.
func (s *tunnelService) GetTunnelMatrix(ctx context.Context, req *v1.GetTunnelMatrixRequest) (*v1.GetTunnelMatrixResponse, error) {
	tunnels, v, err := s.tunnels(ctx, "", req.GetPrivateNetwork())
	if err != nil {
		return nil, err
	}
	networks := v.PrivateNetworks()
	if req.GetPrivateNetwork() != "" {
		n, err := findPrivateNetwork(v, req.GetPrivateNetwork())
		if err != nil {
			return nil, err
		}
		networks = []*v1.PrivateNetwork{n}
	}
	return matrixOf(v, networks, tunnels), nil
}

// hostPair is two hosts, in the order of the matrix.
type hostPair struct{ row, column uint32 }

// matrixOf puts tunnels where the rows and columns of their hosts meet.
func matrixOf(v *raftstore.View, networks []*v1.PrivateNetwork, tunnels []*v1.Tunnel) *v1.GetTunnelMatrixResponse {
	out := &v1.GetTunnelMatrixResponse{}
	members := map[string]*v1.TunnelMatrixHost{}
	for _, n := range networks {
		for _, m := range v.PrivateNetworkMembers(n) {
			members[m.Host.GetUuid()] = &v1.TunnelMatrixHost{
				HostUuid: m.Host.GetUuid(), HostNameLabel: m.Host.GetNameLabel(), PoolNameLabel: v.Pool(m.Host.GetPoolUuid()).GetNameLabel(),
			}
		}
	}
	for _, h := range members {
		out.Hosts = append(out.Hosts, h)
	}
	slices.SortFunc(out.Hosts, func(a, b *v1.TunnelMatrixHost) int {
		return cmp.Or(strings.Compare(a.GetPoolNameLabel(), b.GetPoolNameLabel()), strings.Compare(a.GetHostNameLabel(), b.GetHostNameLabel()))
	})
	if len(out.Hosts) > maxMatrix {
		out.Hosts, out.Truncated = out.Hosts[:maxMatrix], true
	}
	place := map[string]uint32{}
	for i, h := range out.Hosts {
		place[h.GetHostUuid()] = uint32(i)
	}
	cells := map[hostPair]*v1.TunnelMatrixCell{}
	for _, n := range networks {
		relayed(v, n, place, cells)
	}
	for _, t := range tunnels {
		a, there := place[t.GetA().GetHostUuid()]
		b, too := place[t.GetB().GetHostUuid()]
		if there && too {
			at := hostPair{min(a, b), max(a, b)}
			cells[at] = worse(cells[at], t, at)
		}
	}
	for _, c := range cells {
		out.Cells = append(out.Cells, c)
	}
	slices.SortFunc(out.Cells, func(a, b *v1.TunnelMatrixCell) int {
		return cmp.Or(cmp.Compare(a.GetRow(), b.GetRow()), cmp.Compare(a.GetColumn(), b.GetColumn()))
	})
	return out
}

// relayed notes all pairs of members; those that have a tunnel of their own are overwritten.
func relayed(v *raftstore.View, n *v1.PrivateNetwork, place map[string]uint32, cells map[hostPair]*v1.TunnelMatrixCell) {
	members := v.PrivateNetworkMembers(n)
	for i, x := range members {
		for _, y := range members[i+1:] {
			a, there := place[x.Host.GetUuid()]
			b, too := place[y.Host.GetUuid()]
			if at := (hostPair{min(a, b), max(a, b)}); there && too && cells[at] == nil {
				cells[at] = &v1.TunnelMatrixCell{Row: at.row, Column: at.column, Relayed: true}
			}
		}
	}
}

// worse is the worse of what is known of a pair and one of its tunnels.
func worse(have *v1.TunnelMatrixCell, t *v1.Tunnel, at hostPair) *v1.TunnelMatrixCell {
	now := &v1.TunnelMatrixCell{Row: at.row, Column: at.column, State: t.GetState(), Protection: t.GetProtection(), Loss: t.GetLoss()}
	if have == nil || have.GetRelayed() {
		return now
	}
	if badness(have.GetState()) > badness(now.GetState()) {
		now.State = have.GetState()
	}
	if p := have.GetProtection(); p != v1.TunnelProtection_TUNNEL_PROTECTION_NONE && now.GetProtection() != v1.TunnelProtection_TUNNEL_PROTECTION_FAILED {
		if now.GetProtection() == v1.TunnelProtection_TUNNEL_PROTECTION_NONE || p != v1.TunnelProtection_TUNNEL_PROTECTION_PROVED {
			now.Protection = p
		}
	}
	now.Loss = max(now.GetLoss(), have.GetLoss())
	return now
}

// badness orders states from good to bad.
func badness(s v1.TunnelState) int {
	return slices.Index([]v1.TunnelState{
		v1.TunnelState_TUNNEL_STATE_UP, v1.TunnelState_TUNNEL_STATE_DEGRADED, v1.TunnelState_TUNNEL_STATE_STARTING,
		v1.TunnelState_TUNNEL_STATE_UNSPECIFIED, v1.TunnelState_TUNNEL_STATE_DOWN,
	}, s)
}

// rotation is a request for new keys. It is not undone by time: what has the new key may have forgotten the old one.
type rotation struct{ *v1.RotateTunnelKeysRequest }

// GetValidateOnly implements changing.
func (rotation) GetValidateOnly() bool { return false }

// GetConfirmWithin implements changing.
func (rotation) GetConfirmWithin() *durationpb.Duration { return nil }

// noKey is a command that is always refused.
func noKey() *storev1.Command {
	return &storev1.Command{Body: &storev1.Command_PutPairKeys{PutPairKeys: &storev1.PutPairKeys{Put: []*storev1.PairKey{{}}}}}
}

// RotateTunnelKeys gives pairs of hosts new keys. A repeated request gets the first answer, even when its hosts are gone.
func (s *tunnelService) RotateTunnelKeys(ctx context.Context, req *v1.RotateTunnelKeysRequest) (*v1.RotateTunnelKeysResponse, error) {
	m := mutation{asked: rotation{req}, by: askedBy(ctx, req), probe: noKey()}
	if err := checkChange(m.asked); err != nil {
		return nil, err
	}
	if first, done, err := s.repeated(ctx, m); done || err != nil {
		return &v1.RotateTunnelKeysResponse{Revision: first.Revision, Pairs: first.Pairs}, err
	}
	v, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	if req.GetHost() == "" && req.GetPeer() != "" {
		return nil, missing("host", "the other host of the pair, beside peer")
	}
	resolved := proto.CloneOf(req)
	for _, field := range []struct {
		name  string
		value *string
	}{{"host", &resolved.Host}, {"peer", &resolved.Peer}} {
		if *field.value == "" {
			continue
		}
		h, err := findHost(v, field.name, *field.value)
		if err != nil {
			return nil, err
		}
		*field.value = h.GetUuid()
	}
	revision, pairs, err := s.cfg.Live.RotateKeys(ctx, resolved, m.by)
	if err != nil {
		return nil, s.refused(err, m)
	}
	return &v1.RotateTunnelKeysResponse{Revision: revision, Pairs: uint32(pairs)}, nil
}
