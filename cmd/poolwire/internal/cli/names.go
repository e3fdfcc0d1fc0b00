package cli

import (
	"context"
	"fmt"
	"strings"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

// directory finds the names of what the API refers to by UUID. What it does not
// know, because it is gone or was not asked for, is shown by its UUID.
type directory struct {
	pools, hosts, privateNetworks, vifs   map[string]string
	policyRules, addressGroups, vifGroups map[string]string
	networks                              map[string]*poolwirev1.Network
}

func newDirectory() *directory {
	return &directory{
		pools: map[string]string{}, hosts: map[string]string{}, privateNetworks: map[string]string{}, vifs: map[string]string{},
		policyRules: map[string]string{}, addressGroups: map[string]string{}, vifGroups: map[string]string{},
		networks: map[string]*poolwirev1.Network{},
	}
}

// nameSource fills a part of the directory with one list call a kind.
type nameSource func(context.Context, *client, *directory) error

func poolNames(ctx context.Context, api *client, d *directory) error {
	pools, _, err := api.listPools(ctx)
	for _, p := range pools {
		d.pools[p.GetUuid()] = p.GetNameLabel()
	}
	return err
}

func hostNames(ctx context.Context, api *client, d *directory) error {
	hosts, _, err := api.listHosts(ctx, "")
	for _, h := range hosts {
		d.hosts[h.GetUuid()] = h.GetNameLabel()
	}
	return err
}

func networkNames(ctx context.Context, api *client, d *directory) error {
	networks, _, err := api.listNetworks(ctx, "")
	for _, n := range networks {
		d.networks[n.GetUuid()] = n
	}
	return err
}

func privateNetworkNames(ctx context.Context, api *client, d *directory) error {
	networks, _, err := api.listPrivateNetworks(ctx)
	for _, n := range networks {
		d.privateNetworks[n.GetUuid()] = n.GetNameLabel()
	}
	return err
}

func vifNames(ctx context.Context, api *client, d *directory) error {
	vifs, _, err := api.listVifs(ctx, &poolwirev1.ListVifsRequest{})
	d.addVifs(vifs)
	return err
}

func policyRuleNames(ctx context.Context, api *client, d *directory) error {
	rules, _, err := api.listPolicyRules(ctx, &poolwirev1.ListPolicyRulesRequest{})
	for _, r := range rules {
		d.policyRules[r.GetUuid()] = r.GetNameLabel()
	}
	return err
}

func addressGroupNames(ctx context.Context, api *client, d *directory) error {
	groups, _, err := api.listAddressGroups(ctx)
	for _, g := range groups {
		d.addressGroups[g.GetUuid()] = g.GetNameLabel()
	}
	return err
}

func vifGroupNames(ctx context.Context, api *client, d *directory) error {
	groups, _, err := api.listVifGroups(ctx, "")
	for _, g := range groups {
		d.vifGroups[g.GetUuid()] = g.GetNameLabel()
	}
	return err
}

// names makes a directory from sources. Output for programs keeps its UUIDs, so
// nothing is asked for then.
func (a *app) names(ctx context.Context, api *client, sources ...nameSource) (*directory, error) {
	d := newDirectory()
	if a.structured() {
		return d, nil
	}
	for _, fill := range sources {
		if err := fill(ctx, api, d); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// nameIn is the name of a UUID, or the UUID.
func nameIn(names map[string]string, uuid string) string {
	if n := names[uuid]; n != "" {
		return n
	}
	return uuid
}

func (d *directory) pool(uuid string) string { return nameIn(d.pools, uuid) }
func (d *directory) host(uuid string) string { return nameIn(d.hosts, uuid) }
func (d *directory) vif(uuid string) string  { return nameIn(d.vifs, uuid) }

// namesIn are the names of UUIDs, in their order.
func namesIn(names map[string]string, uuids []string) string {
	out := make([]string, 0, len(uuids))
	for _, id := range uuids {
		out = append(out, nameIn(names, id))
	}
	return strings.Join(out, ", ")
}

// network names a network or a private network. The network that carries a
// private network goes by the private network's name; of networks with equal
// names each is told by its pool.
func (d *directory) network(uuid string) string {
	n := d.networks[uuid]
	if n == nil {
		return nameIn(d.privateNetworks, uuid)
	}
	if name := d.privateNetworks[n.GetPrivateNetworkUuid()]; name != "" {
		return name
	}
	for id, other := range d.networks {
		if id != uuid && other.GetNameLabel() == n.GetNameLabel() {
			return fmt.Sprintf("%s (%s)", n.GetNameLabel(), d.pool(n.GetPoolUuid()))
		}
	}
	return n.GetNameLabel()
}

// addVifs takes in all VIFs. Of those with equal names, each goes by where it is.
func (d *directory) addVifs(vifs []*poolwirev1.Vif) {
	holders := map[string]int{}
	for _, v := range vifs {
		holders[v.GetNameLabel()]++
	}
	for _, v := range vifs {
		d.vifs[v.GetUuid()] = vifLabel(v)
		if holders[v.GetNameLabel()] > 1 {
			d.vifs[v.GetUuid()] = vifPlace(v)
		}
	}
}

// vifLabel names a VIF as the other commands accept it: by its name, else by where it
// is plugged, its MAC address or UUID.
func vifLabel(v *poolwirev1.Vif) string {
	if v.GetNameLabel() != "" {
		return v.GetNameLabel()
	}
	return vifPlace(v)
}

// vifPlace names a VIF by where it is plugged, else by its MAC address or UUID.
func vifPlace(v *poolwirev1.Vif) string {
	for _, l := range v.GetLocations() {
		if i := mainInterface(l.GetInterfaces()); i != "" {
			return l.GetHostNameLabel() + "/" + i
		}
	}
	if v.GetMac() != "" {
		return v.GetMac()
	}
	return v.GetUuid()
}

// mainInterface is the vif of a VIF's interfaces, not the tap beside it.
func mainInterface(interfaces []string) string {
	for _, i := range interfaces {
		if !strings.HasPrefix(i, "tap") {
			return i
		}
	}
	if len(interfaces) > 0 {
		return interfaces[0]
	}
	return ""
}
