package pki

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Trust says how a host's certificate is judged.
type Trust int

const (
	// TrustDefault is TrustPinned where a fingerprint is given, else TrustCA.
	TrustDefault Trust = iota
	// TrustCA demands a certificate of this CA that names the host's uuid.
	TrustCA
	// TrustPinned demands exactly the certificate with the pinned fingerprint. Its
	// validity period does not matter: it was trusted as it is.
	TrustPinned
	// TrustFirstUse accepts any certificate while none is pinned, and is TrustPinned from then on.
	TrustFirstUse
)

// HostIdentity is what is known of a host before it presents a certificate.
type HostIdentity struct {
	// UUID is the host's uuid.
	UUID string
	// Trust is how its certificate is judged.
	Trust Trust
	// PinnedSHA256 is the fingerprint to demand: as [Fingerprint] returns it or with
	// colons. Not used with TrustCA.
	PinnedSHA256 string
}

// VerifyHost judges the certificates that a host presented in its handshake. In
// TrustFirstUse with nothing pinned, pin is the fingerprint the caller must
// remember; in all other cases it is empty.
//
// Errors: [*PeerError] of any kind; [*InputError] when want itself makes no sense.
func (a *Authority) VerifyHost(certs []*x509.Certificate, want HostIdentity) (pin string, err error) {
	trust := want.Trust
	if trust == TrustDefault {
		trust = TrustCA
		if want.PinnedSHA256 != "" {
			trust = TrustPinned
		}
	}
	switch trust {
	case TrustCA:
		return "", a.verifyNamedHost(certs, want.UUID)
	case TrustFirstUse:
		if want.PinnedSHA256 != "" {
			return "", a.verifyPinned(certs, want.PinnedSHA256)
		}
		if len(certs) == 0 {
			return "", &PeerError{Kind: ErrNoCertificate, Presented: "nothing", Expected: "any certificate, to be pinned"}
		}
		return Fingerprint(certs[0]), a.Usable(certs, OwnOrForeign)
	case TrustPinned:
		return "", a.verifyPinned(certs, want.PinnedSHA256)
	}
	return "", &InputError{"trust", fmt.Sprint(int(trust)), "one of the Trust constants"}
}

func (a *Authority) verifyNamedHost(certs []*x509.Certificate, hostUUID string) error {
	want := Identity{Kind: KindHost, Name: strings.ToLower(hostUUID)}
	if err := want.check(); err != nil {
		return err
	}
	if err := a.verifyChain(certs, "a certificate naming "+want.String()); err != nil {
		return err
	}
	got, err := identify(certs, []Kind{KindHost})
	if err == nil && got != want {
		err = fmt.Errorf("it is that of %s", got)
	}
	if err != nil {
		return &PeerError{Kind: ErrWrongIdentity, Presented: describe(certs[0]), Expected: want.String(), Cause: err}
	}
	return nil
}

func (a *Authority) verifyPinned(certs []*x509.Certificate, pinned string) error {
	pin, err := ParseFingerprint(pinned)
	if err != nil {
		return err
	}
	expected := "the certificate with sha256 " + pin
	if len(certs) == 0 {
		return &PeerError{Kind: ErrNoCertificate, Presented: "nothing", Expected: expected}
	}
	if Fingerprint(certs[0]) != pin {
		return &PeerError{Kind: ErrWrongFingerprint, Presented: describe(certs[0]), Expected: expected}
	}
	return a.Usable(certs, OwnOrForeign)
}

// Fingerprint is the SHA-256 of the whole certificate (DER), 64 hexadecimal digits
// in lower case: what `openssl x509 -fingerprint -sha256` shows, without colons.
func Fingerprint(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return hex.EncodeToString(sum[:])
}

// ParseFingerprint returns a fingerprint in the form of [Fingerprint]; capitals and
// colons are accepted. Errors: [*InputError].
func ParseFingerprint(s string) (string, error) {
	digits := strings.ToLower(strings.ReplaceAll(s, ":", ""))
	if b, err := hex.DecodeString(digits); err != nil || len(b) != sha256.Size {
		return "", &InputError{"certificate sha256", bounded(s), "64 hexadecimal digits, colons allowed"}
	}
	return digits, nil
}

// identify reads the identity of a verified peer and checks its kind.
func identify(certs []*x509.Certificate, kinds []Kind) (Identity, error) {
	if len(certs) == 0 {
		return Identity{}, &PeerError{Kind: ErrNoCertificate, Presented: "nothing", Expected: kindsText(kinds)}
	}
	id, err := IdentityOf(certs[0])
	if err == nil && slices.Contains(kinds, id.Kind) {
		if missing := missingUsage(certs[0], id.Kind); missing != "" {
			err = fmt.Errorf("extendedKeyUsage lacks %s, which a %s needs", missing, id.Kind)
		} else {
			return id, nil
		}
	}
	return Identity{}, &PeerError{Kind: ErrWrongIdentity, Presented: describe(certs[0]), Expected: kindsText(kinds), Cause: err}
}

// missingUsage names the extended key usage that a certificate of a kind must have and does not;
// empty when it has all. Hosts and nodes dial and are dialled.
func missingUsage(c *x509.Certificate, kind Kind) string {
	need := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	switch kind {
	case KindClient:
		need = need[1:]
	case KindIPsec:
		need = need[:1]
	}
	for _, u := range need {
		if !slices.Contains(c.ExtKeyUsage, u) {
			return map[x509.ExtKeyUsage]string{x509.ExtKeyUsageServerAuth: "serverAuth", x509.ExtKeyUsageClientAuth: "clientAuth"}[u]
		}
	}
	return ""
}

func kindsText(kinds []Kind) string {
	texts := make([]string, len(kinds))
	for i, k := range kinds {
		texts[i] = string(k)
	}
	return "a certificate of a " + strings.Join(texts, " or ")
}

// describe says what a certificate claims, for a message: whoever made it, the
// text is bounded.
func describe(c *x509.Certificate) string {
	uris := make([]string, 0, 2)
	for _, u := range c.URIs[:min(len(c.URIs), 2)] {
		uris = append(uris, bounded(u.String()))
	}
	text := fmt.Sprintf("subject %q, issuer %q", bounded(c.Subject.String()), bounded(c.Issuer.String()))
	if len(uris) > 0 {
		text += ", URI " + strings.Join(uris, " ")
	}
	return text + fmt.Sprintf(", valid %s to %s, sha256 %s",
		c.NotBefore.UTC().Format(time.RFC3339), c.NotAfter.UTC().Format(time.RFC3339), Fingerprint(c))
}
