package northbound

import (
	"net/netip"
	"slices"
	"strings"

	v1 "poolwire/proto/poolwire/v1"
	"poolwire/southbound/openflow/flow"
)

// vifFields are the fields of a VIF that a client may set. What goes beyond XAPI's
// locking is checked in vif_fields_policy.go.
func vifFields() []fieldRow[*v1.Vif] {
	return []fieldRow[*v1.Vif]{
		{path: "uuid", when: onCreate},
		{path: "name_label", when: always, check: func(vif *v1.Vif, at place) {
			at.optionalName(vif.GetNameLabel())
			_, err := flow.ParseMAC(vif.GetNameLabel())
			if err == nil || strings.Contains(vif.GetNameLabel(), "/") {
				at.refuse(vif.GetNameLabel(), "reads as a MAC address or as HOST/INTERFACE; choose a name that does not")
			}
		}},
		{path: "locking_mode", when: always, check: func(vif *v1.Vif, at place) {
			checkEnum(at, vif.GetLockingMode())
			if vif.LockingMode == v1.LockingMode_LOCKING_MODE_UNSPECIFIED {
				vif.LockingMode = v1.LockingMode_LOCKING_MODE_NETWORK_DEFAULT
			}
		}},
		{path: "ipv4_allowed", when: always, check: func(vif *v1.Vif, at place) {
			vif.Ipv4Allowed = at.allowed(vif.GetIpv4Allowed(), `an IPv4 address or prefix like "192.0.2.7" or "192.0.2.0/28"`, netip.Addr.Is4)
		}},
		{path: "ipv6_allowed", when: always, check: func(vif *v1.Vif, at place) {
			vif.Ipv6Allowed = at.allowed(vif.GetIpv6Allowed(), `an IPv6 address or prefix like "2001:db8::7" or "2001:db8::/64"`, netip.Addr.Is6)
		}},
		{path: "labels", when: always, check: func(vif *v1.Vif, at place) { at.labels(vif.GetLabels()) }},
		{path: "allowed_address_pairs", when: always, check: checkAddressPairs},
		{path: "virtual_routers", when: always, check: checkVirtualRouters},
		{path: "trunks", when: always, check: func(vif *v1.Vif, at place) { vif.Trunks = at.vlans(vif.GetTrunks(), maxTrunks) }},
		{path: "isolation", when: always, check: func(vif *v1.Vif, at place) {
			checkEnum(at, vif.GetIsolation())
			if vif.Isolation == v1.Isolation_ISOLATION_UNSPECIFIED {
				vif.Isolation = v1.Isolation_ISOLATION_PROMISCUOUS
			}
		}},
		{path: "community", when: always, check: func(vif *v1.Vif, at place) { at.community(vif.GetCommunity()) }},
		{path: "qos", when: always, check: checkQos},
		{path: "allow_router_advertisements", when: always},
		{path: "allow_dhcp_server", when: always},
		{path: "allowed_hosts", when: always, check: checkAllowedHosts},
	}
}

// checkVif holds the fields of a VIF against each other.
func checkVif(vif *v1.Vif, at place) {
	switch community := vif.GetIsolation() == v1.Isolation_ISOLATION_COMMUNITY; {
	case community && vif.GetCommunity() == "":
		at.field("community").say("is required with isolation COMMUNITY: the name of the community, 1 to %d characters", maxCommunity)
	case !community && vif.GetCommunity() != "":
		at.field("community").refuse(vif.GetCommunity(), "must be empty with isolation %s; only COMMUNITY has one", enumName(vif.GetIsolation()))
	}
}

// allowed checks a list of addresses of one family and returns it in canonical
// form, each entry once.
func (p place) allowed(list []string, form string, family func(netip.Addr) bool) []string {
	if len(list) > maxAllowed {
		p.say("has %d entries; at most %d are accepted (a prefix stands for many addresses)", len(list), maxAllowed)
		return list
	}
	var out []string
	for i, s := range list {
		prefix, canonical, ok := parseRange(s)
		switch {
		case !ok || !family(prefix.Addr()):
			p.index(i).refuse(s, "must be %s", form)
		case hostBits(s) != "":
			p.index(i).refuse(s, "has bits set after the prefix length; write %s", hostBits(s))
		case prefix.Addr().IsMulticast():
			p.index(i).refuse(s, "is multicast, which nothing sends from; a unicast address or prefix is accepted")
		case !slices.Contains(out, canonical):
			out = append(out, canonical)
		}
	}
	return out
}
