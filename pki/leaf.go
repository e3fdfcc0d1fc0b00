package pki

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"slices"
)

// leaf loads NAME.pem and NAME.key, and issues what is missing, outdated or due.
// A key is written before its certificate, and a renewal keeps the key, so that one
// rename replaces the pair whatever happens in between.
func (a *Authority) leaf(t *trust, name string, spec leafSpec) (*tls.Certificate, error) {
	key, err := readKey(a.path(name + keySuffix))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	certs, err := readCertificates(a.path(name + certSuffix))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	switch {
	case len(certs) == 0 && t.active.key == nil:
		return nil, &FileError{a.path(name + certSuffix), "is missing, and there is no ca.key to make it with: have another node issue it"}
	case len(certs) == 0:
		return a.makeLeaf(t, name, spec, key)
	case key == nil:
		return nil, &FileError{a.path(name + keySuffix), fmt.Sprintf("is missing, but %s is there: restore it, or remove %[1]s to have both made anew", name+certSuffix)}
	}
	return a.checkLeaf(t, name, spec, credential{certs[0], key})
}

// makeLeaf issues a certificate for the key, or for a new one, and stores it.
func (a *Authority) makeLeaf(t *trust, name string, spec leafSpec, key crypto.Signer) (*tls.Certificate, error) {
	if key == nil {
		var err error
		if key, err = spec.newKey(); err != nil {
			return nil, err
		}
		if err := a.writeKey(name, key); err != nil {
			return nil, err
		}
	}
	template, err := spec.template(a.opts.Now())
	if err != nil {
		return nil, err
	}
	cert, err := t.active.sign(template, key.Public())
	if err != nil {
		return nil, err
	}
	if err := a.writeLeaf(name, cert, t.active.Anchor); err != nil {
		return nil, err
	}
	return presented(cert, key, t.active.Anchor), nil
}

// writeLeaf stores a certificate with its chain.
func (a *Authority) writeLeaf(name string, cert *x509.Certificate, issuer Anchor) error {
	return writeFile(a.path(name+certSuffix), append(encodeCertificates(cert), issuer.PEM()...), certMode)
}

// checkLeaf refuses a certificate that cannot be meant for this node and renews one
// that is due, or says other things than it should.
func (a *Authority) checkLeaf(t *trust, name string, spec leafSpec, c credential) (*tls.Certificate, error) {
	now, path, issues := a.opts.Now(), a.path(name+certSuffix), t.active.key != nil
	if !sameKey(c.cert, c.key) {
		return nil, &FileError{a.path(name + keySuffix), fmt.Sprintf("is not the key of %s: restore the right one, or remove both to have them made anew", name+certSuffix)}
	}
	issuer := t.issuerOf(c.cert)
	if issuer == nil {
		return nil, &FileError{path, fmt.Sprintf("is not signed by %s: restore the right one, or remove it to have it made anew", nameCA+certSuffix)}
	}
	id, err := IdentityOf(c.cert)
	if err != nil {
		return nil, &FileError{path, err.Error()}
	}
	moved := issuer.Fingerprint() != t.active.Fingerprint()
	switch {
	case id.Kind != spec.id.Kind:
		return nil, &FileError{path, fmt.Sprintf("names %s, want %s", id, spec.id)}
	case !issues && id.Name != spec.id.Name:
		return nil, &FileError{path, fmt.Sprintf("names %s, but this is %s, and there is no ca.key to issue another with", id, spec.id)}
	case issues && (moved || a.due(c.cert, t.active.Issuing()) || id != spec.id || !spec.covered(c.cert)):
		return a.makeLeaf(t, name, spec, c.key)
	}
	if err := checkUsage(path, c.cert, spec.id.Kind); err != nil {
		return nil, err
	}
	if err := checkValidity(path, c.cert, now); err != nil {
		return nil, err
	}
	return presented(c.cert, c.key, issuer), nil
}

// checkUsage refuses a certificate that others could not take for what it is to be.
func checkUsage(path string, c *x509.Certificate, kind Kind) error {
	if missing := missingUsage(c, kind); missing != "" {
		return &FileError{path, fmt.Sprintf("is of no use for a %s: its extendedKeyUsage lacks %s", kind, missing)}
	}
	return nil
}

// due says whether less than a third of the certificate's life is left, unless it
// ends with the root anyway, for then a new one would end at the same time. One that
// is not valid yet was made while the clock was wrong.
func (a *Authority) due(cert, issuer *x509.Certificate) bool {
	if now := a.opts.Now(); now.Before(cert.NotBefore) {
		return !now.Before(issuer.NotBefore)
	}
	if !cert.NotAfter.Before(issuer.NotAfter) {
		return false
	}
	life := cert.NotAfter.Sub(cert.NotBefore)
	return cert.NotAfter.Sub(a.opts.Now()) < life/3
}

// covered says whether the certificate has all the names that it should.
func (s leafSpec) covered(cert *x509.Certificate) bool {
	if s.id.Kind != KindNode {
		return true
	}
	ips, names, err := addressNames(s.addresses)
	if err != nil {
		return false
	}
	for _, ip := range ips {
		if !slices.ContainsFunc(cert.IPAddresses, func(have net.IP) bool { return have.Equal(ip) }) {
			return false
		}
	}
	for _, name := range names {
		if !slices.Contains(cert.DNSNames, name) {
			return false
		}
	}
	return true
}
