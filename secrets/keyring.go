package secrets

import (
	"bufio"
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"poolwire/privatefile"
)

// Errors of a keyring.
var (
	// ErrUnknownKey: sealed with a key that the keyring does not have.
	ErrUnknownKey = errors.New("sealed with a key that is not in the key file")
	// ErrDamaged: not something sealed, or changed since, or sealed for something else.
	ErrDamaged = errors.New("sealed value is damaged, or belongs elsewhere")
)

const (
	keyBytes = 32 // AES-256
	idBytes  = 8  // of the key's hash, in front of what it has sealed
	version  = 1  // first byte of what is sealed
	maxKeys  = 16
	maxFile  = 1 << 16
)

// Keyring seals values and opens them again. Safe for concurrent use: it never changes.
//
// What is sealed looks like this, in bytes:
//
//	version (1) | id of the key (8) | nonce (12) | AES-256-GCM ciphertext and tag
type Keyring struct {
	keys []envelopeKey // the first one seals
}

type envelopeKey struct {
	id   [idBytes]byte
	aead cipher.AEAD
}

// Open reads a key file: one key per line, 32 bytes in base64, the first of which seals; empty
// lines and what follows # are passed over. The file must not be readable by others than
// its owner. With create, a file that is not there is made with one new key.
func Open(path string, create bool) (*Keyring, error) {
	data, err := privatefile.Read(path, maxFile)
	if create && errors.Is(err, fs.ErrNotExist) {
		if err := createFile(path); err != nil {
			return nil, err
		}
		data, err = privatefile.Read(path, maxFile)
	}
	if err != nil {
		return nil, err
	}
	return parse(path, data)
}

// createFile makes a file with a new key. Of two processes that do so at once one finds the other's.
func createFile(path string) error {
	key := make([]byte, keyBytes)
	if _, err := rand.Read(key); err != nil {
		return fmt.Errorf("making a key: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".secrets-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = fmt.Fprintf(f, "# Seals the secrets in the store. Every node of the cluster needs this file; keep it apart from backups.\n%s\n",
		base64.StdEncoding.EncodeToString(key))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	// A link, unlike a rename, does not replace a file that another process has made meanwhile.
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

func parse(path string, data []byte) (*Keyring, error) {
	k := &Keyring{}
	lines := bufio.NewScanner(bytes.NewReader(data))
	for n := 1; lines.Scan(); n++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		raw, err := base64.StdEncoding.DecodeString(text)
		if err != nil || len(raw) != keyBytes {
			return nil, fmt.Errorf("key file %s, line %d: not %d bytes in base64", path, n, keyBytes)
		}
		key, err := newKey(raw)
		if err != nil {
			return nil, err
		}
		k.keys = append(k.keys, key)
	}
	switch {
	case lines.Err() != nil:
		return nil, fmt.Errorf("key file %s: %w", path, lines.Err())
	case len(k.keys) == 0:
		return nil, fmt.Errorf("key file %s holds no key", path)
	case len(k.keys) > maxKeys:
		return nil, fmt.Errorf("key file %s holds %d keys, at most %d are used", path, len(k.keys), maxKeys)
	}
	return k, nil
}

func newKey(raw []byte) (envelopeKey, error) {
	block, err := aes.NewCipher(raw)
	if err != nil {
		return envelopeKey{}, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return envelopeKey{}, err
	}
	k := envelopeKey{aead: aead}
	sum := sha256.Sum256(append([]byte("poolwire key id\x00"), raw...))
	copy(k.id[:], sum[:])
	return k, nil
}

// Seal encrypts a secret so that only Open with the same purpose gets it back. A purpose says
// what the value is for ("psk of A and B"): a sealed value cannot be moved to another place.
func (k *Keyring) Seal(s Secret, purpose string) []byte {
	key := k.keys[0]
	out := append([]byte{version}, key.id[:]...)
	return key.aead.Seal(out, nil, []byte(s.value), additional(out, purpose))
}

// Open decrypts what Seal made. ErrUnknownKey or ErrDamaged.
func (k *Keyring) Open(sealed []byte, purpose string) (Secret, error) {
	const head = 1 + idBytes
	if len(sealed) < head || sealed[0] != version {
		return Secret{}, ErrDamaged
	}
	for _, key := range k.keys {
		if !bytes.Equal(key.id[:], sealed[1:head]) {
			continue
		}
		plain, err := key.aead.Open(nil, nil, sealed[head:], additional(sealed[:head], purpose))
		if err != nil {
			return Secret{}, ErrDamaged
		}
		return Secret{string(plain)}, nil
	}
	return Secret{}, ErrUnknownKey
}

// Stale reports what was sealed with another key than the one that seals now: it should be sealed again.
func (k *Keyring) Stale(sealed []byte) bool {
	return len(sealed) < 1+idBytes || !bytes.Equal(sealed[1:1+idBytes], k.keys[0].id[:])
}

// additional is what is authenticated with the ciphertext, and not stored with it.
func additional(head []byte, purpose string) []byte {
	return append(bytes.Clone(head), purpose...)
}
