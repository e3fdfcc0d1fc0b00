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
	wants(t, ipsecSteps(h, r), append(ipsec, "\npoolwire host set u1 --ipsec-credential certificate\n")...)
	wants(t, managerSteps(h), "install -D -m 600 key.pem /etc/openvswitch/key.pem", "ovs-vsctl set-manager pssl:6640\n",
		"ovs-vsctl set-ssl /etc/openvswitch/key.pem /etc/openvswitch/cert.pem /etc/openvswitch/ca.pem\n")
	h.Mode = poolwirev1.ConnectionMode_CONNECTION_MODE_ACTIVE
	wants(t, managerSteps(h), "ovs-vsctl set-manager ssl:CONTROLLER:6640")
	h.Ipsec = &poolwirev1.HostIpsec{Credential: poolwirev1.IpsecCredential_IPSEC_CREDENTIAL_CERTIFICATE}
	wants(t, ipsecSteps(h, r), append(ipsec, "remove the files of the earlier certificate")...)
}

func wants(t *testing.T, got string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(got, part) {
			t.Errorf("no %q in\n%s", part, got)
		}
	}
}
