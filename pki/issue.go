package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/url"
	"slices"
	"strings"
	"time"
)

// How long certificates live. Nodes and the local admin are renewed while the
// daemon runs; what was handed out is not, so it lives longer.
const (
	lifeCA     = 10 * 365 * 24 * time.Hour
	lifeNode   = 365 * 24 * time.Hour
	lifeAdmin  = 365 * 24 * time.Hour
	lifeClient = 2 * 365 * 24 * time.Hour
	lifeHost   = 5 * 365 * 24 * time.Hour
)

// backdate is how far NotBefore lies in the past: hosts without NTP are often
// hours behind, and would refuse a certificate made just now.
const backdate = 24 * time.Hour

const rsaBits = 3072

// minRSABits is the least that OpenSSL takes from its security level 2 on, the default of Debian.
const minRSABits = 2048

// Issued is a new certificate with its key, which is kept nowhere else.
type Issued struct {
	// CertPEM is the certificate, then its issuers up to the root.
	CertPEM []byte
	// KeyPEM is its private key, PKCS #8; empty where the owner has made it himself.
	KeyPEM []byte
	// CAPEM is what the owner is to trust, as [Authority.CAPEM].
	CAPEM []byte
	// NotAfter is when the certificate expires.
	NotAfter time.Time
	// Leaf is the certificate, Issuer the fingerprint of the CA that signed it.
	Leaf   *x509.Certificate
	Issuer string
}

// IssueHost makes a key and a certificate for a host: RSA, for `ovs-vsctl set-ssl`.
// name is the host's name_label, for people to read in the certificate; nothing is
// decided by it. Errors: [*InputError] for what is not a uuid, [ErrNoCAKey].
func (a *Authority) IssueHost(hostUUID, name string) (Issued, error) {
	id := Identity{Kind: KindHost, Name: strings.ToLower(hostUUID)}
	return a.issue(leafSpec{id: id, unit: name, life: lifeHost, newKey: newRSAKey})
}

// IssueClient makes a key and a certificate for a client of the API. With RoleNone it carries no role.
// Errors: [*InputError], [ErrNoCAKey].
func (a *Authority) IssueClient(name string, role Role) (Issued, error) {
	if role != RoleNone && !slices.Contains(Roles(), role) {
		return Issued{}, &InputError{"role", string(role), rolesAccepted}
	}
	id := Identity{Kind: KindClient, Name: name, Role: role}
	return a.issue(leafSpec{id: id, life: lifeClient, newKey: newECKey})
}

// IssueNode makes a key and a certificate for another node of the cluster, which
// is known by these IP addresses and DNS names. The three PEM texts are that node's
// node.pem, node.key and ca.pem. Errors: [*InputError], [ErrNoCAKey].
func (a *Authority) IssueNode(nodeID string, addresses []string) (Issued, error) {
	id := Identity{Kind: KindNode, Name: nodeID}
	return a.issue(leafSpec{id: id, addresses: addresses, life: lifeNode, newKey: newRSAKey})
}

// leafSpec is what a certificate of an owner shall say.
type leafSpec struct {
	id        Identity
	unit      string
	addresses []string
	life      time.Duration
	newKey    func() (crypto.Signer, error)
}

func (a *Authority) issue(spec leafSpec) (Issued, error) {
	// The template first: a bad name is found before a key is made, which takes a second.
	if _, err := spec.template(a.opts.Now()); err != nil {
		return Issued{}, err
	}
	if !a.CanIssue() {
		return Issued{}, fmt.Errorf("issuing a certificate for %s: %w", spec.id, ErrNoCAKey)
	}
	key, err := spec.newKey()
	if err != nil {
		return Issued{}, err
	}
	out, err := a.certify(spec, key.Public())
	if err != nil {
		return Issued{}, err
	}
	out.KeyPEM, err = encodeKey(key)
	return out, err
}

