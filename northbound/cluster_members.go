package northbound

import (
	"context"
	"errors"
	"regexp"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	storev1 "poolwire/proto/poolwire/store/v1"
	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// ListNodes returns the members with what the leader knows of their health.
func (s *clusterService) ListNodes(ctx context.Context, _ *v1.ListNodesRequest) (*v1.ListNodesResponse, error) {
	if _, err := s.read(ctx); err != nil {
		return nil, err
	}
	nodes, tolerance, err := s.nodeStatuses()
	if err != nil {
		return nil, statusOf(err, "")
	}
	leader, _ := s.cfg.Store.Leader()
	return &v1.ListNodesResponse{Nodes: nodes, FailureTolerance: uint32(tolerance), LeaderId: leader}, nil
}

// GetNodeStatus returns what this node knows of itself.
func (s *clusterService) GetNodeStatus(context.Context, *v1.GetNodeStatusRequest) (*v1.GetNodeStatusResponse, error) {
	return &v1.GetNodeStatusResponse{Status: s.selfStatus()}, nil
}

// selfStatus is what this node knows of itself: the store, and of its files.
func (s *Server) selfStatus() *v1.NodeStatus {
	out := s.cfg.Store.SelfStatus()
	s.certificatesOf(out)
	return out
}

// ReadRevision proves that this node leads, and returns the revision it then had.
func (s *clusterService) ReadRevision(ctx context.Context, _ *v1.ReadRevisionRequest) (*v1.ReadRevisionResponse, error) {
	v, err := s.cfg.Store.ReadView(ctx)
	if err != nil {
		return nil, statusOf(err, "")
	}
	return &v1.ReadRevisionResponse{Revision: v.Revision()}, nil
}

// AddNode takes a node in as a learner, or gives a member its new addresses: what is not given
// stays as it is recorded.
func (s *clusterService) AddNode(ctx context.Context, req *v1.AddNodeRequest) (*v1.AddNodeResponse, error) {
	if who := callOf(ctx).who; who.outside && req.GetNode().GetId() != who.Name {
		return nil, status.Errorf(codes.PermissionDenied, "node.id: node %q is no member of the cluster, and may add none but itself", who.Name)
	}
	n := overlaid(s.cfg.Store.View().Node(req.GetNode().GetId()), req.GetNode())
	var bad violations
	checkNode(n, bad.at("node"))
	if err := bad.err(); err != nil {
		return nil, err
	}
	own := s.cfg.Store.View().FoundingUUID()
	if other := req.GetClusterUuid(); other != "" && other != own {
		return nil, status.Errorf(codes.FailedPrecondition,
			"cluster_uuid: %s: the node belongs to another cluster than this one, %s; give it an empty data_dir if it is to change over", quote(other), quote(own))
	}
	res, err := s.cfg.Store.AddNode(ctx, n)
	if err != nil {
		return nil, statusOf(err, "node")
	}
	return &v1.AddNodeResponse{ClusterUuid: own, Revision: res.Revision}, nil
}

// overlaid is the record of a node, which may be nil, with what is given. Only a node itself
// gives its version: what that understands counts then, also when it is nothing.
func overlaid(known, given *v1.Node) *v1.Node {
	out := &v1.Node{}
	if known != nil {
		out = proto.CloneOf(known)
	}
	if given != nil {
		proto.Merge(out, given)
	}
	if given.GetVersion() != "" {
		out.Commands, out.Meaning = given.GetCommands(), given.GetMeaning()
	}
	out.Leader, out.Voter = false, false // Raft's to say
	return out
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

// RemoveNode takes a node out of the cluster, or deletes what is recorded of one that is no
// member.
func (s *clusterService) RemoveNode(ctx context.Context, req *v1.RemoveNodeRequest) (*v1.RemoveNodeResponse, error) {
	id := req.GetId()
	if id == "" || s.cfg.Store.View().Node(id) == nil {
		if err := s.member("id", id); err != nil {
			return nil, err
		}
	}
	err := s.cfg.Store.RemoveNode(ctx, id)
	var refused *raftstore.PreconditionError
	if errors.As(err, &refused) && refused.Kind == raftstore.KindNode {
		return nil, status.Errorf(codes.FailedPrecondition, "id: %s: %s", quote(id), refused.Reason)
	}
	if err != nil {
		return nil, statusOf(err, "")
	}
	return &v1.RemoveNodeResponse{Revision: s.cfg.Store.View().Revision()}, nil
}

// member refuses an id in a field of a request that is no member's.
func (s *clusterService) member(field, id string) error {
	if id == "" {
		return missing(field, "the id of a node")
	}
	nodes, err := s.cfg.Store.Nodes()
	if err != nil {
		return statusOf(err, "")
	}
	var known []string
	for _, n := range nodes {
		if n.GetId() == id {
			return nil
		}
		known = append(known, n.GetId())
	}
	return unresolved(field, id, "there is no node with this id; known: "+listed(known))
}

// PromoteNode makes a learner a voter.
func (s *clusterService) PromoteNode(ctx context.Context, req *v1.PromoteNodeRequest) (*v1.PromoteNodeResponse, error) {
	if err := s.member("id", req.GetId()); err != nil {
		return nil, err
	}
	if err := s.cfg.Store.Promote(ctx, req.GetId()); err != nil {
		return nil, statusOf(err, "")
	}
	if err := s.record(ctx, req.GetId(), func(n *v1.Node) { n.StaysLearner = false }); err != nil {
		return nil, err
	}
	return &v1.PromoteNodeResponse{Revision: s.cfg.Store.View().Revision()}, nil
}

// ReplaceNode has a node removed when another one votes; what is asked for is recorded, and the
// leader sees to it, whoever that is by then.
func (s *clusterService) ReplaceNode(ctx context.Context, req *v1.ReplaceNodeRequest) (*v1.ReplaceNodeResponse, error) {
	if err := s.member("old_id", req.GetOldId()); err != nil {
		return nil, err
	}
	if err := s.member("new_id", req.GetNewId()); err != nil {
		return nil, err
	}
	if req.GetOldId() == req.GetNewId() {
		var bad violations
		bad.at("new_id").refuse(req.GetNewId(), "is the node that goes")
		return nil, bad.err()
	}
	if err := s.record(ctx, req.GetNewId(), func(n *v1.Node) { n.Replaces, n.StaysLearner = req.GetOldId(), false }); err != nil {
		return nil, err
	}
	return &v1.ReplaceNodeResponse{Revision: s.cfg.Store.View().Revision()}, nil
}

// record changes what is recorded of a member.
func (s *clusterService) record(ctx context.Context, id string, change func(*v1.Node)) error {
	known := s.cfg.Store.View().Node(id)
	if known == nil {
		known = &v1.Node{Id: id}
	}
	now := proto.CloneOf(known)
	change(now)
	if proto.Equal(now, known) {
		return nil
	}
	_, err := s.cfg.Store.Apply(ctx, signed(ctx, &storev1.Command{Body: &storev1.Command_PutNode{PutNode: &storev1.PutNode{Node: now}}}))
	return statusOf(err, "")
}

// TransferLeadership makes another voter lead, and waits until this node follows it.
func (s *clusterService) TransferLeadership(ctx context.Context, req *v1.TransferLeadershipRequest) (*v1.TransferLeadershipResponse, error) {
	if id := req.GetId(); id != "" {
		if err := s.member("id", id); err != nil {
			return nil, err
		}
	}
	if err := s.cfg.Store.TransferLeadership(ctx, req.GetId()); err != nil {
		return nil, statusOf(err, "")
	}
	for {
		leader, _ := s.cfg.Store.Leader()
		if leader != "" && (leader != s.cfg.NodeID || req.GetId() == leader) {
			return &v1.TransferLeadershipResponse{LeaderId: leader}, nil
		}
		select {
		case <-ctx.Done():
			return nil, statusOf(ctx.Err(), "")
		case <-time.After(leaderPoll):
		}
	}
}
