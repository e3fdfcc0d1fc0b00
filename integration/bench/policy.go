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

// policyBench is the daemon with policies.
type policyBench struct {
	host     *lab.DummyHost
	policies poolwirev1.PolicyServiceClient
	groups   poolwirev1.AddressGroupServiceClient
	members  poolwirev1.VifGroupServiceClient
	cluster  poolwirev1.ClusterServiceClient
	s        settings
}

// policies measures the policy engine, from the API call to the switch's barrier.
func policies(ctx context.Context, s settings) ([]row, error) {
	bin, err := filepath.Abs(s.bin)
	if err != nil {
		return nil, err
	}
	sys, err := scenario.Start(ctx, scenario.Options{Name: "benchp", Bin: bin, Flags: []string{"--log-level", "info"}})
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
	b := &policyBench{
		host: host, policies: poolwirev1.NewPolicyServiceClient(conn), groups: poolwirev1.NewAddressGroupServiceClient(conn),
		members: poolwirev1.NewVifGroupServiceClient(conn), cluster: poolwirev1.NewClusterServiceClient(conn), s: s,
	}
	var out []row
	for _, measure := range []func(context.Context) ([]row, error){b.statefulRules, b.addressGroup, b.vifGroup, b.longList} {
		rows, err := measure(ctx)
		if err != nil {
			return nil, err
		}
		out = append(out, rows...)
	}
	return out, nil
}

// rule is a stateful rule of a VIF.
func (b *policyBench) rule(vif, r int) *poolwirev1.PolicyRule {
	return &poolwirev1.PolicyRule{
		Level: poolwirev1.PolicyLevel_POLICY_LEVEL_VIF, ScopeUuid: b.host.VIF(vif + 1).UUID, Action: poolwirev1.RuleAction_RULE_ACTION_ALLOW,
		Direction: poolwirev1.TrafficDirection_TRAFFIC_DIRECTION_INBOUND, Protocol: "tcp", LocalPorts: []string{fmt.Sprint(1000 + r)},
		RemotePrefixes: []string{fmt.Sprintf("10.%d.%d.0/24", r/200, r%200)},
	}
}

func (b *policyBench) create(ctx context.Context, r *poolwirev1.PolicyRule) (*poolwirev1.CreatePolicyRuleResponse, error) {
	return b.policies.CreatePolicyRule(ctx, &poolwirev1.CreatePolicyRuleRequest{PolicyRule: r}, grpc.WaitForReady(true))
}

func (b *policyBench) wait(ctx context.Context, revision uint64) error {
	return (&changeBench{cluster: b.cluster}).wait(ctx, revision)
}

// load creates rules with many clients at once, and waits until the switch has them.
func (b *policyBench) load(ctx context.Context, n int, rule func(int) *poolwirev1.PolicyRule) (time.Duration, error) {
	return timed(func() error {
		work, failed := make(chan int), make(chan error, loaders)
		for range loaders {
			go func() {
				var first error
				for i := range work {
					if first == nil {
						_, first = b.create(ctx, rule(i))
					}
				}
				failed <- first
			}()
		}
		for i := range n {
			work <- i
		}
		close(work)
		for range loaders {
			if err := <-failed; err != nil {
				return err
			}
		}
		return b.wait(ctx, 0)
	})
}

// each measures a change that is made and taken back, n times.
func (b *policyBench) each(ctx context.Context, n int, do, undo func(int) (uint64, error)) (made []time.Duration, err error) {
	for i := range n {
		took, err := timed(func() error {
			revision, err := do(i)
			if err != nil {
				return err
			}
			return b.wait(ctx, revision)
		})
		if err != nil {
			return nil, err
		}
		made = append(made, took)
		revision, err := undo(i)
		if err != nil {
			return nil, err
		}
		if err := b.wait(ctx, revision); err != nil {
			return nil, err
		}
	}
	return made, nil
}

// ruleChange adds a rule to a VIF, and removes it, n times.
func (b *policyBench) ruleChange(ctx context.Context, n int, rule func(int) *poolwirev1.PolicyRule) ([]time.Duration, error) {
	var last string
	return b.each(ctx, n, func(i int) (uint64, error) {
		r, err := b.create(ctx, rule(i))
		last = r.GetPolicyRule().GetUuid()
		return r.GetRevision(), err
	}, func(int) (uint64, error) {
		r, err := b.policies.DeletePolicyRule(ctx, &poolwirev1.DeletePolicyRuleRequest{PolicyRule: last})
		return r.GetRevision(), err
	})
}

// twoRows are the median and the 99th percentile of a measurement.
func twoRows(work, note string, took []time.Duration) []row {
	return []row{
		{work: work + ": p50", poolwire: median(took), note: fmt.Sprintf("n=%d, API call to confirmed%s", len(took), note)},
		{work: work + ": p99", poolwire: quantile.Of(took, 99)},
	}
}

