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
)

// Settings returns what all nodes go by. The message belongs to the caller.
func (v *View) Settings() *poolwirev1.ClusterSettings {
	s := get[*poolwirev1.ClusterSettings](v, TableSettings, settingsKey)
	if s == nil {
		return &poolwirev1.ClusterSettings{DeadNodeAfter: durationpb.New(0), MinVoters: defaultMinVoters, Etag: "0"}
	}
	return proto.CloneOf(s)
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
	s.DeadNodeAfter, s.Etag = dead, strconv.FormatUint(t.revision, 10)
	t.put(TableSettings, s)
	return Result{}, nil
}
