package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

// errorWidth is how much of an error fits a line of a list, in characters.
const errorWidth = 60

func hostColumns(d *directory) []column[*poolwirev1.Host] {
	return []column[*poolwirev1.Host]{
		{title: "NAME", value: (*poolwirev1.Host).GetNameLabel},
		{title: "POOL", value: func(h *poolwirev1.Host) string { return d.pool(h.GetPoolUuid()) }},
		{title: "STATE", value: hostState},
		{title: "MODE", value: hostMode},
		{title: "ADDRESS", value: func(h *poolwirev1.Host) string {
			if h.GetAddress() != "" {
				return h.GetAddress()
			}
			return h.GetSystemId()
		}},
		{title: "OVS", value: func(h *poolwirev1.Host) string { return h.GetStatus().GetOvsVersion() }},
		{title: "TUNNEL", value: func(h *poolwirev1.Host) string { return h.GetStatus().GetTransportAddress() }},
		{title: "BRIDGE:FLOWS", value: bridgeSummary},
		{title: "REVISION", value: confirmedRevision, wide: true},
		{title: "DRIFT", value: driftText, wide: true},
		{title: "UUID", value: (*poolwirev1.Host).GetUuid, wide: true},
		{title: "TRUST", value: hostTrust, wide: true},
		{title: "ERROR", value: func(h *poolwirev1.Host) string { return h.GetStatus().GetLastError() }, clip: errorWidth},
	}
}

// hostFields are the fields of one host alone. A certificate's digest is called
// fingerprint, as openssl does.
func hostFields(d *directory) []column[*poolwirev1.Host] {
	return []column[*poolwirev1.Host]{
		{title: "NAME", value: (*poolwirev1.Host).GetNameLabel},
		{title: "DESCRIPTION", value: (*poolwirev1.Host).GetNameDescription},
		{title: "UUID", value: (*poolwirev1.Host).GetUuid},
		{title: "POOL", value: func(h *poolwirev1.Host) string { return d.pool(h.GetPoolUuid()) }},
		{title: "STATE", value: func(h *poolwirev1.Host) string {
			if since := h.GetStatus().GetSince(); since.IsValid() && since.AsTime().Unix() > 0 {
				return hostState(h) + " since " + moment(since)
			}
			return hostState(h)
		}},
		{title: "ERROR", value: func(h *poolwirev1.Host) string { return h.GetStatus().GetLastError() }},
		{title: "MANAGED", value: func(h *poolwirev1.Host) string { return yesNo(h.GetManaged()) }},
		{title: "MODE", value: hostMode},
		{title: "ADDRESS", value: (*poolwirev1.Host).GetAddress},
		{title: "SYSTEM-ID", value: (*poolwirev1.Host).GetSystemId},
		{title: "TRUST", value: hostTrust},
		{title: "FINGERPRINT", value: (*poolwirev1.Host).GetCertificateSha256},
		{title: "OVS", value: func(h *poolwirev1.Host) string { return h.GetStatus().GetOvsVersion() }},
		{title: "TUNNEL", value: func(h *poolwirev1.Host) string { return h.GetStatus().GetTransportAddress() }},
		{title: "TUNNEL-INTERFACE", value: func(h *poolwirev1.Host) string { return dash(h.GetStatus().GetTransportInterface()) }},
		{title: "GUARDED", value: func(h *poolwirev1.Host) string { return yesNo(h.GetStatus().GetGuarded()) }},
		{title: "CONFIRMED", value: func(h *poolwirev1.Host) string { return "up to revision " + dash(confirmedRevision(h)) }},
		{title: "DRIFT", value: func(h *poolwirev1.Host) string { return dash(driftText(h)) }},
	}
}

func hostState(h *poolwirev1.Host) string {
	return enumWord(h.GetStatus().GetState().String(), "HOST_STATE_")
}

func hostMode(h *poolwirev1.Host) string  { return enumWord(h.GetMode().String(), "CONNECTION_MODE_") }
func hostTrust(h *poolwirev1.Host) string { return enumWord(h.GetTrust().String(), "TRUST_MODE_") }

