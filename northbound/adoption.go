package northbound

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"poolwire/adoption"
	storev1 "poolwire/proto/poolwire/store/v1"
	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// adoptionService implements poolwire.v1.AdoptionService. What it finds is put into words in adoption_list.go, what it
// would do in adoption_plan.go.
type adoptionService struct {
	v1.UnsafeAdoptionServiceServer
	*Server
}

// adoptionRequest is a request whose change is not undone by time: what has been removed of the plugin's does not come back.
type adoptionRequest struct{ *v1.AdoptNetworkRequest }

// GetConfirmWithin implements changing.
func (adoptionRequest) GetConfirmWithin() *durationpb.Duration { return nil }

// ListAdoptableNetworks returns the private networks of the plugin's.
func (s *adoptionService) ListAdoptableNetworks(ctx context.Context, _ *v1.ListAdoptableNetworksRequest) (*v1.ListAdoptableNetworksResponse, error) {
	v, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	out := &v1.ListAdoptableNetworksResponse{}
	for _, uuid := range v.AdoptableUUIDs() {
		out.Networks = append(out.Networks, candidate{v, adoption.Find(v, uuid), v.PrivateNetworkByAdopted(uuid)}.describe())
	}
	return out, nil
}

// AdoptNetwork takes the next step.
func (s *adoptionService) AdoptNetwork(ctx context.Context, req *v1.AdoptNetworkRequest) (*v1.AdoptNetworkResponse, error) {
	out := &v1.AdoptNetworkResponse{}
	res, err := s.write(ctx, mutation{
		asked: adoptionRequest{req}, resource: "private_network", probe: putPrivateNetwork(nil, true),
		plan: func(v *raftstore.View) (*storev1.Command, error) {
			c, pools, err := findCandidate(v, req)
			if err != nil {
				return nil, err
			}
			if err := s.mayAdopt(c, pools, req); err != nil {
				return nil, err
			}
			out.Plan, out.PoolsLeft = c.steps(pools, req), nil
			next := c.next(pools, req)
			for _, p := range c.poolsLeft(next) {
				out.PoolsLeft = append(out.PoolsLeft, p.GetUuid())
			}
			out.PrivateNetwork = next
			if proto.Equal(next, c.by) {
				return nil, nil
			}
			return c.command(next)
		},
	})
	if err != nil {
		return nil, err
	}
	out.Revision = res.Revision
	if n := res.view.PrivateNetworkByAdopted(out.GetPrivateNetwork().GetAdoptedFrom()); n != nil && !req.GetValidateOnly() {
		out.PrivateNetwork = (&privateNetworkService{Server: s.Server}).withState(newRealizer(res.view, s.cfg.Live), n)
	}
	return out, nil
}

// findCandidate finds the network of a request, and its pools.
func findCandidate(v *raftstore.View, req *v1.AdoptNetworkRequest) (c candidate, pools []*v1.Pool, err error) {
	var bad violations
	if req.GetNameLabel() != "" {
		bad.at("name_label").name(req.GetNameLabel())
	}
	c = candidate{v, adoption.Find(v, req.GetUuid()), v.PrivateNetworkByAdopted(req.GetUuid())}
	if req.GetUuid() == "" || len(c.Tunnels) == 0 && c.by == nil {
		return c, nil, &referenceError{codes.NotFound, "uuid", fmt.Sprintf("%s: no tunnel on any host is marked for this private network of Xen Orchestra; known: %s",
			quote(req.GetUuid()), listed(v.AdoptableUUIDs()))}
	}
	for i, name := range req.GetPools() {
		at := fmt.Sprintf("pools[%d]", i)
		p, err := findPoolAt(v, at, name)
		if err != nil {
			if err := bad.adopt(err); err != nil {
				return c, nil, err
			}
			continue
		}
		if !slices.Contains(c.pools(), p) && !c.taken(p) {
			bad.at(at).refuse(name, "has no host with a tunnel of this network; the pools that do are %s", listed(poolNames(c.pools())))
		}
		pools = append(pools, p)
	}
	return c, pools, bad.err()
}

// mayAdopt refuses what cannot work, and, without force, what had better not be tried now.
func (s *adoptionService) mayAdopt(c candidate, pools []*v1.Pool, req *v1.AdoptNetworkRequest) error {
	if bad := c.obstacles(); len(bad) > 0 {
		return status.Errorf(codes.FailedPrecondition, "uuid: %s cannot be taken over: %s", req.GetUuid(), strings.Join(bad, "; "))
	}
	var violations violations
	c.checkWhole(pools, violations.at("pools"))
	if err := violations.err(); err != nil || req.GetForce() || req.GetValidateOnly() {
		return err
	}
	if at := c.busy(); len(at) > 0 {
		return status.Errorf(codes.FailedPrecondition, "Xen Orchestra, or another controller, seems to be at work: %s; "+
			"unload its plugin sdn-controller (Settings, Plugins) and try again, or use force", strings.Join(at, ", "))
	}
	if away := s.away(c, pools); len(away) > 0 {
		return status.Errorf(codes.FailedPrecondition, "pools: %s not connected; what they have of Xen Orchestra would stay until they are back; "+
			"try again then, or use force", strings.Join(away, ", "))
	}
	return nil
}

// away names hosts of the pools that take no orders now.
func (s *adoptionService) away(c candidate, pools []*v1.Pool) []string {
	var out []string
	for _, h := range c.Hosts() {
		inPools := slices.ContainsFunc(pools, func(p *v1.Pool) bool { return p.GetUuid() == h.GetPoolUuid() })
		if inPools && h.GetManaged() && s.cfg.Live.HostStatus(h.GetUuid()).GetState() != v1.HostState_HOST_STATE_READY {
			out = append(out, h.GetNameLabel())
		}
	}
	return out
}

// command makes or changes the private network.
func (c candidate) command(next *v1.PrivateNetwork) (*storev1.Command, error) {
	var bad violations
	if err := takenFromPrivateNetwork(c.v, next); err != nil {
		return nil, err
	}
	checkPrivateNetwork(c.v, c.by, next, bad.at("private_network"))
	return putPrivateNetwork(next, c.by == nil), bad.err()
}
