package northbound

import (
	"cmp"
	"fmt"
	"slices"

	"poolwire/adoption"
	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// candidate is a private network of Xen Orchestra's plugin, and the one that takes it over; nil while none does.
type candidate struct {
	v *raftstore.View
	adoption.Network
	by *v1.PrivateNetwork
}

// describe puts it in the API's words.
func (c candidate) describe() *v1.AdoptableNetwork {
	out := &v1.AdoptableNetwork{
		Uuid: c.UUID, Vni: c.VNI(), Encapsulation: c.encapsulation(), Encrypted: c.Encrypted(),
		PrivateNetworkUuid: c.by.GetUuid(), Obstacles: c.obstacles(), Warnings: c.warnings(),
	}
	for _, h := range c.Hosts() {
		out.Hosts = append(out.Hosts, c.host(h))
	}
	slices.SortFunc(out.Hosts, func(a, b *v1.AdoptableHost) int {
		return cmp.Or(cmp.Compare(a.GetPoolNameLabel(), b.GetPoolNameLabel()), cmp.Compare(a.GetHostNameLabel(), b.GetHostNameLabel()))
	})
	return out
}

func (c candidate) host(h *v1.Host) *v1.AdoptableHost {
	out := &v1.AdoptableHost{
		HostUuid: h.GetUuid(), HostNameLabel: h.GetNameLabel(), PoolUuid: h.GetPoolUuid(), PoolNameLabel: c.v.Pool(h.GetPoolUuid()).GetNameLabel(),
		Bridge: c.bridge(h), Center: c.Center() == h.GetUuid(), Adopted: c.member(h),
	}
	for _, t := range c.Of(h.GetUuid()) {
		out.Interfaces = append(out.Interfaces, t.Port.GetName())
		out.RemoteAddresses = append(out.RemoteAddresses, t.Port.GetTunnelRemote())
	}
	for _, p := range c.v.PortsByBridge(h.GetUuid(), out.GetBridge()) {
		if id := p.GetVifUuid(); out.GetBridge() != "" && id != "" && !slices.Contains(out.GetVifUuids(), id) {
			out.VifUuids = append(out.VifUuids, id)
		}
	}
	return out
}

// bridge is the one that carries the network on a host, or is to.
func (c candidate) bridge(h *v1.Host) string {
	for _, m := range c.v.PrivateNetworkMembers(c.by) {
		if m.Host.GetUuid() == h.GetUuid() {
			return m.Bridge
		}
	}
	return c.Bridge(h.GetUuid())
}

// member tells whether a host has been taken over.
func (c candidate) member(h *v1.Host) bool {
	return slices.ContainsFunc(c.v.PrivateNetworkMembers(c.by), func(m raftstore.MemberHost) bool { return m.Host.GetUuid() == h.GetUuid() })
}

func (c candidate) encapsulation() v1.Encapsulation {
	if e, ok := c.Encapsulation(); ok {
		return v1.Encapsulation(v1.Encapsulation_value["ENCAPSULATION_"+upper(e.InterfaceType())])
	}
	return v1.Encapsulation_ENCAPSULATION_UNSPECIFIED
}

// obstacles says why the network cannot be taken over.
func (c candidate) obstacles() []string {
	var out []string
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if len(c.Tunnels) > 0 && c.VNI() == 0 {
		add("its tunnels have no key")
	}
	if len(c.Tunnels) > 0 && c.encapsulation() == v1.Encapsulation_ENCAPSULATION_UNSPECIFIED {
		add("no private network can have tunnels of type %s", c.Tunnels[0].Port.GetTunnelType())
	}
	for _, t := range c.Tunnels {
		what := fmt.Sprintf("%s on host %s", t.Port.GetName(), t.Host.GetNameLabel())
		first := c.Tunnels[0].Port
		switch {
		case t.Port.GetTunnelKey() != first.GetTunnelKey() || t.Port.GetTunnelType() != first.GetTunnelType():
			add("%s is %s with key %d, %s on host %s is %s with key %d", what, t.Port.GetTunnelType(), t.Port.GetTunnelKey(),
				first.GetName(), c.Tunnels[0].Host.GetNameLabel(), first.GetTunnelType(), first.GetTunnelKey())
		case t.Port.GetTunnelEncrypted() != first.GetTunnelEncrypted():
			add("%s and %s on host %s: one has a key for IPsec and the other has none", what, first.GetName(), c.Tunnels[0].Host.GetNameLabel())
		case t.Port.GetBridge() != c.bridge(t.Host):
			add("%s is on bridge %s, others are on %s", what, t.Port.GetBridge(), c.bridge(t.Host))
		}
	}
	for _, h := range c.Hosts() {
		if bridge := c.Bridge(h.GetUuid()); bridge != "" && !c.member(h) {
			if reason := notACarrier(c.v, h.GetUuid(), bridge); reason != "" {
				add("bridge %s of host %s %s", bridge, h.GetNameLabel(), reason)
			}
		}
	}
	if other := c.v.PrivateNetworkByVNI(c.VNI()); c.by == nil && other != nil {
		add("the private network %q has the VNI %d", other.GetNameLabel(), c.VNI())
	}
	return out
}

// warnings says what an operator should know before.
func (c candidate) warnings() []string {
	var out []string
	add := func(format string, args ...any) {
		if s := fmt.Sprintf(format, args...); !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	for _, t := range c.Tunnels {
		switch far := t.Far; {
		case far == nil && c.Encrypted():
			add("no registered host has the address %s, to which %s of host %s leads: it will be cut off", t.Port.GetTunnelRemote(), t.Port.GetName(), t.Host.GetNameLabel())
		case far == nil:
			add("no registered host has the address %s, to which %s of host %s leads: that tunnel stays as it is", t.Port.GetTunnelRemote(), t.Port.GetName(), t.Host.GetNameLabel())
		case c.Bridge(far.GetUuid()) == "" && !c.member(far):
			add("host %s has no tunnel of this network, although %s of host %s leads to it", far.GetNameLabel(), t.Port.GetName(), t.Host.GetNameLabel())
		case !far.GetManaged():
			add("host %s is released", far.GetNameLabel())
		}
	}
	for _, who := range c.busy() {
		add("Xen Orchestra, or another controller, seems to be at work: %s", who)
	}
	return out
}

// busy says who else controls the hosts.
func (c candidate) busy() []string {
	var out []string
	for _, h := range c.Hosts() {
		for _, who := range c.v.HostFacts(h.GetUuid()).GetOtherControllers() {
			out = append(out, fmt.Sprintf("host %s has %s", h.GetNameLabel(), who))
		}
	}
	return out
}
