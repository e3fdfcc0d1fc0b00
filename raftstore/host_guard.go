package raftstore

import (
	"cmp"
	"strings"

	"google.golang.org/protobuf/proto"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

// Defaults of HostIpsec, for hosts with a certificate.
const (
	defaultCertificatePath = "/etc/ipsec.d/certs/poolwire.pem"
	defaultPrivateKeyPath  = "/etc/ipsec.d/private/poolwire.pem"
	defaultCAPath          = "/etc/ipsec.d/cacerts/poolwire.pem"
)

// maxPath bounds a path on a host, in bytes.
const maxPath = 255

// settleGuard gives what a host says of encryption defaults, and checks it. A command from
// before there was any of it leaves it as it is.
func (t *tx) settleGuard(h, old *poolwirev1.Host) error {
	if t.meaning < meaningOverlay {
		h.TransportGuard, h.Ipsec = old.GetTransportGuard(), proto.CloneOf(old.GetIpsec())
		return nil
	}
	h.TransportGuard = guardDefault(h.GetTransportGuard())
	switch h.GetTransportGuard() {
	case poolwirev1.TransportGuard_TRANSPORT_GUARD_BRIDGE, poolwirev1.TransportGuard_TRANSPORT_GUARD_HOST_FIREWALL:
	default:
		return &InvalidError{Field: "transport_guard", Value: h.GetTransportGuard().String(), Reason: "must be BRIDGE or HOST_FIREWALL"}
	}
	if h.GetIpsec() == nil {
		h.Ipsec = &poolwirev1.HostIpsec{}
	}
	return settleIpsec(h.GetIpsec())
}

// guardDefault gives TransportGuard its default.
func guardDefault(g poolwirev1.TransportGuard) poolwirev1.TransportGuard {
	if g == poolwirev1.TransportGuard_TRANSPORT_GUARD_UNSPECIFIED {
		return poolwirev1.TransportGuard_TRANSPORT_GUARD_BRIDGE
	}
	return g
}

// IpsecPaths are where a host has its certificate for IKE, the key and the CA's certificate: as is said, or by default.
func IpsecPaths(s *poolwirev1.HostIpsec) (certificate, key, ca string) {
	return cmp.Or(s.GetCertificatePath(), defaultCertificatePath), cmp.Or(s.GetPrivateKeyPath(), defaultPrivateKeyPath), cmp.Or(s.GetCaPath(), defaultCAPath)
}

// settleIpsec fills in defaults. Paths may be said before they are needed.
func settleIpsec(s *poolwirev1.HostIpsec) error {
	switch s.GetCredential() {
	case poolwirev1.IpsecCredential_IPSEC_CREDENTIAL_UNSPECIFIED:
		s.Credential = poolwirev1.IpsecCredential_IPSEC_CREDENTIAL_PSK
	case poolwirev1.IpsecCredential_IPSEC_CREDENTIAL_PSK:
	case poolwirev1.IpsecCredential_IPSEC_CREDENTIAL_CERTIFICATE:
		s.CertificatePath, s.PrivateKeyPath, s.CaPath = IpsecPaths(s)
	default:
		return &InvalidError{Field: "ipsec.credential", Value: s.GetCredential().String(), Reason: "must be PSK or CERTIFICATE"}
	}
	for _, p := range []struct{ field, path string }{
		{"ipsec.certificate_path", s.GetCertificatePath()}, {"ipsec.private_key_path", s.GetPrivateKeyPath()}, {"ipsec.ca_path", s.GetCaPath()},
	} {
		if err := checkPath(p.field, p.path); err != nil {
			return err
		}
	}
	return nil
}

// checkPath refuses what is not an absolute path. It ends up, as it is, in configuration files of
// the host's IKE daemon, where blanks, quotes and line ends would say more than a path.
func checkPath(field, path string) error {
	refused := func(reason string) error {
		return &InvalidError{Field: field, Value: clip(path), Reason: reason}
	}
	switch {
	case path == "":
		return nil
	case len(path) > maxPath:
		return refused("must have at most 255 bytes")
	case path[0] != '/':
		return refused(`must be absolute, starting with "/"`)
	}
	plain := func(r rune) bool {
		return (r >= 'a' && r <= 'z') || (r >= 'A' && r <= 'Z') || (r >= '0' && r <= '9') || strings.ContainsRune("/._-+@:,~", r)
	}
	if strings.ContainsFunc(path, func(r rune) bool { return !plain(r) }) {
		return refused("must have letters, digits and / . _ - + @ : , ~ only")
	}
	return nil
}
