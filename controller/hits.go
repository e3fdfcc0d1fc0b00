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
)

// Bounds of counting: how many switches are asked at once, and up to how many rules
// each is asked for one by one rather than for all flows.
const (
	maxHitReaders = 16
	maxHitFilters = 8
)

// RuleHits counts what rules have matched on every connected host, by the rules' object
// ids. missing names, with the reason, what could not be asked.
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
	for _, at := range programmedBridges(view) {
		group.Add(1)
		slots <- struct{}{}
		go func() {
			defer func() { <-slots; group.Done() }()
			counted, err := c.countHits(ctx, at, asked)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				missing = append(missing, fmt.Sprintf("%s on %s: %v", at.bridge, hostLabel(view.Host(at.host)), err))
				return
			}
			for id, h := range counted {
				addHits(found, id, view.Host(at.host), h)
			}
		}()
	}
	group.Wait()
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

// count is what one rule has matched on one bridge.
type count struct {
	packets, bytes uint64
	age            time.Duration
}

// countHits asks one switch. A few rules are asked for by their cookies; for many it is
// cheaper to read all flows once.
func (c *Controller) countHits(ctx context.Context, at bridgeAt, ids map[uint32]struct{}) (map[uint32]count, error) {
	const magic, ours = uint64(flowcompiler.CookieMagic) << 56, uint64(0xff) << 56
	filters := []openflow.FlowFilter{{Table: openflow.TableAll, Cookie: magic, CookieMask: ours}}
	if len(ids) <= maxHitFilters {
		filters = filters[:0]
		for id := range ids {
			filters = append(filters, openflow.FlowFilter{Table: openflow.TableAll, Cookie: magic | uint64(id), CookieMask: ours | 0xffffffff})
		}
	}
	counts := map[uint32]count{}
	for _, filter := range filters {
		flows, err := c.dumpFlows(ctx, at.host, at.bridge, filter)
		if err != nil {
			return nil, err
		}
		for _, f := range flows {
			cookie, ok := flowcompiler.ParseCookie(f.Cookie)
			if _, wanted := ids[cookie.Object]; !ok || !wanted || !ofRule(cookie.Kind) || f.Packets == uncounted {
				continue
			}
			n := counts[cookie.Object]
			counts[cookie.Object] = count{n.packets + f.Packets, n.bytes + f.Bytes, max(n.age, f.Duration)}
		}
	}
	return counts, nil
}

// ofRule tells whether flows of a kind are a rule's: object ids of other kinds may be
// numbers of another sort.
func ofRule(k flowcompiler.Kind) bool {
	return k == flowcompiler.KindPolicy || k == flowcompiler.KindVIFRule || k == flowcompiler.KindNetworkRule
}

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
	h.Age = durationpb.New(max(h.GetAge().AsDuration(), n.age))
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
