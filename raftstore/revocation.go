package raftstore

import (
	"fmt"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// maxRevokeReason bounds a reason, in characters.
const maxRevokeReason = 256

// InForce says whether a certificate is neither revoked nor expired at a time, whatever its CA.
func InForce(c *poolwirev1.Certificate, at time.Time) bool {
	return c.GetRevokeTime() == nil && c.GetNotAfter().AsTime().After(at)
}

func isRenewalOf(c *poolwirev1.Certificate, issuer, serial string) bool {
	return c.GetRenewedFromSerial() == serial && c.GetRenewedFromIssuer() == issuer
}

// MayRenew refuses the record of a certificate that was made at a time by renewal of one that is revoked, or was renewed
// to too many others. Errors: *PreconditionError.
func (v *View) MayRenew(c *poolwirev1.Certificate, at time.Time) error {
	issuer, serial := c.GetRenewedFromIssuer(), c.GetRenewedFromSerial()
	if serial == "" {
		return nil
	}
	if v.Certificate(issuer, serial).GetRevokeTime() != nil {
		return &PreconditionError{Kind: KindCertificate, ID: serial, Reason: "was revoked, and cannot be renewed"}
	}
	n := 0
	for _, other := range v.Certificates() {
		if InForce(other, at) && isRenewalOf(other, issuer, serial) {
			n++
		}
	}
	if n >= maxRenewals {
		return &PreconditionError{Kind: KindCertificate, ID: serial, Reason: fmt.Sprintf(
			"was renewed to %d others already, which are good: use one of them, or have those revoked that nobody uses (poolwire pki list)", n)}
	}
	return nil
}

// ToRevoke returns the certificates that a command would revoke at a time: those that are named, those that are in force
// and fit what it says of their owners, and unless it says otherwise what was made from any of them by renewal. What is revoked already is left out.
func (v *View) ToRevoke(c *storev1.RevokeCertificates, at time.Time) (left []*poolwirev1.Certificate) {
	for _, r := range v.reached(c, at) {
		if r.GetRevokeTime() == nil {
			left = append(left, r)
		}
	}
	return left
}

// TokensToRevoke returns the tokens that a command would delete at a time: those that were made with what it reaches. A certificate
// that is revoked already, as superseded, or has ended may have been stolen while it was good: tokens outlive both.
func (v *View) TokensToRevoke(c *storev1.RevokeCertificates, at time.Time) []*storev1.Token {
	if c.GetOnlyThese() {
		return nil
	}
	gone := v.reached(c, at)
	for _, r := range v.Certificates() {
		if isMeant(c, r) {
			gone = append(gone, r)
		}
	}
	return v.tokensMadeWith(gone...)
}

// tokensMadeWith returns the tokens behind which one of these certificates is.
func (v *View) tokensMadeWith(certificates ...*poolwirev1.Certificate) (out []*storev1.Token) {
	with := map[string]bool{}
	for _, c := range certificates {
		// Where the issuer was not known the serial tells: it is random.
		with[certificateKey(c.GetIssuer(), c.GetSerial())], with[certificateKey("", c.GetSerial())] = true, true
	}
	for _, k := range v.Tokens() {
		if m := k.GetToken(); m.GetMadeWithSerial() != "" && with[certificateKey(m.GetMadeWithIssuer(), m.GetMadeWithSerial())] {
			out = append(out, k)
		}
	}
	return out
}

// reached are the certificates that a command is about, what is revoked already included.
func (v *View) reached(c *storev1.RevokeCertificates, at time.Time) []*poolwirev1.Certificate {
	var out []*poolwirev1.Certificate
	seen := map[string]bool{}
	add := func(r *poolwirev1.Certificate) {
		if key := certificateKey(r.GetIssuer(), r.GetSerial()); !seen[key] {
			seen[key] = true
			out = append(out, r)
		}
	}
	for _, given := range c.GetCertificates() {
		if known := v.Certificate(given.GetIssuer(), given.GetSerial()); known != nil {
			add(known)
		} else {
			add(given)
		}
	}
	all := v.Certificates()
	for _, r := range all {
		if InForce(r, at) && isMeant(c, r) {
			add(r)
		}
	}
	children := map[string][]*poolwirev1.Certificate{}
	for _, r := range all {
		if r.GetRenewedFromSerial() != "" {
			from := certificateKey(r.GetRenewedFromIssuer(), r.GetRenewedFromSerial())
			children[from] = append(children[from], r)
		}
	}
	for i := 0; i < len(out) && !c.GetOnlyThese(); i++ { // out grows
		for _, child := range children[certificateKey(out[i].GetIssuer(), out[i].GetSerial())] {
			add(child)
		}
	}
	return out
}

// Revoked returns the certificates that fit what a command says of their owners and are revoked already.
func (v *View) Revoked(c *storev1.RevokeCertificates) []*poolwirev1.Certificate {
	var out []*poolwirev1.Certificate
	for _, r := range v.Certificates() {
		if r.GetRevokeTime() != nil && isMeant(c, r) {
			out = append(out, r)
		}
	}
	return out
}

// isMeant says whether a certificate fits what a command says of owners.
func isMeant(c *storev1.RevokeCertificates, r *poolwirev1.Certificate) bool {
	switch {
	case c.GetKind() == poolwirev1.CertificateKind_CERTIFICATE_KIND_UNSPECIFIED, c.GetKind() != r.GetKind():
		return false
	case c.GetName() == "" && c.GetIssuedBefore() == nil:
		return false
	case c.GetName() != "" && c.GetName() != r.GetName() && c.GetName() != r.GetLabel():
		return false
	}
	return c.GetIssuedBefore() == nil || r.GetIssueTime().AsTime().Before(c.GetIssuedBefore().AsTime())
}

// revokeCertificates marks certificates, and deletes the tokens that were made with them. Whose they are is looked up here, so that none
// escapes that was made since the command was asked for. One that is not on record gets a record. Result.UUIDs are the keys,
// "ISSUER/SERIAL", of what is revoked, and then the ids of the tokens.
func (t *tx) revokeCertificates(c *storev1.RevokeCertificates) (Result, error) {
	if n := utf8.RuneCountInString(c.GetReason()); n > maxRevokeReason {
		return Result{}, &InvalidError{Field: "reason", Value: clip(c.GetReason()), Reason: fmt.Sprintf("must have at most %d characters", maxRevokeReason)}
	}
	byOwner := c.GetKind() != poolwirev1.CertificateKind_CERTIFICATE_KIND_UNSPECIFIED && (c.GetName() != "" || c.GetIssuedBefore() != nil)
	if len(c.GetCertificates()) == 0 && !byOwner {
		return Result{}, &InvalidError{Field: "certificates", Reason: "is required"}
	}
	unknown := 0
	for i, given := range c.GetCertificates() {
		if err := checkCertificate(fmt.Sprintf("certificates[%d]", i), given); err != nil {
			return Result{}, err
		}
		if t.Certificate(given.GetIssuer(), given.GetSerial()) == nil {
			unknown++
		}
	}
	gone, tokens := t.ToRevoke(c, t.time.AsTime()), t.TokensToRevoke(c, t.time.AsTime())
	if unknown > 0 {
		if err := t.makeRoom(unknown, 0); err != nil {
			return Result{}, err
		}
	}
	var out Result
	for _, known := range gone {
		now := proto.CloneOf(known)
		now.RevokeTime, now.RevokedBy, now.RevokeReason = t.time, c.GetBy(), c.GetReason()
		t.put(TableCertificates, now)
		out.UUIDs = append(out.UUIDs, certificateKey(now.GetIssuer(), now.GetSerial()))
	}
	for _, k := range tokens {
		t.del(TableTokens, k.GetToken().GetId())
		out.UUIDs = append(out.UUIDs, k.GetToken().GetId())
	}
	return out, nil
}
