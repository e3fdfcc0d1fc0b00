package openflow

import (
	"context"
	"fmt"
	"iter"
	"strings"

	"poolwire/southbound/openflow/flow"
)

// wantedFlows is the desired side of a comparison.
type wantedFlows struct {
	byKey map[flow.Key]flow.Flow
	// lowest is the lowest priority wanted in a table; ok where there is any.
	lowest [256]struct {
		priority uint16
		ok       bool
	}
}

func (s *Sync) collect(desired iter.Seq[flow.Flow]) (*wantedFlows, error) {
	w := &wantedFlows{byKey: map[flow.Key]flow.Flow{}}
	for f := range desired {
		if !s.cfg.Own(f.Cookie) {
			// It would be installed, taken for someone else's by the next Full, and stay for ever.
			return nil, fmt.Errorf("openflow: desired flow has the foreign cookie 0x%x: %s", f.Cookie, f)
		}
		w.byKey[f.Key()] = f
		if low := &w.lowest[f.Table]; !low.ok || f.Priority < low.priority {
			low.priority, low.ok = f.Priority, true
		}
	}
	return w, nil
}

// foundFlows is the installed side. The reader fills it.
type foundFlows struct {
	ours      []flow.Stats
	foreign   []flow.Stats
	ephemeral int
}

// sort files the flows of one reply part by whose they are.
func (s *Sync) sort(found *foundFlows, part []flow.Stats) {
	for i := range part {
		switch cookie := part[i].Cookie; {
		case s.cfg.Ephemeral(cookie):
			found.ephemeral++
		case s.cfg.Own(cookie):
			found.ours = append(found.ours, part[i])
		default:
			found.foreign = append(found.foreign, part[i])
		}
	}
}

// compare reads the switch and returns what would make it right. The desired
// flows are collected while the switch is busy sending.
func (s *Sync) compare(ctx context.Context, sw *Switch, desired iter.Seq[flow.Flow]) (flow.Delta, Report, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var found foundFlows
	read := make(chan error, 1)
	go func() {
		read <- sw.eachFlow(ctx, FlowFilter{Table: TableAll}, func(part []flow.Stats) { s.sort(&found, part) })
	}()
	wanted, err := s.collect(desired)
	if err != nil {
		cancel()
	}
	if readErr := <-read; err == nil && readErr != nil {
		err = fmt.Errorf("reading flows: %w", readErr)
	}
	if err != nil {
		return flow.Delta{}, Report{}, err
	}
	delta := flow.Diff(found.ours, wanted.byKey, nil)
	return delta, s.report(&found, wanted), nil
}

// report describes what was found.
func (s *Sync) report(found *foundFlows, wanted *wantedFlows) Report {
	r := Report{Installed: len(found.ours), Ephemeral: found.ephemeral, ForeignCount: len(found.foreign)}
	add := func(list *[]flow.Stats, f flow.Stats) {
		if len(*list) < s.cfg.MaxReported {
			// Flows of one reply part share memory; a report should not hold on to all of it.
			f.Match = flow.Match(strings.Clone(string(f.Match)))
			f.Instructions = flow.Instructions(strings.Clone(string(f.Instructions)))
			*list = append(*list, f)
		}
	}
	for _, f := range found.foreign {
		add(&r.Foreign, f)
		if low := wanted.lowest[f.Table]; !low.ok || f.Priority < low.priority {
			continue
		}
		if _, same := wanted.byKey[f.Key()]; same {
			add(&r.Displaced, f)
			continue
		}
		r.ShadowingCount++
		add(&r.Shadowing, f)
	}
	return r
}
