package secrets

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
)

// Errors of a keyring.
var (
	// ErrUnknownKey: sealed with a key that the keyring does not have.
	ErrUnknownKey = errors.New("sealed with a key that this node does not have")
	// ErrNotThere: there is no key of that id.
	ErrNotThere = errors.New("is the id of no key in")
	// ErrDamaged: not something sealed, or changed since, or sealed for something else.
	ErrDamaged = errors.New("sealed value is damaged, or belongs elsewhere")
)

const (
	keyBytes = 32 // AES-256
	idBytes  = 8  // of the key's hash, in front of what it has sealed
	head     = 1 + idBytes
	version  = 1 // first byte of what is sealed
	maxKeys  = 16
	maxFile  = 1 << 16
)

// Keyring seals values and opens them again. Safe for concurrent use.
//
// What is sealed looks like this, in bytes:
//
//	version (1) | id of the key (8) | nonce (12) | AES-256-GCM ciphertext and tag
type Keyring struct {
	path string // the file the keys are from; empty where they cannot change
	ring atomic.Pointer[ring]
}

// ring is what a keyring holds at one time. It never changes.
type ring struct {
	keys  []envelopeKey // in the order in which they were given
	seals int           // index of the one that seals
}

type envelopeKey struct {
	id   [idBytes]byte
	aead cipher.AEAD
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

func (k envelopeKey) name() string { return hex.EncodeToString(k.id[:]) }

// index is where the key of an id is; -1 for none.
func (r *ring) index(id string) int {
	return slices.IndexFunc(r.keys, func(k envelopeKey) bool { return k.name() == id })
}

// Seal encrypts a secret so that only Open with the same purpose gets it back. A purpose says
// what the value is for ("psk of A and B"): a sealed value cannot be moved to another place.
func (k *Keyring) Seal(s Secret, purpose string) []byte {
	r := k.ring.Load()
	key := r.keys[r.seals]
	out := append([]byte{version}, key.id[:]...)
	return key.aead.Seal(out, nil, []byte(s.value), additional(out, purpose))
}

// Open decrypts what Seal made. ErrUnknownKey, with the key's id, or ErrDamaged.
func (k *Keyring) Open(sealed []byte, purpose string) (Secret, error) {
	id := KeyID(sealed)
	if id == "" {
		return Secret{}, ErrDamaged
	}
	r := k.ring.Load()
	i := r.index(id)
	if i < 0 {
		return Secret{}, fmt.Errorf("%w: %s", ErrUnknownKey, id)
	}
	plain, err := r.keys[i].aead.Open(nil, nil, sealed[head:], additional(sealed[:head], purpose))
	if err != nil {
		return Secret{}, ErrDamaged
	}
	return Secret{string(plain)}, nil
}

// Stale reports what was sealed with another key than the one that seals now: it should be sealed again.
func (k *Keyring) Stale(sealed []byte) bool {
	r := k.ring.Load()
	return KeyID(sealed) != r.keys[r.seals].name()
}

// KeyID is the id of the key that sealed a value: 16 hexadecimal digits, which tell nothing of the key;
// empty for what was never sealed.
func KeyID(sealed []byte) string {
	if len(sealed) < head || sealed[0] != version {
		return ""
	}
	return hex.EncodeToString(sealed[1:head])
}

// IDs are the ids of the keys, as of [KeyID], in the order in which they were given.
func (k *Keyring) IDs() []string {
	r := k.ring.Load()
	out := make([]string, len(r.keys))
	for i, key := range r.keys {
		out[i] = key.name()
	}
	return out
}

// Use has the key with an id seal from now on, instead of the first one. It reports false, and changes nothing,
// without such a key.
func (k *Keyring) Use(id string) bool {
	for {
		was := k.ring.Load()
		i := was.index(id)
		if i < 0 {
			return false
		}
		if k.ring.CompareAndSwap(was, &ring{keys: was.keys, seals: i}) {
			return true
		}
	}
}

// additional is what is authenticated with the ciphertext, and not stored with it.
func additional(header []byte, purpose string) []byte {
	return append(bytes.Clone(header), purpose...)
}
