package cli

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

func (a *app) pkiCommand() *cobra.Command {
	c := &cobra.Command{Use: "pki", Short: "Make certificates, keep account of them, and take them back"}
	c.AddCommand(a.pkiIssue(), a.pkiList(), a.pkiCheck(), a.pkiRevoke(), a.pkiRenew(), a.pkiRotate(), a.pkiExportHost())
	return c
}

func (a *app) pkiExportHost() *cobra.Command {
	out := keyFiles{key: "key.pem", cert: "cert.pem"}
	var ipsec bool
	c := &cobra.Command{
		Use: "export-host HOST", Short: "Make a key and a certificate for a host, and print how to set the host up with them", Args: cobra.ExactArgs(1),
		Long: `Make a key and a certificate that names the host, signed by the controller's CA,
write them to a directory as key.pem, cert.pem and ca.pem, and print the commands
to run on the host.

Without --ipsec the certificate is for the host's connections to the controller.
With --ipsec it is for its IKE daemon: by it other hosts know the host, in encrypted
networks, once it is set to certificates (poolwire host set HOST --ipsec-credential
certificate). The files get names of their own on the host, so the same commands
replace a certificate: the new one is put beside the old one and then taken into use.

The key is made here, and kept nowhere else. Copy it to the host by a safe way, and remove
it here.`,
		Example: "  poolwire pki export-host xcp1 --dir /root/xcp1\n  poolwire pki export-host --ipsec xcp1 --dir /root/xcp1-ipsec",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				h, err := api.hosts.GetHost(ctx, &poolwirev1.GetHostRequest{Host: args[0]})
				if err != nil {
					return err
				}
				r, err := a.issueForHost(ctx, api, out, &poolwirev1.IssueHostCertificateRequest{Host: h.GetHost().GetUuid(), Ipsec: ipsec})
				if err != nil || a.structured() {
					return err
				}
				steps := managerSteps(h.GetHost(), managerTargets(ctx, api))
				if ipsec {
					steps = ipsecSteps(h.GetHost(), r)
				}
				_, err = fmt.Fprint(a.streams.Out, steps)
				return err
			})
		},
	}
	out.register(c)
	c.Flags().BoolVar(&ipsec, "ipsec", false, "for the host's IKE daemon, which protects encrypted networks")
	return c
}

// install is a command that puts one of the three files in its place.
func install(file, mode, path string) string {
	return fmt.Sprintf("install -D -m %s %s %s\n", mode, file, path)
}

// managerTargets are what a host that dials is to dial: one target for each node. The address is that which bridges dial too.
// While it cannot be known, it is left to the reader.
func managerTargets(ctx context.Context, api *client) []string {
	r, err := api.cluster.ListNodes(ctx, &poolwirev1.ListNodesRequest{})
	if err != nil {
		return []string{"ssl:CONTROLLER:6640"}
	}
	return targetsOf(r.GetNodes())
}

func targetsOf(nodes []*poolwirev1.NodeStatus) (out []string) {
	for _, n := range nodes {
		address := n.GetNode().GetOpenflowAddress()
		if address == "" {
			address = n.GetNode().GetApiAddress()
		}
		host, _, err := net.SplitHostPort(address)
		if ip := net.ParseIP(host); err != nil || host == "" || ip != nil && (ip.IsUnspecified() || ip.IsLoopback()) {
			host = "CONTROLLER"
		}
		port := n.GetOvsdbPort()
		if port == 0 {
			port = 6640
		}
		out = append(out, "ssl:"+net.JoinHostPort(host, fmt.Sprint(port)))
	}
	return out
}

