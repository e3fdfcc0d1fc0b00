package pki

import (
	"crypto"
	"crypto/x509"
	"fmt"
	"path/filepath"
)

// Own lists the certificates that this directory presents, without their chains.
func (a *Authority) Own() []*x509.Certificate {
	p := a.present.Load()
	out := []*x509.Certificate{p.node.Leaf}
	if p.admin != nil {
		out = append(out, p.admin.Leaf)
	}
	return out
}

// Refused says why the others accept this node's own certificate no longer, as far as this node knows: nil while they do.
// Errors: [*PeerError].
func (a *Authority) Refused() error {
	p := a.present.Load()
	return a.checkRevoked(p.trust, p.node.Leaf, "one that is not revoked")
}

// Renewal says whether this node's certificate has to be renewed by another one, as there is no CA
// key here: it is in the last third of its life, or of a CA that retires. The request is for the key that it has.
func (a *Authority) Renewal() (csr []byte, due bool, err error) {
	p := a.present.Load()
	if p.active.key != nil {
		return nil, false, nil
	}
	issuer := p.issuerOf(p.node.Leaf)
	if issuer != nil && issuer.Fingerprint() == p.active.Fingerprint() && !a.due(p.node.Leaf, issuer.Issuing()) {
		return nil, false, nil
	}
	if a.Refused() != nil {
		return nil, false, nil // nobody answers who presents it
	}
	csr, err = requestFor(p.node.PrivateKey.(crypto.Signer))
	return csr, true, err
}

// Install takes a certificate into use that another node has made for this one: the first of the PEM text. One that is
// not for this node's key, or is somebody else's, is refused, and the old one stays.
// Errors: [*FileError].
func (a *Authority) Install(certPEM []byte) error {
	a.renewing.Lock()
	defer a.renewing.Unlock()
	p := a.present.Load()
	certs, err := parseCertificates("the new certificate", certPEM)
	if err != nil {
		return err
	}
	issuer := p.issuerOf(certs[0])
	refused := func(why string) error { return &FileError{"the new certificate", why} }
	switch id, err := IdentityOf(certs[0]); {
	case err != nil:
		return refused(err.Error())
	case issuer == nil:
		return refused("is not signed by a CA that is trusted here")
	case id != a.nodeSpec().id:
		return refused(fmt.Sprintf("names %s, and this is %s", id, a.nodeSpec().id))
	case !sameKey(certs[0], p.node.PrivateKey.(crypto.Signer)):
		return refused("is not for the key of this node")
	}
	if err := checkValidity("the new certificate", certs[0], a.opts.Now()); err != nil {
		return err
	}
	unlock, err := lockDir(a.dir)
	if err != nil {
		return err
	}
	err = a.writeLeaf(nameNode, certs[0], issuer)
	unlock()
	if err != nil {
		return err
	}
	_, err = a.reload()
	return err
}

// NodeOf is the id in the certificate of the node whose directory this is. Errors: fs.ErrNotExist where there is none yet, [*FileError].
func NodeOf(dir string) (string, error) {
	path := filepath.Join(dir, nameNode+certSuffix)
	certs, err := readCertificates(path)
	if err != nil {
		return "", err
	}
	id, err := IdentityOf(certs[0])
	if err == nil && id.Kind != KindNode {
		err = fmt.Errorf("names %s, want a node", id)
	}
	if err != nil {
		return "", &FileError{path, err.Error()}
	}
	return id.Name, nil
}
