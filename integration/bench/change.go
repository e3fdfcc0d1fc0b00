package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"google.golang.org/grpc"

	"poolwire/integration/lab"
	"poolwire/integration/quantile"
	"poolwire/integration/scenario"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// singleChange measures one rule, from the API call to the switch's barrier,
// on a host with many VIFs and rules, through the whole daemon.
func singleChange(ctx context.Context, s settings) ([]row, error) {
	bin, err := filepath.Abs(s.bin)
	if err != nil {
		return nil, err
	}
	sys, err := scenario.Start(ctx, scenario.Options{Name: "benchd", Bin: bin, Flags: []string{"--log-level", "info"}})
	if err != nil {
		return nil, err
	}
	defer func() { _ = sys.Close() }()
	host, err := joinDummy(ctx, sys, s.vifs)
	if err != nil {
		return nil, err
	}
	conn, err := sys.Conn()
	if err != nil {
		return nil, err
	}
	b := &changeBench{host: host, rules: poolwirev1.NewRuleServiceClient(conn), cluster: poolwirev1.NewClusterServiceClient(conn), s: s}
	load, err := timed(func() error { return b.load(ctx) })
	if err != nil {
		return nil, err
	}
	var added, removed []time.Duration
	for i := range s.changes {
		a, r, err := b.change(ctx, i)
		if err != nil {
			return nil, err
		}
		added, removed = append(added, a), append(removed, r)
	}
	name := fmt.Sprintf("one rule, %d VIFs x %d rules", s.vifs, s.rules)
	note := fmt.Sprintf("n=%d, API call to confirmed; all %d rules loaded in %s", s.changes, s.vifs*s.rules, rounded(load))
	return []row{
		{work: name + ", added: p50", poolwire: median(added), reach: "< 5ms", note: note},
		{work: name + ", added: p99", poolwire: quantile.Of(added, 99), reach: "< 25ms"},
		{work: name + ", removed: p50", poolwire: median(removed), reach: "< 5ms"},
		{work: name + ", removed: p99", poolwire: quantile.Of(removed, 99), reach: "< 25ms"},
	}, nil
}

// joinDummy registers a host whose ports are dummies.
func joinDummy(ctx context.Context, sys *scenario.System, vifs int) (*lab.DummyHost, error) {
	host, err := sys.Lab.AddDummyHost(ctx, lab.DummyOptions{Name: "dummy", Namespace: sys.Lab.Controller().Namespace, VIFs: vifs})
	if err != nil {
		return nil, err
	}
	if _, err := sys.Poolwire(ctx, "pool", "create", "bench"); err != nil {
		return nil, err
	}
	return host, sys.JoinDummy(ctx, "bench", host)
}

// changeBench is the daemon under load.
type changeBench struct {
	host    *lab.DummyHost
	rules   poolwirev1.RuleServiceClient
	cluster poolwirev1.ClusterServiceClient
	s       settings
}

// rule is rule r of VIF i.
func (b *changeBench) rule(i, r int) *poolwirev1.Rule {
	port := uint32(1000 + r)
	return &poolwirev1.Rule{
		VifUuid: b.host.VIF(i + 1).UUID, Direction: poolwirev1.Direction_DIRECTION_TO, Protocol: poolwirev1.Protocol_PROTOCOL_TCP,
		IpRange: fmt.Sprintf("10.200.%d.0/24", r), Port: &port,
	}
}

// loaders is how many clients write at once.
const loaders = 32

// load gives every VIF its rules and waits until the switch has them all.
func (b *changeBench) load(ctx context.Context) error {
	work := make(chan int)
	failed := make(chan error, loaders)
	for range loaders {
		go func() { failed <- b.loader(ctx, work) }()
	}
	for i := range b.s.vifs {
		work <- i
	}
	close(work)
	for range loaders {
		if err := <-failed; err != nil {
			return err
		}
	}
	return b.wait(ctx, 0)
}

// loader writes the rules of VIFs until there are no more; after an error it
// only drains, so that nobody blocks.
func (b *changeBench) loader(ctx context.Context, work <-chan int) error {
	var first error
	for i := range work {
		for r := range b.s.rules {
			if first != nil {
				break
			}
			_, first = b.rules.CreateRule(ctx, &poolwirev1.CreateRuleRequest{Rule: b.rule(i, r)}, grpc.WaitForReady(true))
		}
	}
	return first
}

func (b *changeBench) wait(ctx context.Context, revision uint64) error {
	r, err := b.cluster.WaitForHosts(ctx, &poolwirev1.WaitForHostsRequest{Revision: revision})
	if err == nil && r.GetRealization().GetState() != poolwirev1.RealizationState_REALIZATION_STATE_CONFIRMED {
		err = fmt.Errorf("not confirmed: %v", r.GetRealization())
	}
	return err
}

// change adds one rule, and removes it again, each until confirmed.
func (b *changeBench) change(ctx context.Context, i int) (added, removed time.Duration, err error) {
	var created *poolwirev1.CreateRuleResponse
	added, err = timed(func() (err error) {
		if created, err = b.rules.CreateRule(ctx, &poolwirev1.CreateRuleRequest{Rule: b.rule(i%b.s.vifs, b.s.rules+1)}); err != nil {
			return err
		}
		return b.wait(ctx, created.GetRevision())
	})
	if err != nil {
		return 0, 0, err
	}
	removed, err = timed(func() error {
		r, err := b.rules.DeleteRule(ctx, &poolwirev1.DeleteRuleRequest{Rule: created.GetRule().GetUuid()})
		if err != nil {
			return err
		}
		return b.wait(ctx, r.GetRevision())
	})
	return added, removed, err
}
