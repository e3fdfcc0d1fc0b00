package raftstore

import (
	"encoding/hex"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// Bounds of the records of certificates.
const (
	// MaxCertificates is how many there are at most. When it is reached those that are expired go first.
	MaxCertificates = 20000
	// certificatesKept is how long the record of a certificate outlives it.
	certificatesKept = 90 * 24 * time.Hour
	maxSerial        = 40 // digits: 20 octets (RFC 5280, section 4.1.2.2)
	// certificatesSpared are the places that only nodes' certificates and revocations get: neither must fail
	// because clients have so many.
	certificatesSpared = 500
	// maxRenewals is how many certificates that are in force one can be renewed to.
	maxRenewals = 4
)

func certificateKey(issuer, serial string) string { return issuer + "/" + serial }

// Certificate returns the record of a certificate: issuer is the SHA-256 of the CA's, serial hexadecimal.
func (v *View) Certificate(issuer, serial string) *poolwirev1.Certificate {
	return get[*poolwirev1.Certificate](v, TableCertificates, certificateKey(issuer, serial))
}

// Certificates returns all records.
func (v *View) Certificates() []*poolwirev1.Certificate {
	return all[*poolwirev1.Certificate](v, TableCertificates)
}

// putCertificates records certificates. What is known of one already stays, above all that it was revoked.
func (t *tx) putCertificates(c *storev1.PutCertificates) (Result, error) {
	if len(c.GetCertificates()) == 0 {
		return Result{}, &InvalidError{Field: "certificates", Reason: "is required"}
	}
	for i, given := range c.GetCertificates() {
		if err := checkCertificate(fmt.Sprintf("certificates[%d]", i), given); err != nil {
			return Result{}, err
		}
	}
	if err := t.makeRoom(len(c.GetCertificates()), sparedFrom(c.GetCertificates())); err != nil {
		return Result{}, err
	}
	for _, given := range c.GetCertificates() {
		if t.Certificate(given.GetIssuer(), given.GetSerial()) != nil {
			continue
		}
		// A rotation may have been aborted while it was being made.
		if anchors, _ := t.TrustAnchors(); len(anchors) > 0 && !isAnchor(anchors, given.GetIssuer()) {
			return Result{}, &PreconditionError{Kind: KindCertificate, ID: given.GetSerial(), Reason: "is of a CA that is not trusted any more: have another one made"}
		}
		if err := t.MayRenew(given, t.time.AsTime()); err != nil {
			return Result{}, err
		}
		now := proto.CloneOf(given)
		now.RevokeTime, now.RevokedBy, now.RevokeReason = nil, "", ""
		if now.GetIssueTime() == nil {
			now.IssueTime = t.time
		}
		t.put(TableCertificates, now)
	}
	return Result{}, nil
}

// sparedFrom is how many places have to stay free of these certificates.
func sparedFrom(records []*poolwirev1.Certificate) int {
	for _, c := range records {
		if c.GetKind() != poolwirev1.CertificateKind_CERTIFICATE_KIND_NODE {
			return certificatesSpared
		}
	}
	return 0
}

// makeRoom forgets certificates that have long been expired, and while there are too many those that are. spared places
// stay free besides.
func (t *tx) makeRoom(more, spared int) error {
	most := MaxCertificates - spared
	known := t.Certificates()
	slices.SortFunc(known, func(a, b *poolwirev1.Certificate) int {
		return a.GetNotAfter().AsTime().Compare(b.GetNotAfter().AsTime())
	})
	excess := len(known) + more - most
	for i, c := range known {
		end := c.GetNotAfter().AsTime()
		if !end.Add(certificatesKept).Before(t.time.AsTime()) && (i >= excess || !end.Before(t.time.AsTime())) {
			break
		}
		t.del(TableCertificates, certificateKey(c.GetIssuer(), c.GetSerial()))
	}
	if n := len(t.Certificates()) + more; n > most {
		return &PreconditionError{Kind: KindCertificate, ID: "records", Reason: fmt.Sprintf("there are %d already that are not expired", n-more)}
	}
	return nil
}

func checkCertificate(field string, c *poolwirev1.Certificate) error {
	bad := func(name, value, reason string) error {
		return &InvalidError{Field: field + "." + name, Value: clip(value), Reason: reason}
	}
	if b, err := hex.DecodeString(c.GetIssuer()); err != nil || len(b) != 32 {
		return bad("issuer", c.GetIssuer(), "must be a SHA-256 in hexadecimal")
	}
	if _, err := hex.DecodeString(c.GetSerial()); err != nil || c.GetSerial() == "" || len(c.GetSerial()) > maxSerial {
		return bad("serial", c.GetSerial(), "must have 1 to 20 octets in hexadecimal")
	}
	if from := c.GetRenewedFromSerial(); len(from) > maxSerial || len(c.GetRenewedFromIssuer()) > 64 {
		return bad("renewed_from_serial", from, "is too long")
	}
	if c.GetNotAfter() == nil || c.GetNotAfter().CheckValid() != nil {
		return bad("not_after", "", "is required")
	}
	for name, text := range map[string]string{"name": c.GetName(), "label": c.GetLabel(), "role": c.GetRole(), "issued_by": c.GetIssuedBy(), "sha256": c.GetSha256()} {
		if len(text) > 512 || !utf8.ValidString(text) {
			return bad(name, "", "is too long")
		}
	}
	return nil
}

// addCertificates takes the records of another life of the cluster in: who was revoked then is revoked, and what tokens he has made
// since, in a cluster that did not know, are gone.
func (t *tx) addCertificates(from *View) {
	var revoked []*poolwirev1.Certificate
	for _, c := range from.Certificates() {
		known := t.Certificate(c.GetIssuer(), c.GetSerial())
		if known.GetRevokeTime() != nil {
			continue
		}
		t.put(TableCertificates, c)
		if c.GetRevokeTime() != nil {
			revoked = append(revoked, c)
		}
	}
	for _, k := range t.tokensMadeWith(revoked...) {
		t.del(TableTokens, k.GetToken().GetId())
	}
}

// TrustAnchors returns the CAs on record, and the revision of the record; nothing where the CA was never rotated.
func (v *View) TrustAnchors() ([]*poolwirev1.TrustAnchor, uint64) {
	a := get[*storev1.TrustAnchors](v, TableTrustAnchors, settingsKey)
	return a.GetAnchors(), a.GetRevision()
}

func isAnchor(anchors []*poolwirev1.TrustAnchor, fingerprint string) bool {
	return slices.ContainsFunc(anchors, func(a *poolwirev1.TrustAnchor) bool { return a.GetFingerprint() == fingerprint })
}

// LeftBehind is how many certificates are on record of the CAs that are not in the next record of CAs any more.
func (v *View) LeftBehind(next []*poolwirev1.TrustAnchor) (n uint32) {
	anchors, _ := v.TrustAnchors()
	for _, c := range v.Certificates() {
		if isAnchor(anchors, c.GetIssuer()) && !isAnchor(next, c.GetIssuer()) {
			n++
		}
	}
	return n
}

// Bounds of the record of CAs.
const (
	maxAnchors   = 8
	maxAnchorPEM = 64 << 10
)

// putTrustAnchors replaces the record of all CAs.
func (t *tx) putTrustAnchors(c *storev1.PutTrustAnchors) (Result, error) {
	was, revision := t.TrustAnchors()
	if c.GetBasedOn() != revision {
		return Result{}, &ConflictError{Kind: KindTrustAnchor, ID: "record", Have: fmt.Sprint(revision), Want: fmt.Sprint(c.GetBasedOn())}
	}
	if left := t.LeftBehind(c.GetAnchors()); c.LeftBehind != nil && left != c.GetLeftBehind() {
		return Result{}, &PreconditionError{Kind: KindTrustAnchor, ID: "record", Reason: "certificates of a CA that was to be forgotten were made meanwhile: look again (poolwire pki rotate status)"}
	}
	states := map[poolwirev1.TrustAnchorState]int{}
	out := &storev1.TrustAnchors{Revision: t.revision}
	for i, a := range c.GetAnchors() {
		field := fmt.Sprintf("anchors[%d].", i)
		if b, err := hex.DecodeString(a.GetFingerprint()); err != nil || len(b) != 32 {
			return Result{}, &InvalidError{Field: field + "fingerprint", Value: clip(a.GetFingerprint()), Reason: "must be a SHA-256 in hexadecimal"}
		}
		if n := len(a.GetChainPem()); n == 0 || n > maxAnchorPEM {
			return Result{}, &InvalidError{Field: field + "chain_pem", Value: fmt.Sprintf("%d bytes", n), Reason: "must have 1 to 65536 bytes"}
		}
		states[a.GetState()]++
		now := proto.CloneOf(a)
		now.StateTime = t.stateTime(was, a)
		out.Anchors = append(out.Anchors, now)
	}
	const next, active, unset = poolwirev1.TrustAnchorState_TRUST_ANCHOR_STATE_NEXT, poolwirev1.TrustAnchorState_TRUST_ANCHOR_STATE_ACTIVE, poolwirev1.TrustAnchorState_TRUST_ANCHOR_STATE_UNSPECIFIED
	if states[active] != 1 || states[next] > 1 || states[unset] > 0 || len(out.GetAnchors()) > maxAnchors {
		return Result{}, &InvalidError{Field: "anchors", Value: fmt.Sprintf("%d", len(out.GetAnchors())), Reason: "must have one that is active, at most one that is next, and at most 8"}
	}
	t.put(TableTrustAnchors, out)
	return Result{}, nil
}

// stateTime is since when an anchor is in its state. That of the CA that was there before there was a record is
// known to whoever makes the first one.
func (t *tx) stateTime(was []*poolwirev1.TrustAnchor, a *poolwirev1.TrustAnchor) *timestamppb.Timestamp {
	for _, w := range was {
		if w.GetFingerprint() == a.GetFingerprint() && w.GetState() == a.GetState() {
			return w.GetStateTime()
		}
	}
	first := len(was) == 0 && a.GetState() == poolwirev1.TrustAnchorState_TRUST_ANCHOR_STATE_ACTIVE
	if given := a.GetStateTime(); first && given != nil && given.CheckValid() == nil && given.AsTime().Before(t.time.AsTime()) {
		return given
	}
	return t.time
}
