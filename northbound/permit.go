package northbound

import (
	"context"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	storev1 "poolwire/proto/poolwire/store/v1"
	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// seen is a state as the caller of a call may see it.
func seen(ctx context.Context, v *raftstore.View) *raftstore.View {
	r := callOf(ctx).rights
	if r == nil || r.role >= RoleReadOnly || v == nil || v.Restricted() {
		return v
	}
	return v.Restrict(r.sees(v))
}

// permit refuses a command that touches anything that the caller has not been granted as much for as the method asks.
// Every change of the state that a client asks for comes by here. What is not known to be within a pool or
// a network is nobody's who has no role in the whole cluster.
func permit(ctx context.Context, v *raftstore.View, cmd *storev1.Command) error {
	c := callOf(ctx)
	need := access(c.method)
	// Grants and tokens are looked at by their own services: they touch nothing that a switch knows.
	if c.rights == nil || c.rights.role >= need || isOwn(c.method) {
		return nil
	}
	if (touch{rights: c.rights, view: v.Whole(), need: need}).command(cmd) {
		return nil
	}
	return status.Errorf(codes.PermissionDenied, "%s: what has been granted to %q as %s does not cover all that this would change", shortMethod(c.method), c.who, need)
}

// touch decides whether what a command touches is covered.
type touch struct {
	*rights
	view *raftstore.View
	need Role
	// gone are objects that a pending change has deleted, by UUID.
	gone map[string]proto.Message
}

func (t touch) command(cmd *storev1.Command) bool {
	switch c := cmd.GetBody().(type) {
	case *storev1.Command_PutPool:
		return !c.PutPool.GetCreate() && t.pool(c.PutPool.GetPool().GetUuid())
	case *storev1.Command_DeletePool:
		return t.pool(c.DeletePool.GetUuid())
	case *storev1.Command_PutHost:
		h := c.PutHost.GetHost()
		old := t.view.Host(h.GetUuid())
		return t.pool(h.GetPoolUuid()) && (old == nil || t.pool(old.GetPoolUuid()))
	case *storev1.Command_DeleteHost:
		return t.pool(t.view.Host(c.DeleteHost.GetUuid()).GetPoolUuid())
	case *storev1.Command_PutNetwork:
		return t.pool(t.view.Network(c.PutNetwork.GetNetwork().GetUuid()).GetPoolUuid())
	case *storev1.Command_PutPrivateNetwork:
		n := c.PutPrivateNetwork.GetPrivateNetwork()
		old := t.view.PrivateNetwork(n.GetUuid())
		return t.private(n) && (old == nil || t.private(old))
	case *storev1.Command_DeletePrivateNetwork:
		return t.private(t.view.PrivateNetwork(c.DeletePrivateNetwork.GetUuid()))
	case *storev1.Command_PutVif:
		old := t.view.Vif(c.PutVif.GetVif().GetUuid())
		return t.vifWhole(c.PutVif.GetVif()) && (old == nil || t.vifWhole(old))
	case *storev1.Command_DeleteVif:
		return t.vifWhole(t.view.Vif(c.DeleteVif.GetUuid()))
	}
	return t.rules(cmd)
}

// rules decides about rules, which a grant for their network covers, and about what undoes them.
func (t touch) rules(cmd *storev1.Command) bool {
	switch c := cmd.GetBody().(type) {
	case *storev1.Command_PutRule:
		old := t.view.Rule(c.PutRule.GetRule().GetUuid())
		return t.rule(c.PutRule.GetRule()) && (old == nil || t.rule(old))
	case *storev1.Command_DeleteRules:
		for _, id := range c.DeleteRules.GetUuids() {
			if r := t.view.Rule(id); r != nil && !t.rule(r) {
				return false
			}
		}
		return true
	case *storev1.Command_PutPolicyRule:
		old := t.view.PolicyRule(c.PutPolicyRule.GetPolicyRule().GetUuid())
		return t.policyRule(c.PutPolicyRule.GetPolicyRule()) && (old == nil || t.policyRule(old))
	case *storev1.Command_DeletePolicyRule:
		return t.policyRule(t.view.PolicyRule(c.DeletePolicyRule.GetUuid()))
	case *storev1.Command_ResolveChange:
		return t.pending(t.view.PendingChange(c.ResolveChange.GetId()))
	}
	return false
}

// pending: of his own changes, those of which everything is covered now, by the credential that he has now. A token for a
// network leaves changes of another one alone, and so does who has lost what he had been granted.
func (t touch) pending(p *storev1.PendingChange) bool {
	if p.GetAuthor() != t.name {
		return false
	}
	objects := t.view.ChangedBy(p)
	t.gone = map[string]proto.Message{}
	for _, m := range objects {
		if m, ok := m.(interface{ GetUuid() string }); ok {
			t.gone[m.GetUuid()], _ = m.(proto.Message)
		}
	}
	return !slices.ContainsFunc(objects, func(m proto.Message) bool { return !t.object(m) })
}

// object decides about an object by what it is, as command does by what is to be done with it.
func (t touch) object(m proto.Message) bool {
	switch m := m.(type) {
	case *v1.Pool:
		return t.pool(m.GetUuid())
	case *v1.Host:
		return t.pool(m.GetPoolUuid())
	case *v1.Network:
		return t.pool(m.GetPoolUuid())
	case *v1.PrivateNetwork:
		return t.private(m)
	case *v1.Vif:
		return t.vifWhole(m)
	case *v1.Rule:
		return t.rule(m)
	case *v1.PolicyRule:
		return t.policyRule(m)
	}
	return false
}

func (t touch) pool(id string) bool { return id != "" && t.inPool(id) >= t.need }

func (t touch) network(id string) bool {
	if n, ok := t.gone[id].(*v1.PrivateNetwork); ok && t.view.PrivateNetwork(id) == nil {
		return t.private(n)
	}
	return id != "" && t.inNetwork(t.view, id) >= t.need
}

// private: changing a private network changes all pools that it is in.
func (t touch) private(n *v1.PrivateNetwork) bool {
	return n != nil && t.inMembers(t.view, n) >= t.need
}

// vifWhole: what a VIF is locked to and may be is for who has its pool.
func (t touch) vifWhole(m *v1.Vif) bool {
	if n := t.view.Network(m.GetNetworkUuid()); n != nil {
		return t.pool(n.GetPoolUuid())
	}
	n := t.view.PrivateNetwork(m.GetNetworkUuid())
	return n != nil && t.private(n)
}

func (t touch) vif(id string) bool {
	m := t.vifNamed(id)
	return m != nil && t.network(m.GetNetworkUuid())
}

func (t touch) vifNamed(id string) *v1.Vif {
	if m := t.view.Vif(id); m != nil {
		return m
	}
	m, _ := t.gone[id].(*v1.Vif)
	return m
}

func (t touch) rule(r *v1.Rule) bool {
	vif, network := r.GetVifUuid(), r.GetNetworkUuid()
	return (vif != "" || network != "") && (vif == "" || t.vif(vif)) && (network == "" || t.network(network))
}

// policyRule: with a grant for a network, rules of the default section, which those of pool and cluster stand above. Mandatory
// ones are for who has the pool: they may be there to bind the network's own operators.
func (t touch) policyRule(r *v1.PolicyRule) bool {
	mandatory := r.GetSection() == v1.PolicySection_POLICY_SECTION_MANDATORY
	switch id := r.GetScopeUuid(); r.GetLevel() {
	case v1.PolicyLevel_POLICY_LEVEL_POOL:
		return t.pool(id)
	case v1.PolicyLevel_POLICY_LEVEL_NETWORK:
		if mandatory {
			return t.networkWhole(id)
		}
		return t.network(id)
	case v1.PolicyLevel_POLICY_LEVEL_VIF:
		if mandatory {
			return t.networkWhole(t.vifNamed(id).GetNetworkUuid())
		}
		return t.vif(id)
	}
	return false
}

// networkWhole: all pools of a network are covered.
func (t touch) networkWhole(id string) bool {
	if n := t.view.Network(id); n != nil {
		return t.pool(n.GetPoolUuid())
	}
	return t.private(t.view.PrivateNetwork(id))
}
