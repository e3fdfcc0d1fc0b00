package northbound

import (
	"context"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	v1 "poolwire/proto/poolwire/v1"
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
		ClusterUuid: v.ClusterUUID(), ClusterName: v.ClusterName(), Nodes: nodes, LeaderId: leader, Term: s.cfg.Store.Term(), Revision: v.Revision(),
		Hosts: map[string]uint32{}, Pools: uint32(len(v.Pools())), Vifs: uint32(len(v.Vifs())),
		PrivateNetworks: uint32(len(v.PrivateNetworks())), Rules: uint32(len(v.Rules())), PolicyRules: uint32(len(v.PolicyRules())),
		AddressGroups: uint32(len(v.AddressGroups())), VifGroups: uint32(len(v.VifGroups())),
		RefusedConnections: s.cfg.Live.RefusedConnections(), Version: s.cfg.Version, AuditHead: v.AuditEnds().String(),
	}
	if out.SecretKeys, err = s.secretKeys(v); err != nil {
		return nil, statusOf(err, "")
	}
	if members, _, err := s.nodeStatuses(); err == nil {
		out.Warnings = append(refusedMembers(v, members), memberWarnings(members)...)
	}
	out.Warnings = append(out.Warnings, slices.Concat(s.certificateWarnings(v, time.Now()), auditWarnings(v, time.Now()))...)
	for _, h := range v.Hosts() {
		out.Hosts[s.cfg.Live.HostStatus(h.GetUuid()).GetState().String()]++
	}
	return out, nil
}

// memberWarnings is what members warn of themselves.
func memberWarnings(members []*v1.NodeStatus) (out []string) {
	for _, m := range members {
		for _, w := range m.GetWarnings() {
			out = append(out, "node "+m.GetNode().GetId()+": "+w)
		}
	}
	return out
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
