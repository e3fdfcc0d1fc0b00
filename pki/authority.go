package pki

import (
	"crypto"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// The names of the files, without suffix.
const (
	nameCA    = "ca"
	nameNode  = "node"
	nameAdmin = "admin"
)

// Options say how a directory is opened.
type Options struct {
	// NodeID is this node's id: 1 to 64 letters, digits, '.', '_', '@' or '-'. Required.
	NodeID string
	// Addresses are the IP addresses and DNS names by which clients and nodes reach
	// this one, without ports. The loopback's are always included.
	Addresses []string
	// NoCreate makes Open fail with [ErrNotInitialised] where there is no CA yet: a
	// node that joins others must be given its certificate (IssueNode), for a CA of
	// its own would be worth nothing to them.
	NoCreate bool
	// LegacyCiphers also offers RSA key exchange to hosts (TLS 1.2, without forward
	// secrecy): all that the ovsdb-server of XCP-ng 8.3 accepts.
	LegacyCiphers bool
	// Now is the clock; nil for time.Now.
	Now func() time.Time
}

// Authority is an open directory. Its methods may be called from several goroutines.
type Authority struct {
	dir   string
	opts  Options
	root  credential
	roots *x509.CertPool

	renewing sync.Mutex
	// node and admin are replaced by Renew while connections are made with them.
	node, admin atomic.Pointer[tls.Certificate]
}

// Open loads the directory. Where there is nothing yet it makes a CA, a certificate
// for this node and one for a local admin: an interrupted first start is finished by
// the next. Certificates in the last third of their life, and those that are not
// valid yet, are renewed, and so is this node's when NodeID or Addresses changed.
//
// Errors: [ErrNotInitialised], [*PermissionError], [*FileError], [*ValidityError],
// [*InputError].
func Open(dir string, opts Options) (*Authority, error) {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	a := &Authority{dir: dir, opts: opts}
	if _, err := a.nodeSpec().template(opts.Now()); err != nil {
		return nil, err
	}
	if opts.NoCreate && !a.exists(nameCA+certSuffix) {
		return nil, fmt.Errorf("%s: %w; copy ca.pem, node.pem and node.key of this node there", dir, ErrNotInitialised)
	}
	if err := prepareDir(dir); err != nil {
		return nil, err
	}
	unlock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := a.openRoot(); err != nil {
		return nil, err
	}
	if _, err := a.refresh(); err != nil {
		return nil, err
	}
	return a, nil
}

// Dir is the directory.
func (a *Authority) Dir() string { return a.dir }

// CAPEM is the root certificate in PEM: the content of ca.pem.
func (a *Authority) CAPEM() []byte { return encodeCertificates(a.root.cert) }

// CanIssue says whether this node holds the CA's key.
func (a *Authority) CanIssue() bool { return a.root.key != nil }

// Expiry is when one of the directory's certificates ends.
type Expiry struct {
	// Name is "ca", "node" or "admin".
	Name string
	// Subject is the certificate's subject.
	Subject string
	// NotAfter is its last moment.
	NotAfter time.Time
}

// Expiries lists the directory's certificates: ca, node and, where there is one, admin.
func (a *Authority) Expiries() []Expiry {
	list := []Expiry{{nameCA, a.root.cert.Subject.String(), a.root.cert.NotAfter}}
	if c := a.node.Load(); c != nil {
		list = append(list, Expiry{nameNode, c.Leaf.Subject.String(), c.Leaf.NotAfter})
	}
	if c := a.admin.Load(); c != nil {
		list = append(list, Expiry{nameAdmin, c.Leaf.Subject.String(), c.Leaf.NotAfter})
	}
	return list
}

// Renew reads the directory again and renews what is in the last third of its
// life, or not valid yet. It returns the names of the certificates that changed;
// connections made from then on use them. To be called from time to time, say every
// minute: it costs little while nothing is due.
func (a *Authority) Renew() ([]string, error) {
	a.renewing.Lock()
	defer a.renewing.Unlock()
	unlock, err := lockDir(a.dir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	return a.refresh()
}

func (a *Authority) path(file string) string { return filepath.Join(a.dir, file) }

func (a *Authority) exists(file string) bool {
	_, err := os.Stat(a.path(file))
	return err == nil
}

// openRoot loads the CA or makes it. The key is written before the certificate, so
// a key alone is an unfinished first start, unless there are certificates already.
func (a *Authority) openRoot() error {
	now := a.opts.Now()
	certPath, keyPath := a.path(nameCA+certSuffix), a.path(nameCA+keySuffix)
	key, err := readKey(keyPath)
	if errors.Is(err, fs.ErrNotExist) {
		key, err = nil, nil
	}
	if err != nil {
		return err
	}
	certs, err := readCertificates(certPath)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		for _, f := range []string{nameNode + certSuffix, nameAdmin + certSuffix} {
			if a.exists(f) {
				return &FileError{certPath, "is missing, but " + f + " is there: restore it, or empty the directory for a new CA that every host must be told of"}
			}
		}
		return a.createRoot(key, now)
	case err != nil:
		return err
	}
	root := certs[0]
	switch {
	case len(certs) != 1:
		return &FileError{certPath, fmt.Sprintf("holds %d certificates, want the root alone", len(certs))}
	case !root.IsCA || root.CheckSignatureFrom(root) != nil:
		return &FileError{certPath, "is not a self-signed CA certificate, which hosts need to trust it"}
	case key != nil && !sameKey(root, key):
		return &FileError{keyPath, "is not the key of " + certPath}
	}
	a.setRoot(credential{root, key})
	return checkValidity(certPath, root, now)
}

func (a *Authority) createRoot(key crypto.Signer, now time.Time) (err error) {
	if key == nil {
		if key, err = newRSAKey(); err != nil {
			return err
		}
		if err := a.writeKey(nameCA, key); err != nil {
			return err
		}
	}
	cert, err := selfSign(key, now)
	if err != nil {
		return err
	}
	if err := writeFile(a.path(nameCA+certSuffix), encodeCertificates(cert), certMode); err != nil {
		return err
	}
	a.setRoot(credential{cert, key})
	return nil
}

func (a *Authority) setRoot(c credential) {
	a.root, a.roots = c, x509.NewCertPool()
	a.roots.AddCert(c.cert)
}

func (a *Authority) writeKey(name string, key crypto.Signer) error {
	data, err := encodeKey(key)
	if err != nil {
		return err
	}
	return writeFile(a.path(name+keySuffix), data, keyMode)
}

func checkValidity(path string, cert *x509.Certificate, now time.Time) error {
	if now.Before(cert.NotBefore) || now.After(cert.NotAfter) {
		return &ValidityError{Path: path, NotBefore: cert.NotBefore, NotAfter: cert.NotAfter, Now: now}
	}
	return nil
}

func (a *Authority) nodeSpec() leafSpec {
	return leafSpec{
		id:        Identity{Kind: KindNode, Name: a.opts.NodeID},
		addresses: a.opts.Addresses, life: lifeNode, newKey: newRSAKey,
	}
}

func (a *Authority) adminSpec() leafSpec {
	return leafSpec{id: Identity{Kind: KindClient, Name: nameAdmin, Role: RolePoolAdmin}, life: lifeAdmin, newKey: newECKey}
}

// refresh loads or makes the leaf certificates and returns the names of those that
// are not the ones in use before.
func (a *Authority) refresh() ([]string, error) {
	var changed []string
	put := func(name string, spec leafSpec, in *atomic.Pointer[tls.Certificate]) error {
		cert, err := a.leaf(name, spec)
		if err != nil {
			return err
		}
		if old := in.Load(); old == nil || !old.Leaf.Equal(cert.Leaf) {
			in.Store(cert)
			changed = append(changed, name)
		}
		return nil
	}
	if err := put(nameNode, a.nodeSpec(), &a.node); err != nil {
		return changed, err
	}
	if key := a.node.Load().PrivateKey; !isRSA(key) {
		return changed, &FileError{a.path(nameNode + keySuffix), fmt.Sprintf("is no RSA key (%T), which hosts need", key)}
	}
	if !a.CanIssue() && !a.exists(nameAdmin+certSuffix) {
		return changed, nil
	}
	return changed, put(nameAdmin, a.adminSpec(), &a.admin)
}

func isRSA(key crypto.PrivateKey) bool {
	_, ok := key.(*rsa.PrivateKey)
	return ok
}

// chain is what this node presents: the leaf and the root. Open vSwitch's bootstrap
// stores the last certificate of the chain as its CA, so the root must be in it.
func (a *Authority) chain(leaf *x509.Certificate, key crypto.Signer) *tls.Certificate {
	return &tls.Certificate{Certificate: [][]byte{leaf.Raw, a.root.cert.Raw}, PrivateKey: key, Leaf: leaf}
}
