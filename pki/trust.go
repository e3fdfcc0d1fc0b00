package pki

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

// maxChain bounds the certificates from the issuing one up to the root.
const maxChain = 8

// Anchor is a CA that certificates are issued by: the issuing certificate first, each next
// one the issuer of the one before, the self-signed root last. Of a CA without intermediates
// it is the root alone.
//
// What is trusted is the issuing certificate. The root stands above it for hosts, whose
// OpenSSL builds up to a self-signed certificate; what else the root signs, as in a company
// with several CAs, is nobody here.
type Anchor []*x509.Certificate

// Issuing is the certificate whose key signs.
func (a Anchor) Issuing() *x509.Certificate { return a[0] }

// Fingerprint is that of the issuing certificate, by which the anchor is known.
func (a Anchor) Fingerprint() string { return Fingerprint(a[0]) }

// PEM is the chain in PEM, issuing certificate first.
func (a Anchor) PEM() []byte { return encodeCertificates(a...) }

// ParseAnchors reads chains that follow each other in PEM text. name is what messages call the
// text. Errors: [*FileError] that says which certificate is wrong, and how.
func ParseAnchors(name string, text []byte) ([]Anchor, error) {
	certs, err := parseCertificates(name, text)
	if err != nil {
		return nil, err
	}
	return splitAnchors(name, certs)
}

// splitAnchors cuts certificates into chains, each of which ends with a self-signed one.
func splitAnchors(name string, certs []*x509.Certificate) ([]Anchor, error) {
	var out []Anchor
	for begin, i := 0, 0; i < len(certs); i++ {
		if problem := caProblem(certs[i], i-begin); problem != "" {
			return nil, &FileError{name, fmt.Sprintf("certificate %d, %q, %s", i+1, bounded(certs[i].Subject.String()), problem)}
		}
		switch {
		case selfSigned(certs[i]):
			out = append(out, Anchor(certs[begin:i+1:i+1]))
			begin = i + 1
		case i+1 == len(certs):
			return nil, &FileError{name, fmt.Sprintf("ends with %q, which is not self-signed: the chain must go on with its issuer %q up to the self-signed root, "+
				"which hosts need to trust it", bounded(certs[i].Subject.String()), bounded(certs[i].Issuer.String()))}
		case i+1-begin >= maxChain:
			return nil, &FileError{name, fmt.Sprintf("has a chain of more than %d certificates", maxChain)}
		default:
			if err := certs[i].CheckSignatureFrom(certs[i+1]); err != nil {
				return nil, &FileError{name, fmt.Sprintf("certificate %d, %q, is not signed by the one after it, %q (%v): put the issuing certificate first, "+
					"then its issuer, and so on up to the self-signed root", i+1, bounded(certs[i].Subject.String()), bounded(certs[i+1].Subject.String()), err)}
			}
		}
	}
	return out, nil
}

// caProblem says why a certificate cannot issue others with below certificates between it and
// a leaf; empty when it can.
func caProblem(c *x509.Certificate, below int) string {
	switch key := c.PublicKey.(type) {
	case *rsa.PublicKey:
		if key.N.BitLen() < minRSABits {
			return fmt.Sprintf("has an RSA key of %d bits, want %d or more", key.N.BitLen(), minRSABits)
		}
	case *ecdsa.PublicKey:
	default:
		return fmt.Sprintf("has a key of a kind that hosts do not know (%T), want RSA or ECDSA", key)
	}
	switch {
	case !c.IsCA || !c.BasicConstraintsValid:
		return "is not a CA certificate (basicConstraints CA:TRUE)"
	case c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageCertSign == 0:
		return "may not sign certificates (keyUsage without keyCertSign)"
	case len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) > 0 && !slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny) &&
		(!slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageServerAuth) || !slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageClientAuth)):
		return "limits what it signs by an extendedKeyUsage without serverAuth and clientAuth"
	case (c.MaxPathLen > 0 || c.MaxPathLenZero) && c.MaxPathLen < below:
		return fmt.Sprintf("allows %d CA certificates below it (pathlen), and there are %d", c.MaxPathLen, below)
	}
	return ""
}