// certify signs a certificate for a key.
func (a *Authority) certify(spec leafSpec, public crypto.PublicKey) (Issued, error) {
	template, err := spec.template(a.opts.Now())
	if err != nil {
		return Issued{}, err
	}
	t := a.present.Load().trust
	by := t.active
	// While the CA is rotated, what is handed out is of the next one already. Nodes and IKE daemons
	// show theirs to others that need not trust it yet.
	if t.next.key != nil && (spec.id.Kind == KindHost || spec.id.Kind == KindClient) {
		by = t.next
	}
	if by.key == nil {
		return Issued{}, fmt.Errorf("issuing a certificate for %s: %w", spec.id, ErrNoCAKey)
	}
	if spec.id.Kind == KindIPsec && len(by.Anchor) > 1 {
		return Issued{}, fmt.Errorf("issuing a certificate for %s: %w", spec.id, ErrIntermediate)
	}
	cert, err := by.sign(template, public)
	if err != nil {
		return Issued{}, err
	}
	out := Issued{CertPEM: append(encodeCertificates(cert), by.PEM()...), CAPEM: t.pem(), NotAfter: cert.NotAfter, Leaf: cert, Issuer: by.Fingerprint()}
	if spec.id.Kind == KindIPsec {
		// The certificate alone: certutil and strongSwan read the first of a file, and the CA has its own.
		out.CertPEM, out.CAPEM = encodeCertificates(cert), by.PEM()
	}
	return out, nil
}

// template is the certificate without key, serial and issuer.
func (s leafSpec) template(now time.Time) (*x509.Certificate, error) {
	if err := s.id.check(); err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		Subject:   pkix.Name{CommonName: s.id.Name},
		NotBefore: now.Add(-backdate).UTC(), NotAfter: now.Add(s.life).UTC(),
		// Key encipherment is the RSA key exchange that XCP-ng 8.3 insists on.
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		BasicConstraintsValid: true,
		URIs:                  []*url.URL{s.id.url()},
	}
	switch s.id.Kind {
	case KindIPsec:
		s.nameForIKE(t)
		return t, nil
	case KindClient:
		if s.id.Role != RoleNone {
			t.Subject.Organization = []string{string(s.id.Role)}
		}
		t.KeyUsage = x509.KeyUsageDigitalSignature
		t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		return t, nil
	case KindHost:
		if s.unit != "" {
			t.Subject.OrganizationalUnit = []string{unitName(s.unit)}
		}
	case KindNode:
		var err error
		if t.IPAddresses, t.DNSNames, err = addressNames(s.addresses); err != nil {
			return nil, err
		}
	}
	// Which side dials depends on the host's mode, and nodes dial each other.
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	return t, nil
}

// unitName cuts a name_label to the 64 characters of an organizational unit
// (RFC 5280, ub-organizational-unit-name).
func unitName(s string) string {
	r := []rune(bounded(s))
	return string(r[:min(len(r), 64)])
}

// credential is a certificate with its key.
type credential struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// sign completes the template and signs it. What is signed never outlives its issuer.
func (c anchor) sign(template *x509.Certificate, public crypto.PublicKey) (*x509.Certificate, error) {
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial
	if template.SubjectKeyId, err = keyID(public); err != nil {
		return nil, err
	}
	for _, above := range c.Anchor {
		if template.NotAfter.After(above.NotAfter) {
			template.NotAfter = above.NotAfter
		}
		if template.NotBefore.Before(above.NotBefore) {
			template.NotBefore = above.NotBefore
		}
	}
	// SHA-256 whatever the issuer's key: CreateCertificate would take SHA-384 for P-384.
	template.SignatureAlgorithm = x509.SHA256WithRSA
	if _, ok := c.key.Public().(*ecdsa.PublicKey); ok {
		template.SignatureAlgorithm = x509.ECDSAWithSHA256
	}
	return createCertificate(template, c.Issuing(), public, c.key)
}

// selfSign makes the root certificate of a key. The name carries part of the key's
// id, so that a host that has seen two controllers can tell their roots apart.
func selfSign(key crypto.Signer, now time.Time) (*x509.Certificate, error) {
	id, err := keyID(key.Public())
	if err != nil {
		return nil, err
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "Poolwire CA " + hex.EncodeToString(id[:4]), Organization: []string{"Poolwire"}},
		NotBefore:    now.Add(-backdate).UTC(), NotAfter: now.Add(lifeCA).UTC(),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true,
		SubjectKeyId: id, AuthorityKeyId: id,
	}
	return createCertificate(t, t, key.Public(), key)
}

func createCertificate(template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		return nil, fmt.Errorf("signing a certificate: %w", err)
	}
	return x509.ParseCertificate(der)
}

// newSerial returns 127 random bits (RFC 5280, 4.1.2.2: positive, at most 20 octets).
func newSerial() (*big.Int, error) {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	return n.Add(n, big.NewInt(1)), nil
}

func newRSAKey() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, rsaBits) }

func newECKey() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

func encodeKey(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encoding a key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

func encodeCertificates(certs ...*x509.Certificate) []byte {
	var out []byte
	for _, c := range certs {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return out
}
