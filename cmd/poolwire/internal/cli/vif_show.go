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

func vifColumns(d *directory) []column[*poolwirev1.Vif] {
	return []column[*poolwirev1.Vif]{
		{title: "UUID", value: (*poolwirev1.Vif).GetUuid},
		{title: "NAME", value: (*poolwirev1.Vif).GetNameLabel},
		{title: "MAC", value: (*poolwirev1.Vif).GetMac},
		{title: "WHERE", value: whereabouts},
		{title: "NETWORK", value: func(v *poolwirev1.Vif) string { return d.network(v.GetNetworkUuid()) }},
		{title: "LOCKING", value: lockingWord},
		{title: "ALLOWED", value: func(v *poolwirev1.Vif) string {
			return strings.Join(append(append([]string(nil), v.GetIpv4Allowed()...), v.GetIpv6Allowed()...), ",")
		}},
		{title: "STATE", value: func(v *poolwirev1.Vif) string { return stateWord(v.GetRealization()) }},
		{title: "LABELS", value: labelsText, wide: true},
		{title: "ISOLATION", value: isolationText, wide: true},
		{title: "LIMITS", value: func(v *poolwirev1.Vif) string { return limitsText(v.GetQos()) }, wide: true},
		{title: "MORE-ALLOWED", value: d.moreAllowed, wide: true},
		{title: "HOSTS", value: d.allowedHosts, wide: true},
		{title: "VM", value: (*poolwirev1.Vif).GetVmUuid, wide: true},
		{title: "OBJECT", value: func(v *poolwirev1.Vif) string { return fmt.Sprint(v.GetObjectId()) }, wide: true},
		{title: "NOTE", value: func(v *poolwirev1.Vif) string {
			return joinSet("; ", append(v.GetWarnings(), v.GetRealization().GetMessage())...)
		}, wide: true},
	}
}

// labelsText writes the labels that selectors see: those set through the API win
// over those that the host reports, which are marked.
func labelsText(v *poolwirev1.Vif) string {
	var words []string
	for key, value := range v.GetLabels() {
		words = append(words, key+"="+value)
	}
	for key, value := range v.GetObservedLabels() {
		if _, hidden := v.GetLabels()[key]; !hidden {
			words = append(words, key+"="+value+" (host)")
		}
	}
	slices.Sort(words)
	return strings.Join(words, ", ")
}

// isolationText writes the part in a private VLAN; promiscuous is none.
func isolationText(v *poolwirev1.Vif) string {
	switch v.GetIsolation() {
	case poolwirev1.Isolation_ISOLATION_ISOLATED:
		return "isolated"
	case poolwirev1.Isolation_ISOLATION_COMMUNITY:
		return "community " + v.GetCommunity()
	}
	return ""
}

// moreAllowed writes what a locked VIF may do beside sending from its own
// addresses.
func (d *directory) moreAllowed(v *poolwirev1.Vif) string {
	var words []string
	for _, p := range v.GetAllowedAddressPairs() {
		words = append(words, joinSet("=", p.GetMac(), p.GetAddress()))
	}
	for _, r := range v.GetVirtualRouters() {
		words = append(words, fmt.Sprintf("virtual router %d=%s", r.GetVrid(), strings.Join(r.GetAddresses(), ",")))
	}
	if trunks := tags(v.GetTrunks()); trunks != "" {
		if n := d.networks[v.GetNetworkUuid()]; n.GetVlan() != 0 || n.GetPrivateNetworkUuid() != "" {
			trunks += " (no effect on this network)"
		}
		words = append(words, trunks)
	}
	if v.GetAllowRouterAdvertisements() {
		words = append(words, "router advertisements")
	}
	if v.GetAllowDhcpServer() {
		words = append(words, "DHCP server")
	}
	return joinSet(", ", words...)
}

// allowedHosts writes where a VIF may be plugged; nothing when that is anywhere.
func (d *directory) allowedHosts(v *poolwirev1.Vif) string {
	var words []string
	for _, uuid := range v.GetAllowedHosts() {
		words = append(words, cmp.Or(d.hosts[uuid], d.pools[uuid], uuid))
	}
	return strings.Join(words, ",")
}

