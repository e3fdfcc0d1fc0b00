package northbound

import (
	"context"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	storev1 "poolwire/proto/poolwire/store/v1"
	v1 "poolwire/proto/poolwire/v1"
)

// GetClusterSettings returns what all nodes go by.
func (s *clusterService) GetClusterSettings(ctx context.Context, _ *v1.GetClusterSettingsRequest) (*v1.GetClusterSettingsResponse, error) {
	v, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	return &v1.GetClusterSettingsResponse{Settings: v.Settings()}, nil
}

// UpdateClusterSettings changes the fields that the mask names.
func (s *clusterService) UpdateClusterSettings(ctx context.Context, req *v1.UpdateClusterSettingsRequest) (*v1.UpdateClusterSettingsResponse, error) {
	v, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	now, asked := v.Settings(), req.GetSettings()
	var bad violations
	mask := bad.at("update_mask")
	if len(req.GetUpdateMask().GetPaths()) == 0 {
		mask.say("is required: dead_node_after, min_voters")
	}
	for _, path := range req.GetUpdateMask().GetPaths() {
		switch path {
		case "dead_node_after":
			now.DeadNodeAfter = proto.CloneOf(asked.GetDeadNodeAfter())
			if now.DeadNodeAfter == nil {
				now.DeadNodeAfter = durationpb.New(0)
			}
		case "min_voters":
			now.MinVoters = asked.GetMinVoters()
		case "audit_keep_for":
			now.AuditKeepFor = proto.CloneOf(asked.GetAuditKeepFor())
		case "audit_keep_entries":
			now.AuditKeepEntries = asked.GetAuditKeepEntries()
		default:
			mask.refuse(path, "is no setting; there are dead_node_after, min_voters, audit_keep_for and audit_keep_entries")
		}
	}
	if err := bad.err(); err != nil {
		return nil, err
	}
	now.Etag = guard(asked.GetEtag(), now.GetEtag())
	cmd := signed(ctx, &storev1.Command{Body: &storev1.Command_PutClusterSettings{PutClusterSettings: &storev1.PutClusterSettings{Settings: now}}})
	askedBy(ctx, req).Sign(cmd)
	res, err := s.cfg.Store.Apply(ctx, cmd)
	if err != nil {
		return nil, statusOf(err, "settings")
	}
	return &v1.UpdateClusterSettingsResponse{Settings: s.cfg.Store.View().Settings(), Revision: res.Revision}, nil
}
