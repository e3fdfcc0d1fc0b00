package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

var hostColumns = []column[*poolwirev1.Host]{
	{title: "NAME", value: (*poolwirev1.Host).GetNameLabel},
	{title: "STATE", value: func(h *poolwirev1.Host) string { return enumWord(h.GetStatus().GetState().String(), "HOST_STATE_") }},
	{title: "MODE", value: func(h *poolwirev1.Host) string { return enumWord(h.GetMode().String(), "CONNECTION_MODE_") }},
	{title: "ADDRESS", value: func(h *poolwirev1.Host) string {
		if h.GetAddress() != "" {
			return h.GetAddress()
		}
		return h.GetSystemId()
	}},
	{title: "OVS", value: func(h *poolwirev1.Host) string { return h.GetStatus().GetOvsVersion() }},
	{title: "TUNNEL", value: func(h *poolwirev1.Host) string { return h.GetStatus().GetTransportAddress() }},
	{title: "BRIDGES", value: bridgeSummary},
	{title: "REVISION", value: func(h *poolwirev1.Host) string { return fmt.Sprint(h.GetStatus().GetConfirmedRevision()) }, wide: true},
	{title: "DRIFT", value: func(h *poolwirev1.Host) string {
		return fmt.Sprintf("%d/%d", h.GetStatus().GetDriftRepaired(), h.GetStatus().GetDriftFound())
	}, wide: true},
	{title: "UUID", value: (*poolwirev1.Host).GetUuid, wide: true},
	{title: "POOL", value: (*poolwirev1.Host).GetPoolUuid, wide: true},
	{title: "TRUST", value: func(h *poolwirev1.Host) string { return enumWord(h.GetTrust().String(), "TRUST_MODE_") }, wide: true},
	{title: "ERROR", value: func(h *poolwirev1.Host) string { return h.GetStatus().GetLastError() }},
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

func (a *app) hostCommand() *cobra.Command {
	c := &cobra.Command{Use: "host", Short: "Manage hosts: machines that run Open vSwitch"}
	c.AddCommand(a.hostAdd(), a.hostList(), a.hostShow(), a.hostSet(), a.hostRelease(), a.hostRemove(), a.hostCertificate())
	return c
}

// hostFlags are the fields a user sets on a host.
type hostFlags struct {
	description, mode, address, systemID, trust, fingerprint, transport string
}

func (f *hostFlags) register(c *cobra.Command) {
	p := c.Flags()
	p.StringVar(&f.description, "description", "", "free text")
	p.StringVar(&f.mode, "mode", "passive", "who opens the OVSDB connection: passive (we dial the host) or active (the host dials us)")
	p.StringVar(&f.address, "address", "", "passive: where the host listens, IP[:PORT] (port 6640)")
	p.StringVar(&f.systemID, "system-id", "", "active: the host's external_ids:system-id")
	p.StringVar(&f.trust, "trust", "", "how the host's certificate is verified: ca, pinned or first-use")
	p.StringVar(&f.fingerprint, "certificate-sha256", "", "SHA-256 of the host's certificate, 64 hexadecimal digits")
	p.StringVar(&f.transport, "transport-address", "", "IP address of the host's tunnel endpoint; empty finds it out")
}

func (f *hostFlags) apply(c *cobra.Command, h *poolwirev1.Host, always bool) (mask []string, err error) {
	set := func(flag, path string, assign func()) {
		if c.Flags().Changed(flag) {
			assign()
			mask = append(mask, path)
		}
	}
	set("description", "name_description", func() { h.NameDescription = f.description })
	set("address", "address", func() { h.Address = f.address })
	set("system-id", "system_id", func() { h.SystemId = f.systemID })
	set("certificate-sha256", "certificate_sha256", func() { h.CertificateSha256 = strings.ToLower(f.fingerprint) })
	set("transport-address", "transport_address", func() { h.TransportAddress = f.transport })
	if always || c.Flags().Changed("mode") {
		n, err := parseEnum(poolwirev1.ConnectionMode_value, "CONNECTION_MODE_", "mode", f.mode)
		if err != nil {
			return nil, err
		}
		h.Mode, mask = poolwirev1.ConnectionMode(n), append(mask, "mode")
	}
	if c.Flags().Changed("trust") {
		n, err := parseEnum(poolwirev1.TrustMode_value, "TRUST_MODE_", "trust", f.trust)
		if err != nil {
			return nil, err
		}
		h.Trust, mask = poolwirev1.TrustMode(n), append(mask, "trust")
	}
	return mask, nil
}

func (a *app) hostAdd() *cobra.Command {
	var f hostFlags
	var pool, uuid string
	c := &cobra.Command{
		Use: "add NAME", Short: "Register a host", Args: cobra.ExactArgs(1),
		Long: `Register a host in a pool. The controller connects to it at once, or lets it
connect, and discovers its bridges, PIFs and VIFs.

Certificates: a host that uses a certificate made by 'poolwire host certificate'
is verified by the controller's own CA (--trust ca, the default). A host with a
certificate of its own, as XCP-ng has, is pinned: give --certificate-sha256, or
take the first one seen with --trust first-use.`,
		Example: "  poolwire host add xcp1 --pool paris --address 192.0.2.11 --trust first-use\n  poolwire host add kvm1 --pool lyon --mode active --system-id 8e6e…",
		RunE: func(cmd *cobra.Command, args []string) error {
			h := &poolwirev1.Host{NameLabel: args[0], Uuid: uuid, Managed: true}
			if _, err := f.apply(cmd, h, true); err != nil {
				return err
			}
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				p, err := api.pools.GetPool(ctx, &poolwirev1.GetPoolRequest{Pool: pool})
				if err != nil {
					return err
				}
				h.PoolUuid = p.GetPool().GetUuid()
				r, err := api.hosts.CreateHost(ctx, &poolwirev1.CreateHostRequest{Host: h})
				if err != nil {
					return err
				}
				if err := a.changed("host", "registered", r.GetHost()); err != nil {
					return err
				}
				return a.awaitReady(ctx, api, r.GetHost())
			})
		},
	}
	f.register(c)
	c.Flags().StringVar(&pool, "pool", "", "pool, by name or UUID (required)")
	c.Flags().StringVar(&uuid, "uuid", "", "UUID; made by the server when not given")
	_ = c.MarkFlagRequired("pool")
	return c
}

// awaitReady waits until a new host is connected and in step. An active host
// dials in when it is told to, so its absence is reported, not waited for.
func (a *app) awaitReady(ctx context.Context, api *client, h *poolwirev1.Host) error {
	if a.flags.wait == waitNone {
		return nil
	}
	if h.GetMode() == poolwirev1.ConnectionMode_CONNECTION_MODE_ACTIVE {
		a.say("waiting for it to dial in; its manager target is ssl:CONTROLLER:6640")
		return nil
	}
	done := a.progress("connecting to " + h.GetNameLabel())
	defer done()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		got, err := api.hosts.GetHost(ctx, &poolwirev1.GetHostRequest{Host: h.GetUuid()})
		if err != nil {
			return err
		}
		switch st := got.GetHost().GetStatus(); {
		case st.GetState() == poolwirev1.HostState_HOST_STATE_READY:
			return nil
		case st.GetState() == poolwirev1.HostState_HOST_STATE_REFUSED || st.GetLastError() != "":
			return &unconfirmedError{fmt.Sprintf("poolwire: registered, but %s is not connected: %s", h.GetNameLabel(), st.GetLastError())}
		}
		select {
		case <-ctx.Done():
			return &unconfirmedError{fmt.Sprintf("poolwire: registered, but %s was not in step within %s", h.GetNameLabel(), a.flags.timeout)}
		case <-tick.C:
		}
	}
}

func (a *app) hostList() *cobra.Command {
	var pool string
	c := &cobra.Command{
		Use: "list", Short: "List hosts with their state", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				hosts, err := collect(func(token string) ([]*poolwirev1.Host, string, error) {
					r, err := api.hosts.ListHosts(ctx, &poolwirev1.ListHostsRequest{Pool: pool, PageToken: token})
					return r.GetHosts(), r.GetNextPageToken(), err
				})
				if err != nil {
					return err
				}
				return printList(a, hosts, hostColumns)
			})
		},
	}
	c.Flags().StringVar(&pool, "pool", "", "only hosts of this pool")
	return c
}

func (a *app) hostShow() *cobra.Command {
	return &cobra.Command{
		Use: "show HOST", Short: "Show one host, its bridges and its warnings", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				r, err := api.hosts.GetHost(ctx, &poolwirev1.GetHostRequest{Host: args[0]})
				if err != nil {
					return err
				}
				if err := printOne(a, r.GetHost(), hostColumns); err != nil || a.structured() {
					return err
				}
				for _, w := range r.GetHost().GetStatus().GetWarnings() {
					a.say("warning   %s", w)
				}
				return nil
			})
		},
	}
}

func (a *app) hostSet() *cobra.Command {
	var f hostFlags
	var name string
	var managed bool
	c := &cobra.Command{
		Use: "set HOST", Short: "Change a host", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				got, err := api.hosts.GetHost(ctx, &poolwirev1.GetHostRequest{Host: args[0]})
				if err != nil {
					return err
				}
				h := got.GetHost()
				mask, err := f.apply(cmd, h, false)
				if err != nil {
					return err
				}
				if cmd.Flags().Changed("name") {
					h.NameLabel, mask = name, append(mask, "name_label")
				}
				if cmd.Flags().Changed("managed") {
					h.Managed, mask = managed, append(mask, "managed")
				}
				r, err := api.hosts.UpdateHost(ctx, &poolwirev1.UpdateHostRequest{Host: h, UpdateMask: &fieldmaskpb.FieldMask{Paths: mask}})
				if err != nil {
					return err
				}
				if err := a.changed("host", "changed", r.GetHost()); err != nil {
					return err
				}
				return a.confirm(ctx, api, r.GetRevision())
			})
		},
	}
	f.register(c)
	c.Flags().StringVar(&name, "name", "", "new name")
	c.Flags().BoolVar(&managed, "managed", true, "false releases the host, true takes it back")
	return c
}

func (a *app) hostRelease() *cobra.Command {
	return &cobra.Command{
		Use: "release HOST", Short: "Take everything of Poolwire's away from a host and leave it alone", Args: cobra.ExactArgs(1),
		Long: `Take everything of Poolwire's away from a reachable host: its flows, its rows and
its bridges. The host stays registered; 'poolwire host set HOST --managed' takes
it back.

Without a controller, on the host itself, this does the same for one bridge:

  ovs-vsctl del-controller BRIDGE`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				r, err := api.hosts.ReleaseHost(ctx, &poolwirev1.ReleaseHostRequest{Host: args[0]})
				if err != nil {
					return err
				}
				if err := a.changed("host", "released", r.GetHost()); err != nil {
					return err
				}
				return a.confirm(ctx, api, r.GetRevision())
			})
		},
	}
}

func (a *app) hostRemove() *cobra.Command {
	var force bool
	c := &cobra.Command{
		Use: "remove HOST", Short: "Forget a host; the others drop their tunnels to it", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				r, err := api.hosts.DeleteHost(ctx, &poolwirev1.DeleteHostRequest{Host: args[0], Force: force})
				if err != nil {
					return err
				}
				a.say("host %s removed", args[0])
				return a.confirm(ctx, api, r.GetRevision())
			})
		},
	}
	c.Flags().BoolVar(&force, "force", false, "also when the host cannot be reached; what is on it stays there")
	return c
}

func (a *app) hostCertificate() *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use: "certificate HOST", Short: "Make a key and a certificate for a host", Args: cobra.ExactArgs(1),
		Long: `Make a key and a certificate that names the host, signed by the controller's CA,
and write them to a directory as key.pem, cert.pem and ca.pem. On the host:

  ovs-vsctl set-ssl /etc/openvswitch/key.pem /etc/openvswitch/cert.pem /etc/openvswitch/ca.pem`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				r, err := api.hosts.IssueHostCertificate(ctx, &poolwirev1.IssueHostCertificateRequest{Host: args[0]})
				if err != nil {
					return err
				}
				return a.writeCertificate(dir, r)
			})
		},
	}
	c.Flags().StringVar(&dir, "dir", ".", "directory to write to")
	return c
}

func (a *app) writeCertificate(dir string, r *poolwirev1.IssueHostCertificateResponse) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return usageError{fmt.Errorf("--dir %q: %w", dir, err)}
	}
	files := []struct {
		name string
		data []byte
	}{{"key.pem", r.GetPrivateKeyPem()}, {"cert.pem", r.GetCertificatePem()}, {"ca.pem", r.GetCaPem()}}
	for _, f := range files {
		if err := os.WriteFile(filepath.Join(dir, f.name), f.data, 0o600); err != nil {
			return usageError{fmt.Errorf("--dir %q: %w", dir, err)}
		}
	}
	a.say("wrote key.pem, cert.pem and ca.pem to %s; the certificate expires on %s", dir, r.GetExpireTime().AsTime().Format(time.DateOnly))
	return nil
}
