package pki

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
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
	dir  string
	opts Options

	renewing sync.Mutex
	// present is what connections are made with. Renew replaces it as a whole, or not at all.
	present atomic.Pointer[present]
	// revoked judges certificates that were verified; nil while nobody does.
	revoked atomic.Pointer[func(issuer, serial string) error]
}

// present is what of the directory is in use.
type present struct {
	*trust
	node, admin *tls.Certificate // admin may be nil
}

// Open loads the directory. Where there is nothing yet it makes a CA, a certificate
// for this node and one for a local admin: an interrupted first start is finished by
// the next. Certificates in the last third of their life, and those that are not
// valid yet, are renewed, and so is this node's when NodeID or Addresses changed.
//
// The CA may be the operator's: ca.pem is then a chain as [Anchor] describes it, and ca.key the
// key of its first certificate. Without ca.key certificates are made elsewhere.
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
	_, err := a.Renew()
	if err != nil {
		return nil, err
	}
	return a, nil
}

// Dir is the directory.
func (a *Authority) Dir() string { return a.dir }

// CAPEM is what hosts and clients have to trust, in PEM: the content of ca.pem, and while the CA
// is rotated both CAs' chains.
func (a *Authority) CAPEM() []byte { return a.present.Load().pem() }

// Anchors lists the CAs that are trusted, the one that issues first.
func (a *Authority) Anchors() []Anchor { return a.present.Load().anchors() }

// CanIssue says whether this node holds the CA's key.
func (a *Authority) CanIssue() bool { return a.present.Load().active.key != nil }

// Expiry is when one of the directory's certificates ends.
type Expiry struct {
	// Name is "ca", "node" or "admin".
	Name string
	// Subject is the certificate's subject.
	Subject string
	// NotAfter is its last moment.
	NotAfter time.Time
}

// Expiries lists the directory's certificates: ca, node and, where there is one, admin. The ca's
// is the first of its chain that ends.
func (a *Authority) Expiries() []Expiry {
	p := a.present.Load()
	ends := p.active.Issuing()
	for _, c := range p.active.Anchor {
		if c.NotAfter.Before(ends.NotAfter) {
			ends = c
		}
	}
	list := []Expiry{{nameCA, ends.Subject.String(), ends.NotAfter}, {nameNode, p.node.Leaf.Subject.String(), p.node.Leaf.NotAfter}}
	if p.admin != nil {
		list = append(list, Expiry{nameAdmin, p.admin.Leaf.Subject.String(), p.admin.Leaf.NotAfter})
	}
	return list
}

// Renew reads the directory again and renews what is in the last third of its
// life, or not valid yet. It returns the names of the certificates that changed;
// connections made from then on use them, those there are go on. What cannot be used, all
// of it, leaves in use what was before. To be called from time to time, say every
// minute: it costs little while nothing is due.
func (a *Authority) Renew() ([]string, error) {
	a.renewing.Lock()
	defer a.renewing.Unlock()
	return a.reload()
}

// reload requires renewing.
func (a *Authority) reload() ([]string, error) {
	unlock, err := lockDir(a.dir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	t, err := a.loadTrust()
	if err != nil {
		return nil, err
	}
	now, err := a.loadLeaves(t)
	if err != nil {
		return nil, err
	}
	was := a.present.Swap(now)
	return changed(was, now), nil
}

// changed names the certificates that differ.
func changed(was, now *present) (names []string) {
	if was == nil {
		was = &present{trust: &trust{}}
	}
	if !slices.EqualFunc(was.active.Anchor, now.active.Anchor, (*x509.Certificate).Equal) {
		names = append(names, nameCA)
	}
	for _, c := range []struct {
		name     string
		was, now *tls.Certificate
	}{{nameNode, was.node, now.node}, {nameAdmin, was.admin, now.admin}} {
		if c.now != nil && (c.was == nil || !c.was.Leaf.Equal(c.now.Leaf)) {
			names = append(names, c.name)
		}
	}
	return names
}

func (a *Authority) path(file string) string { return filepath.Join(a.dir, file) }

func (a *Authority) exists(file string) bool {
	_, err := os.Stat(a.path(file))
	return err == nil
}

// loadTrust loads the CA or makes it. The key is written before the certificate, so
// a key alone is an unfinished first start, unless there are certificates already.
func (a *Authority) loadTrust() (*trust, error) {
	if err := a.finishSwitch(); err != nil {
		return nil, err
	}
	active, err := a.readAnchor(nameCA)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		for _, f := range []string{nameNode + certSuffix, nameAdmin + certSuffix} {
			if a.exists(f) {
				return nil, &FileError{a.path(nameCA + certSuffix), "is missing, but " + f + " is there: restore it, or empty the directory for a new CA that every host must be told of"}
			}
		}
		if active, err = a.createRoot(nameCA); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, err
	}
	next, err := a.readAnchor(nameNext)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if next.key == nil {
		next = anchor{}
	}
	others, err := a.readOthers()
	if err != nil {
		return nil, err
	}
	return newTrust(active, next, others), nil
}

// createRoot makes a CA for the key that is there, or for a new one.
func (a *Authority) createRoot(name string) (anchor, error) {
	key, err := readKey(a.path(name + keySuffix))
	if errors.Is(err, fs.ErrNotExist) {
		if key, err = newECKey(); err == nil {
			err = a.writeKey(name, key)
		}
	}
	if err != nil {
		return anchor{}, err
	}
	cert, err := selfSign(key, a.opts.Now())
	if err != nil {
		return anchor{}, err
	}
	if err := writeFile(a.path(name+certSuffix), encodeCertificates(cert), certMode); err != nil {
		return anchor{}, err
	}
	return anchor{Anchor{cert}, key}, nil
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
