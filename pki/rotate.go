package pki

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// The files of a rotation: the next CA's chain and key, where that is held, and the chains of
// all other CAs that are trusted meanwhile.
const (
	nameNext    = "next"
	nameTrusted = "trusted"
	// nameRetired is the key of the CA before, where another node holds that of the next one.
	nameRetired = "retired"
)

// readOthers reads the chains of the other CAs that are trusted. Without a rotation there are none.
func (a *Authority) readOthers() ([]Anchor, error) {
	path := a.path(nameTrusted + certSuffix)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return ParseAnchors(path, text)
}

// finishSwitch completes a switch to the next CA that was interrupted: its key is in place first.
func (a *Authority) finishSwitch() error {
	next, err := readCertificates(a.path(nameNext + certSuffix))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	key, err := readKey(a.path(nameCA + keySuffix))
	if errors.Is(err, fs.ErrNotExist) || err == nil && !sameKey(next[0], key) {
		return nil
	}
	if err != nil {
		return err
	}
	return os.Rename(a.path(nameNext+certSuffix), a.path(nameCA+certSuffix))
}

// PrepareNext makes the next CA, or takes the one that the operator has put into next.pem and
// next.key, or that was made before. It is trusted at once, and signs for hosts and clients.
// Errors: [ErrNoCAKey], [*FileError].
func (a *Authority) PrepareNext() (Anchor, error) {
	a.renewing.Lock()
	defer a.renewing.Unlock()
	p := a.present.Load()
	if p.active.key == nil {
		return nil, fmt.Errorf("making the next CA: %w", ErrNoCAKey)
	}
	if p.next.key == nil {
		if err := a.makeNext(); err != nil {
			return nil, err
		}
		if _, err := a.reload(); err != nil {
			return nil, err
		}
	}
	next := a.present.Load().next
	if next.Fingerprint() == p.active.Fingerprint() {
		return nil, &FileError{a.path(nameNext + certSuffix), "is the present CA"}
	}
	return next.Anchor, nil
}

func (a *Authority) makeNext() error {
	unlock, err := lockDir(a.dir)
	if err != nil {
		return err
	}
	defer unlock()
	next, err := a.readAnchor(nameNext)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		_, err = a.createRoot(nameNext)
		return err
	case err == nil && next.key == nil:
		return &FileError{a.path(nameNext + keySuffix), "is missing: put the key of next.pem's first certificate there, or remove next.pem to have both made"}
	}
	return err
}

// SetAnchors says which CAs there are: the one that issues, and which others are trusted. What
// this directory holds of others goes; a CA whose key is here as the next one takes the place of the
// present one. It may be interrupted at any point and is then repeated. Connections are not touched.
//
// Errors: [*FileError] and those of files; then everything is as before.
func (a *Authority) SetAnchors(active Anchor, others []Anchor) error {
	a.renewing.Lock()
	defer a.renewing.Unlock()
	if a.agrees(active, others) {
		return nil
	}
	if err := a.keepsOwn(active, others); err != nil {
		return err
	}
	unlock, err := lockDir(a.dir)
	if err != nil {
		return err
	}
	if len(others) == 0 {
		// Before the rest: once that is done there is no second time.
		if err := os.Remove(a.path(nameRetired + keySuffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			unlock()
			return err
		}
	}
	err = errors.Join(a.trustAll(active, others), a.activate(active), a.dropNext(active, others))
	unlock()
	if err != nil {
		return err
	}
	_, err = a.reload()
	return err
}

// keepsOwn refuses to forget the CA of this node's own certificate while another node has yet to renew it.
func (a *Authority) keepsOwn(active Anchor, others []Anchor) error {
	p := a.present.Load()
	if p.next.key != nil && p.next.Fingerprint() == active.Fingerprint() || p.active.key != nil && p.active.Fingerprint() == active.Fingerprint() {
		return nil // it is made here
	}
	issuer := p.issuerOf(p.node.Leaf)
	for _, kept := range append([]Anchor{active}, others...) {
		if issuer != nil && kept.Fingerprint() == issuer.Fingerprint() {
			return nil
		}
	}
	return &FileError{a.path(nameNode + certSuffix), "is of a CA that is to be trusted no longer, and must be renewed first"}
}

// agrees says whether these are the CAs in use already.
func (a *Authority) agrees(active Anchor, others []Anchor) bool {
	t := a.present.Load().trust
	if t.active.Fingerprint() != active.Fingerprint() {
		return false
	}
	known := map[string]bool{active.Fingerprint(): true}
	for _, o := range others {
		known[o.Fingerprint()] = true
	}
	for _, have := range t.anchors() {
		if !known[have.Fingerprint()] {
			return false
		}
		delete(known, have.Fingerprint())
	}
	return len(known) == 0
}

// trustAll writes down all CAs: whatever is done next, none of them is forgotten.
func (a *Authority) trustAll(active Anchor, others []Anchor) error {
	text := active.PEM()
	for _, o := range others {
		text = append(text, o.PEM()...)
	}
	return writeFile(a.path(nameTrusted+certSuffix), text, certMode)
}

// activate puts another CA in the place of the one that issues, and its key, if it is here. The key comes first; see
// finishSwitch. A key that belongs to the CA before is kept aside until that is trusted no longer.
func (a *Authority) activate(active Anchor) error {
	t := a.present.Load().trust
	if t.active.Fingerprint() == active.Fingerprint() {
		return nil
	}
	if t.next.key != nil && t.next.Fingerprint() == active.Fingerprint() {
		if err := os.Rename(a.path(nameNext+keySuffix), a.path(nameCA+keySuffix)); err != nil {
			return err
		}
		return os.Rename(a.path(nameNext+certSuffix), a.path(nameCA+certSuffix))
	}
	err := os.Rename(a.path(nameCA+keySuffix), a.path(nameRetired+keySuffix))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return writeFile(a.path(nameCA+certSuffix), active.PEM(), certMode)
}

// dropNext removes a next CA that there is none of any more.
func (a *Authority) dropNext(active Anchor, others []Anchor) error {
	next := a.present.Load().next
	if next.Anchor == nil || next.Fingerprint() == active.Fingerprint() {
		return nil
	}
	for _, o := range others {
		if o.Fingerprint() == next.Fingerprint() {
			return nil
		}
	}
	return errors.Join(os.Remove(a.path(nameNext+certSuffix)), os.Remove(a.path(nameNext+keySuffix)))
}
