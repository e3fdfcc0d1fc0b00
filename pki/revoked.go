package pki

import (
	"crypto/tls"
	"crypto/x509"
)

// SetRevoked says who knows which certificates are revoked: a function of the fingerprint of
// the issuing certificate ([Anchor.Fingerprint]) and the serial as [Serial] writes it. It
// returns why the certificate is not to be used any more, or nil, and is asked in every handshake.
// It may be called from several goroutines.
func (a *Authority) SetRevoked(judge func(issuer, serial string) error) { a.revoked.Store(&judge) }

// Serial is a certificate's serial number in lower-case hexadecimal digits, as openssl writes it.
func Serial(c *x509.Certificate) string {
	s := c.SerialNumber.Text(16)
	if len(s)%2 == 1 {
		s = "0" + s
	}
	return s
}

// IssuerOf is the fingerprint of the trusted CA that has signed a certificate; empty for none.
func (a *Authority) IssuerOf(c *x509.Certificate) string {
	if issuer := a.present.Load().issuerOf(c); issuer != nil {
		return issuer.Fingerprint()
	}
	return ""
}

// Usable says why a certificate may not be used although it was accepted before: because it
// was revoked since, or its CA is trusted no longer. own says that it must be of a CA at all, and not have
// ended; hosts may have pinned ones that are of none, or that have. Errors: [*PeerError].
func (a *Authority) Usable(certs []*x509.Certificate, own Ownership) error {
	t := a.present.Load().trust
	if len(certs) > 0 && own == OwnOnly && a.opts.Now().After(certs[0].NotAfter) {
		return a.verifyChain(certs, "a certificate that has not ended")
	}
	if len(certs) == 0 || t.issuerOf(certs[0]) == nil {
		if own == OwnOnly {
			return a.verifyChain(certs, "a certificate of a CA that is trusted")
		}
		return nil
	}
	return a.checkRevoked(t, certs[0], "one that is not revoked")
}

// Ownership says whose certificates [Authority.Usable] lets pass.
type Ownership int

const (
	// OwnOnly is for the API and for Raft: certificates of a trusted CA.
	OwnOnly Ownership = iota
	// OwnOrForeign is for hosts, whose certificates may be pinned instead.
	OwnOrForeign
)

// refuseRevoked ends the handshake of a host whose certificate was revoked. Whatever else is
// wrong with it is found later.
func (a *Authority) refuseRevoked(cs tls.ConnectionState) error {
	return a.Usable(cs.PeerCertificates, OwnOrForeign)
}

// checkRevoked refuses a certificate that was revoked.
func (a *Authority) checkRevoked(t *trust, c *x509.Certificate, expected string) error {
	judge, issuer := a.revoked.Load(), t.issuerOf(c)
	if judge == nil || issuer == nil {
		return nil
	}
	if err := (*judge)(issuer.Fingerprint(), Serial(c)); err != nil {
		return &PeerError{Kind: ErrRevoked, Presented: describe(c), Expected: expected, Cause: err}
	}
	return nil
}
