package raftstore

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"

	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/selector"
)

// derived is what is computed from the message of a row, once for all views.
type derived struct {
	prefixes []netip.Prefix    // of an address group, sorted
	selector selector.Selector // of a VIF group; the zero value without one
}

// derive returns what follows from a row's message. Two readers may both compute it.
func (r *row) derive() *derived {
	if d := r.derived.Load(); d != nil {
		return d
	}
	d := &derived{}
	switch m := r.msg.(type) {
	case *poolwirev1.AddressGroup:
		d.prefixes = make([]netip.Prefix, 0, len(m.GetAddresses()))
		for _, text := range m.GetAddresses() {
			if p, ok := parseAddress(text); ok {
				d.prefixes = append(d.prefixes, p)
			}
		}
		d.prefixes = sortedPrefixes(d.prefixes)
	case *poolwirev1.VifGroup:
		if m.GetSelector() != "" {
			d.selector, _ = selector.Parse(m.GetSelector())
		}
	}
	r.derived.Store(d)
	return d
}

// memo keeps what a view has resolved. A transaction, which writes, has none.
type memo struct {
	addresses cache[[]netip.Prefix]
	vifs      cache[[]string]
}

// cache keeps values by key. The zero cache is empty.
type cache[T any] struct {
	mu sync.Mutex
	of map[string]T
}

// get returns the value of a key, and has it made the first time. Two readers may
// both make it.
func (c *cache[T]) get(key string, build func() T) T {
	c.mu.Lock()
	value, ok := c.of[key]
	c.mu.Unlock()
	if ok {
		return value
	}
	value = build()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of == nil {
		c.of = map[string]T{}
	}
	c.of[key] = value
	return value
}

// AddressGroupMembers returns the addresses and prefixes of a group and of all groups
// below it: IPv4 first, in order, each once; at most 65536. Callers must not change
// the result.
func (v *View) AddressGroupMembers(uuid string) []netip.Prefix {
	if v.memo == nil {
		return v.resolveAddresses(uuid)
	}
	return v.memo.addresses.get(uuid, func() []netip.Prefix { return v.resolveAddresses(uuid) })
}

func (v *View) resolveAddresses(uuid string) []netip.Prefix {
	var out []netip.Prefix
	lists := 0
	for _, id := range closure([]string{uuid}, v.nestedIn(TableAddressGroups)) {
		r := v.first(resourceOf(TableAddressGroups).name, indexID, indexKey(id))
		if r == nil {
			continue
		}
		more := r.derive().prefixes
		switch {
		case len(more) == 0:
			continue
		case lists == 0:
			out = slices.Clip(more) // shared; the next append copies
		default:
			out = append(out, more...)
		}
		lists++
	}
	if lists > 1 {
		out = slices.Clip(sortedPrefixes(out))
	}
	return out
}

// closure returns values and all that follow from them, each once, in the order they
// are met. It ends whatever next returns, as long as the values are finite.
func closure(start []string, next func(string) []string) []string {
	var out []string
	seen := map[string]struct{}{}
	add := func(ids []string) {
		for _, id := range ids {
			if _, again := seen[id]; !again {
				seen[id] = struct{}{}
				out = append(out, id)
			}
		}
	}
	add(start)
	for i := 0; i < len(out); i++ {
		add(next(out[i]))
	}
	return out
}

// VifGroupMembers returns the UUIDs of the VIFs in a group, in order: those named that
// are known, those the selector matches, and those of the groups below it. Callers
// must not change the result.
func (v *View) VifGroupMembers(uuid string) []string {
	if v.memo == nil {
		return v.resolveVifs(uuid)
	}
	return v.memo.vifs.get(uuid, func() []string { return v.resolveVifs(uuid) })
}

func (v *View) resolveVifs(uuid string) []string {
	found := map[string]struct{}{}
	for _, id := range closure([]string{uuid}, v.nestedIn(TableVifGroups)) {
		r := v.first(resourceOf(TableVifGroups).name, indexID, indexKey(id))
		if r == nil {
			continue
		}
		for _, vif := range r.msg.(*poolwirev1.VifGroup).GetVifUuids() {
			if v.Vif(vif) != nil {
				found[vif] = struct{}{}
			}
		}
		v.selected(r.derive().selector, func(vif string) { found[vif] = struct{}{} })
	}
	return slices.Clip(slices.Sorted(maps.Keys(found)))
}

