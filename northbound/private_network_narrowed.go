package northbound

import (
	"fmt"
	"slices"

	"poolwire/overlay"
	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// narrowed is a private network in clear that loses room by another one that is encrypted: IPsec protects all tunnels
// between two hosts or none.
type narrowed struct {
	network *v1.PrivateNetwork
	// least is what is left on the member that has the least.
	least *room
}

// narrowedBy lists the private networks whose MTU fits in clear, and does not where the encryption of n protects their
// tunnels too. Any two members that they share count, whatever the topology: in a star or with hubs each may get a
// tunnel to each as relays change.
func narrowedBy(v *raftstore.View, n *v1.PrivateNetwork) []narrowed {
	if !n.GetEncrypted() {
		return nil
	}
	members := map[string]struct{}{}
	for _, m := range v.PrivateNetworkMembers(n) {
		members[m.Host.GetUuid()] = struct{}{}
	}
	var out []narrowed
	for _, other := range v.PrivateNetworks() {
		if other.GetUuid() == n.GetUuid() || other.GetEncrypted() || other.GetUdpPort() != 0 {
			continue
		}
		shared := slices.DeleteFunc(v.PrivateNetworkMembers(other), func(m raftstore.MemberHost) bool {
			_, both := members[m.Host.GetUuid()]
			return !both
		})
		if least := leastNarrowed(v, other, shared); least != nil && len(shared) > 1 {
			out = append(out, narrowed{other, least})
		}
	}
	return out
}

// leastNarrowed is the room that is left where a network's MTU fits in clear only; nil when that is nowhere.
func leastNarrowed(v *raftstore.View, n *v1.PrivateNetwork, members []raftstore.MemberHost) *room {
	var least *room
	for _, m := range members {
		open, sealed := roomOn(v, n, m.Host, overlay.IPsec{}), roomOn(v, n, m.Host, overlay.IPsec{On: true})
		if open == nil || n.GetMtu() > open.mtu || n.GetMtu() <= sealed.mtu {
			continue
		}
		if least == nil || sealed.mtu < least.mtu {
			least = sealed
		}
	}
	return least
}

// checkNarrowed refuses to encrypt a network, or to give members to an encrypted one (old is nil for a new network),
// where another that fits now and is strict about its MTU would not fit any more.
func checkNarrowed(v *raftstore.View, old, n *v1.PrivateNetwork, at place) {
	before := narrowedBy(v, old)
	here := at.field("encrypted")
	if old.GetEncrypted() {
		here = at.field("members")
	}
	for _, x := range narrowedBy(v, n) {
		had := slices.ContainsFunc(before, func(b narrowed) bool { return b.network.GetUuid() == x.network.GetUuid() })
		if r := tightest(v, x.network); had || !x.network.GetStrictMtu() || r != nil && x.network.GetMtu() > r.mtu {
			continue
		}
		here.say("the private network %q, which is strict about its MTU %d, would not fit: all tunnels between hosts of an encrypted network are protected, and %s; "+
			"lower its mtu, or set its strict_mtu off", x.network.GetNameLabel(), x.network.GetMtu(), x.least.leaves(x.network))
	}
}

// narrowedWarnings names the networks that a network leaves too little room by being encrypted.
func narrowedWarnings(v *raftstore.View, n *v1.PrivateNetwork) []string {
	var out []string
	for _, x := range narrowedBy(v, n) {
		out = append(out, fmt.Sprintf("encryption protects tunnels of the private network %q too, whose MTU %d does not fit then: %s",
			x.network.GetNameLabel(), x.network.GetMtu(), x.least.leaves(x.network)))
	}
	return out
}
