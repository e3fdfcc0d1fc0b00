package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

// wayFlags say how the hosts of a private network reach each other.
type wayFlags struct {
	topology, center  string
	hubs              []string
	encrypted, strict bool
	floodMulticast    bool
}

func (f *wayFlags) register(c *cobra.Command) {
	p := c.Flags()
	p.StringVar(&f.topology, "topology", "mesh", "tunnels: mesh (between all hosts), star (to a centre), or hub (a mesh in each pool, hubs between pools)")
	p.StringVar(&f.center, "preferred-center", "", "star: the host that is to be the centre; empty for any")
	p.StringArrayVar(&f.hubs, "hub", nil, "hub: hosts that are to be a pool's hub, best first, as POOL=HOST[,HOST]; may be repeated")
	p.BoolVar(&f.encrypted, "encrypted", false, "let nothing leave a host but through IPsec")
	p.BoolVar(&f.strict, "strict-mtu", false, "refuse an MTU that does not fit every member's underlay, instead of warning")
	p.BoolVar(&f.floodMulticast, "flood-multicast", false, "send multicast to every VIF, not only to those that joined the group by IGMP or MLD")
}

// check refuses what needs no server to be refused.
func (f *wayFlags) check() error {
	_, err := parseEnum(poolwirev1.Topology_value, "TOPOLOGY_", "--topology", f.topology)
	return err
}

// apply writes the flags that were given into a network, and returns the fields that they set.
func (f *wayFlags) apply(ctx context.Context, cmd *cobra.Command, api *client, n *poolwirev1.PrivateNetwork) (mask []string, err error) {
	given := func(flag string) bool { return cmd.Flags().Changed(flag) }
	if given("topology") {
		t, err := parseEnum(poolwirev1.Topology_value, "TOPOLOGY_", "--topology", f.topology)
		if err != nil {
			return nil, err
		}
		n.Topology, mask = poolwirev1.Topology(t), append(mask, "topology")
	}
	if given("preferred-center") {
		n.PreferredCenter, mask = "", append(mask, "preferred_center")
		if f.center != "" {
			h, err := api.hosts.GetHost(ctx, &poolwirev1.GetHostRequest{Host: f.center})
			if err != nil {
				return nil, err
			}
			n.PreferredCenter = h.GetHost().GetUuid()
		}
	}
	if given("hub") {
		if err := f.preferHubs(ctx, api, n); err != nil {
			return nil, err
		}
		mask = append(mask, "members")
	}
	if given("encrypted") {
		n.Encrypted, mask = f.encrypted, append(mask, "encrypted")
	}
	if given("strict-mtu") {
		n.StrictMtu, mask = f.strict, append(mask, "strict_mtu")
	}
	if given("flood-multicast") {
		n.FloodMulticast, mask = f.floodMulticast, append(mask, "flood_multicast")
	}
	return mask, nil
}

// preferHubs writes the hubs to the members that are pools.
func (f *wayFlags) preferHubs(ctx context.Context, api *client, n *poolwirev1.PrivateNetwork) error {
	for _, s := range f.hubs {
		pool, hosts, ok := strings.Cut(s, "=")
		if !ok {
			return usageError{fmt.Errorf("--hub %q: use POOL=HOST[,HOST]", s)}
		}
		p, err := api.pools.GetPool(ctx, &poolwirev1.GetPoolRequest{Pool: pool})
		if err != nil {
			return err
		}
		i := slices.IndexFunc(n.GetMembers(), func(m *poolwirev1.PrivateNetworkMember) bool { return m.GetPoolUuid() == p.GetPool().GetUuid() })
		if i < 0 {
			return usageError{fmt.Errorf("--hub %q: pool %q is no member of the network", s, pool)}
		}
		n.Members[i].PreferredHubs = nil
		for name := range strings.SplitSeq(hosts, ",") {
			h, err := api.hosts.GetHost(ctx, &poolwirev1.GetHostRequest{Host: name})
			if err != nil {
				return err
			}
			n.Members[i].PreferredHubs = append(n.Members[i].PreferredHubs, h.GetHost().GetUuid())
		}
	}
	return nil
}

// preflightColumns shows which hosts could take part.
var preflightColumns = []column[*poolwirev1.PrivateNetworkHostStatus]{
	{title: "HOST", value: (*poolwirev1.PrivateNetworkHostStatus).GetHostNameLabel},
	{title: "CAN-JOIN", value: canJoin},
	{title: "BRIDGE", value: (*poolwirev1.PrivateNetworkHostStatus).GetBridge},
	{title: "MAX-MTU", value: func(h *poolwirev1.PrivateNetworkHostStatus) string { return number(h.GetMaxMtu()) }},
	{title: "WHY-NOT", value: func(h *poolwirev1.PrivateNetworkHostStatus) string { return cmp.Or(h.GetReason(), h.GetUnknown()) }},
}

// canJoin says whether a host could take part, as far as that is known.
func canJoin(h *poolwirev1.PrivateNetworkHostStatus) string {
	if h.GetReason() == "" && h.GetUnknown() != "" {
		return "not known yet"
	}
	return yesNo(h.GetReady())
}

// printPreflight writes which hosts can take part, and why others cannot.
func (a *app) printPreflight(hosts []*poolwirev1.PrivateNetworkHostStatus) {
	if len(hosts) == 0 {
		return
	}
	a.say("")
	_ = printTable(a.streams.Out, hosts, preflightColumns, false)
}
