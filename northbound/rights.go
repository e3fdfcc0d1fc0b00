package northbound

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	storev1 "poolwire/proto/poolwire/store/v1"
	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// rights are what a caller may do, and where: the role of the certificate or of the socket, and all that has been granted to
// the name, as far as the token, if it is one that proves the name, is good for it.
type rights struct {
	name string
	// role is that in the whole cluster; pools and networks have those within them, by UUID.
	role            Role
	pools, networks map[string]Role
	// grants are those that count.
	grants []*v1.Grant
}

// credentialToken begins Identity.Credential of a caller with a token.
const credentialToken = "token "

// roleOf is a role of the API.
func roleOf(r v1.Role) Role { return Role(r) }

// rightsOf looks up what a caller may do.
func rightsOf(v *raftstore.View, who Identity) *rights {
	out := &rights{name: who.Name, role: who.Role, pools: map[string]Role{}, networks: map[string]Role{}}
	var narrow *v1.Token
	if id, ok := strings.CutPrefix(who.Credential, credentialToken); ok {
		out.role = RoleNone
		if narrow = v.Token(id).GetToken(); narrow == nil {
			return out
		}
	}
	for _, g := range v.GrantsOf(who.Name) {
		if g = worthWith(v, g, narrow); g != nil {
			out.add(g)
		}
	}
	return out
}

func (r *rights) add(g *v1.Grant) {
	role := roleOf(g.GetRole())
	switch {
	case g.GetPoolUuid() != "":
		r.pools[g.GetPoolUuid()] = max(r.pools[g.GetPoolUuid()], role)
	case g.GetNetworkUuid() != "":
		r.networks[g.GetNetworkUuid()] = max(r.networks[g.GetNetworkUuid()], role)
	default:
		r.role = max(r.role, role)
	}
	r.grants = append(r.grants, g)
}

// worthWith is what a grant is worth with a token; nil for nothing.
func worthWith(v *raftstore.View, g *v1.Grant, t *v1.Token) *v1.Grant {
	if t == nil {
		return g
	}
	g = proto.CloneOf(g)
	if t.GetRole() != v1.Role_ROLE_UNSPECIFIED {
		g.Role = min(g.GetRole(), t.GetRole())
	}
	cluster := g.GetPoolUuid() == "" && g.GetNetworkUuid() == ""
	switch pool, network := t.GetPoolUuid(), t.GetNetworkUuid(); {
	case pool != "" && cluster:
		g.PoolUuid = pool
	case pool != "":
		if g.GetPoolUuid() != pool && v.Network(g.GetNetworkUuid()).GetPoolUuid() != pool {
			return nil
		}
	case network != "" && cluster:
		g.NetworkUuid = network
	case network != "" && g.GetPoolUuid() != "":
		if v.Network(network).GetPoolUuid() != g.GetPoolUuid() {
			return nil
		}
		g.PoolUuid, g.NetworkUuid = "", network
	case network != "":
		if g.GetNetworkUuid() != network {
			return nil
		}
	}
	return g
}

// equal tells whether two rights are for the same.
func (r *rights) equal(o *rights) bool {
	return r.role == o.role && maps.Equal(r.pools, o.pools) && maps.Equal(r.networks, o.networks)
}

// highest is the highest role that reaches as far as a method asks.
func (r *rights) highest(far reach) Role {
	out := r.role
	if far <= reachPool {
		out = max(out, slices.Max(append(slices.Collect(maps.Values(r.pools)), RoleNone)))
	}
	if far <= reachNetwork {
		out = max(out, slices.Max(append(slices.Collect(maps.Values(r.networks)), RoleNone)))
	}
	return out
}

// allows tells whether the caller may call a method at all.
func (r *rights) allows(p permission) bool {
	switch p.reach {
	case reachNobody:
		return false
	case reachAnyone:
		return true
	}
	return r.highest(p.reach) >= p.role
}

// inPool is the caller's role within a pool.
func (r *rights) inPool(pool string) Role { return max(r.role, r.pools[pool]) }

// inNetwork is the caller's role for a network, or a private one. A grant for a private network is one for the networks
// that carry it, too. A private network is in a pool when it is in no other.
func (r *rights) inNetwork(v *raftstore.View, id string) Role {
	out := max(r.role, r.networks[id])
	if n := v.Network(id); n != nil {
		return max(out, r.pools[n.GetPoolUuid()], r.networks[n.GetPrivateNetworkUuid()])
	}
	if n := v.PrivateNetwork(id); n != nil {
		out = max(out, r.inMembers(v, n))
	}
	return out
}

// inMembers is the lowest role that the caller has in the pools of a private network's members.
func (r *rights) inMembers(v *raftstore.View, n *v1.PrivateNetwork) Role {
	out := RoleNone
	for i, pool := range poolsOf(v, n) {
		if role := r.inPool(pool); i == 0 || role < out {
			out = role
		}
	}
	return max(out, r.role)
}

