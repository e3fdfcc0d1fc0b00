package pki

import (
	"crypto"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"time"
)

func (a *Authority) nodeSpec() leafSpec {
	return leafSpec{
		id:        Identity{Kind: KindNode, Name: a.opts.NodeID},
		addresses: a.opts.Addresses, life: lifeNode, newKey: newRSAKey,
	}
}

func (a *Authority) adminSpec() leafSpec {
	return leafSpec{id: Identity{Kind: KindClient, Name: nameAdmin, Role: RolePoolAdmin}, life: lifeAdmin, newKey: newECKey}
}

// loadLeaves loads or makes the leaf certificates.
func (a *Authority) loadLeaves(t *trust) (_ *present, err error) {
	out := &present{trust: t}
	if out.node, err = a.leaf(t, nameNode, a.nodeSpec()); err != nil {
		return nil, err
	}
	if key := out.node.PrivateKey; !isRSA(key) {
		return nil, &FileError{a.path(nameNode + keySuffix), fmt.Sprintf("is no RSA key (%T), which hosts need", key)}
	}
	if t.active.key == nil && !a.hasAdmin(t) {
		return out, nil
	}
	out.admin, err = a.leaf(t, nameAdmin, a.adminSpec())
	if err != nil && t.active.key == nil && a.present.Load() != nil {
		return out, nil // its CA is gone, and none here makes another; the node does without
	}
	return out, err
}

// hasAdmin says whether there is a local administrator's certificate of a CA that is trusted. One of a CA that was replaced is
// left over on a node that held its key.
func (a *Authority) hasAdmin(t *trust) bool {
	certs, err := readCertificates(a.path(nameAdmin + certSuffix))
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist) // what is wrong is said when it is loaded
	}
	return t.issuerOf(certs[0]) != nil
}

func isRSA(key crypto.PrivateKey) bool {
	_, ok := key.(*rsa.PrivateKey)
	return ok
}

// presented is a leaf with its chain up to the root. Open vSwitch's bootstrap
// stores the last certificate of the chain as its CA, so the root must be in it.
func presented(leaf *x509.Certificate, key crypto.Signer, issuer Anchor) *tls.Certificate {
	out := &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
	for _, c := range issuer {
		out.Certificate = append(out.Certificate, c.Raw)
	}
	return out
}

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

// replaceLeaf makes key and certificate anew: whoever has the key of a certificate that was revoked is not to have that of the next
// one. The certificate goes first, as a key alone is made use of.
func (a *Authority) replaceLeaf(t *trust, name string, spec leafSpec) (*tls.Certificate, error) {
	if err := errors.Join(os.Remove(a.path(name+certSuffix)), os.Remove(a.path(name+keySuffix))); err != nil {
		return nil, err
	}
	return a.makeLeaf(t, name, spec, nil)
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
	case issues && id.Kind == spec.id.Kind && a.checkRevoked(t, c.cert, "one that is not revoked") != nil:
		return a.replaceLeaf(t, name, spec)
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
	return InLastThird(cert, a.opts.Now())
}

// LastThird is when the last third of a certificate's life begins, in which it is renewed.
func LastThird(c *x509.Certificate) time.Time {
	return c.NotAfter.Add(-c.NotAfter.Sub(c.NotBefore) / 3)
}

// InLastThird says whether less than a third of a certificate's life is left.
func InLastThird(c *x509.Certificate, at time.Time) bool { return at.After(LastThird(c)) }

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