// confirmedRevision is empty for a host that has never confirmed anything.
func confirmedRevision(h *poolwirev1.Host) string {
	if r := h.GetStatus().GetConfirmedRevision(); r > 0 {
		return fmt.Sprint(r)
	}
	return ""
}

// driftText is empty when no difference was ever found.
func driftText(h *poolwirev1.Host) string {
	st := h.GetStatus()
	if st.GetDriftFound() == 0 {
		return ""
	}
	return fmt.Sprintf("%d found, %d repaired", st.GetDriftFound(), st.GetDriftRepaired())
}

// bridgeSummary lists bridges with the flows they hold.
func bridgeSummary(h *poolwirev1.Host) string {
	var out []string
	for _, b := range h.GetStatus().GetBridges() {
		s := fmt.Sprintf("%s:%d", b.GetName(), b.GetFlowsInstalled())
		if !b.GetConnected() {
			s = b.GetName() + ":down"
		}
		out = append(out, s)
	}
	return strings.Join(out, ",")
}

var bridgeColumns = []column[*poolwirev1.BridgeStatus]{
	{title: "BRIDGE", value: (*poolwirev1.BridgeStatus).GetName},
	{title: "CONNECTED", value: func(b *poolwirev1.BridgeStatus) string { return yesNo(b.GetConnected()) }},
	{title: "FAIL-MODE", value: func(b *poolwirev1.BridgeStatus) string { return enumWord(b.GetFailMode().String(), "FAIL_MODE_") }},
	{title: "FLOWS-WANTED", value: func(b *poolwirev1.BridgeStatus) string { return fmt.Sprint(b.GetFlowsWanted()) }},
	{title: "INSTALLED", value: func(b *poolwirev1.BridgeStatus) string { return fmt.Sprint(b.GetFlowsInstalled()) }},
	{title: "FOREIGN", value: func(b *poolwirev1.BridgeStatus) string { return fmt.Sprint(b.GetFlowsForeign()) }},
	{title: "OWNED", value: func(b *poolwirev1.BridgeStatus) string { return yesNo(b.GetOwned()) }},
}

func (a *app) hostList() *cobra.Command {
	var pool string
	c := &cobra.Command{
		Use: "list", Short: "List hosts with their state", Args: cobra.NoArgs,
		Long: "List hosts with their state. BRIDGE:FLOWS is each managed bridge with the number of Poolwire's flows it\nholds. Long errors are cut; -o wide and 'poolwire host show' have them whole.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				hosts, _, err := api.listHosts(ctx, pool)
				if err != nil {
					return err
				}
				d, err := a.names(ctx, api, poolNames)
				if err != nil {
					return err
				}
				return printList(a, hosts, hostColumns(d))
			})
		},
	}
	c.Flags().StringVar(&pool, "pool", "", "only hosts of this pool, by name or UUID")
	return c
}

func (a *app) hostShow() *cobra.Command {
	return &cobra.Command{
		Use: "show HOST", Short: "Show one host, by name or UUID, with its bridges and warnings", Args: cobra.ExactArgs(1),
		Long: `Show one host, its bridges and its warnings.

  confirmed   what the host's switch and database have acknowledged
  drift       differences found by looking since the present leader took over
  FOREIGN     flows on the bridge that are not Poolwire's
  OWNED       the bridge was made by Poolwire`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				r, err := api.hosts.GetHost(ctx, &poolwirev1.GetHostRequest{Host: args[0]})
				if err != nil {
					return err
				}
				d, err := a.names(ctx, api, poolNames)
				if err != nil {
					return err
				}
				return a.printHost(r.GetHost(), d)
			})
		},
	}
}

// printHost writes the fields of a host, then its bridges, then its warnings.
func (a *app) printHost(h *poolwirev1.Host, d *directory) error {
	if err := printOne(a, h, hostFields(d)); err != nil || a.structured() {
		return err
	}
	if bridges := h.GetStatus().GetBridges(); len(bridges) > 0 {
		a.say("")
		if err := printTable(a.streams.Out, bridges, bridgeColumns, a.flags.output == "wide"); err != nil {
			return err
		}
	}
	if warnings := h.GetStatus().GetWarnings(); len(warnings) > 0 {
		a.say("")
		a.say("warnings:")
		for _, w := range warnings {
			a.say("- %s", w)
		}
	}
	return nil
}
