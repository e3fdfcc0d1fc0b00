package controller

import (
	"fmt"
	"slices"

	"poolwire/overlay"
	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
	"poolwire/southbound/ovsdb"
)

// absentRows lists what is desired on a host but not seen there yet, in words.
// A port that the switch refused is not waited for: it is reported.
func absentRows(v *raftstore.View, hostUUID string, d ovsdb.Desired) []string {
	var out []string
	for _, b := range d.Bridges {
		if v.Bridge(hostUUID, b.Name).GetDatapathId() == 0 {
			out = append(out, "bridge "+b.Name)
			continue
		}
		for _, p := range b.Ports {
			row := v.Port(hostUUID, p.Name)
			if row.GetOfport() == 0 && row.GetError() == "" {
				out = append(out, fmt.Sprintf("port %s of bridge %s", p.Name, b.Name))
			}
		}
	}
	return out
}

// countRows counts what is desired of a host: bridges of ours, ports, and a
// controller per node on every bridge.
func countRows(d ovsdb.Desired) int {
	n := 0
	for _, b := range d.Bridges {
		n += len(b.Ports) + len(b.Controllers)
		if b.Create {
			n++
		}
	}
	return n
}

// hostWarnings lists what an operator should know of a host.
func hostWarnings(v *raftstore.View, host *poolwirev1.Host) []string {
	var out []string
	for _, p := range v.Ports(host.GetUuid()) {
		if p.GetOwned() && p.GetError() != "" {
			out = append(out, fmt.Sprintf("port %s of bridge %s: %s", p.GetName(), p.GetBridge(), p.GetError()))
		}
	}
	for _, ms := range memberships(v, host.GetUuid()) {
		if reason := carrierProblem(v, host.GetUuid(), ms.bridge); reason != "" {
			out = append(out, fmt.Sprintf("private network %s: %s", ms.network.GetNameLabel(), reason))
		}
	}
	out = append(out, contested(v, host)...)
	out = append(out, locksOnStandalone(v, host)...)
	slices.Sort(out)
	return out
}

// locksOnStandalone says which bridges would open, locks and all, after the
// grace without any controller.
func locksOnStandalone(v *raftstore.View, host *poolwirev1.Host) []string {
	var out []string
	for _, b := range v.Bridges(host.GetUuid()) {
		if b.GetParent() != "" || b.GetFailMode() == "secure" {
			continue
		}
		locked := 0
		for _, p := range v.PortsByBridge(host.GetUuid(), b.GetName()) {
			if p.GetKind() == storev1.PortKind_PORT_KIND_VIF && binds(v.Vif(p.GetVifUuid())) {
				locked++
			}
		}
		if locked > 0 {
			out = append(out, fmt.Sprintf("bridge %s is standalone: the locks of its %d VIFs end after %s without any controller", b.GetName(), locked, grace(v.Pool(host.GetPoolUuid()))))
		}
	}
	return out
}

// PrivateNetworkHosts is the state of a private network on each member host.
func (c *Controller) PrivateNetworkHosts(uuid string) []*poolwirev1.PrivateNetworkHostStatus {
	v := c.cfg.Store.View()
	pn := v.PrivateNetwork(uuid)
	if pn == nil {
		return nil
	}
	var out []*poolwirev1.PrivateNetworkHostStatus
	members := v.PrivateNetworkMembers(pn)
	for _, m := range members {
		st := &poolwirev1.PrivateNetworkHostStatus{
			HostUuid: m.Host.GetUuid(), HostNameLabel: m.Host.GetNameLabel(), Bridge: m.Bridge,
			MaxMtu: maxMTU(v, pn, m.Host.GetUuid()),
		}
		st.Reason = c.memberProblem(v, pn, m)
		st.Ready = st.Reason == ""
		ms := membershipIn(v, pn, m.Host.GetUuid())
		st.PeersWanted = uint32(len(ms.others))
		if l := c.current.Load(); l != nil {
			st.PeersUp = sight{l, v}.reached(ms)
		}
		out = append(out, st)
	}
	return out
}

// Preflight says of each host that is a member of a private network in a view, which may be of a change that is only being
// considered, what keeps it from taking part.
func (c *Controller) Preflight(v *raftstore.View, pn *poolwirev1.PrivateNetwork) []*poolwirev1.PrivateNetworkHostStatus {
	var out []*poolwirev1.PrivateNetworkHostStatus
	for _, m := range v.PrivateNetworkMembers(pn) {
		st := &poolwirev1.PrivateNetworkHostStatus{
			HostUuid: m.Host.GetUuid(), HostNameLabel: m.Host.GetNameLabel(), Bridge: m.Bridge, MaxMtu: maxMTU(v, pn, m.Host.GetUuid()),
		}
		if st.Reason = c.unfit(v, pn, m); st.Reason == "" {
			st.Unknown = c.notKnownYet(v, pn, m.Host)
		}
		st.Ready = st.Reason == "" && st.Unknown == ""
		out = append(out, st)
	}
	return out
}

