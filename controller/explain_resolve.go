package controller

import (
	"net/netip"

	"poolwire/flowcompiler/walk"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/southbound/openflow/flow"
)

// resolve finds out who the two ends are, and notes what had to be assumed.
func (x *explanation) resolve(q explainQuestion) (from, to end) {
	fromAddr, toAddr := address(q.sender.addr), address(q.receiver.addr)
	if x.receiver == nil {
		x.receiver = x.vifAt(x.sender, toAddr, q.receiver.mac)
	}
	if x.sender == nil {
		x.sender = x.vifAt(x.receiver, fromAddr, q.sender.mac)
	}
	v6 := q.header.protocol == walk.ProtoICMPv6 || is6(fromAddr) || is6(toAddr)
	from, to = x.endAs(x.sender, fromAddr, q.sender.mac, v6, "the sender"), x.endAs(x.receiver, toAddr, q.receiver.mac, v6, "the receiver")
	if x.sender != nil && x.receiver != nil && x.segment(x.sender) != x.segment(x.receiver) {
		x.assume("the two VIFs are on different networks: what is between them is not known, and the way is followed to the router of the first")
		to.mac, x.receiver = routerMAC, nil
	}
	return from, to
}

func is6(a netip.Addr) bool { return a.IsValid() && a.Is6() }

// address reads an address; the zero Addr when there is none.
func address(s string) netip.Addr {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}
	}
	return a.Unmap()
}

// endAs describes one end.
func (x *explanation) endAs(v *poolwirev1.Vif, addr netip.Addr, mac flow.MAC, v6 bool, name string) end {
	if v != nil {
		return x.endOf(v, addr, v6, name)
	}
	e := end{mac: mac, addr: addr}
	if e.mac.IsZero() {
		e.mac = routerMAC
		x.assume("no VIF of the network is known to be %s, by its allowed addresses: it is taken for a station behind a router; name the VIF to follow the packet to it", name)
	}
	if !e.addr.IsValid() {
		e.addr = netip.AddrFrom4([4]byte{192, 0, 2, 2})
		if v6 {
			e.addr = netip.MustParseAddr("2001:db8::2")
		}
		x.assume("the address of %s is not known; %s is taken", name, e.addr)
	}
	return e
}

// vifAt finds the VIF of the same network that has an address: among those it may use,
// or as its MAC address.
func (x *explanation) vifAt(neighbour *poolwirev1.Vif, addr netip.Addr, mac flow.MAC) *poolwirev1.Vif {
	if !mac.IsZero() {
		for _, v := range x.view.VifsByMAC(mac.String()) {
			if x.segment(v) == x.segment(neighbour) {
				return v
			}
		}
		return nil
	}
	if !addr.IsValid() {
		return nil
	}
	for _, v := range x.view.Vifs() {
		if v.GetUuid() == neighbour.GetUuid() || !mayUse(v, addr) || x.segment(v) != x.segment(neighbour) {
			continue
		}
		return v
	}
	return nil
}

// mayUse says whether an address is among a VIF's own.
func mayUse(v *poolwirev1.Vif, addr netip.Addr) bool {
	for _, list := range [][]string{v.GetIpv4Allowed(), v.GetIpv6Allowed()} {
		for _, p := range prefixes(list) {
			if p.Contains(addr) {
				return true
			}
		}
	}
	return false
}

// segment names the L2 network a VIF is on: a private network is the same in all pools.
func (x *explanation) segment(v *poolwirev1.Vif) string {
	for _, p := range x.view.PortsByVif(v.GetUuid()) {
		if pn := carriedNetwork(x.view, p.GetHostUuid(), p.GetNetworkBridge()); pn != nil {
			return pn.GetUuid()
		}
	}
	return v.GetNetworkUuid()
}