// lockingWord is the locking in force, and in parentheses where it comes from
// when the VIF has none of its own.
func lockingWord(v *poolwirev1.Vif) string {
	own, effective := enumWord(v.GetLockingMode().String(), "LOCKING_MODE_"), enumWord(v.GetEffectiveLockingMode().String(), "LOCKING_MODE_")
	if own == effective || effective == "" {
		return own
	}
	return effective + " (" + own + ")"
}

func stateWord(r *poolwirev1.Realization) string {
	return enumWord(r.GetState().String(), "REALIZATION_STATE_")
}

// whereabouts lists where a VIF is plugged: HOST/interface on bridge.
func whereabouts(v *poolwirev1.Vif) string {
	var out []string
	for _, l := range v.GetLocations() {
		out = append(out, fmt.Sprintf("%s/%s on %s", l.GetHostNameLabel(), strings.Join(l.GetInterfaces(), "+"), l.GetBridge()))
	}
	return strings.Join(out, "; ")
}

func (a *app) vifList() *cobra.Command {
	req := &poolwirev1.ListVifsRequest{}
	c := &cobra.Command{
		Use: "list", Short: "List VIFs and where they are plugged", Args: cobra.NoArgs,
		Long: "List VIFs and where they are plugged, in the order of hosts and interfaces; those that are not plugged come last.\nWith -o json or yaml, in the order of their UUIDs.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				vifs, _, err := api.listVifs(ctx, req)
				if err != nil {
					return err
				}
				d, err := a.names(ctx, api, poolNames, hostNames, networkNames, privateNetworkNames)
				if err != nil {
					return err
				}
				if !a.structured() {
					slices.SortStableFunc(vifs, byWhereabouts)
				}
				return printList(a, vifs, vifColumns(d))
			})
		},
	}
	c.Flags().StringVar(&req.Host, "host", "", "only VIFs plugged on this host")
	c.Flags().StringVar(&req.Network, "network", "", "only VIFs of this network")
	c.Flags().StringVar(&req.Pool, "pool", "", "only VIFs of this pool's networks; with --network: the pool of the network")
	c.Flags().StringVar(&req.VmUuid, "vm", "", "only VIFs of this VM")
	return c
}

func (a *app) vifShow() *cobra.Command {
	return &cobra.Command{
		Use: "show VIF", Short: "Show one VIF, by UUID, name, MAC or HOST/vif1.0", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				r, err := api.vifs.GetVif(ctx, &poolwirev1.GetVifRequest{Vif: args[0]})
				if err != nil {
					return err
				}
				d, err := a.names(ctx, api, poolNames, hostNames, networkNames, privateNetworkNames)
				if err != nil {
					return err
				}
				return printOne(a, r.GetVif(), vifColumns(d))
			})
		},
	}
}

// byWhereabouts orders VIFs by host and interface, numbers by their value;
// those that are not plugged come last.
func byWhereabouts(a, b *poolwirev1.Vif) int {
	if m, n := len(a.GetLocations()), len(b.GetLocations()); (m == 0) != (n == 0) {
		return cmp.Compare(n, m)
	}
	return cmp.Or(compareNatural(vifPlace(a), vifPlace(b)), strings.Compare(a.GetUuid(), b.GetUuid()))
}

// compareNatural compares texts with runs of digits taken as numbers: vif2.0
// comes before vif10.0.
func compareNatural(x, y string) int {
	for x != "" && y != "" {
		m, n := digits(x), digits(y)
		if m == 0 || n == 0 {
			if c := cmp.Compare(x[0], y[0]); c != 0 {
				return c
			}
			x, y = x[1:], y[1:]
			continue
		}
		a, b := strings.TrimLeft(x[:m], "0"), strings.TrimLeft(y[:n], "0")
		if c := cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b)); c != 0 {
			return c
		}
		x, y = x[m:], y[n:]
	}
	return cmp.Compare(len(x), len(y))
}

// digits counts the digits at the beginning of a text.
func digits(s string) int { return len(s) - len(strings.TrimLeft(s, "0123456789")) }