// selected calls f with the VIFs that a selector matches. It looks at those only that
// have a label the selector asks for, where it asks for one.
func (v *View) selected(s selector.Selector, f func(uuid string)) {
	if s.Empty() {
		return
	}
	index, key := indexID, ""
	if a, ok := s.Anchor(); ok {
		index, key = indexLabel, labelKey(a.Key, a.Value)
		if a.Any {
			key = labelSetKey(a.Key)
		}
	}
	for r := range v.each(resourceOf(TableVifs).name, index, key) {
		if s.MatchesFunc(labelsOfVif(r.msg.(*poolwirev1.Vif))) {
			f(r.key)
		}
	}
}

// VifGroupsOf returns the groups that a VIF is in, directly or through others, by UUID.
func (v *View) VifGroupsOf(vifUUID string) []*poolwirev1.VifGroup {
	vif := v.Vif(vifUUID)
	label := labelsOfVif(vif)
	var direct []string
	for r := range v.each(resourceOf(TableVifGroups).name, indexID, "") {
		_, named := slices.BinarySearch(r.msg.(*poolwirev1.VifGroup).GetVifUuids(), vifUUID)
		if named || (vif != nil && r.derive().selector.MatchesFunc(label)) {
			direct = append(direct, r.key)
		}
	}
	var out []*poolwirev1.VifGroup
	for _, id := range closure(direct, v.holdersOf(TableVifGroups)) {
		out = append(out, v.VifGroup(id))
	}
	slices.SortFunc(out, func(a, b *poolwirev1.VifGroup) int { return strings.Compare(a.GetUuid(), b.GetUuid()) })
	return out
}

// EffectiveLabels are a VIF's labels: those set through the API win over those that
// its host reports. The result belongs to the caller.
func (v *View) EffectiveLabels(vif *poolwirev1.Vif) map[string]string {
	labels := maps.Clone(vif.GetObservedLabels())
	if labels == nil {
		labels = map[string]string{}
	}
	maps.Copy(labels, vif.GetLabels())
	return labels
}

// labelsOfVif looks the effective labels of a VIF up.
func labelsOfVif(vif *poolwirev1.Vif) func(key string) (string, bool) {
	return func(key string) (string, bool) {
		if value, set := vif.GetLabels()[key]; set {
			return value, true
		}
		value, set := vif.GetObservedLabels()[key]
		return value, set
	}
}

func labelKey(key, value string) string { return indexKey("is", key, value) }

func labelSetKey(key string) string { return indexKey("set", key) }

// labelKeys index a VIF by its effective labels: each with its value, and by its key.
func labelKeys(vif *poolwirev1.Vif) []string {
	var out []string
	label := labelsOfVif(vif)
	add := func(key string) {
		value, _ := label(key)
		out = append(out, labelKey(key, value), labelSetKey(key))
	}
	for key := range vif.GetLabels() {
		add(key)
	}
	for key := range vif.GetObservedLabels() {
		if _, again := vif.GetLabels()[key]; !again {
			add(key)
		}
	}
	return out
}

// GroupUsers returns the policy rules that name a group as their other end, directly
// or through groups that hold it, by UUID; and the UUIDs of these groups.
func (v *View) GroupUsers(uuid string) (rules []*poolwirev1.PolicyRule, groups []string) {
	holders := closure([]string{uuid}, func(id string) []string {
		return append(v.holdersOf(TableAddressGroups)(id), v.holdersOf(TableVifGroups)(id)...)
	})
	for _, id := range holders {
		rules = append(rules, list[*poolwirev1.PolicyRule](v, TablePolicyRules, indexRemote, indexKey(id))...)
	}
	slices.SortFunc(rules, func(a, b *poolwirev1.PolicyRule) int { return strings.Compare(a.GetUuid(), b.GetUuid()) })
	return slices.Compact(rules), holders[1:]
}
