package controller

import (
	"fmt"
	"net/netip"
	"slices"

	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/southbound/openflow/flow"
)

// routerMAC stands for a station of which no MAC address is known: a locally administered
// address that nobody has.
var routerMAC = flow.MAC{0x02, 0x00, 0x00, 0xff, 0xff, 0xfe}

// end is one end of the packet that is asked about.
type end struct {
	vif  *poolwirev1.Vif // nil when it is none
	mac  flow.MAC
	addr netip.Addr
	// anyOf is what the address was taken from, of which another would have done as well;
	// the zero Prefix when it is known.
	anyOf netip.Prefix
	// flag is how a client says the address.
	flag string
}

// explainEnd is what is asked about one end.
type explainEnd struct {
	vif  *poolwirev1.Vif
	addr netip.Addr
	mac  flow.MAC
	// flag is how a client says the address.
	flag string
}

// address reads an address; the zero Addr when there is none.
func address(s string) netip.Addr {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}
	}
	return a.Unmap()
}

// assume notes something that is taken for granted.
func (x *explanation) assume(format string, args ...any) {
	x.out.Assumptions = append(x.out.Assumptions, fmt.Sprintf(format, args...))
}

// resolve finds out who the two ends are, and notes what had to be assumed.
func (x *explanation) resolve() {
	q := &x.question
	x.sender, x.receiver = q.sender.vif, q.receiver.vif
	if x.receiver == nil {
		x.receiver = x.vifAt(x.sender, q.receiver)
	}
	if x.sender == nil {
		x.sender = x.vifAt(x.receiver, q.sender)
	}
	six := x.isSix()
	x.from = x.endOf(x.sender, q.sender, six)
	x.to = x.endOf(x.receiver, q.receiver, six)
	x.makeUp(&x.from, six, "the sender")
	x.makeUp(&x.to, six, "the receiver")
	if !q.sourceMAC.IsZero() {
		x.from.mac = q.sourceMAC
	}
}

// isSix says whether the packet is IPv6: what is asked says so, or the VIFs have no other
// addresses.
func (x *explanation) isSix() bool {
	q := x.question
	switch {
	case q.sender.addr.IsValid():
		return q.sender.addr.Is6()
	case q.receiver.addr.IsValid():
		return q.receiver.addr.Is6()
	case q.header.isSix():
		return true
	case q.header.isFour():
		return false
	}
	four := len(x.sender.GetIpv4Allowed()) + len(x.receiver.GetIpv4Allowed())
	return four == 0 && len(x.sender.GetIpv6Allowed())+len(x.receiver.GetIpv6Allowed()) > 0
}

// endOf describes one end as far as it is known. An address of a VIF is the first that it
// may use, of those under the MAC address it sends from.
func (x *explanation) endOf(v *poolwirev1.Vif, asked explainEnd, six bool) end {
	e := end{vif: v, mac: asked.mac, addr: asked.addr, flag: asked.flag}
	if v != nil {
		e.mac, _ = flow.ParseMAC(v.GetMac())
	}
	if e.addr.IsValid() || v == nil {
		return e
	}
	mac := e.mac
	if v == x.sender && !x.question.sourceMAC.IsZero() {
		mac = x.question.sourceMAC
	}
	for _, p := range x.addressesUnder(v, mac) {
		if p.Addr().Is6() != six || p.Addr().IsMulticast() {
			continue
		}
		e.addr = p.Addr()
		if !p.IsSingleIP() {
			e.addr, e.anyOf = p.Addr().Next(), p // of a prefix the first that is a station's
		}
		return e
	}
	return e
}

// makeUp gives an end the address and the MAC address that are not known of it: never
// those of the other end.
func (x *explanation) makeUp(e *end, six bool, name string) {
	group := isGroupAddress(e.addr)
	if e.mac.IsZero() {
		e.mac = routerMAC
		if !group {
			x.assume("no VIF of the network is known to be %s, by its allowed addresses: it is taken for a station behind a router; name the VIF to follow the packet to it", name)
		}
	}
	if e.addr.IsValid() {
		return
	}
	made, all := [2]string{"192.0.2.1", "192.0.2.2"}, "0.0.0.0/0"
	if six {
		made, all = [2]string{"2001:db8::1", "2001:db8::2"}, "::/0"
	}
	other := x.to.addr
	if e == &x.to {
		other = x.from.addr
		slices.Reverse(made[:])
	}
	e.addr, e.anyOf = netip.MustParseAddr(made[0]), netip.MustParsePrefix(all)
	if e.addr == other {
		e.addr = netip.MustParseAddr(made[1])
	}
	x.assume("the address of %s is not known; %s is made up", name, e.addr)
}

// isGroupAddress says whether an address is that of a group, or of everybody.
func isGroupAddress(a netip.Addr) bool {
	_, group := groupMAC(a)
	return group
}

// vifAt finds the VIF of the same network that an end is: by its MAC address, or by the
// addresses that VIFs may use.
func (x *explanation) vifAt(neighbour *poolwirev1.Vif, e explainEnd) *poolwirev1.Vif {
	if !e.mac.IsZero() {
		for _, v := range x.view.VifsByMAC(e.mac.String()) {
			if x.segment(v) == x.segment(neighbour) {
				return v
			}
		}
		return nil
	}
	return x.neighbourAt(neighbour, e.addr)
}

// neighbourAt finds the VIF of the network of another that has an address among its own,
// by the longest prefix; the first one, where several have.
func (a *atlas) neighbourAt(neighbour *poolwirev1.Vif, addr netip.Addr) *poolwirev1.Vif {
	if !addr.IsValid() {
		return nil
	}
	var found *poolwirev1.Vif
	longest := -1
	for _, v := range a.view.Vifs() {
		if v.GetUuid() == neighbour.GetUuid() {
			continue
		}
		if bits := a.ownBits(v, addr); bits > longest && a.segment(v) == a.segment(neighbour) {
			found, longest = v, bits
		}
	}
	return found
}

// ownBits is the length of the longest prefix with an address that a VIF may use under its
// own MAC address; -1 when there is none.
func (a *atlas) ownBits(v *poolwirev1.Vif, addr netip.Addr) int {
	longest := -1
	for _, s := range a.stations(v) {
		if s.prefix.Contains(addr) && s.mac.String() == v.GetMac() {
			longest = max(longest, s.prefix.Bits())
		}
	}
	return longest
}

// segment names the L2 network a VIF is on: a private network is the same in all pools.
func (a *atlas) segment(v *poolwirev1.Vif) string {
	for _, p := range a.view.PortsByVif(v.GetUuid()) {
		if pn := carriedNetwork(a.view, p.GetHostUuid(), p.GetNetworkBridge()); pn != nil {
			return pn.GetUuid()
		}
	}
	return v.GetNetworkUuid()
}
