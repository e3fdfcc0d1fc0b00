package northbound

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"poolwire/adoption"
	v1 "poolwire/proto/poolwire/v1"
)

func upper(s string) string { return strings.ToUpper(s) }

// pools are those with hosts that have tunnels of the network, in the order to take them over: first that of the star's
// centre, so that nobody ever reaches others by a leaf.
func (c candidate) pools() []*v1.Pool {
	center := c.v.Host(c.Center()).GetPoolUuid()
	var out []*v1.Pool
	for _, h := range c.Hosts() {
		p := c.v.Pool(h.GetPoolUuid())
		if p != nil && c.Bridge(h.GetUuid()) != "" && !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(a, b *v1.Pool) int {
		if (a.GetUuid() == center) != (b.GetUuid() == center) {
			return map[bool]int{true: -1, false: 1}[a.GetUuid() == center]
		}
		return cmp.Compare(a.GetNameLabel(), b.GetNameLabel())
	})
	return out
}

func poolNames(pools []*v1.Pool) []string {
	var out []string
	for _, p := range pools {
		out = append(out, p.GetNameLabel())
	}
	return out
}

// taken tells whether all that there is of the network in a pool has been taken over.
func (c candidate) taken(p *v1.Pool) bool {
	hosts, left := 0, 0
	for _, h := range c.Hosts() {
		if h.GetPoolUuid() != p.GetUuid() {
			continue
		}
		hosts++
		if !c.member(h) && c.Bridge(h.GetUuid()) != "" {
			left++
		}
	}
	named := slices.ContainsFunc(c.by.GetMembers(), func(m *v1.PrivateNetworkMember) bool {
		return m.GetPoolUuid() == p.GetUuid() || c.v.Host(m.GetHostUuid()).GetPoolUuid() == p.GetUuid()
	})
	return left == 0 && (hosts > 0 || named) && c.by != nil && named
}

// poolsLeft are those that are not when the network is as given.
func (c candidate) poolsLeft(by *v1.PrivateNetwork) []*v1.Pool {
	then := candidate{c.v, c.Network, by}
	return slices.DeleteFunc(c.pools(), then.taken)
}

// checkWhole refuses to take over an encrypted network in parts: hosts that protect what they send by different keys
// cannot reach each other.
func (c candidate) checkWhole(pools []*v1.Pool, at place) {
	if !c.Encrypted() || len(pools) == 0 {
		return
	}
	for _, p := range c.poolsLeft(c.by) {
		if !slices.Contains(pools, p) {
			at.say("%s is missing: an encrypted network is taken over in all pools at once: %s", quote(p.GetNameLabel()), listed(poolNames(c.pools())))
		}
	}
}

// next is the private network after a request.
func (c candidate) next(pools []*v1.Pool, req *v1.AdoptNetworkRequest) *v1.PrivateNetwork {
	n := proto.CloneOf(c.by)
	if n == nil {
		n = &v1.PrivateNetwork{
			NameLabel: cmp.Or(req.GetNameLabel(), fmt.Sprintf("xo-%d", c.VNI())), Vni: c.VNI(), Encapsulation: c.encapsulation(),
			Encrypted: c.Encrypted(), AdoptedFrom: c.UUID, Bridge: c.usualBridge(),
			DefaultLockingMode: v1.DefaultLockingMode_DEFAULT_LOCKING_MODE_UNLOCKED,
		}
	}
	for _, p := range pools {
		if (candidate{c.v, c.Network, n}).taken(p) {
			continue
		}
		n.Members = append(n.Members, c.members(n, p)...)
	}
	return n
}

// usualBridge is the name that most hosts' bridges have.
func (c candidate) usualBridge() string {
	count, usual := map[string]int{}, ""
	for _, h := range c.Hosts() {
		if b := c.Bridge(h.GetUuid()); b != "" {
			count[b]++
			if count[b] > count[usual] || count[b] == count[usual] && b < usual {
				usual = b
			}
		}
	}
	return usual
}

// members are those of a pool: the pool, where its hosts agree on the bridge, else each host.
func (c candidate) members(n *v1.PrivateNetwork, p *v1.Pool) []*v1.PrivateNetworkMember {
	var hosts []*v1.Host
	bridges := map[string]bool{}
	whole := true
	for _, h := range c.v.HostsByPool(p.GetUuid()) {
		bridge := c.Bridge(h.GetUuid())
		if bridge == "" || (candidate{c.v, c.Network, n}).member(h) {
			whole = false
			continue
		}
		bridges[bridge] = true
		hosts = append(hosts, h)
	}
	named := func(m *v1.PrivateNetworkMember, bridge string) *v1.PrivateNetworkMember {
		if bridge != n.GetBridge() {
			m.Bridge = bridge
		}
		return m
	}
	if whole && len(bridges) == 1 {
		return []*v1.PrivateNetworkMember{named(&v1.PrivateNetworkMember{Target: &v1.PrivateNetworkMember_PoolUuid{PoolUuid: p.GetUuid()}}, c.Bridge(hosts[0].GetUuid()))}
	}
	var out []*v1.PrivateNetworkMember
	for _, h := range hosts {
		out = append(out, named(&v1.PrivateNetworkMember{Target: &v1.PrivateNetworkMember_HostUuid{HostUuid: h.GetUuid()}}, c.Bridge(h.GetUuid())))
	}
	return out
}

