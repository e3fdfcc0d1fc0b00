package raftstore

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// issuedTo is the record of a certificate that ends after so long, by the clock of the test machine.
func issuedTo(m *machine, serial string, life time.Duration) *poolwirev1.Certificate {
	at := time.Unix(int64(1_700_000_000+m.index), 0)
	return &poolwirev1.Certificate{
		Issuer: strings.Repeat("ab", 32), Serial: serial, Kind: poolwirev1.CertificateKind_CERTIFICATE_KIND_CLIENT, Name: "ada",
		NotBefore: timestamppb.New(at.Add(-time.Hour)), NotAfter: timestamppb.New(at.Add(life)),
	}
}

func putRecords(r ...*poolwirev1.Certificate) *storev1.Command {
	return &storev1.Command{Body: &storev1.Command_PutCertificates{PutCertificates: &storev1.PutCertificates{Certificates: r}}}
}

func revoke(reason string, r ...*poolwirev1.Certificate) *storev1.Command {
	return &storev1.Command{Body: &storev1.Command_RevokeCertificates{RevokeCertificates: &storev1.RevokeCertificates{Certificates: r, Reason: reason, By: "root"}}}
}

func anchorOf(digit string, state poolwirev1.TrustAnchorState) *poolwirev1.TrustAnchor {
	return &poolwirev1.TrustAnchor{Fingerprint: strings.Repeat(digit, 64), ChainPem: []byte(digit), State: state}
}

func putAnchors(basedOn uint64, a ...*poolwirev1.TrustAnchor) *storev1.Command {
	return &storev1.Command{Body: &storev1.Command_PutTrustAnchors{PutTrustAnchors: &storev1.PutTrustAnchors{Anchors: a, BasedOn: basedOn}}}
}

// What was revoked stays revoked, whatever comes after it: the same record again, another reason, a restart.
func TestRevocationStays(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	r := issuedTo(m, "0a", time.Hour)
	m.must(putRecords(r))
	if got := m.view().Certificate(r.GetIssuer(), "0a"); got.GetRevokeTime() != nil || got.GetIssueTime() == nil {
		t.Fatalf("%v", got)
	}
	m.must(revoke("stolen", r))
	m.must(putRecords(r))
	m.must(revoke("again", r))
	unknown := issuedTo(m, "0b", time.Hour)
	m.must(revoke("never seen", unknown))
	for _, v := range []*View{m.view(), m.restored().view()} {
		if got := v.Certificate(r.GetIssuer(), "0a"); got.GetRevokeReason() != "stolen" || got.GetRevokeTime() == nil || got.GetRevokedBy() != "root" {
			t.Errorf("%v", got)
		}
		if got := v.Certificate(r.GetIssuer(), "0b"); got.GetRevokeTime() == nil {
			t.Errorf("%v", got)
		}
	}
	for name, c := range map[string]*storev1.Command{
		"no serial":   putRecords(issuedTo(m, "", time.Hour)),
		"no hex":      putRecords(issuedTo(m, "zz", time.Hour)),
		"no issuer":   putRecords(&poolwirev1.Certificate{Serial: "0a", NotAfter: timestamppb.Now()}),
		"no end":      putRecords(&poolwirev1.Certificate{Issuer: r.GetIssuer(), Serial: "0a"}),
		"nothing":     putRecords(),
		"long reason": revoke(strings.Repeat("x", maxRevokeReason+1), r),
	} {
		var invalid *InvalidError
		if _, err := m.apply(c); !errors.As(err, &invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Records of certificates that have long ended go when others come.
func TestOldCertificatesAreForgotten(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.must(putRecords(issuedTo(m, "01", -certificatesKept-time.Hour), issuedTo(m, "02", -time.Hour), issuedTo(m, "03", time.Hour)))
	m.must(putRecords(issuedTo(m, "04", time.Hour)))
	var left []string
	for _, c := range m.view().Certificates() {
		left = append(left, c.GetSerial())
	}
	if fmt.Sprint(left) != "[02 03 04]" {
		t.Errorf("left: %v", left)
	}
}

// Two who rotate at once: the second learns that he was not the first.
func TestTrustAnchors(t *testing.T) {
	t.Parallel()
	const active, next, retiring = poolwirev1.TrustAnchorState_TRUST_ANCHOR_STATE_ACTIVE, poolwirev1.TrustAnchorState_TRUST_ANCHOR_STATE_NEXT, poolwirev1.TrustAnchorState_TRUST_ANCHOR_STATE_RETIRING
	m := newMachine(t)
	m.must(putAnchors(0, anchorOf("a", active), anchorOf("b", next)))
	first, revision := m.view().TrustAnchors()
	var conflict *ConflictError
	if _, err := m.apply(putAnchors(0, anchorOf("a", active), anchorOf("c", next))); !errors.As(err, &conflict) {
		t.Errorf("%v", err)
	}
	m.must(putAnchors(revision, anchorOf("b", active), anchorOf("a", retiring)))
	now, at := m.restored().view().TrustAnchors()
	if len(now) != 2 || at <= revision || now[0].GetState() != active || !now[0].GetStateTime().AsTime().After(first[1].GetStateTime().AsTime()) {
		t.Errorf("%v at %d", now, at)
	}
	var invalid *InvalidError
	for name, set := range map[string][]*poolwirev1.TrustAnchor{
		"none active": {anchorOf("a", retiring)}, "two active": {anchorOf("a", active), anchorOf("b", active)},
		"two next": {anchorOf("a", active), anchorOf("b", next), anchorOf("c", next)}, "no state": {anchorOf("a", active), anchorOf("b", 0)},
		"no fingerprint": {{State: active, ChainPem: []byte("x")}}, "no chain": {{State: active, Fingerprint: strings.Repeat("a", 64)}},
	} {
		if _, err := m.apply(putAnchors(at, set...)); !errors.As(err, &invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
