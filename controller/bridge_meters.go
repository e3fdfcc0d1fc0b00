package controller

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"poolwire/flowcompiler"
	"poolwire/southbound/openflow"
)

// lastMeter is the highest number of a meter of ours. Meters have no cookie: on a
// bridge of Poolwire's all numbers up to this one are taken for its own.
const lastMeter = 2*65535 + 2

// findMeters asks whether the switch has meters. Bridges of a datapath without them
// limit VIFs by other means, which are rows of the host.
func (s *session) findMeters(ctx context.Context) error {
	var features openflow.MeterFeatures
	err := s.lead.withDeadline(ctx, func(ctx context.Context) (err error) {
		features, err = s.sw.MeterFeatures(ctx)
		return err
	})
	if err != nil && !refusedBySwitch(err) {
		return fmt.Errorf("asking for meters: %w", err)
	}
	s.noMeters = err != nil || features.MaxMeters == 0
	found := metersPresent
	if s.noMeters {
		found = metersMissing
	}
	if s.state.Load().meters != found {
		s.update(func(st *bridgeState) { st.meters = found })
		s.host.marks.add(markSet{all: true})
	}
	return nil
}

// changeMeters changes meters as a delta says: before the flows that name new ones
// with gone false, after those that named old ones with gone true.
func (s *session) changeMeters(ctx context.Context, set map[uint32]flowcompiler.Meter, gone []uint32) error {
	if s.noMeters || len(set)+len(gone) == 0 {
		return nil
	}
	var meters []openflow.Meter
	for _, id := range slices.Sorted(maps.Keys(set)) {
		meters = append(meters, openflow.Meter{ID: id, Packets: set[id].Packets, Rate: set[id].Rate, Burst: set[id].Burst})
	}
	err := s.lead.withDeadline(ctx, func(ctx context.Context) error { return s.sw.SetMeters(ctx, meters, gone) })
	if err == nil {
		return nil
	}
	s.full, s.repairing = true, false
	err = fmt.Errorf("changing meters: %w", err)
	if refusedBySwitch(err) {
		return &obstacleError{err}
	}
	return err
}

// compareMeters reads the meters of the switch, and returns those to set and those to
// remove so that it has the ones that are wanted.
func (s *session) compareMeters(ctx context.Context, want map[uint32]flowcompiler.Meter) (set map[uint32]flowcompiler.Meter, gone []uint32, err error) {
	if s.noMeters {
		return nil, nil, nil
	}
	var have []openflow.Meter
	err = s.lead.withDeadline(ctx, func(ctx context.Context) (err error) {
		have, err = s.sw.DumpMeters(ctx)
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("reading the meters: %w", err)
	}
	set = maps.Clone(want)
	for _, m := range have {
		w, wanted := want[m.ID]
		switch {
		case wanted && w == flowcompiler.Meter{Packets: m.Packets, Rate: m.Rate, Burst: m.Burst}:
			delete(set, m.ID)
		case !wanted && m.ID >= 1 && m.ID <= lastMeter:
			gone = append(gone, m.ID)
		}
	}
	return set, gone, nil
}