// steps puts into words what a request does; without pools in a trial, what taking over all pools would.
func (c candidate) steps(pools []*v1.Pool, req *v1.AdoptNetworkRequest) []*v1.AdoptionStep {
	var out []*v1.AdoptionStep
	at := c
	if c.by == nil {
		at.by = c.next(nil, req)
		out = append(out, c.preparation(at.by))
	}
	if len(pools) == 0 && req.GetValidateOnly() {
		pools = c.poolsLeft(at.by)
	}
	if c.Encrypted() && len(pools) > 0 {
		return append(out, at.step(c.poolsLeft(at.by), req)...)
	}
	for _, p := range pools {
		out = append(out, at.step([]*v1.Pool{p}, req)...)
		at.by = at.next([]*v1.Pool{p}, req)
	}
	return out
}

func (c candidate) preparation(n *v1.PrivateNetwork) *v1.AdoptionStep {
	s := &v1.AdoptionStep{Warnings: c.warnings()}
	s.Actions = append(s.Actions, fmt.Sprintf("make the private network %q: VNI %d, %s, encrypted: %t", n.GetNameLabel(), n.GetVni(),
		strings.ToLower(strings.TrimPrefix(n.GetEncapsulation().String(), "ENCAPSULATION_")), n.GetEncrypted()))
	if n.GetEncrypted() {
		s.Actions = append(s.Actions, "nothing on the hosts yet: the pools of an encrypted network are taken over at once")
		return s
	}
	s.Actions = append(s.Actions, "hosts "+strings.Join(c.names(c.Hosts()), ", ")+": tunnels to each other, without traffic")
	return s
}

func (c candidate) names(hosts []*v1.Host) []string {
	var out []string
	for _, h := range hosts {
		out = append(out, h.GetNameLabel())
	}
	slices.Sort(out)
	return out
}

// step takes over some pools at once.
func (c candidate) step(pools []*v1.Pool, req *v1.AdoptNetworkRequest) []*v1.AdoptionStep {
	then := candidate{c.v, c.Network, c.next(pools, req)}
	isMember := func(by candidate) func(string) bool {
		return func(uuid string) bool { return by.member(c.v.Host(uuid)) }
	}
	before, after := c.Uses(isMember(c), c.Encrypted()), c.Uses(isMember(then), c.Encrypted())
	var out []*v1.AdoptionStep
	for i, p := range pools {
		s := &v1.AdoptionStep{PoolUuid: p.GetUuid(), PoolNameLabel: p.GetNameLabel()}
		for _, h := range c.Hosts() {
			if h.GetPoolUuid() == p.GetUuid() && then.member(h) && !c.member(h) {
				s.Actions = append(s.Actions, fmt.Sprintf("host %s: bridge %s becomes part of the private network", h.GetNameLabel(), c.Bridge(h.GetUuid())))
			}
		}
		if i == 0 {
			for _, t := range c.Tunnels {
				host, port := t.Host.GetUuid(), t.Port.GetName()
				if after.Of(host, port) == adoption.Relieved && before.Of(host, port) != adoption.Relieved {
					s.Actions = append(s.Actions, fmt.Sprintf("host %s: remove %s (to %s), replaced by a tunnel of Poolwire's", t.Host.GetNameLabel(), port, t.Far.GetNameLabel()))
				}
			}
			s.Warnings = c.expectations(then, after)
		}
		out = append(out, s)
	}
	return out
}

// expectations says what a step does to traffic.
func (c candidate) expectations(then candidate, after adoption.Uses) []string {
	if c.Encrypted() {
		return []string{"nothing passes between hosts until IPsec between them is up and proved: some seconds, for ever where a host lacks the package openvswitch-ipsec"}
	}
	out := []string{"packets between these hosts and others may be lost for some milliseconds, up to half a second where a bridge gets its first controller"}
	for _, t := range c.Tunnels {
		if t.Far != nil && then.member(t.Host) && after.Of(t.Host.GetUuid(), t.Port.GetName()) == adoption.Closed {
			out = append(out, fmt.Sprintf("what host %s sends by %s goes by another host until pool %s is taken over; take that over first to spare hosts looking for addresses again",
				t.Host.GetNameLabel(), t.Port.GetName(), c.v.Pool(t.Far.GetPoolUuid()).GetNameLabel()))
		}
	}
	return out
}
