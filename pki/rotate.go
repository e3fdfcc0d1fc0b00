package pki

import (
	"errors"
	"io/fs"
	"os"
)

// The files of a rotation: the next CA's chain and key, where that is held, and the chains of
// all other CAs that are trusted meanwhile.
const (
	nameNext    = "next"
	nameTrusted = "trusted"
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
