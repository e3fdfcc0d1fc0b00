package secrets

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// Sources are where a node's keys can be. Exactly one may be there: which of two was meant nobody knows, and
// the wrong one opens nothing.
type Sources struct {
	// Environment holds the keys themselves, as lines of a key file; commas end lines too.
	Environment Secret
	// Credential is the path of a key file that the service manager has put there; empty for none.
	Credential string
	// File is the path of the key file. It need not exist where one of the others is there.
	File string
	// Create makes File with a new key when there is no source at all.
	Create Creation
}

// Creation says whether a missing key file is made.
type Creation int

// The ways to treat a key file that is not there.
const (
	// MustExist refuses it.
	MustExist Creation = iota
	// MayCreate makes it.
	MayCreate
)

// ErrTwoSources says that keys are given in more than one way.
var ErrTwoSources = errors.New("the keys that seal secrets are given twice")

// Load opens the keys of the one source that is there.
func Load(s Sources) (*Keyring, error) {
	var given []string
	if !s.Environment.IsZero() {
		given = append(given, "in the environment")
	}
	if s.Credential != "" {
		given = append(given, "by systemd as "+s.Credential)
	}
	if _, err := os.Lstat(s.File); err == nil {
		given = append(given, "in "+s.File)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	switch {
	case len(given) > 1:
		return nil, fmt.Errorf("%w, %s: leave one", ErrTwoSources, strings.Join(given, " and "))
	case !s.Environment.IsZero():
		r, err := parse("the environment", []byte(strings.ReplaceAll(s.Environment.Reveal(), ",", "\n")))
		if err != nil {
			return nil, err
		}
		k := &Keyring{}
		k.ring.Store(r)
		return k, nil
	case s.Credential != "":
		return Open(s.Credential, false)
	}
	return Open(s.File, s.Create == MayCreate)
}
