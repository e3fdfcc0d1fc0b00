package northbound

import (
	"context"
	"slices"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	storev1 "poolwire/proto/poolwire/store/v1"
	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// outOfRange is OUT_OF_RANGE with what is wrong.
func outOfRange(bad violations) error {
	f := bad.list[0]
	return detailed(codes.OutOfRange, f.GetField()+": "+f.GetDescription(), &errdetails.BadRequest{FieldViolations: bad.list})
}

// resources turns a change set into changes of the watched kinds, in the order
// of kinds and keys.
func (w *watch) resources(ctx context.Context, set raftstore.ChangeSet) ([]*v1.Change, error) {
	whole := set
	if w.scope != nil {
		set = w.scope.filter(set)
	}
	var out []*v1.Change
	plugged := map[string]bool{}
	for _, c := range set.Changes {
		switch c.Table {
		case raftstore.TablePorts:
			for _, m := range []proto.Message{c.Before, c.After} {
				p, _ := m.(*storev1.Port)
				for _, vif := range []string{p.GetVifUuid(), p.GetClaimedVifUuid(), p.GetRefusedFor()} {
					if vif != "" {
						plugged[vif] = true
					}
				}
			}
		case raftstore.TableVifs:
			plugged[c.Key] = true
		default:
			if kind := kindOf(c.Table); kind != 0 && w.wants(kind) {
				out = append(out, change(c.Before, c.After))
			}
		}
	}
	if w.wants(v1.ResourceKind_RESOURCE_KIND_VIF) {
		out = append(out, w.vifChanges(set, plugged)...)
	}
	if w.wants(v1.ResourceKind_RESOURCE_KIND_PIF) {
		// PIFs are worked out from the whole of a host, and are for who may see the host.
		pifs, err := w.pifs.changes(ctx, w, whole)
		if err != nil {
			return nil, err
		}
		pifs = slices.DeleteFunc(pifs, func(c *v1.Change) bool { return w.scope != nil && w.view().Host(c.GetPif().GetHostUuid()) == nil })
		out = append(out, pifs...)
	}
	slices.SortStableFunc(out, func(a, b *v1.Change) int { return rankOf(a) - rankOf(b) })
	return out, nil
}

// kindOf is the kind of the resources a table holds one to one; 0 for others.
func kindOf(t raftstore.Table) v1.ResourceKind {
	switch t {
	case raftstore.TablePools:
		return v1.ResourceKind_RESOURCE_KIND_POOL
	case raftstore.TableHosts:
		return v1.ResourceKind_RESOURCE_KIND_HOST
	case raftstore.TableNetworks:
		return v1.ResourceKind_RESOURCE_KIND_NETWORK
	case raftstore.TablePrivateNetworks:
		return v1.ResourceKind_RESOURCE_KIND_PRIVATE_NETWORK
	case raftstore.TableRules:
		return v1.ResourceKind_RESOURCE_KIND_RULE
	case raftstore.TablePolicyRules:
		return v1.ResourceKind_RESOURCE_KIND_POLICY_RULE
	case raftstore.TableAddressGroups:
		return v1.ResourceKind_RESOURCE_KIND_ADDRESS_GROUP
	case raftstore.TableVifGroups:
		return v1.ResourceKind_RESOURCE_KIND_VIF_GROUP
	}
	return v1.ResourceKind_RESOURCE_KIND_UNSPECIFIED
}

// vifChanges reports the VIFs whose record or plugs changed. The record is that
// of the revision; where it is plugged is told as it is now, which a later
// message only repeats.
func (w *watch) vifChanges(set raftstore.ChangeSet, touched map[string]bool) []*v1.Change {
	if len(touched) == 0 {
		return nil
	}
	view := w.view()
	records := map[string]raftstore.Change{}
	for _, c := range set.Changes {
		if c.Table == raftstore.TableVifs {
			records[c.Key] = c
		}
	}
	var out []*v1.Change
	for _, id := range sortedKeys(touched) {
		c, recorded := records[id]
		switch {
		case recorded && c.After == nil:
			out = append(out, change(c.Before, nil))
		case recorded:
			out = append(out, change(nil, placedVif(view.Whole(), c.After.(*v1.Vif))))
		default:
			// Gone meanwhile: its removal is still to come.
			if vif := view.Vif(id); vif != nil {
				out = append(out, change(nil, placedVif(view.Whole(), vif)))
			}
		}
	}
	return out
}

func sortedKeys(set map[string]bool) []string {
	out := make([]string, 0, len(set))
	for k := range set {
		out = append(out, k)
	}
	slices.SortFunc(out, strings.Compare)
	return out
}

// change describes what happened to one resource: after is nil when it is gone.
func change(before, after proto.Message) *v1.Change {
	c := &v1.Change{Kind: v1.ChangeKind_CHANGE_KIND_PUT}
	m := after
	if after == nil {
		c.Kind, m = v1.ChangeKind_CHANGE_KIND_DELETE, before
	}
	switch r := m.(type) {
	case *v1.Pool:
		c.Resource = &v1.Change_Pool{Pool: r}
	case *v1.Host:
		c.Resource = &v1.Change_Host{Host: r}
	case *v1.Pif:
		c.Resource = &v1.Change_Pif{Pif: r}
	case *v1.Network:
		c.Resource = &v1.Change_Network{Network: networkRecord(r)}
	case *v1.PrivateNetwork:
		c.Resource = &v1.Change_PrivateNetwork{PrivateNetwork: privateNetworkRecord(r)}
	case *v1.Vif:
		c.Resource = &v1.Change_Vif{Vif: r}
	case *v1.Rule:
		c.Resource = &v1.Change_Rule{Rule: r}
	case *v1.PolicyRule:
		c.Resource = &v1.Change_PolicyRule{PolicyRule: policyRuleRecord(r)}
	case *v1.AddressGroup:
		c.Resource = &v1.Change_AddressGroup{AddressGroup: r}
	case *v1.VifGroup:
		c.Resource = &v1.Change_VifGroup{VifGroup: r}
	}
	return c
}

// rankOf orders the changes of one revision as their kinds are numbered, which
// puts what is referred to before what refers to it.
func rankOf(c *v1.Change) int {
	m := c.ProtoReflect()
	fd := m.WhichOneof(m.Descriptor().Oneofs().ByName("resource"))
	if fd == nil {
		return 0
	}
	return int(fd.Number())
}
