// Package leak looks for secrets in what was written, kept and said: whether a key is anywhere that
// it has no business to be, in whatever way it was written down.
package leak

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
)

// Search knows secrets, and finds them in texts. The zero value knows none. Not safe for concurrent use.
type Search struct {
	names []string
	forms map[string][][]byte // by name
}

// Names are those of the secrets that are looked for, in the order in which they were added.
func (s *Search) Names() []string { return slices.Clone(s.names) }

// minSecret is how long a form must be to be looked for, in bytes: a shorter one is found by chance.
const minSecret = 12

// Text adds a secret that is a text: a token, a passphrase.
func (s *Search) Text(name, value string) {
	s.add(name, Forms([]byte(value))...)
}

// Bytes adds a key of bytes, which may also have been written as hexadecimal digits.
func (s *Search) Bytes(name string, raw []byte) {
	digits := hex.EncodeToString(raw)
	s.add(name, slices.Concat(Forms(raw), Forms([]byte(digits)), Forms([]byte(strings.ToUpper(digits))))...)
}

// PEM adds every private key of a file in PEM: the lines of its body and the numbers that are secret in it.
func (s *Search) PEM(name string, data []byte) error {
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			return nil
		}
		if !strings.Contains(block.Type, "PRIVATE KEY") {
			continue
		}
		key, err := parseKey(block.Bytes)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		s.body(name, block.Bytes, publicPart(key))
		switch k := key.(type) {
		case *ecdsa.PrivateKey:
			raw, err := k.Bytes()
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			s.Bytes(name, raw)
		case *rsa.PrivateKey:
			s.Bytes(name, k.Primes[0].Bytes())
			s.Bytes(name, k.D.Bytes())
		}
	}
}

// lineBytes is how much of a key is in a line of PEM (RFC 7468, 2).
const lineBytes = 48

// body adds the lines of a key in PEM, but for the first, which says little but what kind of key it is, the last,
// which may be short, and those that are public.
func (s *Search) body(name string, der, public []byte) {
	for at := lineBytes; at+lineBytes <= len(der); at += lineBytes {
		if line := der[at : at+lineBytes]; !bytes.Contains(public, line) {
			s.add(name, []byte(base64.StdEncoding.EncodeToString(line)))
		}
	}
}

// publicPart is what a private key has in common with its certificate, and that fills lines.
func publicPart(key any) []byte {
	if k, ok := key.(*rsa.PrivateKey); ok {
		return k.N.Bytes()
	}
	return nil
}

func parseKey(der []byte) (any, error) {
	if key, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		return key, nil
	}
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key, nil
	}
	return x509.ParseECPrivateKey(der)
}

func (s *Search) add(name string, forms ...[]byte) {
	if s.forms == nil {
		s.forms = map[string][][]byte{}
	}
	if s.forms[name] == nil {
		s.names = append(s.names, name)
	}
	for _, f := range forms {
		if len(f) >= minSecret {
			s.forms[name] = append(s.forms[name], bytes.Clone(f))
		}
	}
}

// In returns the names of the secrets of which a text has any form.
func (s *Search) In(text []byte) []string {
	var out []string
	for _, name := range s.names {
		if slices.ContainsFunc(s.forms[name], func(form []byte) bool { return bytes.Contains(text, form) }) {
			out = append(out, name)
		}
	}
	return out
}

// Forms are the ways in which bytes may have been written: as they are, in hexadecimal, and in base64, where they
// may be part of something longer.
func Forms(b []byte) [][]byte {
	digits := hex.EncodeToString(b)
	out := [][]byte{b, []byte(digits), []byte(strings.ToUpper(digits))}
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for before := range 3 {
			text := encoding.EncodeToString(append(make([]byte, before), b...))
			// Characters that also depend on what stands before or behind are no part of it.
			text = text[[]int{0, 2, 3}[before]:]
			if (before+len(b))%3 != 0 {
				text = text[:len(text)-1]
			}
			out = append(out, []byte(text))
		}
	}
	return out
}
