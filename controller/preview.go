package controller

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"poolwire/flowcompiler"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
	"poolwire/southbound/openflow"
	"poolwire/southbound/openflow/flow"
)

// Bounds of a preview: how many bridges are compiled for it, and how many flows of
// each kind are written out per bridge. What is beyond is counted.
const (
	maxPreviewBridges = 64
	maxPreviewFlows   = 200
)

// Preview says what the changes between two states would change on the switches. It
// compiles the bridges that the changes concern from both, and touches nothing.
func (c *Controller) Preview(ctx context.Context, before, after *raftstore.View, changes raftstore.ChangeSet) (*poolwirev1.Preview, error) {
	places := touchedBridges(after, changes)
	out := &poolwirev1.Preview{SessionsNote: "switches do not list their connections over OpenFlow or OVSDB: " +
		"give those of a host with --sessions, from ovs-appctl dpctl/dump-conntrack"}
	if len(places) > maxPreviewBridges {
		out.Warnings = append(out.Warnings, fmt.Sprintf("%d bridges are concerned; the changes of the first %d are shown", len(places), maxPreviewBridges))
		places = places[:maxPreviewBridges]
	}
	for _, at := range places {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		diff, shut, err := previewBridge(before, after, at)
		if err != nil {
			return nil, fmt.Errorf("%s on %s: %w", at.bridge, hostLabel(after.Host(at.host)), err)
		}
		out.Warnings = append(out.Warnings, shut...)
		if diff == nil {
			continue
		}
		out.Bridges = append(out.Bridges, diff)
		if changesMeters(diff) && c.lacksMeters(at) {
			out.Warnings = append(out.Warnings, fmt.Sprintf("%s on %s has no meters: what VMs send is policed at their interfaces instead, and no limit is kept on what is sent to them", at.bridge, diff.GetHostNameLabel()))
		}
	}
	return out, nil
}

// bridgeAt names one bridge of one host.
type bridgeAt struct{ host, bridge string }

// touchedBridges lists the programmed bridges that changes concern, by host and name.
func touchedBridges(view *raftstore.View, changes raftstore.ChangeSet) []bridgeAt {
	k := newMarker(view, changes.Revision)
	for _, c := range changes.Changes {
		k.change(c)
	}
	touched := map[bridgeAt]struct{}{}
	for host, marks := range k.bridges {
		for _, b := range managedBridges(view, host) {
			if marks[b.GetName()] != nil || marks[""] != nil {
				touched[bridgeAt{host, b.GetName()}] = struct{}{}
			}
		}
	}
	return slices.SortedFunc(maps.Keys(touched), func(a, b bridgeAt) int {
		return cmp.Or(cmp.Compare(a.host, b.host), cmp.Compare(a.bridge, b.bridge))
	})
}

// previewBridge compares what a bridge would hold; nil when it is the same. shut says which
// VIFs would pass nothing, and do not now, for having too many rules.
func previewBridge(before, after *raftstore.View, at bridgeAt) (diff *poolwirev1.BridgeDiff, shut []string, err error) {
	was, had, err := compileAndCrowd(before, at)
	if err != nil {
		return nil, nil, err
	}
	will, has, err := compileAndCrowd(after, at)
	if err != nil {
		return nil, nil, err
	}
	for _, uuid := range slices.Sorted(maps.Keys(has)) {
		if len(had[uuid]) == 0 {
			shut = append(shut, fmt.Sprintf("host %s: VIF %s %s", hostLabel(after.Host(at.host)), uuid, strings.Join(crowdReasons(after, has[uuid]), "; it ")))
		}
	}
	return diffFlows(was, will, after, at), shut, nil
}

// diffFlows compares flows; nil when they are the same.
func diffFlows(was, will *flowcompiler.Compiler, after *raftstore.View, at bridgeAt) *poolwirev1.BridgeDiff {
	diff := &poolwirev1.BridgeDiff{HostUuid: at.host, HostNameLabel: hostLabel(after.Host(at.host)), Bridge: at.bridge}
	have := map[flow.Key]flow.Flow{}
	if was != nil {
		for f := range was.Flows() {
			have[f.Key()] = f
		}
	}
	if will != nil {
		for f := range will.Flows() {
			old, there := have[f.Key()]
			delete(have, f.Key())
			switch {
			case !there:
				note(&diff.Added, &diff.AddedCount, f)
			case old != f:
				note(&diff.Modified, &diff.ModifiedCount, f)
			}
		}
	}
	for _, f := range slices.SortedFunc(maps.Values(have), flow.Compare) {
		note(&diff.Deleted, &diff.DeletedCount, f)
	}
	previewMeters(diff, metersOf(was), metersOf(will), meterOwners(after, at))
	if diff.GetAddedCount()+diff.GetModifiedCount()+diff.GetDeletedCount() == 0 && !changesMeters(diff) {
		return nil
	}
	return diff
}

// note counts a flow, and writes it out while there is room.
func note(texts *[]string, count *uint32, f flow.Flow) {
	*count++
	if len(*texts) < maxPreviewFlows {
		*texts = append(*texts, withTableName(f))
	}
}

// withTableName writes a flow with the name of its table, as ovs-ofctl --names does.
func withTableName(f flow.Flow) string {
	name := "table=" + flowcompiler.Table(f.Table).String() + ", "
	text := f.String()
	if f.Table == 0 {
		return strings.Replace(text, "priority=", name+"priority=", 1)
	}
	return strings.Replace(text, fmt.Sprintf("table=%d, ", f.Table), name, 1)
}

// compileBridge compiles a bridge as a state has it, from scratch; nil when the state
// has no such bridge. Port numbers are those that the host reports.
func compileBridge(view *raftstore.View, at bridgeAt) (*flowcompiler.Compiler, error) {
	c, _, err := compileAndCrowd(view, at)
	return c, err
}

// compileAndCrowd also says which VIFs have too many rules, by UUID.
func compileAndCrowd(view *raftstore.View, at bridgeAt) (*flowcompiler.Compiler, map[string][]crowd, error) {
	host := view.Host(at.host)
	if host == nil || view.Bridge(at.host, at.bridge) == nil {
		return nil, nil, nil
	}
	p := newProgram()
	rules := newPolicies(view)
	m := newModel(view, host, at.bridge, reportedNumbers(view, at), rules.none())
	m.judged = rules.judge()
	// As when the switch has been told which ports not to flood to.
	m.closed = map[uint32]bool{}
	for _, port := range view.PortsByBridge(at.host, at.bridge) {
		if port.GetVifUuid() != "" {
			m.closed[reportedNumber(port)] = true
		}
	}
	p.applyAll(m)
	if _, err := p.compiler.Commit(); err != nil {
		return nil, nil, err
	}
	return p.compiler, p.crowded(m), nil
}

// reportedNumbers are a bridge's port numbers as the host reports them.
func reportedNumbers(view *raftstore.View, at bridgeAt) portNumbers {
	var ports []openflow.Port
	for _, row := range view.PortsByBridge(at.host, at.bridge) {
		if number := reportedNumber(row); number != 0 {
			ports = append(ports, openflow.Port{Number: number, Name: row.GetName()[:min(len(row.GetName()), maxPortName)]})
		}
	}
	return numbersOf(ports)
}

func hostLabel(h *poolwirev1.Host) string {
	if h.GetNameLabel() != "" {
		return h.GetNameLabel()
	}
	return h.GetUuid()
}
