package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

func (a *app) tunnelCommand() *cobra.Command {
	c := &cobra.Command{Use: "tunnel", Short: "See how the paths between hosts are doing, and rotate their keys"}
	c.AddCommand(a.tunnelList(), a.tunnelMatrix(), a.tunnelRotateKeys())
	return c
}

var tunnelColumns = []column[*poolwirev1.Tunnel]{
	{title: "HOST", value: func(t *poolwirev1.Tunnel) string { return t.GetA().GetHostNameLabel() }},
	{title: "HOST", value: func(t *poolwirev1.Tunnel) string { return t.GetB().GetHostNameLabel() }},
	{title: "ENCAP", value: encapText},
	{title: "STATE", value: func(t *poolwirev1.Tunnel) string { return enumWord(t.GetState().String(), "TUNNEL_STATE_") }},
	{title: "PROTECTION", value: func(t *poolwirev1.Tunnel) string {
		return enumWord(t.GetProtection().String(), "TUNNEL_PROTECTION_")
	}},
	{title: "LOSS", value: func(t *poolwirev1.Tunnel) string {
		if t.GetProbes() == 0 {
			return dash("")
		}
		return fmt.Sprintf("%.0f%%", t.GetLoss()*100)
	}},
	{title: "PATH-MTU", value: func(t *poolwirev1.Tunnel) string { return number(t.GetPathMtu()) }},
	{title: "KEY", value: func(t *poolwirev1.Tunnel) string {
		if t.GetCredential() == "" {
			return ""
		}
		return fmt.Sprintf("%s %d", t.GetCredential(), t.GetKeyGeneration())
	}, wide: true},
	{title: "ENDS", value: func(t *poolwirev1.Tunnel) string {
		return fmt.Sprintf("%s %s, %s %s", t.GetA().GetAddress(), dash(t.GetA().GetEgressInterface()), t.GetB().GetAddress(), dash(t.GetB().GetEgressInterface()))
	}, wide: true},
	{title: "REASON", value: (*poolwirev1.Tunnel).GetReason},
}

// encapText is the encapsulation, with its port when it is not the usual one.
func encapText(t *poolwirev1.Tunnel) string {
	switch usual := map[string]uint32{"vxlan": 4789, "geneve": 6081}[t.GetEncapsulation()]; {
	case t.GetUdpPort() == usual:
		return t.GetEncapsulation()
	default:
		return fmt.Sprintf("%s:%d", t.GetEncapsulation(), t.GetUdpPort())
	}
}

func (a *app) tunnelList() *cobra.Command {
	q := &poolwirev1.ListTunnelsRequest{}
	c := &cobra.Command{
		Use: "list", Short: "List tunnels with their state, protection, loss and path MTU", Args: cobra.NoArgs,
		Example: "  poolwire tunnel list --problems\n  poolwire tunnel list --host xcp1 -o wide",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				tunnels, err := api.listTunnels(ctx, q)
				if err != nil {
					return err
				}
				return printList(a, tunnels, tunnelColumns)
			})
		},
	}
	p := c.Flags()
	p.StringVar(&q.Host, "host", "", "only tunnels of this host")
	p.StringVar(&q.PrivateNetwork, "network", "", "only tunnels that this private network uses")
	p.BoolVar(&q.ProblemsOnly, "problems", false, "only tunnels that are not up, or not protected as asked")
	return c
}

func (a *app) tunnelRotateKeys() *cobra.Command {
	q := &poolwirev1.RotateTunnelKeysRequest{}
	c := &cobra.Command{
		Use: "rotate-keys", Short: "Give pairs of hosts new keys: all pairs, those of one host, or one pair", Args: cobra.NoArgs,
		Long: "Give pairs of hosts new keys: all pairs, those of one host, or one pair. Traffic goes on meanwhile.\n\n" +
			"A command whose answer got lost can be repeated without rotating twice when it has a --request-id: a word of your own,\n" +
			"up to 64 characters, that no other request has.",
		Example: "  poolwire tunnel rotate-keys --request-id 2026-07\n  poolwire tunnel rotate-keys --host xcp1 --peer xcp2",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				r, err := api.tunnels.RotateTunnelKeys(ctx, q)
				if err != nil {
					return err
				}
				a.say("new keys for %s of hosts", plural(uint64(r.GetPairs()), "pair"))
				return a.confirmed(ctx, api, r.GetRevision())()
			})
		},
	}
	c.Flags().StringVar(&q.Host, "host", "", "only pairs with this host")
	c.Flags().StringVar(&q.Peer, "peer", "", "only its pair with this one")
	c.Flags().StringVar(&q.RequestId, "request-id", "", "rotate only once however often a command with this id is repeated")
	return c
}
