package cli

import (
	"strings"
	"testing"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

// What is printed can be run as it is, and says the same paths twice.
func TestExportHostPrintsCommands(t *testing.T) {
	t.Parallel()
	const certificate, key, ca = "/etc/ipsec.d/certs/poolwire-01.pem", "/etc/ipsec.d/private/poolwire-01.pem", "/etc/ipsec.d/cacerts/poolwire-02.pem"
	r := &poolwirev1.IssueHostCertificateResponse{CertificatePath: certificate, PrivateKeyPath: key, CaPath: ca}
	h := &poolwirev1.Host{Uuid: "u1", NameLabel: "xcp1", Mode: poolwirev1.ConnectionMode_CONNECTION_MODE_PASSIVE}
	ipsec := []string{
		"yum install openvswitch-ipsec", "apt install openvswitch-ipsec strongswan libstrongswan-standard-plugins", "\nipsec rereadcacerts\n",
		"\ninstall -D -m 644 cert.pem " + certificate + "\n", "\ninstall -D -m 600 key.pem " + key + "\n", "\ninstall -D -m 644 ca.pem " + ca + "\n",
		"\novs-vsctl set Open_vSwitch . other_config:certificate=" + certificate + " other_config:private_key=" + key + " other_config:ca_cert=" + ca + "\n",
	}
	first := ipsecSteps(h, r)
	wants(t, first, append(ipsec, "\npoolwire host set xcp1 --ipsec-credential certificate\n")...)
	wants(t, managerSteps(h, nil), "install -D -m 600 key.pem /etc/openvswitch/key.pem", "ovs-vsctl set-manager pssl:6640\n",
		"ovs-vsctl set-ssl /etc/openvswitch/key.pem /etc/openvswitch/cert.pem /etc/openvswitch/ca.pem\n")
	h.Mode = poolwirev1.ConnectionMode_CONNECTION_MODE_ACTIVE
	nodes := []*poolwirev1.NodeStatus{
		{Node: &poolwirev1.Node{OpenflowAddress: "192.0.2.1:6653", ApiAddress: "198.51.100.1:6700"}, OvsdbPort: 7640},
		{Node: &poolwirev1.Node{ApiAddress: "[2001:db8::2]:6700"}}, {Node: &poolwirev1.Node{ApiAddress: "127.0.0.1:6700"}},
	}
	wants(t, managerSteps(h, targetsOf(nodes)), "ovs-vsctl set-manager ssl:192.0.2.1:7640 ssl:[2001:db8::2]:6640 ssl:CONTROLLER:6640\n",
		"address=192.0.2.1 tcp-port=7640\n", "address=2001:db8::2 tcp-port=6640\n")
	h.Ipsec = &poolwirev1.HostIpsec{Credential: poolwirev1.IpsecCredential_IPSEC_CREDENTIAL_CERTIFICATE}
	again := ipsecSteps(h, r)
	wants(t, again, append(ipsec, "remove the files of the earlier certificate")...)
	if strings.Contains(again, "--ipsec-credential") || strings.Contains(first, "earlier certificate.") {
		t.Errorf("the last step is that of another host:\n%s\n%s", first, again)
	}
}

func wants(t *testing.T, got string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(got, part) {
			t.Errorf("no %q in\n%s", part, got)
		}
	}
}

// A node is not known by its own name alone.
func TestNodeNeedsAnAddress(t *testing.T) {
	t.Parallel()
	f := &fakeServer{}
	if code, _, errs := f.run(t, "pki", "issue", "node", "n3", "--dir", t.TempDir()); code != exitUsage || !strings.Contains(errs, "--address is missing") {
		t.Errorf("exit %d, %s", code, errs)
	}
}

// Whoever takes a certificate back learns which tokens went with it.
func TestTokensGoneAreNamed(t *testing.T) {
	t.Parallel()
	of := func(certificates int, tokens ...string) string {
		return tokensGone(&poolwirev1.RevokeCertificateResponse{Certificates: make([]*poolwirev1.Certificate, certificates), TokenIds: tokens})
	}
	for got, want := range map[string]string{
		of(1):            "",
		of(1, "a"):       "and 1 token made with it: a\n",
		of(1, "a", "b"):  "and 2 tokens made with it: a, b\n",
		of(2, "a", "b"):  "and 2 tokens made with these certificates: a, b\n",
		of(0, "a", "b2"): "and 2 tokens made with certificates of this owner: a, b2\n",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
