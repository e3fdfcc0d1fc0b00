package northbound

import (
	"math"
	"regexp"
	"slices"
	"strconv"

	"google.golang.org/protobuf/proto"

	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// maxVNI is the largest tunnel key: 24 bits (RFC 7348, section 5).
const maxVNI = 1<<24 - 1

// ownNames are the names Poolwire gives its own bridges and ports on a host.
const ownNames = `^pw(-overlay|[puvg][0-9a-f]+)$`

// privateNetworkFields are the fields of a private network that a client may set.
func privateNetworkFields() []fieldRow[*v1.PrivateNetwork] {
	return []fieldRow[*v1.PrivateNetwork]{
		{path: "uuid", when: onCreate, check: func(n *v1.PrivateNetwork, at place) { at.uuid(&n.Uuid) }},
		{path: "name_label", when: always, check: func(n *v1.PrivateNetwork, at place) { at.name(n.GetNameLabel()) }},
		{path: "name_description", when: always, check: func(n *v1.PrivateNetwork, at place) { at.description(n.GetNameDescription()) }},
		{path: "vni", when: onCreate, check: func(n *v1.PrivateNetwork, at place) {
			if n.GetVni() > maxVNI {
				at.refuseNumber(n.GetVni(), "must be 1 to %d (24 bits), or 0 for the lowest free one", maxVNI)
			}
		}},
		{path: "encapsulation", when: onCreate, check: func(n *v1.PrivateNetwork, at place) {
			checkEnum(at, n.GetEncapsulation())
			if n.Encapsulation == v1.Encapsulation_ENCAPSULATION_UNSPECIFIED {
				n.Encapsulation = v1.Encapsulation_ENCAPSULATION_VXLAN
			}
		}},
		{path: "mtu", when: always, check: func(n *v1.PrivateNetwork, at place) {
			if m := n.GetMtu(); m != 0 && (m < minMTU || m > maxMTU) {
				at.refuseNumber(m, "must be %d to %d bytes, or 0 for what fits the members", minMTU, maxMTU)
			}
		}},
		{path: "members", when: always, check: checkMemberForms},
		{path: "bridge", when: onCreate, check: func(n *v1.PrivateNetwork, at place) { checkCarrierName(n.GetBridge(), at) }},
		{path: "default_locking_mode", when: always, check: func(n *v1.PrivateNetwork, at place) { at.defaultLocking(&n.DefaultLockingMode) }},
		{path: "default_inbound_action", when: always, check: func(n *v1.PrivateNetwork, at place) { at.defaultAction(&n.DefaultInboundAction) }},
		{path: "default_outbound_action", when: always, check: func(n *v1.PrivateNetwork, at place) { at.defaultAction(&n.DefaultOutboundAction) }},
		{path: "ra_guard", when: always},
		{path: "dhcp_guard", when: always},
		{path: "topology", when: always, check: func(n *v1.PrivateNetwork, at place) {
			checkEnum(at, n.GetTopology())
			if n.GetTopology() == v1.Topology_TOPOLOGY_UNSPECIFIED {
				n.Topology = v1.Topology_TOPOLOGY_MESH
			}
		}},
		{path: "preferred_center", when: always, check: func(n *v1.PrivateNetwork, at place) {
			if n.GetPreferredCenter() != "" {
				at.requiredUUID(&n.PreferredCenter)
			}
		}},
		{path: "udp_port", when: onCreate, check: func(n *v1.PrivateNetwork, at place) {
			if n.GetUdpPort() > math.MaxUint16 {
				at.refuseNumber(n.GetUdpPort(), "must be 1 to 65535, or 0 for the protocol's own port")
			}
		}},
		{path: "encrypted", when: always},
		{path: "strict_mtu", when: always},
		{path: "flood_multicast", when: always},
	}
}

// checkCarrierName checks the name of a bridge that is to carry the network.
func checkCarrierName(name string, at place) {
	at.bridge(name)
	if own, _ := regexp.MatchString(ownNames, name); own {
		at.refuse(name, "is a name Poolwire gives its own ports and bridges; choose another one")
	}
}

// checkMemberForms checks what can be said of members without the state.
func checkMemberForms(n *v1.PrivateNetwork, at place) {
	if len(n.GetMembers()) > maxMembers {
		at.say("has %d entries; at most %d are accepted", len(n.GetMembers()), maxMembers)
		return
	}
	for i, m := range n.GetMembers() {
		here := at.index(i)
		switch target := m.GetTarget().(type) {
		case *v1.PrivateNetworkMember_PoolUuid:
			here.field("pool_uuid").requiredUUID(&target.PoolUuid)
		case *v1.PrivateNetworkMember_HostUuid:
			here.field("host_uuid").requiredUUID(&target.HostUuid)
		default:
			here.say("needs pool_uuid or host_uuid")
		}
		checkCarrierName(m.GetBridge(), here.field("bridge"))
	}
}

// takenFromPrivateNetwork says that another private network has the name_label or
// the VNI. The store says so too; here it comes before what follows from it, like
// a bridge named after the VNI that carries the other network.
func takenFromPrivateNetwork(v *raftstore.View, n *v1.PrivateNetwork) error {
	e := &raftstore.ExistsError{Kind: raftstore.KindPrivateNetwork, Field: "name_label", Value: n.GetNameLabel()}
	other := v.PrivateNetworkByName(n.GetNameLabel())
	if other == nil || other.GetUuid() == n.GetUuid() {
		e.Field, e.Value = "vni", strconv.FormatUint(uint64(n.GetVni()), 10)
		other = v.PrivateNetworkByVNI(n.GetVni())
	}
	if other == nil || other.GetUuid() == n.GetUuid() {
		return nil
	}
	e.By = other.GetUuid()
	return existsStatus(e, "private_network", ownerOf(v, e))
}

// checkPrivateNetwork holds a private network against the state: its members
// exist and do not overlap, the bridges of those that are new (old is nil for a
// new network) can carry it, its MTU fits, and so do those of others beside it. It sets the MTU when it is 0.
func checkPrivateNetwork(v *raftstore.View, old, n *v1.PrivateNetwork, at place) {
	checkMemberTargets(v, n, at.field("members"))
	for i, m := range n.GetMembers() {
		if !slices.ContainsFunc(old.GetMembers(), func(o *v1.PrivateNetworkMember) bool { return proto.Equal(o, m) }) {
			checkCarrier(v, n, m, at.field("members").index(i).field("bridge"))
		}
	}
	checkNarrowed(v, old, n, at)
	if n.GetMtu() == 0 {
		n.Mtu = fittingMTU(v, n, at.field("mtu"))
		return
	}
	checkMTU(v, n, at.field("mtu"))
}

// memberTargets are the pools and hosts that members name, by the index of the
// member that does first.
type memberTargets struct{ pools, hosts map[string]int }

// checkMemberTargets refuses members that are unknown, named twice, or named
// beside their own pool.
func checkMemberTargets(v *raftstore.View, n *v1.PrivateNetwork, at place) {
	pools := map[string]int{}
	targets := memberTargets{pools: pools, hosts: map[string]int{}}
	for i, m := range n.GetMembers() {
		if id := m.GetPoolUuid(); id != "" {
			if _, twice := pools[id]; !twice {
				pools[id] = i
			}
		}
	}
	for i, m := range n.GetMembers() {
		here := at.index(i)
		switch id := m.GetPoolUuid(); {
		case id == "":
		case v.Pool(id) == nil:
			here.field("pool_uuid").refuse(id, "there is no pool with this UUID; known: %s", listed(poolChoices(v)))
		case pools[id] != i:
			here.field("pool_uuid").refuse(id, "is members[%d] already; name each pool once", pools[id])
		}
		if id := m.GetHostUuid(); id != "" {
			targets.checkHost(v, i, id, here.field("host_uuid"))
		}
	}
}

// checkHost refuses the host of member i when it is unknown or a member already.
func (t memberTargets) checkHost(v *raftstore.View, i int, id string, at place) {
	h := v.Host(id)
	first, twice := t.hosts[id]
	inPool, overlaps := t.pools[h.GetPoolUuid()]
	switch {
	case h == nil:
		at.refuse(id, "there is no host with this UUID; known: %s", listed(hostChoices(v)))
	case twice:
		at.refuse(id, "is members[%d] already; name each host once", first)
	case overlaps:
		at.refuse(id, "host %q belongs to the pool %q, which is members[%d]; name the pool or its hosts, not both",
			h.GetNameLabel(), v.Pool(h.GetPoolUuid()).GetNameLabel(), inPool)
	default:
		t.hosts[id] = i
	}
}

func hostChoices(v *raftstore.View) []string {
	var out []string
	for _, h := range v.Hosts() {
		out = append(out, h.GetUuid()+" ("+h.GetNameLabel()+")")
	}
	return out
}
