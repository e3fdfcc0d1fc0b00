package flowcompiler

import (
	"bytes"
	"net/netip"
	"slices"

	"poolwire/southbound/openflow/flow"
)

// Numbers of VRRP and CARP (RFC 9568 sections 5.1 and 7.3).
const (
	protoIGMP = 2
	protoVRRP = 112
)

var (
	vrrpGroup4 = netip.MustParsePrefix("224.0.0.18/32")
	vrrpGroup6 = netip.MustParsePrefix("ff02::12/128")
)

// station is a MAC address that a VIF may use, with the addresses it may use under it.
type station struct {
	mac                flow.MAC
	allowed4, allowed6 []netip.Prefix
	// local are its link-local addresses: those that its MAC address makes, and allowed ones.
	local []netip.Prefix
	// virtual: the MAC address is a virtual router's.
	virtual bool
}

// stations lists a VIF's MAC addresses: its own, those of its pairs and those of its
// virtual routers; none when its own is not known.
func (v pluggedVIF) stations() []station {
	if v.MAC.IsZero() {
		return nil
	}
	macs := v.otherMACs()
	all := make([]station, 0, len(macs)+1)
	all = append(all, v.station(v.MAC))
	for _, mac := range macs {
		all = append(all, v.station(mac))
	}
	return all
}

// otherMACs lists the MAC addresses that a VIF may use besides its own.
func (v pluggedVIF) otherMACs() []flow.MAC {
	var macs []flow.MAC
	for _, p := range v.Pairs {
		macs = append(macs, p.MAC)
	}
	for _, id := range v.VRRP {
		macs = append(macs, virtualMACs(id)...)
	}
	// No station has a group address (IEEE 802 clause 8.2.2); as a source it would also
	// get around what is learned.
	macs = slices.DeleteFunc(macs, func(m flow.MAC) bool { return m == v.MAC || m.IsZero() || m[0]&groupMAC[0] != 0 })
	slices.SortFunc(macs, func(a, b flow.MAC) int { return bytes.Compare(a[:], b[:]) })
	return slices.Compact(macs)
}

// station collects what a VIF may use under one of its MAC addresses. A virtual router
// also sends from the link-local address of the VIF itself.
func (v pluggedVIF) station(mac flow.MAC) station {
	s := station{mac: mac, local: []netip.Prefix{linkLocal(mac)}}
	if mac == v.MAC {
		for _, prefix := range v.IPv4 {
			s.allow4(unmapped(prefix))
		}
		for _, prefix := range v.IPv6 {
			s.allow6(prefix)
		}
	}
	for _, p := range v.Pairs {
		if p.MAC == mac || p.MAC.IsZero() && mac == v.MAC {
			s.allow4(unmapped(p.Prefix))
			s.allow6(p.Prefix)
		}
	}
	if mac != v.MAC && slices.ContainsFunc(v.VRRP, func(id uint8) bool { return slices.Contains(virtualMACs(id), mac) }) {
		s.virtual = true
		s.local = append(s.local, linkLocal(v.MAC))
	}
	return s
}

// allow4 adds an IPv4 address or prefix, and nothing of another family.
func (s *station) allow4(prefix netip.Prefix) {
	if prefix.IsValid() && prefix.Addr().Is4() {
		s.allowed4 = append(s.allowed4, prefix)
	}
}

// allow6 adds an IPv6 address or prefix, and nothing of another family. With XAPI's
// locking "::" has to be listed for duplicate address detection to work at all. Here it
// works anyway, and "::" as an address would let the VM answer for, and so take away,
// those of others.
func (s *station) allow6(prefix netip.Prefix) {
	if prefix.IsValid() && prefix.Addr().Is6() && !prefix.Addr().Is4In6() && prefix != unspecified6 {
		s.allowed6 = append(s.allowed6, prefix)
		if prefix.Addr().IsLinkLocalUnicast() {
			s.local = append(s.local, prefix)
		}
	}
}

// virtualMACs are the MAC addresses of the virtual routers with an id. CARP uses the
// first for IPv6 too.
func virtualMACs(id uint8) []flow.MAC {
	return []flow.MAC{{0x00, 0x00, 0x5e, 0x00, 0x01, id}, {0x00, 0x00, 0x5e, 0x00, 0x02, id}}
}
