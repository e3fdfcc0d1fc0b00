package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

var privateNetworkColumns = []column[*poolwirev1.PrivateNetwork]{
	{title: "NAME", value: (*poolwirev1.PrivateNetwork).GetNameLabel},
	{title: "VNI", value: func(n *poolwirev1.PrivateNetwork) string { return fmt.Sprint(n.GetVni()) }},
	{title: "ENCAP", value: func(n *poolwirev1.PrivateNetwork) string {
		return enumWord(n.GetEncapsulation().String(), "ENCAPSULATION_")
	}},
	{title: "TOPOLOGY", value: func(n *poolwirev1.PrivateNetwork) string { return enumWord(n.GetTopology().String(), "TOPOLOGY_") }},
	{title: "ENCRYPTED", value: func(n *poolwirev1.PrivateNetwork) string { return yesNo(n.GetEncrypted()) }},
	{title: "MTU", value: func(n *poolwirev1.PrivateNetwork) string { return fmt.Sprint(n.GetMtu()) }},
	{title: "BRIDGE", value: (*poolwirev1.PrivateNetwork).GetBridge},
	{title: "HOSTS", value: readyHosts},
	{title: "DEFAULT-LOCKING", value: func(n *poolwirev1.PrivateNetwork) string {
		return enumWord(n.GetDefaultLockingMode().String(), "DEFAULT_LOCKING_MODE_")
	}, wide: true},
	{title: "DEFAULTS", value: func(n *poolwirev1.PrivateNetwork) string {
		return actionsText(n.GetDefaultInboundAction(), n.GetDefaultOutboundAction(), n.GetRaGuard(), n.GetDhcpGuard())
	}, wide: true},
	{title: "UUID", value: (*poolwirev1.PrivateNetwork).GetUuid},
}

// readyHosts counts the member hosts that are ready.
func readyHosts(n *poolwirev1.PrivateNetwork) string {
	ready := 0
	for _, h := range n.GetHosts() {
		if h.GetReady() {
			ready++
		}
	}
	return fmt.Sprintf("%d/%d ready", ready, len(n.GetHosts()))
}

func (a *app) privateNetworkList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List private networks", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				networks, _, err := api.listPrivateNetworks(ctx)
				if err != nil {
					return err
				}
				return printList(a, networks, privateNetworkColumns)
			})
		},
	}
}

func (a *app) privateNetworkShow() *cobra.Command {
	return &cobra.Command{
		Use: "show NETWORK", Short: "Show one private network, by name or UUID, and its state on every member host", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				r, err := api.privateNetworks.GetPrivateNetwork(ctx, &poolwirev1.GetPrivateNetworkRequest{PrivateNetwork: args[0]})
				if err != nil {
					return err
				}
				d, err := a.names(ctx, api, poolNames, hostNames)
				if err != nil {
					return err
				}
				if err := printOne(a, r.GetPrivateNetwork(), append(slices.Clone(privateNetworkColumns), privateNetworkFields(d)...)); err != nil || a.structured() {
					return err
				}
				a.say("")
				return printTable(a.streams.Out, r.GetPrivateNetwork().GetHosts(), memberColumns, a.flags.output == "wide")
			})
		},
	}
}

// memberColumns shows the state on each member host.
var memberColumns = []column[*poolwirev1.PrivateNetworkHostStatus]{
	{title: "HOST", value: (*poolwirev1.PrivateNetworkHostStatus).GetHostNameLabel},
	{title: "READY", value: func(h *poolwirev1.PrivateNetworkHostStatus) string { return yesNo(h.GetReady()) }},
	{title: "BRIDGE", value: (*poolwirev1.PrivateNetworkHostStatus).GetBridge},
	{title: "PEERS", value: func(h *poolwirev1.PrivateNetworkHostStatus) string {
		return fmt.Sprintf("%d/%d", h.GetPeersUp(), h.GetPeersWanted())
	}},
	{title: "MAX-MTU", value: func(h *poolwirev1.PrivateNetworkHostStatus) string { return number(h.GetMaxMtu()) }},
	{title: "REASON", value: (*poolwirev1.PrivateNetworkHostStatus).GetReason},
}

// privateNetworkFields are shown of one network alone, beside its columns.
func privateNetworkFields(d *directory) []column[*poolwirev1.PrivateNetwork] {
	return []column[*poolwirev1.PrivateNetwork]{
		{title: "MEMBERS", value: func(n *poolwirev1.PrivateNetwork) string {
			var out []string
			for _, m := range n.GetMembers() {
				out = append(out, memberText(d, m))
			}
			return dash(strings.Join(out, ", "))
		}},
		{title: "MTU-THAT-FITS", value: func(n *poolwirev1.PrivateNetwork) string { return number(n.GetEffectiveMtu()) }},
		{title: "UDP-PORT", value: func(n *poolwirev1.PrivateNetwork) string { return number(n.GetUdpPort()) }},
		{title: "RELAYS", value: func(n *poolwirev1.PrivateNetwork) string { return relaysText(d, n) }},
		{title: "WARNINGS", value: func(n *poolwirev1.PrivateNetwork) string { return strings.Join(n.GetWarnings(), "; ") }},
		{title: "STATE", value: func(n *poolwirev1.PrivateNetwork) string { return stateWord(n.GetRealization()) }},
		{title: "NOTE", value: func(n *poolwirev1.PrivateNetwork) string { return n.GetRealization().GetMessage() }},
		{title: "DESCRIPTION", value: (*poolwirev1.PrivateNetwork).GetNameDescription},
	}
}

// relaysText says who passes traffic on: "paris: paris1 (stand-in paris2), lyon: lyon1".
func relaysText(d *directory, n *poolwirev1.PrivateNetwork) string {
	var out []string
	for _, r := range n.GetRelays() {
		text := dash("")
		if r.GetActiveHostUuid() != "" {
			text = d.host(r.GetActiveHostUuid())
		}
		if r.GetStandbyHostUuid() != "" {
			text += " (stand-in " + d.host(r.GetStandbyHostUuid()) + ")"
		}
		if r.GetPoolUuid() != "" {
			text = d.pool(r.GetPoolUuid()) + ": " + text
		}
		out = append(out, text)
	}
	return strings.Join(out, ", ")
}

// memberText writes a member as the flags --pool and --host take it.
func memberText(d *directory, m *poolwirev1.PrivateNetworkMember) string {
	text := "pool " + d.pool(m.GetPoolUuid())
	if m.GetHostUuid() != "" {
		text = "host " + d.host(m.GetHostUuid())
	}
	if m.GetBridge() != "" {
		text += "=" + m.GetBridge()
	}
	return text
}
