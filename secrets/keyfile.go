package secrets

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"poolwire/privatefile"
)

// fileHead begins a key file.
const fileHead = "# Seals the secrets in the store. Every node of the cluster needs this file; keep it apart from backups.\n"

// Open reads a key file: one key per line, 32 bytes in base64, the first of which seals; empty
// lines and what follows # are passed over. The file must not be readable by others than
// its owner. With create, a file that is not there is made with one new key.
func Open(path string, create bool) (*Keyring, error) {
	k := &Keyring{path: path}
	_, err := k.Reload()
	if create && errors.Is(err, fs.ErrNotExist) {
		if err := createFile(path); err != nil {
			return nil, err
		}
		_, err = k.Reload()
	}
	if err != nil {
		return nil, err
	}
	return k, nil
}

// Reload reads the key file again, and reports whether it has other keys than before. After an error the
// keys are as they were. Keys that are not from a file never change.
func (k *Keyring) Reload() (changed bool, err error) {
	if k.path == "" {
		return false, nil
	}
	data, err := privatefile.Read(k.path, maxFile)
	if err != nil {
		return false, err
	}
	r, err := parse("key file "+k.path, data)
	if err != nil {
		return false, err
	}
	was := k.ring.Load()
	if was != nil && slices.EqualFunc(was.keys, r.keys, func(a, b envelopeKey) bool { return a.id == b.id }) {
		return false, nil
	}
	if was != nil {
		// Whether everybody has the new first key is not known yet: the one in use goes on while it is there.
		r.seals = max(0, r.index(was.keys[was.seals].name()))
	}
	k.ring.Store(r)
	return true, nil
}

// keyOfLine returns the key of a line of a key file; nil for a line without one.
func keyOfLine(line string) ([]byte, error) {
	text, _, _ := strings.Cut(line, "#")
	if text = strings.TrimSpace(text); text == "" {
		return nil, nil
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(raw) != keyBytes {
		return nil, fmt.Errorf("not %d bytes in base64", keyBytes)
	}
	return raw, nil
}

// parse reads keys. Errors name the source and the line, and nothing of what is in it.
func parse(source string, data []byte) (*ring, error) {
	r := &ring{}
	n := 0
	for line := range bytes.Lines(data) {
		n++
		raw, err := keyOfLine(string(line))
		if err != nil {
			return nil, fmt.Errorf("%s, line %d: %w", source, n, err)
		}
		if raw == nil {
			continue
		}
		key, err := newKey(raw)
		if err != nil {
			return nil, err
		}
		r.keys = append(r.keys, key)
	}
	switch {
	case len(r.keys) == 0:
		return nil, fmt.Errorf("%s holds no key", source)
	case len(r.keys) > maxKeys:
		return nil, fmt.Errorf("%s holds %d keys, at most %d are used", source, len(r.keys), maxKeys)
	}
	return r, nil
}

// createFile makes a file with a new key. Of two processes that do so at once one finds the other's.
func createFile(path string) error {
	line, _, err := newLine()
	if err != nil {
		return err
	}
	if err := privatefile.MakeDir(filepath.Dir(path)); err != nil {
		return err
	}
	if err := privatefile.Create(path, []byte(fileHead+line), 0o600); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// newLine is a line with a new key, and the key's id.
func newLine() (line, id string, err error) {
	raw := make([]byte, keyBytes)
	if _, err := rand.Read(raw); err != nil {
		return "", "", fmt.Errorf("making a key: %w", err)
	}
	key, err := newKey(raw)
	return base64.StdEncoding.EncodeToString(raw) + "\n", key.name(), err
}

// AddKey puts a new key in front of those of a key file, and returns its id.
func AddKey(path string) (id string, err error) {
	data, err := privatefile.Read(path, maxFile)
	if err != nil {
		return "", err
	}
	r, err := parse("key file "+path, data)
	if err != nil {
		return "", err
	}
	if len(r.keys) == maxKeys {
		return "", fmt.Errorf("key file %s holds %d keys: drop one that seals nothing first", path, maxKeys)
	}
	line, id, err := newLine()
	if err != nil {
		return "", err
	}
	var out []byte
	added := false
	for l := range bytes.Lines(data) {
		if raw, err := keyOfLine(string(l)); err == nil && raw != nil && !added {
			out, added = append(out, line...), true
		}
		out = append(out, l...)
	}
	return id, privatefile.Write(path, out)
}

// DropKey takes a key out of a key file. What it has sealed cannot be opened any more. Errors: [ErrNotThere], those of the file,
// and that it is the only one.
func DropKey(path, id string) error {
	data, err := privatefile.Read(path, maxFile)
	if err != nil {
		return err
	}
	r, err := parse("key file "+path, data)
	switch {
	case err != nil:
		return err
	case r.index(id) < 0:
		return fmt.Errorf("%q: %w %s; 'poolwired secrets list' shows those that are", id, ErrNotThere, path)
	case len(r.keys) == 1:
		return fmt.Errorf("key file %s holds no other key than %s", path, id)
	}
	var out []byte
	for l := range bytes.Lines(data) {
		if raw, err := keyOfLine(string(l)); err == nil && raw != nil {
			if key, err := newKey(raw); err == nil && key.name() == id {
				continue
			}
		}
		out = append(out, l...)
	}
	return privatefile.Write(path, out)
}
