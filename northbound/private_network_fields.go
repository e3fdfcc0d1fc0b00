package northbound

import (
	"fmt"
	"regexp"
	"strconv"

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
		{path: "uuid", check: func(n *v1.PrivateNetwork, at place) { at.uuid(&n.Uuid) }},
		{path: "name_label", when: always, check: func(n *v1.PrivateNetwork, at place) { at.name(n.GetNameLabel()) }},
		{path: "name_description", when: always, check: func(n *v1.PrivateNetwork, at place) { at.description(n.GetNameDescription()) }},
		{path: "vni", check: func(n *v1.PrivateNetwork, at place) {
			if n.GetVni() > maxVNI {
				at.refuseNumber(n.GetVni(), "must be 1 to %d (24 bits), or 0 for the lowest free one", maxVNI)
			}
		}},
		{path: "encapsulation", check: func(n *v1.PrivateNetwork, at place) {
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
		{path: "bridge", check: func(n *v1.PrivateNetwork, at place) { checkCarrierName(n.GetBridge(), at) }},
		{path: "default_locking_mode", when: always, check: func(n *v1.PrivateNetwork, at place) {
			checkEnum(at, n.GetDefaultLockingMode())
			if n.DefaultLockingMode == v1.DefaultLockingMode_DEFAULT_LOCKING_MODE_UNSPECIFIED {
				n.DefaultLockingMode = v1.DefaultLockingMode_DEFAULT_LOCKING_MODE_UNLOCKED
			}
		}},
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

// checkPrivateNetwork holds a private network against the state: its members
// exist and do not overlap, its bridges are free, and its MTU fits. It sets the
// MTU when it is 0.
func checkPrivateNetwork(v *raftstore.View, n *v1.PrivateNetwork, at place) {
	checkMemberTargets(v, n, at.field("members"))
	if n.GetMtu() == 0 {
		n.Mtu = fittingMTU(v, n, at.field("mtu"))
		return
	}
	checkMTU(v, n, at.field("mtu"))
}

// checkMemberTargets refuses members that are unknown, named twice, or named
// beside their own pool, and bridges that carry another private network.
func checkMemberTargets(v *raftstore.View, n *v1.PrivateNetwork, at place) {
	pools, hosts := map[string]int{}, map[string]int{}
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
			checkHostTarget(v, id, here.field("host_uuid"), pools, hosts, i)
		}
		checkCarrier(v, n, m, here.field("bridge"))
	}
}

func checkHostTarget(v *raftstore.View, id string, at place, pools, hosts map[string]int, i int) {
	h := v.Host(id)
	first, twice := hosts[id]
	inPool, overlaps := pools[h.GetPoolUuid()]
	switch {
	case h == nil:
		at.refuse(id, "there is no host with this UUID; known: %s", listed(hostChoices(v)))
	case twice:
		at.refuse(id, "is members[%d] already; name each host once", first)
	case overlaps:
		at.refuse(id, "host %q belongs to the pool %q, which is members[%d]; name the pool or its hosts, not both",
			h.GetNameLabel(), v.Pool(h.GetPoolUuid()).GetNameLabel(), inPool)
	default:
		hosts[id] = i
	}
}

func hostChoices(v *raftstore.View) []string {
	var out []string
	for _, h := range v.Hosts() {
		out = append(out, h.GetUuid()+" ("+h.GetNameLabel()+")")
	}
	return out
}

// checkCarrier refuses a bridge on which the network cannot live.
func checkCarrier(v *raftstore.View, n *v1.PrivateNetwork, m *v1.PrivateNetworkMember, at place) {
	bridge := m.GetBridge()
	if bridge == "" {
		bridge = n.GetBridge()
	}
	if bridge == "" && n.GetVni() != 0 {
		bridge = "pw" + strconv.FormatUint(uint64(n.GetVni()), 10)
	}
	if bridge == "" {
		return
	}
	for _, h := range hostsOfMember(v, m) {
		if other := v.PrivateNetworkOfBridge(h.GetUuid(), bridge); other != nil && other.GetUuid() != n.GetUuid() {
			at.refuse(bridge, "carries the private network %q on host %q; choose another bridge", other.GetNameLabel(), h.GetNameLabel())
			return
		}
		if b := v.Bridge(h.GetUuid(), bridge); b.GetOverlay() || b.GetParent() != "" {
			at.refuse(bridge, "%s; choose a bridge of its own, or a name that no bridge has yet", notACarrier(h, b.GetParent(), b.GetVlan()))
			return
		}
	}
}

func notACarrier(h *v1.Host, parent string, vlan uint32) string {
	if parent == "" {
		return fmt.Sprintf("is the overlay bridge of host %q", h.GetNameLabel())
	}
	return fmt.Sprintf("is VLAN %d of %s on host %q", vlan, parent, h.GetNameLabel())
}

// hostsOfMember lists the hosts a member stands for.
func hostsOfMember(v *raftstore.View, m *v1.PrivateNetworkMember) []*v1.Host {
	if id := m.GetPoolUuid(); id != "" {
		return v.HostsByPool(id)
	}
	if h := v.Host(m.GetHostUuid()); h != nil {
		return []*v1.Host{h}
	}
	return nil
}