// managerSteps say how a host's switch gets a certificate, and its database a manager.
func managerSteps(h *poolwirev1.Host, targets []string) string {
	active := h.GetMode() == poolwirev1.ConnectionMode_CONNECTION_MODE_ACTIVE
	var b strings.Builder
	fmt.Fprintf(&b, "\n# On %s, as root, in a directory with the three files.\n", h.GetNameLabel())
	b.WriteString("# 1. The files, and the switch's use of them (XCP-ng and Debian). Sessions that are there go on; the next ones use them:\n")
	const dir = "/etc/openvswitch"
	for _, f := range []struct{ name, mode string }{{"key.pem", "600"}, {"cert.pem", "644"}, {"ca.pem", "644"}} {
		b.WriteString(install(f.name, f.mode, filepath.Join(dir, f.name)))
	}
	fmt.Fprintf(&b, "ovs-vsctl set-ssl %[1]s/key.pem %[1]s/cert.pem %[1]s/ca.pem\n", dir)
	b.WriteString("# 2. The manager, unless it is there. Debian, and XCP-ng where XAPI knows of no controller:\n")
	target := "pssl:6640"
	if active {
		target = strings.Join(targets, " ")
	}
	fmt.Fprintf(&b, "ovs-vsctl set-manager %s\n", target)
	b.WriteString("#    XCP-ng, by XAPI: once for the pool, on its master, before step 1, as it resets the switch's certificates on every host\n" +
		"#    to XAPI's own (/etc/xensource/xapi-ssl.pem) and so does 'xe sdn-controller-forget':\n")
	if active {
		for _, t := range targets {
			address, port, _ := net.SplitHostPort(strings.TrimPrefix(t, "ssl:"))
			fmt.Fprintf(&b, "#    xe sdn-controller-introduce protocol=ssl address=%s tcp-port=%s\n", address, port)
		}
	} else {
		b.WriteString("#    xe sdn-controller-introduce protocol=pssl\n")
	}
	b.WriteString("#    To keep XAPI's certificates instead, leave step 1 out; XAPI gives every host the CA, under exactly this name:\n" +
		"#    xe pool-certificate-install filename=/root/sdn-controller-ca.pem && xe pool-certificate-sync\n")
	fmt.Fprintf(&b, "#    poolwire host set %s --trust first-use    # on the controller\n", h.GetNameLabel())
	b.WriteString("# 3. A new connection with them, and to check:\novs-appctl -t ovsdb-server ovsdb-server/reconnect\novs-vsctl get-ssl\novs-vsctl --columns=target,is_connected list manager\n")
	return b.String()
}

// ipsecSteps say how a host's IKE daemon gets a certificate, the first one or the next.
func ipsecSteps(h *poolwirev1.Host, r *poolwirev1.IssueHostCertificateResponse) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n# On %s, as root, in a directory with the three files.\n", h.GetNameLabel())
	b.WriteString("# 1. The packages, unless they are there. XCP-ng:\n")
	b.WriteString("yum install openvswitch-ipsec libreswan && systemctl enable --now openvswitch-ipsec\n#    Debian, Ubuntu:\n")
	b.WriteString("apt install openvswitch-ipsec strongswan libstrongswan-standard-plugins && systemctl enable --now openvswitch-ipsec\n")
	b.WriteString("# 2. The files, beside those of an earlier certificate:\n")
	b.WriteString(install("cert.pem", "644", r.GetCertificatePath()) + install("key.pem", "600", r.GetPrivateKeyPath()) + install("ca.pem", "644", r.GetCaPath()))
	b.WriteString("#    StrongSwan (Debian, Ubuntu) reads the CA's certificate when it starts, and when it is told:\nipsec rereadcacerts\n")
	b.WriteString("# 3. Packets wait while associations are made anew, where they would be lost (to stay: /etc/sysctl.d/poolwire.conf):\n")
	b.WriteString("sysctl -w net.core.xfrm_larval_drop=0\n")
	b.WriteString("# 4. All in one step. From then on the host takes no keys:\n")
	fmt.Fprintf(&b, "ovs-vsctl set Open_vSwitch . other_config:certificate=%s other_config:private_key=%s other_config:ca_cert=%s\n",
		r.GetCertificatePath(), r.GetPrivateKeyPath(), r.GetCaPath())
	if h.GetIpsec().GetCredential() != poolwirev1.IpsecCredential_IPSEC_CREDENTIAL_CERTIFICATE {
		fmt.Fprintf(&b, "# 5. Here, when its peers have certificates too:\npoolwire host set %s --ipsec-credential certificate\n", h.GetNameLabel())
	} else {
		b.WriteString("# 5. Once its tunnels are up again (poolwire tunnel list), remove the files of the earlier certificate.\n")
	}
	return b.String()
}
