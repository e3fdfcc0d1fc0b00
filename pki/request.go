package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"time"
)

// maxRequestBytes bounds a certificate request, in PEM.
const maxRequestBytes = 16 << 10

// Request asks for a certificate.
type Request struct {
	// Owner is whose it is to be.
	Owner Identity
	// Unit is the name_label of a host, for people to read in the certificate.
	Unit string
	// Addresses are those of a node, as in [Authority.IssueNode].
	Addresses []string
	// CSR is a PKCS #10 request in PEM, which is signed by the key that the certificate is for.
	// Nothing else of it counts. The keys of hosts, IKE daemons and nodes are RSA.
	CSR []byte
}

// spec is what the certificate is to say.
func (r Request) spec() (leafSpec, error) {
	s := leafSpec{id: r.Owner, newKey: newRSAKey}
	s.id.Role = ""
	switch r.Owner.Kind {
	case KindHost, KindIPsec:
		s.id.Name, s.unit, s.life = strings.ToLower(r.Owner.Name), r.Unit, lifeHost
		if r.Owner.Kind == KindIPsec {
			s.life = lifeIPsec
		}
	case KindNode:
		s.addresses, s.life = r.Addresses, lifeNode
	case KindClient:
		if r.Owner.Role != RoleNone && !slices.Contains(Roles(), r.Owner.Role) {
			return s, &InputError{"role", bounded(string(r.Owner.Role)), rolesAccepted}
		}
		s.id.Role, s.life, s.newKey = r.Owner.Role, lifeClient, newECKey
	}
	_, err := s.template(time.Time{})
	return s, err
}

// Check says what is wrong with a request without a CSR. Errors: [*InputError].
func (r Request) Check() error {
	_, err := r.spec()
	return err
}

// Sign makes the certificate that is asked for. Errors: [*InputError], [ErrNoCAKey].
func (a *Authority) Sign(r Request) (Issued, error) {
	spec, err := r.spec()
	if err != nil {
		return Issued{}, err
	}
	public, err := requestedKey(r.CSR, spec.id.Kind)
	if err != nil {
		return Issued{}, err
	}
	return a.certify(spec, public)
}

// requestedKey returns the key of a request that was signed with it.
func requestedKey(csr []byte, kind Kind) (crypto.PublicKey, error) {
	refused := func(why string) error {
		return &InputError{"csr", why, "a PKCS #10 request in PEM, signed with its own key"}
	}
	if len(csr) > maxRequestBytes {
		return nil, refused("too long")
	}
	block, rest := pem.Decode(csr)
	if block == nil || block.Type != "CERTIFICATE REQUEST" || len(strings.TrimSpace(string(rest))) > 0 {
		return nil, refused("no PEM of one CERTIFICATE REQUEST")
	}
	request, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, refused(bounded(err.Error()))
	}
	if key, ok := request.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() > maxRSABits {
		return nil, refused(fmt.Sprintf("RSA key of more than %d bits", maxRSABits))
	}
	if err := request.CheckSignature(); err != nil {
		return nil, refused(bounded(err.Error()))
	}
	return request.PublicKey, checkKey(request.PublicKey, kind)
}

// maxRSABits bounds what verifying a signature costs.
const maxRSABits = 8192

// checkKey refuses keys that are too weak, or unknown to those that must verify them.
func checkKey(public crypto.PublicKey, kind Kind) error {
	switch key := public.(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < minRSABits {
			return &InputError{"csr", fmt.Sprintf("RSA key of %d bits", bits), fmt.Sprintf("%d bits or more", minRSABits)}
		}
		return nil
	case *ecdsa.PublicKey:
		if kind == KindClient && (key.Curve == elliptic.P256() || key.Curve == elliptic.P384()) {
			return nil
		}
	}
	if kind == KindClient {
		return &InputError{"csr", fmt.Sprintf("key %T", public), "an ECDSA key on P-256 or P-384, or an RSA key"}
	}
	return &InputError{"csr", fmt.Sprintf("key %T", public), "an RSA key, which hosts need"}
}

// NewRequest makes a key for a certificate of a kind, and the request that asks for it. Both are PEM.
func NewRequest(kind Kind) (csr, key []byte, err error) {
	newKey := newRSAKey
	if kind == KindClient {
		newKey = newECKey
	}
	signer, err := newKey()
	if err != nil {
		return nil, nil, err
	}
	if csr, err = requestFor(signer); err != nil {
		return nil, nil, err
	}
	key, err = encodeKey(signer)
	return csr, key, err
}

func requestFor(key crypto.Signer) ([]byte, error) {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "poolwire"}}, key)
	if err != nil {
		return nil, fmt.Errorf("making a certificate request: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), nil
}
