package raftstore

import (
	"strconv"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// settingsKey is the key of the only row of TableSettings.
const settingsKey = "cluster"

// Bounds and defaults of the settings.
const (
	minDeadNodeAfter = time.Minute
	maxDeadNodeAfter = 365 * 24 * time.Hour
	defaultMinVoters = 3
	maxMinVoters     = 9

	minAuditKeepFor         = 24 * time.Hour
	maxAuditKeepFor         = 10 * 365 * 24 * time.Hour
	defaultAuditKeepFor     = 90 * 24 * time.Hour
	minAuditKeepEntries     = 1000
	maxAuditKeepEntries     = 1_000_000
	defaultAuditKeepEntries = 50_000
)

// Settings returns what all nodes go by. The message belongs to the caller.
func (v *View) Settings() *poolwirev1.ClusterSettings {
	s := get[*poolwirev1.ClusterSettings](v, TableSettings, settingsKey)
	if s == nil {
		s = &poolwirev1.ClusterSettings{DeadNodeAfter: durationpb.New(0), MinVoters: defaultMinVoters, Etag: "0"}
	}
	s = proto.CloneOf(s)
	if s.GetAuditKeepFor() == nil {
		s.AuditKeepFor = durationpb.New(defaultAuditKeepFor)
	}
	if s.GetAuditKeepEntries() == 0 {
		s.AuditKeepEntries = defaultAuditKeepEntries
	}
	return s
}

func (t *tx) putClusterSettings(c *storev1.PutClusterSettings) (Result, error) {
	s := proto.CloneOf(c.GetSettings())
	if s == nil {
		return Result{}, &InvalidError{Field: "settings", Reason: "is required"}
	}
	if have := t.Settings().GetEtag(); s.GetEtag() != "" && s.GetEtag() != have {
		return Result{}, &ConflictError{Kind: KindCluster, ID: settingsKey, Have: have, Want: s.GetEtag()}
	}
	dead := s.GetDeadNodeAfter()
	if dead == nil {
		dead = durationpb.New(0)
	}
	if d := dead.AsDuration(); dead.CheckValid() != nil || d != 0 && (d < minDeadNodeAfter || d > maxDeadNodeAfter) {
		return Result{}, &InvalidError{Field: "dead_node_after", Value: d.String(), Reason: "must be 0s, for never, or from 1m to 8760h"}
	}
	if n := s.GetMinVoters(); n < 1 || n > maxMinVoters {
		return Result{}, &InvalidError{Field: "min_voters", Value: strconv.Itoa(int(n)), Reason: "must be from 1 to 9"}
	}
	if t.meaning >= meaningSecured {
		if err := checkRetention(s); err != nil {
			return Result{}, err
		}
	}
	s.DeadNodeAfter, s.Etag = dead, strconv.FormatUint(t.revision, 10)
	t.put(TableSettings, s)
	return Result{}, nil
}

// checkRetention checks how long audit records are kept, and gives what is not set its default.
func checkRetention(s *poolwirev1.ClusterSettings) error {
	if s.GetAuditKeepFor() == nil {
		s.AuditKeepFor = durationpb.New(defaultAuditKeepFor)
	}
	if s.GetAuditKeepEntries() == 0 {
		s.AuditKeepEntries = defaultAuditKeepEntries
	}
	if d := s.GetAuditKeepFor().AsDuration(); s.GetAuditKeepFor().CheckValid() != nil || d < minAuditKeepFor || d > maxAuditKeepFor {
		return &InvalidError{Field: "audit_keep_for", Value: d.String(), Reason: "must be from 24h to 87600h"}
	}
	if n := s.GetAuditKeepEntries(); n < minAuditKeepEntries || n > maxAuditKeepEntries {
		return &InvalidError{Field: "audit_keep_entries", Value: strconv.Itoa(int(n)), Reason: "must be from 1000 to 1000000"}
	}
	return nil
}
