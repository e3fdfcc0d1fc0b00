package cli

import (
	"context"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

// knownResources is what exists, as far as a watch knows: read once at its
// beginning and kept by the changes since. It gives names, and tells created
// from changed, which the API does not.
type knownResources struct {
	directory *directory
	// exists holds the UUIDs of the resources that are there.
	exists map[string]bool
	// first and last are the revisions of the first and the last list. Up to
	// last the lists may or may not hold a change already.
	first, last uint64
}

// known reads all lists.
func (a *app) known(ctx context.Context, api *client) (*knownResources, error) {
	k := &knownResources{directory: newDirectory(), exists: map[string]bool{}}
	whole := ctx
	ctx, cancel := context.WithTimeout(whole, a.flags.timeout)
	defer cancel()
	for _, read := range []func(context.Context, *client) (uint64, error){
		k.readPools, k.readHosts, k.readPifs, k.readNetworks, k.readPrivateNetworks, k.readVifs, k.readRules,
		k.readPolicyRules, k.readAddressGroups, k.readVifGroups,
	} {
		revision, err := read(ctx, api)
		if err != nil {
			return nil, a.outcome(whole, ctx, err)
		}
		if k.first == 0 {
			k.first = revision
		}
		k.last = max(k.last, revision)
	}
	return k, nil
}

func (k *knownResources) readPools(ctx context.Context, api *client) (uint64, error) {
	pools, revision, err := api.listPools(ctx)
	for _, p := range pools {
		k.exists[p.GetUuid()], k.directory.pools[p.GetUuid()] = true, p.GetNameLabel()
	}
	return revision, err
}

func (k *knownResources) readHosts(ctx context.Context, api *client) (uint64, error) {
	hosts, revision, err := api.listHosts(ctx, "")
	for _, h := range hosts {
		k.exists[h.GetUuid()], k.directory.hosts[h.GetUuid()] = true, h.GetNameLabel()
	}
	return revision, err
}

func (k *knownResources) readPifs(ctx context.Context, api *client) (uint64, error) {
	pifs, revision, err := api.listPifs(ctx, "")
	for _, p := range pifs {
		k.exists[p.GetUuid()] = true
	}
	return revision, err
}

func (k *knownResources) readNetworks(ctx context.Context, api *client) (uint64, error) {
	networks, revision, err := api.listNetworks(ctx, "")
	for _, n := range networks {
		k.exists[n.GetUuid()], k.directory.networks[n.GetUuid()] = true, n
	}
	return revision, err
}

func (k *knownResources) readPrivateNetworks(ctx context.Context, api *client) (uint64, error) {
	networks, revision, err := api.listPrivateNetworks(ctx)
	for _, n := range networks {
		k.exists[n.GetUuid()], k.directory.privateNetworks[n.GetUuid()] = true, n.GetNameLabel()
	}
	return revision, err
}

func (k *knownResources) readVifs(ctx context.Context, api *client) (uint64, error) {
	vifs, revision, err := api.listVifs(ctx, &poolwirev1.ListVifsRequest{})
	for _, v := range vifs {
		k.exists[v.GetUuid()] = true
	}
	k.directory.addVifs(vifs)
	return revision, err
}

func (k *knownResources) readRules(ctx context.Context, api *client) (uint64, error) {
	rules, revision, err := api.listRules(ctx, &poolwirev1.ListRulesRequest{})
	for _, r := range rules {
		k.exists[r.GetUuid()] = true
	}
	return revision, err
}

func (k *knownResources) readPolicyRules(ctx context.Context, api *client) (uint64, error) {
	rules, revision, err := api.listPolicyRules(ctx, &poolwirev1.ListPolicyRulesRequest{})
	for _, r := range rules {
		k.exists[r.GetUuid()] = true
	}
	return revision, err
}

func (k *knownResources) readAddressGroups(ctx context.Context, api *client) (uint64, error) {
	groups, revision, err := api.listAddressGroups(ctx)
	for _, g := range groups {
		k.exists[g.GetUuid()], k.directory.addressGroups[g.GetUuid()] = true, g.GetNameLabel()
	}
	return revision, err
}

func (k *knownResources) readVifGroups(ctx context.Context, api *client) (uint64, error) {
	groups, revision, err := api.listVifGroups(ctx, "")
	for _, g := range groups {
		k.exists[g.GetUuid()], k.directory.vifGroups[g.GetUuid()] = true, g.GetNameLabel()
	}
	return revision, err
}

// learn takes a change in and says what it was.
func (k *knownResources) learn(revision uint64, ch *poolwirev1.Change) string {
	uuid := k.name(ch)
	if ch.GetKind() == poolwirev1.ChangeKind_CHANGE_KIND_DELETE {
		delete(k.exists, uuid)
		return "deleted"
	}
	was := k.exists[uuid]
	k.exists[uuid] = true
	switch {
	case revision <= k.last:
		// The lists may hold the resource because of this very change.
		return "put"
	case was:
		return "changed"
	}
	return "created"
}

// name keeps the name of a changed resource and returns its UUID. The name of
// one that is gone is kept too: what refers to it may be told of later.
func (k *knownResources) name(ch *poolwirev1.Change) string {
	switch r := ch.GetResource().(type) {
	case *poolwirev1.Change_Pool:
		k.directory.pools[r.Pool.GetUuid()] = r.Pool.GetNameLabel()
		return r.Pool.GetUuid()
	case *poolwirev1.Change_Host:
		k.directory.hosts[r.Host.GetUuid()] = r.Host.GetNameLabel()
		return r.Host.GetUuid()
	case *poolwirev1.Change_Pif:
		return r.Pif.GetUuid()
	case *poolwirev1.Change_Network:
		k.directory.networks[r.Network.GetUuid()] = r.Network
		return r.Network.GetUuid()
	case *poolwirev1.Change_PrivateNetwork:
		k.directory.privateNetworks[r.PrivateNetwork.GetUuid()] = r.PrivateNetwork.GetNameLabel()
		return r.PrivateNetwork.GetUuid()
	case *poolwirev1.Change_Vif:
		k.directory.vifs[r.Vif.GetUuid()] = vifLabel(r.Vif)
		return r.Vif.GetUuid()
	case *poolwirev1.Change_Rule:
		return r.Rule.GetUuid()
	case *poolwirev1.Change_PolicyRule:
		return r.PolicyRule.GetUuid()
	case *poolwirev1.Change_AddressGroup:
		k.directory.addressGroups[r.AddressGroup.GetUuid()] = r.AddressGroup.GetNameLabel()
		return r.AddressGroup.GetUuid()
	case *poolwirev1.Change_VifGroup:
		k.directory.vifGroups[r.VifGroup.GetUuid()] = r.VifGroup.GetNameLabel()
		return r.VifGroup.GetUuid()
	}
	return ""
}
