package northbound

import (
	"context"
	"fmt"
	"slices"
	"strings"

	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// tooManyListeners tells whether more listeners than are told apart may be on a private network.
func tooManyListeners(v *raftstore.View, n *v1.PrivateNetwork) bool {
	return len(v.Subscriptions(n.GetUuid())) >= raftstore.MaxSubscriptions
}

func multicastWarnings(v *raftstore.View, n *v1.PrivateNetwork) []string {
	if n.GetFloodMulticast() || !tooManyListeners(v, n) {
		return nil
	}
	return []string{fmt.Sprintf("multicast goes to everyone: VIFs listen to more groups than are told apart, %d in all", raftstore.MaxSubscriptions)}
}

// ListMulticastGroups returns who listens to which groups.
func (s *privateNetworkService) ListMulticastGroups(ctx context.Context, req *v1.ListMulticastGroupsRequest) (*v1.ListMulticastGroupsResponse, error) {
	v, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	n, err := findPrivateNetwork(v, req.GetPrivateNetwork())
	if err != nil {
		return nil, err
	}
	out := &v1.ListMulticastGroupsResponse{Revision: v.Revision(), Flooded: n.GetFloodMulticast() || tooManyListeners(v, n)}
	for _, sub := range v.Subscriptions(n.GetUuid()) {
		i, found := slices.BinarySearchFunc(out.Groups, sub.GetGroup(), func(g *v1.MulticastGroup, group string) int { return strings.Compare(g.GetGroup(), group) })
		if !found {
			out.Groups = slices.Insert(out.Groups, i, &v1.MulticastGroup{Group: sub.GetGroup()})
		}
		out.Groups[i].VifUuids = append(out.Groups[i].VifUuids, sub.GetVifUuid())
	}
	return out, nil
}
