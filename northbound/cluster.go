package northbound

import (
	"context"
	"errors"
	"regexp"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	storev1 "poolwire/proto/poolwire/store/v1"
	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// clusterService implements poolwire.v1.ClusterService.
type clusterService struct {
	v1.UnsafeClusterServiceServer
	*Server
}

// Bounds of WaitForHosts.
const (
	defaultWait = 30 * time.Second
	maxWait     = 10 * time.Minute
	// answerMargin is how much earlier than the client's deadline a wait ends,
	// so that the answer, with the names of the hosts, still arrives.
	answerMargin = 100 * time.Millisecond
)

// waitTimeout is the time a wait may take: its default when not set, and never
// more than the longest allowed.
func waitTimeout(d *durationpb.Duration) time.Duration {
	if d == nil {
		return defaultWait
	}
	return min(max(d.AsDuration(), 0), maxWait)
}

// GetClusterStatus returns nodes, leader and totals. While nobody leads it
// returns what this node knows, without the hosts' states.
func (s *clusterService) GetClusterStatus(ctx context.Context, _ *v1.GetClusterStatusRequest) (*v1.GetClusterStatusResponse, error) {
	v := s.cfg.Store.View()
	if !isWithoutLeader(ctx) {
		fresh, err := s.read(ctx)
		if err != nil {
			return nil, err
		}
		v = fresh
	}
	nodes, err := s.cfg.Store.Nodes()
	if err != nil {
		return nil, statusOf(err, "")
	}
	leader, _ := s.cfg.Store.Leader()
	out := &v1.GetClusterStatusResponse{
		ClusterUuid: v.ClusterUUID(), Nodes: nodes, LeaderId: leader, Term: s.cfg.Store.Term(), Revision: v.Revision(),
		Hosts: map[string]uint32{}, Pools: uint32(len(v.Pools())), Vifs: uint32(len(v.Vifs())),
		PrivateNetworks: uint32(len(v.PrivateNetworks())), Rules: uint32(len(v.Rules())), PolicyRules: uint32(len(v.PolicyRules())),
		AddressGroups: uint32(len(v.AddressGroups())), VifGroups: uint32(len(v.VifGroups())),
		RefusedConnections: s.cfg.Live.RefusedConnections(), Version: s.cfg.Version,
	}
	for _, h := range v.Hosts() {
		out.Hosts[s.cfg.Live.HostStatus(h.GetUuid()).GetState().String()]++
	}
	return out, nil
}

// WaitForHosts returns when every connected host has confirmed everything up to
// a revision, or when the timeout ends.
func (s *clusterService) WaitForHosts(ctx context.Context, req *v1.WaitForHostsRequest) (*v1.WaitForHostsResponse, error) {
	var bad violations
	if d := req.GetTimeout(); d != nil && (d.CheckValid() != nil || d.AsDuration() <= 0 || d.AsDuration() > maxWait) {
		bad.at("timeout").refuseNumber(d.AsDuration(), "must be more than 0s and at most 10m; the default is 30s")
	}
	v, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	revision := req.GetRevision()
	switch {
	case revision == 0:
		revision = v.Revision()
	case revision > v.Revision():
		bad.at("revision").refuseNumber(revision, "has not been reached; the latest is %d. Give the revision a change returned, or 0 for the latest", v.Revision())
	}
	if err := bad.err(); err != nil {
		return nil, err
	}
	timeout := waitTimeout(req.GetTimeout())
	if end, ok := ctx.Deadline(); ok {
		timeout = min(timeout, time.Until(end)-answerMargin)
	}
	wait, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	r := s.cfg.Live.WaitForHosts(wait, revision)
	switch {
	case ctx.Err() != nil:
		return nil, statusOf(ctx.Err(), "")
	case r.GetState() == v1.RealizationState_REALIZATION_STATE_UNSPECIFIED:
		return nil, notLeading("this node lost the lead while it waited for the hosts", "", "")
	}
	return &v1.WaitForHostsResponse{Realization: r, Revision: revision}, nil
}

// AddNode makes a node a voter and records it.
func (s *clusterService) AddNode(ctx context.Context, req *v1.AddNodeRequest) (*v1.AddNodeResponse, error) {
	n := proto.CloneOf(req.GetNode())
	if n == nil {
		n = &v1.Node{}
	}
	var bad violations
	checkNode(n, bad.at("node"))
	if err := bad.err(); err != nil {
		return nil, err
	}
	n.Leader, n.Voter = false, false // Raft's to say
	if err := s.cfg.Store.AddVoter(ctx, n.GetId(), n.GetRaftAddress()); err != nil {
		return nil, statusOf(err, "node")
	}
	res, err := s.cfg.Store.Apply(ctx, &storev1.Command{Body: &storev1.Command_PutNode{PutNode: &storev1.PutNode{Node: n}}})
	if err != nil {
		return nil, statusOf(err, "node")
	}
	return &v1.AddNodeResponse{ClusterUuid: s.cfg.Store.View().ClusterUUID(), Revision: res.Revision}, nil
}

// nodeIDs is what may name a node: raftstore keeps it in keys and in paths.
const nodeIDs = `^[A-Za-z0-9_.-]{1,128}$`

func checkNode(n *v1.Node, at place) {
	id := at.field("id")
	if n.GetId() == "" {
		id.say("is required: a name that stays with the node")
	} else if ok, _ := regexp.MatchString(nodeIDs, n.GetId()); !ok {
		id.refuse(n.GetId(), `must have 1 to 128 characters out of letters, digits, "_", "." and "-"`)
	}
	at.field("raft_address").hostPort(n.GetRaftAddress())
	if n.GetApiAddress() != "" {
		at.field("api_address").hostPort(n.GetApiAddress())
	}
	if n.GetOpenflowAddress() != "" {
		at.field("openflow_address").hostPort(n.GetOpenflowAddress())
	}
}

// RemoveNode takes a node out of the cluster. Its record goes first: the leader
// that is to go itself can write no more once it has handed over, and its
// successor, to which the call then comes, finds the record gone.
func (s *clusterService) RemoveNode(ctx context.Context, req *v1.RemoveNodeRequest) (*v1.RemoveNodeResponse, error) {
	if req.GetId() == "" {
		return nil, missing("id", "the id of a node")
	}
	if err := s.mayRemove(req.GetId()); err != nil {
		return nil, err
	}
	res, err := s.cfg.Store.Apply(ctx, &storev1.Command{Body: &storev1.Command_DeleteNode{DeleteNode: &storev1.Delete{Uuid: req.GetId()}}})
	var gone *raftstore.NotFoundError
	if err != nil && !errors.As(err, &gone) {
		return nil, statusOf(err, "")
	}
	if err := s.cfg.Store.RemoveServer(ctx, req.GetId()); err != nil {
		return nil, statusOf(err, "")
	}
	return &v1.RemoveNodeResponse{Revision: max(res.Revision, s.cfg.Store.View().Revision())}, nil
}

// mayRemove refuses before anything is changed what RemoveServer would refuse
// afterwards.
func (s *clusterService) mayRemove(id string) error {
	nodes, err := s.cfg.Store.Nodes()
	if err != nil {
		return statusOf(err, "")
	}
	var known []string
	voters, found := 0, false
	for _, n := range nodes {
		known = append(known, n.GetId())
		found = found || n.GetId() == id
		if n.GetVoter() && n.GetId() != id {
			voters++
		}
	}
	switch {
	case !found:
		return unresolved("id", id, "there is no node with this id; known: "+listed(known))
	case voters == 0:
		return status.Errorf(codes.FailedPrecondition, "id: %s: is the last voter; a cluster keeps at least one", quote(id))
	}
	return nil
}