// maxMTU is what a host's underlay leaves for the VMs, 0 when not known.
func maxMTU(v *raftstore.View, pn *poolwirev1.PrivateNetwork, hostUUID string) uint32 {
	underlay := v.HostFacts(hostUUID).GetTransportMtu()
	// A pair of hosts that shares an encrypted network protects all its tunnels.
	sec := overlay.IPsec{On: pn.GetEncrypted() || pn.GetUdpPort() == 0 && v.SharesKey(pn, hostUUID)}
	return uint32(overlay.InnerMTU(int(underlay), conduitOf(pn).encapsulation, addrIsIPv6(endpoint(v, hostUUID)), sec))
}

func addrIsIPv6(s string) bool { p := parsePrefix(s); return p.IsValid() && p.Addr().Is6() }

// memberProblem says what keeps a member from carrying a private network.
func (c *Controller) memberProblem(v *raftstore.View, pn *poolwirev1.PrivateNetwork, m raftstore.MemberHost) string {
	if reason := c.unfit(v, pn, m); reason != "" {
		return reason
	}
	host := m.Host.GetUuid()
	if down := deadUplinks(v, host); down != "" {
		return down
	}
	for _, name := range []string{patchName(pn.GetVni()), uplinkName(pn.GetVni())} {
		if reason := portProblem(v, host, name); reason != "" {
			return reason
		}
	}
	ms := membershipIn(v, pn, host)
	for _, peer := range ms.peers() {
		if endpoint(v, peer.Host.GetUuid()) == "" {
			continue
		}
		if reason := portProblem(v, host, ms.conduit.tunnelName(peer.Host)); reason != "" {
			return fmt.Sprintf("tunnel to %s: %s", peer.Host.GetNameLabel(), reason)
		}
	}
	return c.unprotected(v, ms)
}

// unfit says what keeps a host from being of any use to a private network, whatever is made on it.
func (c *Controller) unfit(v *raftstore.View, pn *poolwirev1.PrivateNetwork, m raftstore.MemberHost) string {
	host := m.Host.GetUuid()
	address := endpoint(v, host)
	switch {
	case !m.Host.GetManaged():
		return "host is released"
	case c.isAway(host):
		return "host is away"
	case address == "":
		return "no transport address"
	case addrIsIPv6(address) && conduitOf(pn).encapsulation == overlay.GRE:
		return "GRE has no tunnels over IPv6 here: take VXLAN or Geneve"
	}
	if reason := carrierProblem(v, host, m.Bridge); reason != "" {
		return reason
	}
	if reason := unprovable(v, pn, m.Host); reason != "" {
		return reason
	}
	if reason := c.unguardable(v, pn, m.Host); reason != "" {
		return reason
	}
	if limit := maxMTU(v, pn, host); pn.GetStrictMtu() && limit != 0 && pn.GetMtu() > limit {
		return fmt.Sprintf("underlay MTU %d leaves %d", v.HostFacts(host).GetTransportMtu(), limit)
	}
	return ""
}

// isAway reports whether a host has no session with this node.
func (c *Controller) isAway(hostUUID string) bool {
	l := c.current.Load()
	if l == nil {
		return true
	}
	h := l.host(hostUUID)
	return h == nil || h.state.Load().away()
}

// portProblem says why a port of ours is not in use, empty when it is.
func portProblem(v *raftstore.View, host, name string) string {
	row := v.Port(host, name)
	switch {
	case row == nil:
		return fmt.Sprintf("port %s does not exist yet", name)
	case row.GetError() != "":
		return row.GetError()
	case row.GetOfport() == 0:
		return fmt.Sprintf("port %s has no OpenFlow number yet", name)
	}
	return ""
}

// deadUplinks reports a host whose every NIC is without a carrier.
func deadUplinks(v *raftstore.View, host string) string {
	var down []string
	for _, p := range v.Ports(host) {
		switch {
		case !isUplink(p):
		case p.GetLinkUp():
			return ""
		default:
			down = append(down, p.GetName())
		}
	}
	if len(down) == 0 {
		return ""
	}
	return fmt.Sprintf("PIF %s has no carrier", down[0])
}