func selfSigned(c *x509.Certificate) bool {
	return bytes.Equal(c.RawSubject, c.RawIssuer) && c.CheckSignatureFrom(c) == nil
}

// anchor is an Anchor with its key; the key is nil where it is not held.
type anchor struct {
	Anchor
	key crypto.Signer
}

// trust is who may issue certificates. It never changes; another one replaces it.
type trust struct {
	// active signs, next will; next is empty but while the CA is rotated and its key is here.
	active, next anchor
	// others are trusted as well: the next one where its key is not here, the retiring one.
	others []Anchor
	// roots holds all issuing certificates. None that a peer sends is ever added.
	roots *x509.CertPool
}

func newTrust(active, next anchor, others []Anchor) *trust {
	t := &trust{active: active, next: next, roots: x509.NewCertPool()}
	known := map[string]bool{active.Fingerprint(): true}
	if next.Anchor != nil {
		known[next.Fingerprint()] = true
	}
	for _, o := range others {
		if !known[o.Fingerprint()] {
			known[o.Fingerprint()] = true
			t.others = append(t.others, o)
		}
	}
	for _, a := range t.anchors() {
		t.roots.AddCert(a.Issuing())
	}
	return t
}

// anchors lists all that are trusted, the active one first.
func (t *trust) anchors() []Anchor {
	out := []Anchor{t.active.Anchor}
	if t.next.Anchor != nil {
		out = append(out, t.next.Anchor)
	}
	return append(out, t.others...)
}

// issuerOf returns the anchor that signed a certificate, nil for none. Who holds a certificate
// that merely says so has gained nothing: it is for certificates that were verified, and for refusals.
func (t *trust) issuerOf(c *x509.Certificate) Anchor {
	for _, a := range t.anchors() {
		if bytes.Equal(a.Issuing().RawSubject, c.RawIssuer) && c.CheckSignatureFrom(a.Issuing()) == nil {
			return a
		}
	}
	return nil
}

// pem is what hosts and clients are to trust: all chains, that of the active CA last. What
// bootstraps takes the last of a chain; a file may hold them in any order.
func (t *trust) pem() []byte {
	out := t.active.PEM()
	for _, a := range t.anchors()[1:] {
		out = append(out, a.PEM()...)
	}
	return out
}

// readAnchor reads a chain and the key of its first certificate, which may be missing.
func (a *Authority) readAnchor(name string) (anchor, error) {
	certPath, keyPath := a.path(name+certSuffix), a.path(name+keySuffix)
	text, err := os.ReadFile(certPath)
	if err != nil {
		return anchor{}, err
	}
	key, err := readKey(keyPath)
	if errors.Is(err, os.ErrNotExist) {
		key, err = nil, nil
	}
	if err != nil {
		return anchor{}, err
	}
	chains, err := ParseAnchors(certPath, text)
	if err != nil {
		return anchor{}, err
	}
	if len(chains) != 1 {
		return anchor{}, &FileError{certPath, fmt.Sprintf("holds %d chains, want one: the issuing certificate, then its issuers up to the self-signed root", len(chains))}
	}
	if key != nil && !sameKey(chains[0].Issuing(), key) {
		return anchor{}, &FileError{keyPath, fmt.Sprintf("is not the key of %s, whose first certificate is %q", certPath, bounded(chains[0].Issuing().Subject.String()))}
	}
	return anchor{chains[0], key}, checkChainValidity(certPath, chains[0], a.opts.Now())
}

func checkChainValidity(path string, chain Anchor, now time.Time) error {
	for _, c := range chain {
		if err := checkValidity(path, c, now); err != nil {
			return err
		}
	}
	return nil
}

// parseCertificates returns the certificates of PEM text, at least one.
func parseCertificates(name string, data []byte) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, &FileError{name, fmt.Sprintf("holds a PEM %q, want only CERTIFICATE", block.Type)}
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, &FileError{name, err.Error()}
		}
		certs = append(certs, cert)
	}
	if len(certs) == 0 {
		return nil, &FileError{name, "holds no PEM certificate"}
	}
	if len(bytes.TrimSpace(data)) > 0 {
		return nil, &FileError{name, "holds something after the last PEM certificate"}
	}
	return certs, nil
}
