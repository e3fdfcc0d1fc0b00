package pki

import (
	"crypto/x509"
	"encoding/asn1"
	"strings"
	"time"
)

// lifeIPsec is shorter than a host's other certificate: ovs-monitor-ipsec reads no revocation list, so what was stolen
// is of use until it ends.
const lifeIPsec = 2 * 365 * 24 * time.Hour

// oidIKE is id-kp-ipsecIKE (RFC 4945, section 5.1.3.12).
var oidIKE = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 17}

// IssueIPsec makes a key and a certificate for the IKE daemon of a host, by which other hosts know it: RSA, as
// ovs-monitor-ipsec tells strongSwan of no other keys. name is as in [Authority.IssueHost].
// Errors: [*InputError] for what is not a uuid, [ErrNoCAKey].
func (a *Authority) IssueIPsec(hostUUID, name string) (Issued, error) {
	id := Identity{Kind: KindIPsec, Name: strings.ToLower(hostUUID)}
	return a.issue(leafSpec{id: id, unit: name, life: lifeIPsec, newKey: newRSAKey})
}

// nameForIKE has the certificate say what IKE daemons look at. The peer is asked for by the common name, which both
// strongSwan and libreswan then look for among the DNS names. ovs-monitor-ipsec reads the common name from the subject
// as RFC 2253 writes it, last part first, up to a comma: so that something must come before it in the certificate.
func (s leafSpec) nameForIKE(t *x509.Certificate) {
	t.Subject.Organization = []string{"Poolwire"}
	t.Subject.OrganizationalUnit = []string{"IPsec"}
	if s.unit != "" {
		t.Subject.OrganizationalUnit = []string{unitName(s.unit)}
	}
	t.DNSNames = []string{s.id.Name}
	t.KeyUsage = x509.KeyUsageDigitalSignature
	// No client authentication: hosts take whatever the CA has signed for a controller that dials them. Libreswan
	// without a profile for IKE in NSS, as on XCP-ng, wants that of a server.
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	t.UnknownExtKeyUsage = []asn1.ObjectIdentifier{oidIKE}
}