// statefulRules gives every VIF stateful rules, and then one VIF one more.
func (b *policyBench) statefulRules(ctx context.Context) ([]row, error) {
	load, err := b.load(ctx, b.s.vifs*b.s.rules, func(i int) *poolwirev1.PolicyRule { return b.rule(i/b.s.rules, i%b.s.rules) })
	if err != nil {
		return nil, err
	}
	took, err := b.ruleChange(ctx, b.s.changes, func(i int) *poolwirev1.PolicyRule { return b.rule(i%b.s.vifs, b.s.rules+1) })
	if err != nil {
		return nil, err
	}
	return twoRows(fmt.Sprintf("one stateful rule, %d VIFs x %d", b.s.vifs, b.s.rules), fmt.Sprintf("; all loaded in %s", rounded(load)), took), nil
}

// groupSize is the number of members of the groups that are changed.
const groupSize = 1000

// addressGroup changes one member of a group that a rule of a VIF with 100 ports names.
func (b *policyBench) addressGroup(ctx context.Context) ([]row, error) {
	group := &poolwirev1.AddressGroup{NameLabel: "bench-addresses"}
	for i := range groupSize {
		group.Addresses = append(group.Addresses, fmt.Sprintf("172.16.%d.%d", i/250, i%250+1))
	}
	created, err := b.groups.CreateAddressGroup(ctx, &poolwirev1.CreateAddressGroupRequest{AddressGroup: group})
	if err != nil {
		return nil, err
	}
	rule := b.rule(0, 0)
	rule.RemotePrefixes, rule.RemoteAddressGroupUuid, rule.LocalPorts = nil, created.GetAddressGroup().GetUuid(), nil
	for i := range 100 {
		rule.LocalPorts = append(rule.LocalPorts, fmt.Sprint(20000+2*i))
	}
	if _, err := b.create(ctx, rule); err != nil {
		return nil, err
	}
	change := func(add, remove []string) (uint64, error) {
		r, err := b.groups.ModifyAddressGroup(ctx, &poolwirev1.ModifyAddressGroupRequest{AddressGroup: "bench-addresses", Add: add, Remove: remove})
		return r.GetRevision(), err
	}
	took, err := b.each(ctx, b.s.changes,
		func(i int) (uint64, error) { return change([]string{fmt.Sprintf("172.31.0.%d", i%250)}, nil) },
		func(i int) (uint64, error) { return change(nil, []string{fmt.Sprintf("172.31.0.%d", i%250)}) })
	if err != nil {
		return nil, err
	}
	return twoRows(fmt.Sprintf("one address into a group of %d", groupSize), ", rule with 100 ports on one VIF", took), nil
}

// vifGroup changes one member of a group of VIFs that has rules.
func (b *policyBench) vifGroup(ctx context.Context) ([]row, error) {
	group := &poolwirev1.VifGroup{NameLabel: "bench-vifs"}
	for i := range min(groupSize, b.s.vifs) - 1 {
		group.VifUuids = append(group.VifUuids, b.host.VIF(i+1).UUID)
	}
	created, err := b.members.CreateVifGroup(ctx, &poolwirev1.CreateVifGroupRequest{VifGroup: group})
	if err != nil {
		return nil, err
	}
	for r := range b.s.rules {
		rule := b.rule(0, r)
		rule.Level, rule.ScopeUuid = poolwirev1.PolicyLevel_POLICY_LEVEL_VIF_GROUP, created.GetVifGroup().GetUuid()
		if _, err := b.create(ctx, rule); err != nil {
			return nil, err
		}
	}
	last := b.host.VIF(b.s.vifs).UUID
	change := func(add, remove []string) (uint64, error) {
		r, err := b.members.ModifyVifGroup(ctx, &poolwirev1.ModifyVifGroupRequest{VifGroup: "bench-vifs", Add: add, Remove: remove})
		return r.GetRevision(), err
	}
	took, err := b.each(ctx, b.s.changes,
		func(int) (uint64, error) { return change([]string{last}, nil) },
		func(int) (uint64, error) { return change(nil, []string{last}) })
	if err != nil {
		return nil, err
	}
	return twoRows(fmt.Sprintf("one VIF into a group of %d", len(group.GetVifUuids())), fmt.Sprintf(", %d rules", b.s.rules), took), nil
}

// longList gives one VIF a very long list of rules, and then one more.
func (b *policyBench) longList(ctx context.Context) ([]row, error) {
	const rules = 10_000
	vif := b.s.vifs - 1
	at := func(i int) *poolwirev1.PolicyRule {
		r := b.rule(vif, i%200)
		r.LocalPorts = []string{fmt.Sprint(2000 + i)}
		return r
	}
	load, err := b.load(ctx, rules, at)
	if err != nil {
		return nil, err
	}
	took, err := b.ruleChange(ctx, min(b.s.changes, 50), func(i int) *poolwirev1.PolicyRule { return at(rules + i) })
	if err != nil {
		return nil, err
	}
	return twoRows(fmt.Sprintf("one rule more on a VIF with %d", rules), fmt.Sprintf("; all loaded in %s", rounded(load)), took), nil
}
