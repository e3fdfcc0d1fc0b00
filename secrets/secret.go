package secrets

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"log/slog"
)

// Secret is a value that no formatting, logging or encoding shows.
type Secret struct{ value string }

// hidden stands for the value of a secret wherever it is printed.
const hidden = "[secret]"

// New wraps a value.
func New(value string) Secret { return Secret{value} }

// presharedBytes is the length of a pre-shared key: 256 bits.
const presharedBytes = 32

// Preshared makes a random 256-bit pre-shared key, as 64 lower-case hexadecimal digits: no quoting in
// ipsec.secrets(5) or OVSDB can go wrong with these.
func Preshared() Secret {
	b := make([]byte, presharedBytes)
	if _, err := rand.Read(b); err != nil {
		panic(fmt.Sprintf("secrets: no randomness: %v", err)) // crypto/rand.Read never returns an error
	}
	return Secret{hex.EncodeToString(b)}
}

// Reveal returns the value, for the one place that has to send it.
func (s Secret) Reveal() string { return s.value }

// IsZero reports a secret without a value.
func (s Secret) IsZero() bool { return s.value == "" }

// Equal compares in constant time.
func (s Secret) Equal(other Secret) bool {
	return subtle.ConstantTimeCompare([]byte(s.value), []byte(other.value)) == 1
}

// String, GoString, Format, LogValue and MarshalText all hide the value.
func (s Secret) String() string { return hidden }

// GoString hides the value.
func (s Secret) GoString() string { return hidden }

// Format hides the value, whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(hidden)) }

// LogValue hides the value.
func (s Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText hides the value.
func (s Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }
