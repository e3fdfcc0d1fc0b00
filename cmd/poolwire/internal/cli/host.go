package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

func (a *app) hostCommand() *cobra.Command {
	c := &cobra.Command{Use: "host", Short: "Manage hosts: machines that run Open vSwitch"}
	c.AddCommand(a.hostList(), a.hostShow(), a.hostCertificate(), a.hostGuard())
	a.addChanges(c, a.hostAdd(), a.hostSet(), a.hostRelease(), a.hostRemove())
	return c
}

// hostFlags are the fields a user sets on a host.
type hostFlags struct {
	description, mode, address, systemID, trust, fingerprint, transport string
	guard, credential                                                   string
}

func (f *hostFlags) register(c *cobra.Command) {
	p := c.Flags()
	p.StringVar(&f.description, "description", "", "free text")
	p.StringVar(&f.mode, "mode", "", "who opens the OVSDB connection: passive (the controller dials the host) or active (the host dials in)")
	p.StringVar(&f.address, "address", "", "passive: where the host listens, IP[:PORT]; port 6640 when not given")
	p.StringVar(&f.systemID, "system-id", "", "active: the host's external_ids:system-id")
	p.StringVar(&f.trust, "trust", "", "how the host's certificate is verified: ca, pinned or first-use (new hosts: ca, or pinned with a fingerprint)")
	p.StringVar(&f.fingerprint, "certificate-sha256", "", "SHA-256 of the host's certificate, 64 hexadecimal digits")
	p.StringVar(&f.transport, "transport-address", "", "IP address of the host's tunnel endpoint; empty finds it out")
	p.StringVar(&f.guard, "transport-guard", "bridge", "what guards encrypted networks: bridge (flows of Poolwire's), or host-firewall (the rules of 'host guard', for which you answer)")
	p.StringVar(&f.credential, "ipsec-credential", "psk", "by what the host proves who it is to other hosts: psk (keys made by the controller) or certificate (see 'pki export-host')")
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
	if c.Flags().Changed("transport-guard") {
		n, err := parseEnum(poolwirev1.TransportGuard_value, "TRANSPORT_GUARD_", "--transport-guard", f.guard)
		if err != nil {
			return nil, err
		}
		h.TransportGuard, mask = poolwirev1.TransportGuard(n), append(mask, "transport_guard")
	}
	if c.Flags().Changed("ipsec-credential") {
		n, err := parseEnum(poolwirev1.IpsecCredential_value, "IPSEC_CREDENTIAL_", "--ipsec-credential", f.credential)
		if err != nil {
			return nil, err
		}
		h.Ipsec, mask = &poolwirev1.HostIpsec{Credential: poolwirev1.IpsecCredential(n)}, append(mask, "ipsec")
	}
	if always || c.Flags().Changed("mode") {
		n, err := parseEnum(poolwirev1.ConnectionMode_value, "CONNECTION_MODE_", "--mode", f.mode)
		if err != nil {
			return nil, err
		}
		h.Mode, mask = poolwirev1.ConnectionMode(n), append(mask, "mode")
	}
	if c.Flags().Changed("trust") {
		n, err := parseEnum(poolwirev1.TrustMode_value, "TRUST_MODE_", "--trust", f.trust)
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
		Example: "  poolwire host add xcp1 --pool paris --address 192.0.2.11 --trust first-use\n  poolwire host add kvm1 --pool lyon --mode active --system-id 3f1b6c52-8e0a-4a7d-9c1e-5d2f7a90b314",
		RunE: func(cmd *cobra.Command, args []string) error {
			if pool == "" {
				return usageError{errors.New("--pool: required; 'poolwire pool list' shows the pools")}
			}
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
				return a.settleHost(ctx, api, "registered", r.GetHost(), func() error { return a.awaitReady(ctx, api, r.GetHost()) })
			})
		},
	}
	f.register(c)
	mode := c.Flags().Lookup("mode")
	f.mode, mode.DefValue = "passive", "passive"
	c.Flags().StringVar(&pool, "pool", "", "pool, by name or UUID (required)")
	c.Flags().StringVar(&uuid, "uuid", "", "UUID; made by the server when not given")
	return c
}

// awaitReady waits until a new host is connected and in step. An active host
// dials in when it is told to, so its absence is reported, not waited for.
func (a *app) awaitReady(ctx context.Context, api *client, h *poolwirev1.Host) error {
	if a.flags.wait == waitNone {
		return nil
	}
	if h.GetMode() == poolwirev1.ConnectionMode_CONNECTION_MODE_ACTIVE {
		a.say("waiting for it to dial in; its manager target is %s", strings.Join(managerTargets(ctx, api), " "))
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
			return &unconfirmedError{fmt.Sprintf("registered, but %s is not connected: %s", h.GetNameLabel(), st.GetLastError())}
		}
		select {
		case <-ctx.Done():
			return &unconfirmedError{fmt.Sprintf("registered, but %s was not in step within %s", h.GetNameLabel(), durationText(a.flags.timeout))}
		case <-tick.C:
		}
	}
}

func (a *app) hostSet() *cobra.Command {
	var f hostFlags
	var name string
	var managed bool
	c := &cobra.Command{
		Use: "set HOST", Short: "Change a host", Args: cobra.ExactArgs(1),
		Example: "  poolwire host set xcp1 --transport-address 198.51.100.11\n  poolwire host set xcp1 --managed",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := requireChange(cmd); err != nil {
				return err
			}
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				var before string
				var r *poolwirev1.UpdateHostResponse
				err := edited(ctx, func() error {
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
					before = h.GetEtag()
					r, err = api.hosts.UpdateHost(ctx, &poolwirev1.UpdateHostRequest{Host: h, UpdateMask: &fieldmaskpb.FieldMask{Paths: mask}})
					return err
				})
				if err != nil {
					return err
				}
				return a.settleHost(ctx, api, did(before, r.GetHost()), r.GetHost(), a.confirmed(ctx, api, r.GetRevision()))
			})
		},
	}
	f.register(c)
	c.Flags().StringVar(&name, "name", "", "new name")
	c.Flags().BoolVar(&managed, "managed", false, "take a released host back; --managed=false releases it")
	return c
}

// settleHost reports a change of a host and waits for it, by wait.
func (a *app) settleHost(ctx context.Context, api *client, what string, h *poolwirev1.Host, wait func() error) error {
	return settle(ctx, a, mutation[*poolwirev1.Host]{
		line: fmt.Sprintf("host %s %s", h.GetNameLabel(), what), item: h,
		reread: func(ctx context.Context) (*poolwirev1.Host, error) {
			r, err := api.hosts.GetHost(ctx, &poolwirev1.GetHostRequest{Host: h.GetUuid()})
			return r.GetHost(), err
		},
	}, wait)
}
