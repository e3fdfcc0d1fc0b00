package northbound

import (
	"net/netip"

	"google.golang.org/protobuf/proto"

	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

const (
	// maxPort bounds ports and OpenFlow priorities: 16 bits both.
	maxPort = 1<<16 - 1
	// defaultPriority is OFP_DEFAULT_PRIORITY, which ovs-ofctl takes too.
	defaultPriority = 0x8000
)

// ruleFields are the fields of a rule that a client may set.
func ruleFields() []fieldRow[*v1.Rule] {
	return []fieldRow[*v1.Rule]{
		{path: "uuid", when: onCreate, check: func(r *v1.Rule, at place) { at.uuid(&r.Uuid) }},
		// What hosts call a VIF need not be a UUID: the state knows what exists.
		{path: "vif_uuid", when: onCreate},
		{path: "network_uuid", when: onCreate, check: func(r *v1.Rule, at place) { at.uuid(&r.NetworkUuid) }},
		{path: "mac", when: onCreate, check: func(r *v1.Rule, at place) { at.mac(&r.Mac) }},
		{path: "direction", when: always, check: func(r *v1.Rule, at place) { requiredEnum(at, r.GetDirection()) }},
		{path: "ip_range", when: always, check: func(r *v1.Rule, at place) { at.ipRange(&r.IpRange) }},
		{path: "protocol", when: always, check: func(r *v1.Rule, at place) { requiredEnum(at, r.GetProtocol()) }},
		{path: "port", when: always, check: checkPort},
		{path: "allow", when: always},
		{path: "priority", when: always, check: func(r *v1.Rule, at place) {
			if r.Priority == nil {
				r.Priority = proto.Uint32(defaultPriority)
			}
			if r.GetPriority() > maxPort {
				at.refuseNumber(r.GetPriority(), "must be 0 to %d; the default is %d", maxPort, defaultPriority)
			}
		}},
		{path: "cookie", when: always, check: func(r *v1.Rule, at place) { at.cookie(&r.Cookie) }},
	}
}

// checkPort: a port belongs to TCP and UDP, and those need one.
func checkPort(r *v1.Rule, at place) {
	needs := r.GetProtocol() == v1.Protocol_PROTOCOL_TCP || r.GetProtocol() == v1.Protocol_PROTOCOL_UDP
	switch {
	case needs && r.Port == nil:
		at.say("is required for protocol %s: 0 to %d", enumName(r.GetProtocol()), maxPort)
	case !needs && r.Port != nil && r.GetProtocol() != v1.Protocol_PROTOCOL_UNSPECIFIED:
		at.refuseNumber(r.GetPort(), "must be absent for protocol %s; TCP and UDP have ports", enumName(r.GetProtocol()))
	case r.GetPort() > maxPort:
		at.refuseNumber(r.GetPort(), "must be 0 to %d", maxPort)
	}
}

// checkRule holds the fields of a rule against each other.
func checkRule(r *v1.Rule, at place) {
	prefix, err := netip.ParsePrefix(r.GetIpRange())
	addr := prefix.Addr()
	if err != nil {
		addr, _ = netip.ParseAddr(r.GetIpRange())
	}
	if r.GetProtocol() == v1.Protocol_PROTOCOL_ARP && addr.Is6() {
		at.field("ip_range").refuse(r.GetIpRange(), "is IPv6, and protocol ARP is about IPv4 addresses; IPv6 neighbours are found with ICMP")
	}
}

// checkPlaceForm checks that a rule names exactly one place.
func checkPlaceForm(r *v1.Rule, at place) {
	switch {
	case r.GetVifUuid() == "" && r.GetNetworkUuid() == "":
		at.field("network_uuid").say("or vif_uuid is required: the UUID of a network for all of it, of a VIF for one, or a network and a mac")
	case r.GetVifUuid() != "" && r.GetNetworkUuid() != "":
		at.field("network_uuid").refuse(r.GetNetworkUuid(), "must be empty when vif_uuid is set: the rule follows the VIF into any network")
	case r.GetVifUuid() != "" && r.GetMac() != "":
		at.field("mac").refuse(r.GetMac(), "must be empty when vif_uuid is set")
	}
}

// checkPlace checks that the place of a rule exists.
func checkPlace(v *raftstore.View, r *v1.Rule, at place) {
	if id := r.GetVifUuid(); id != "" && v.Vif(id) == nil {
		canonical, ok := canonicalUUID(id)
		if ok && v.Vif(canonical) != nil {
			r.VifUuid = canonical
		} else {
			at.field("vif_uuid").refuse(id, "there is no VIF with this UUID; create it first, or use network_uuid and mac for one that is still to come")
		}
	}
	if id := r.GetNetworkUuid(); id != "" && v.Network(id) == nil && v.PrivateNetwork(id) == nil {
		if _, ok := canonicalUUID(id); ok {
			at.field("network_uuid").refuse(id, "there is no network and no private network with this UUID; list the networks and private networks to see those there are")
		}
	}
}
