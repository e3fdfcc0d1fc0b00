package raftstore

import (
	"errors"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

func putSettings(s *poolwirev1.ClusterSettings) *storev1.Command {
	return &storev1.Command{Body: &storev1.Command_PutClusterSettings{PutClusterSettings: &storev1.PutClusterSettings{Settings: s}}}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	if got := m.view().Settings(); got.GetMinVoters() != 3 || got.GetDeadNodeAfter().AsDuration() != 0 {
		t.Errorf("before any: %v", got)
	}
	m.must(putSettings(&poolwirev1.ClusterSettings{DeadNodeAfter: durationpb.New(time.Hour), MinVoters: 2, Etag: "0"}))
	got := m.view().Settings()
	if got.GetMinVoters() != 2 || got.GetDeadNodeAfter().AsDuration() != time.Hour || got.GetEtag() != "1" {
		t.Errorf("settings %v", got)
	}
	var invalid *InvalidError
	var conflict *ConflictError
	for name, c := range map[string]struct {
		settings *poolwirev1.ClusterSettings
		as       any
	}{
		"nothing":       {nil, &invalid},
		"no voters":     {&poolwirev1.ClusterSettings{}, &invalid},
		"many voters":   {&poolwirev1.ClusterSettings{MinVoters: 10}, &invalid},
		"soon":          {&poolwirev1.ClusterSettings{MinVoters: 3, DeadNodeAfter: durationpb.New(time.Second)}, &invalid},
		"never ever":    {&poolwirev1.ClusterSettings{MinVoters: 3, DeadNodeAfter: durationpb.New(maxDeadNodeAfter + 1)}, &invalid},
		"no duration":   {&poolwirev1.ClusterSettings{MinVoters: 3, DeadNodeAfter: &durationpb.Duration{Nanos: -1, Seconds: 1}}, &invalid},
		"changed since": {&poolwirev1.ClusterSettings{MinVoters: 3, Etag: "0"}, &conflict},
	} {
		if _, err := m.apply(putSettings(c.settings)); !errors.As(err, c.as) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := m.view().Settings(); got.GetEtag() != "1" {
		t.Errorf("what was refused changed the settings: %v", got)
	}
}
