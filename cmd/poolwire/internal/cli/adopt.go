package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

// adoptFlags are those of private-network adopt.
type adoptFlags struct {
	list, dryRun bool
	request      poolwirev1.AdoptNetworkRequest
}

func (a *app) privateNetworkAdopt() *cobra.Command {
	f := &adoptFlags{}
	c := &cobra.Command{
		Use: "adopt [UUID]", Short: "Take over a private network of Xen Orchestra's plugin, pool by pool", Args: cobra.MaximumNArgs(1),
		Long: `Take over a private network that Xen Orchestra's plugin sdn-controller has made: same VNI, encapsulation and bridges.

Without --pool all pools are taken over, one after the other. Hosts of pools that are not taken over yet go on
using the plugin's tunnels, and reach the others. A command that is repeated goes on where the last one stopped.

Unload the plugin in Xen Orchestra first (Settings, Plugins, sdn-controller): it would make its tunnels anew.
What is removed of them is not brought back.`,
		Example: "  poolwire private-network adopt --list\n  poolwire private-network adopt 5f1c6a0e-... --dry-run\n" +
			"  poolwire private-network adopt 5f1c6a0e-... --name green --pool paris",
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.list == (len(args) == 1) {
				return usageError{errors.New("adopt: give the UUID of a network, or --list to see them")}
			}
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				if f.list {
					return a.listAdoptable(ctx, api)
				}
				f.request.Uuid = args[0]
				if f.dryRun {
					return a.planAdoption(ctx, api, &f.request)
				}
				return a.adopt(ctx, api, &f.request)
			})
		},
	}
	p := c.Flags()
	p.BoolVar(&f.list, "list", false, "list the networks that can be taken over, and change nothing")
	p.BoolVar(&f.dryRun, dryRunFlag, false, "change nothing; show the plan")
	p.StringVar(&f.request.NameLabel, "name", "", "name of the private network that is made; \"xo-\" and the VNI when not given")
	p.StringArrayVar(&f.request.Pools, "pool", nil, "take over this pool only; may be repeated, in the order wanted")
	p.BoolVar(&f.request.Force, "force", false, "go on although Xen Orchestra seems to be at work, or hosts are away")
	return c
}

var adoptableColumns = []column[*poolwirev1.AdoptableNetwork]{
	{title: "UUID", value: (*poolwirev1.AdoptableNetwork).GetUuid},
	{title: "VNI", value: func(n *poolwirev1.AdoptableNetwork) string { return fmt.Sprint(n.GetVni()) }},
	{title: "ENCAP", value: func(n *poolwirev1.AdoptableNetwork) string {
		return enumWord(n.GetEncapsulation().String(), "ENCAPSULATION_")
	}},
	{title: "ENCRYPTED", value: func(n *poolwirev1.AdoptableNetwork) string { return yesNo(n.GetEncrypted()) }},
	{title: "ADOPTED", value: func(n *poolwirev1.AdoptableNetwork) string {
		taken := 0
		for _, h := range n.GetHosts() {
			if h.GetAdopted() {
				taken++
			}
		}
		return fmt.Sprintf("%d/%d hosts", taken, len(n.GetHosts()))
	}},
}

var adoptableHostColumns = []column[*poolwirev1.AdoptableHost]{
	{title: "POOL", value: (*poolwirev1.AdoptableHost).GetPoolNameLabel},
	{title: "HOST", value: (*poolwirev1.AdoptableHost).GetHostNameLabel},
	{title: "BRIDGE", value: func(h *poolwirev1.AdoptableHost) string { return dash(h.GetBridge()) }},
	{title: "VIFS", value: func(h *poolwirev1.AdoptableHost) string { return fmt.Sprint(len(h.GetVifUuids())) }},
	{title: "CENTER", value: func(h *poolwirev1.AdoptableHost) string { return yesNo(h.GetCenter()) }},
	{title: "ADOPTED", value: func(h *poolwirev1.AdoptableHost) string { return yesNo(h.GetAdopted()) }},
	{title: "TUNNELS", value: func(h *poolwirev1.AdoptableHost) string { return dash(strings.Join(h.GetInterfaces(), ",")) }},
	{title: "TO", value: func(h *poolwirev1.AdoptableHost) string { return dash(strings.Join(h.GetRemoteAddresses(), ",")) }},
}

// listAdoptable prints the networks, and their hosts.
func (a *app) listAdoptable(ctx context.Context, api *client) error {
	r, err := api.adoption.ListAdoptableNetworks(ctx, &poolwirev1.ListAdoptableNetworksRequest{})
	if err != nil {
		return err
	}
	if err := printList(a, r.GetNetworks(), adoptableColumns); err != nil || a.structured() {
		return err
	}
	for _, n := range r.GetNetworks() {
		a.say("\n%s", n.GetUuid())
		if err := printTable(a.streams.Out, n.GetHosts(), adoptableHostColumns, a.flags.output == "wide"); err != nil {
			return err
		}
		a.sayList("cannot be taken over:", n.GetObstacles())
		a.sayList("warnings:", n.GetWarnings())
	}
	return nil
}

// planAdoption prints what would be done.
func (a *app) planAdoption(ctx context.Context, api *client, req *poolwirev1.AdoptNetworkRequest) error {
	req.ValidateOnly = true
	r, err := api.adoption.AdoptNetwork(ctx, req)
	if err != nil {
		return err
	}
	if a.structured() {
		return a.printMessage(r)
	}
	a.saySteps(r.GetPlan())
	a.say("dry run: nothing was changed")
	return nil
}

func (a *app) saySteps(steps []*poolwirev1.AdoptionStep) {
	for _, s := range steps {
		if s.GetPoolUuid() == "" {
			a.say("prepare")
		} else {
			a.say("take over pool %s", s.GetPoolNameLabel())
		}
		for _, line := range s.GetActions() {
			a.say("  %s", line)
		}
		for _, line := range s.GetWarnings() {
			a.say("  warning: %s", line)
		}
	}
}

// adopt prepares, and takes over one pool after the other; each step begins when the hosts have confirmed the one before.
func (a *app) adopt(ctx context.Context, api *client, req *poolwirev1.AdoptNetworkRequest) error {
	pools := req.GetPools()
	req.Pools = nil
	r, err := a.adoptionStep(ctx, api, req)
	if err != nil {
		return err
	}
	if len(pools) == 0 {
		pools = r.GetPoolsLeft()
	}
	for len(pools) > 0 {
		req.Pools, pools = pools[:1], pools[1:]
		if r.GetPrivateNetwork().GetEncrypted() {
			req.Pools, pools = append(req.Pools, pools...), nil
		}
		if r, err = a.adoptionStep(ctx, api, req); err != nil {
			return err
		}
	}
	if a.structured() {
		return a.printMessage(r)
	}
	a.say("private network %s: %s left to take over", r.GetPrivateNetwork().GetNameLabel(), plural(uint64(len(r.GetPoolsLeft())), "pool"))
	return nil
}

// adoptionStep takes one step and waits for the hosts.
func (a *app) adoptionStep(ctx context.Context, api *client, req *poolwirev1.AdoptNetworkRequest) (*poolwirev1.AdoptNetworkResponse, error) {
	r, err := api.adoption.AdoptNetwork(ctx, req)
	if err != nil {
		return nil, err
	}
	a.saySteps(r.GetPlan())
	return r, a.confirm(ctx, api, r.GetRevision())
}
