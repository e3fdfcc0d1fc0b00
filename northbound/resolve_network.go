package northbound

import (
	"fmt"
	"slices"
	"strings"

	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// networkQuery is a name of a network in a request.
type networkQuery struct {
	// field holds the name, ref is it.
	field, ref string
	// pool narrows the search; empty for all pools.
	pool string
	// mac is the address of a VIF, in canonical form; empty for none. Of several
	// networks it chooses the one that has the VIF.
	mac string
}

// networkPlace is what a name of a network leads to: networks of pools, or the
// private network they carry. A private network is one network, however many
// pools it spans.
type networkPlace struct {
	private *v1.PrivateNetwork
	// networks are the networks of that name, or those that carry private.
	networks []*v1.Network
}

// uuid names the place in a rule.
func (n networkPlace) uuid() string {
	if n.private != nil {
		return n.private.GetUuid()
	}
	return n.networks[0].GetUuid()
}

// uuids are all names rules may have for the place.
func (n networkPlace) uuids() []string {
	var out []string
	if n.private != nil {
		out = append(out, n.private.GetUuid())
	}
	for _, x := range n.networks {
		out = append(out, x.GetUuid())
	}
	return out
}

// has tells whether a network belongs to the place.
func (n networkPlace) has(networkUUID string) bool {
	for _, id := range n.uuids() {
		if id == networkUUID {
			return true
		}
	}
	return false
}

// matchNetworks lists the networks that a UUID, name_label or bridge name may
// mean, in one pool or in all.
func matchNetworks(v *raftstore.View, ref string, pool *v1.Pool) []*v1.Network {
	if id, ok := canonicalUUID(ref); ok {
		if n := v.Network(id); n != nil && (pool == nil || n.GetPoolUuid() == pool.GetUuid()) {
			return []*v1.Network{n}
		}
	}
	among := v.Networks()
	if pool != nil {
		among = v.NetworksByPool(pool.GetUuid())
	}
	var out []*v1.Network
	for _, n := range among {
		if n.GetBridge() == ref || n.GetNameLabel() == ref {
			out = append(out, n)
		}
	}
	return out
}

// optionalPool finds the pool that narrows a search; nil when none is named.
func optionalPool(v *raftstore.View, ref string) (*v1.Pool, error) {
	if ref == "" {
		return nil, nil
	}
	return findPool(v, ref)
}

// findNetwork finds one network of a pool.
func findNetwork(v *raftstore.View, q networkQuery) (*v1.Network, error) {
	if q.ref == "" {
		return nil, missing(q.field, "the UUID, name_label or bridge of a network")
	}
	pool, err := optionalPool(v, q.pool)
	if err != nil {
		return nil, err
	}
	found := matchNetworks(v, q.ref, pool)
	switch len(found) {
	case 0:
		if pn := lookPrivateNetwork(v, q.ref); pn != nil {
			return nil, unresolved(q.field, q.ref, "is a private network; ask for it as one")
		}
		return nil, noNetwork(v, q, pool)
	case 1:
		return found[0], nil
	}
	return nil, ambiguousNetwork(v, q, found)
}

// findPlace finds the network that a rule or a filter speaks of, private
// networks included.
func findPlace(v *raftstore.View, q networkQuery) (networkPlace, error) {
	if q.ref == "" {
		return networkPlace{}, missing(q.field, "the name of a bridge, or the UUID or name_label of a network")
	}
	pool, err := optionalPool(v, q.pool)
	if err != nil {
		return networkPlace{}, err
	}
	found := matchNetworks(v, q.ref, pool)
	if pn := carriedBy(v, found); pn != nil {
		return placeOfPrivate(v, pn), nil
	}
	if len(found) > 1 && q.mac != "" {
		if holders := networksWithMAC(v, found, q.mac); len(holders) > 0 {
			found = holders
		}
		if pn := carriedBy(v, found); pn != nil {
			return placeOfPrivate(v, pn), nil
		}
	}
	switch len(found) {
	case 0:
		if pn := privateByNameOrBridge(v, q.ref, pool); pn != nil {
			return placeOfPrivate(v, pn), nil
		}
		return networkPlace{}, noNetwork(v, q, pool)
	case 1:
		return networkPlace{networks: found}, nil
	}
	return networkPlace{}, ambiguousNetwork(v, q, found)
}

// networksWithMAC are those of some networks that have a VIF with a MAC address,
// plugged or remembered; when none has, those where a rule waits for it.
func networksWithMAC(v *raftstore.View, among []*v1.Network, mac string) []*v1.Network {
	var withVif, withRule []*v1.Network
	for _, n := range among {
		if slices.ContainsFunc(v.VifsByMAC(mac), func(vif *v1.Vif) bool { return vif.GetNetworkUuid() == n.GetUuid() }) {
			withVif = append(withVif, n)
		}
		waiting := v.RulesByNetwork(n.GetUuid())
		if pn := n.GetPrivateNetworkUuid(); pn != "" {
			waiting = slices.Concat(waiting, v.RulesByNetwork(pn))
		}
		if slices.ContainsFunc(waiting, func(r *v1.Rule) bool { return r.GetMac() == mac }) {
			withRule = append(withRule, n)
		}
	}
	if len(withVif) > 0 {
		return withVif
	}
	return withRule
}

// carriedBy is the private network that all of some networks carry.
func carriedBy(v *raftstore.View, networks []*v1.Network) *v1.PrivateNetwork {
	carried := ""
	for i, n := range networks {
		if i > 0 && n.GetPrivateNetworkUuid() != carried {
			return nil
		}
		carried = n.GetPrivateNetworkUuid()
	}
	if carried == "" {
		return nil
	}
	return v.PrivateNetwork(carried)
}

// privateByNameOrBridge finds a private network whose bridges no host has
// reported yet: by UUID, by name_label, or by the bridge its members will have.
func privateByNameOrBridge(v *raftstore.View, ref string, pool *v1.Pool) *v1.PrivateNetwork {
	if pn := lookPrivateNetwork(v, ref); pn != nil {
		return pn
	}
	var found *v1.PrivateNetwork
	for _, pn := range v.PrivateNetworks() {
		for _, m := range v.PrivateNetworkMembers(pn) {
			if m.Bridge != ref || pool != nil && m.Host.GetPoolUuid() != pool.GetUuid() {
				continue
			}
			if found != nil && found != pn {
				return nil
			}
			found = pn
		}
	}
	return found
}

func placeOfPrivate(v *raftstore.View, pn *v1.PrivateNetwork) networkPlace {
	place := networkPlace{private: pn}
	for _, n := range v.Networks() {
		if n.GetPrivateNetworkUuid() == pn.GetUuid() {
			place.networks = append(place.networks, n)
		}
	}
	return place
}

func noNetwork(v *raftstore.View, q networkQuery, pool *v1.Pool) error {
	if pool != nil {
		return unresolved(q.field, q.ref, fmt.Sprintf("no host of pool %q has this bridge, and no network of it has this UUID or name_label; known: %s",
			pool.GetNameLabel(), listed(bridgeNamesOf(v, v.HostsByPool(pool.GetUuid())))))
	}
	return unresolved(q.field, q.ref, "no host has this bridge, and no network has this UUID or name_label; known: "+listed(slices.Concat(bridgeNamesOf(v, v.Hosts()), labels(v.PrivateNetworks()))))
}

func ambiguousNetwork(v *raftstore.View, q networkQuery, found []*v1.Network) error {
	var candidates, choices []string
	for _, n := range found {
		pool := v.Pool(n.GetPoolUuid()).GetNameLabel()
		candidates = append(candidates, fmt.Sprintf("%s in pool %q (%s)", n.GetBridge(), pool, n.GetUuid()))
		choices = append(choices, "pool="+pool)
	}
	slices.Sort(choices)
	choices = slices.Compact(choices)
	if len(choices) == 1 {
		return ambiguous(q.field, q.ref, "use a UUID", candidates)
	}
	hint := "name the pool (" + strings.Join(choices[:min(len(choices), 3)], " or ") + ") or use a UUID"
	return ambiguous(q.field, q.ref, hint, candidates)
}