// poolsOf are the pools of a private network's members.
func poolsOf(v *raftstore.View, n *v1.PrivateNetwork) []string {
	var out []string
	for _, m := range n.GetMembers() {
		out = append(out, cmp.Or(m.GetPoolUuid(), v.Host(m.GetHostUuid()).GetPoolUuid()))
	}
	return out
}

// sees tells what the caller may see of the state. v is the whole of it.
func (r *rights) sees(v *raftstore.View) func(key string, m proto.Message) bool {
	s := sight{r, v}
	return s.object
}

// sight decides what a caller may see.
type sight struct {
	*rights
	view *raftstore.View
}

func (s sight) object(key string, m proto.Message) bool {
	switch m := m.(type) {
	case *v1.Pool:
		return s.inPool(m.GetUuid()) >= RoleReadOnly
	case *v1.Host:
		return s.inPool(m.GetPoolUuid()) >= RoleReadOnly
	case *v1.Network:
		return max(s.inPool(m.GetPoolUuid()), s.networks[m.GetUuid()], s.networks[m.GetPrivateNetworkUuid()]) >= RoleReadOnly
	case *v1.PrivateNetwork:
		return s.privateNetwork(m)
	case *v1.Vif:
		return s.vif(m)
	case *v1.Pif:
		return s.host(m.GetHostUuid())
	case *v1.Rule:
		return m.GetVifUuid() != "" && s.vif(s.view.Vif(m.GetVifUuid())) || m.GetNetworkUuid() != "" && s.network(m.GetNetworkUuid())
	case *v1.PolicyRule:
		return s.policyRule(m)
	case *v1.ClusterSettings:
		return true
	}
	return s.inner(key, m)
}

// inner decides about what only the store has.
func (s sight) inner(key string, m proto.Message) bool {
	switch m := m.(type) {
	case *storev1.Bridge:
		return s.host(m.GetHostUuid())
	case *storev1.Port:
		return s.host(m.GetHostUuid()) || m.GetVifUuid() != "" && s.vif(s.view.Vif(m.GetVifUuid()))
	case *storev1.HostFacts:
		return s.host(key)
	case *storev1.PendingChange:
		return touch{rights: s.rights, view: s.view, need: RoleReadOnly}.pending(m)
	case *storev1.Relay:
		return s.privateNetwork(s.view.PrivateNetwork(m.GetPrivateNetworkUuid()))
	case *storev1.Protection:
		return s.host(m.GetHostA()) && s.host(m.GetHostB())
	case *storev1.Subscription:
		return s.vif(s.view.Vif(m.GetVifUuid()))
	}
	return s.role >= RoleReadOnly
}

func (s sight) host(id string) bool {
	return s.inPool(s.view.Host(id).GetPoolUuid()) >= RoleReadOnly
}

func (s sight) network(id string) bool {
	if n := s.view.PrivateNetwork(id); n != nil {
		return s.privateNetwork(n)
	}
	return s.inNetwork(s.view, id) >= RoleReadOnly
}

// privateNetwork: one that spans pools is seen from each of them, and with each network that carries it.
func (s sight) privateNetwork(n *v1.PrivateNetwork) bool {
	if n == nil {
		return s.role >= RoleReadOnly
	}
	if max(s.role, s.networks[n.GetUuid()]) >= RoleReadOnly {
		return true
	}
	for _, pool := range poolsOf(s.view, n) {
		if s.pools[pool] >= RoleReadOnly {
			return true
		}
	}
	for id, role := range s.networks {
		if role >= RoleReadOnly && s.view.Network(id).GetPrivateNetworkUuid() == n.GetUuid() {
			return true
		}
	}
	return false
}

// vif: one on no known network is seen where it is plugged.
func (s sight) vif(m *v1.Vif) bool {
	if m == nil {
		return s.role >= RoleReadOnly
	}
	if m.GetNetworkUuid() != "" {
		return s.inNetwork(s.view, m.GetNetworkUuid()) >= RoleReadOnly
	}
	for _, p := range s.view.PortsByVif(m.GetUuid()) {
		if s.host(p.GetHostUuid()) {
			return true
		}
	}
	return s.role >= RoleReadOnly
}

func (s sight) policyRule(m *v1.PolicyRule) bool {
	switch m.GetLevel() {
	case v1.PolicyLevel_POLICY_LEVEL_POOL:
		return s.inPool(m.GetScopeUuid()) >= RoleReadOnly
	case v1.PolicyLevel_POLICY_LEVEL_NETWORK:
		return s.network(m.GetScopeUuid())
	case v1.PolicyLevel_POLICY_LEVEL_VIF:
		return s.vif(s.view.Vif(m.GetScopeUuid()))
	}
	return s.role >= RoleReadOnly
}
