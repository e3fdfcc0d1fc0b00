package controller

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"poolwire/flowcompiler"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
	"poolwire/southbound/openflow"
	"poolwire/southbound/openflow/flow"
)

// Bounds of counting: how many switches are asked at once, and up to how many rules
// each is asked for one by one rather than for all flows.
const (
	maxHitReaders = 16
	maxHitFilters = 8
)

// RuleHits counts what rules have matched on every connected host, by the rules' object
// ids. missing names, with the reason, what could not be asked: of that the last counts
// are in.
func (c *Controller) RuleHits(ctx context.Context, objectIDs []uint32) (hits map[uint32][]*poolwirev1.HostHits, missing []string, err error) {
	l := c.current.Load()
	if l == nil {
		return nil, nil, ErrNotLeading
	}
	var (
		mu    sync.Mutex
		group sync.WaitGroup
		slots = make(chan struct{}, maxHitReaders)
		view  = l.store.View()
		found = map[uint32]map[string]*poolwirev1.HostHits{}
		asked = map[uint32]struct{}{}
	)
	for _, id := range objectIDs {
		asked[id] = struct{}{}
	}
	bridges := programmedBridges(view)
	for _, at := range bridges {
		group.Add(1)
		slots <- struct{}{}
		go func() {
			defer func() { <-slots; group.Done() }()
			counted, err := c.hitsOn(ctx, l.hits, at, asked)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				missing = append(missing, fmt.Sprintf("%s on %s: %v", at.bridge, hostLabel(view.Host(at.host)), err))
			}
			for id, h := range counted {
				addHits(found, id, view.Host(at.host), h)
			}
		}()
	}
	group.Wait()
	for _, at := range l.hits.others(bridges) {
		if host := view.Host(at.host); host != nil {
			for id, h := range l.hits.lastTold(at, asked) {
				addHits(found, id, host, h)
			}
		}
	}
	slices.Sort(missing)
	return byHost(found), missing, ctx.Err()
}

// programmedBridges lists the bridges of all managed hosts.
func programmedBridges(view *raftstore.View) []bridgeAt {
	var out []bridgeAt
	for _, h := range view.Hosts() {
		for _, b := range managedBridges(view, h.GetUuid()) {
			if b.GetName() != overlayBridge { // no rules there
				out = append(out, bridgeAt{h.GetUuid(), b.GetName()})
			}
		}
	}
	return out
}

// uncounted is what a switch reports that does not count.
const uncounted = ^uint64(0)

// maxHitReads bounds how often a switch is read whose flows are being replaced.
const maxHitReads = 4

// hitsOn counts what rules have matched on one bridge, by flows that are gone as well.
// With an error it is what was said last.
func (c *Controller) hitsOn(ctx context.Context, ledger *hitLedger, at bridgeAt, ids map[uint32]struct{}) (map[uint32]count, error) {
	for range maxHitReads {
		stamp, now := ledger.stamp(at), map[uint32]count{}
		err := eachRuleFlow(ids, func(filter openflow.FlowFilter) ([]flow.Stats, error) {
			return c.dumpFlows(ctx, at.host, at.bridge, filter)
		}, func(id uint32, f flow.Stats) { now[id] = now[id].plus(countOf(f)) })
		if err != nil {
			return ledger.lastTold(at, ids), err
		}
		if all, ok := ledger.add(at, stamp, now, ids); ok {
			return all, nil
		}
	}
	return ledger.lastTold(at, ids), nil
}

// countOf is what a flow has counted.
func countOf(f flow.Stats) count {
	return count{f.Packets, f.Bytes, time.Now().Add(-f.Duration)}
}

// eachRuleFlow reads the flows of rules that count. A few rules are asked for by their
// cookies; for many, or all (nil), it is cheaper to read the flows of all rules once.
func eachRuleFlow(ids map[uint32]struct{}, dump func(openflow.FlowFilter) ([]flow.Stats, error), use func(id uint32, f flow.Stats)) error {
	const magic, ours, kind, object = uint64(flowcompiler.CookieMagic) << 56, uint64(0xff) << 56, uint64(0xff) << 48, 0xffffffff
	var filters []openflow.FlowFilter
	if ids != nil && len(ids) <= maxHitFilters {
		for id := range ids {
			filters = append(filters, openflow.FlowFilter{Table: openflow.TableAll, Cookie: magic | uint64(id), CookieMask: ours | object})
		}
	} else {
		for _, k := range ruleKinds {
			filters = append(filters, openflow.FlowFilter{Table: openflow.TableAll, Cookie: magic | uint64(k)<<48, CookieMask: ours | kind})
		}
	}
	for _, filter := range filters {
		flows, err := dump(filter)
		if err != nil {
			return err
		}
		for _, f := range flows {
			cookie, ok := flowcompiler.ParseCookie(f.Cookie)
			if _, wanted := ids[cookie.Object]; ok && (wanted || ids == nil) && ofRule(cookie.Kind) && f.Packets != uncounted {
				use(cookie.Object, f)
			}
		}
	}
	return nil
}

// ofRule tells whether flows of a kind are a rule's: object ids of other kinds may be
// numbers of another sort.
func ofRule(k flowcompiler.Kind) bool { return slices.Contains(ruleKinds[:], k) }

// ruleKinds are the kinds of flows that are a rule's. It is never written to.
var ruleKinds = [...]flowcompiler.Kind{flowcompiler.KindPolicy, flowcompiler.KindVIFRule, flowcompiler.KindNetworkRule}

func addHits(found map[uint32]map[string]*poolwirev1.HostHits, id uint32, host *poolwirev1.Host, n count) {
	hosts := found[id]
	if hosts == nil {
		hosts = map[string]*poolwirev1.HostHits{}
		found[id] = hosts
	}
	h := hosts[host.GetUuid()]
	if h == nil {
		h = &poolwirev1.HostHits{HostUuid: host.GetUuid(), HostNameLabel: hostLabel(host)}
		hosts[host.GetUuid()] = h
	}
	h.Packets += n.packets
	h.Bytes += n.bytes
	h.Age = durationpb.New(max(h.GetAge().AsDuration(), time.Since(n.since)))
}

// byHost orders what was found by the hosts' names.
func byHost(found map[uint32]map[string]*poolwirev1.HostHits) map[uint32][]*poolwirev1.HostHits {
	out := make(map[uint32][]*poolwirev1.HostHits, len(found))
	for id, hosts := range found {
		for _, h := range hosts {
			out[id] = append(out[id], h)
		}
		slices.SortFunc(out[id], func(a, b *poolwirev1.HostHits) int {
			return cmp.Or(cmp.Compare(a.GetHostNameLabel(), b.GetHostNameLabel()), cmp.Compare(a.GetHostUuid(), b.GetHostUuid()))
		})
	}
	return out
}
