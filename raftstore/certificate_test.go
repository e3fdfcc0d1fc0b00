package raftstore

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
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

// A CA is not forgotten over the head of somebody who got a certificate of it after the look at who has one, nor is one
// recorded that comes after the CA has gone.
func TestNobodyIsLeftBehindBetween(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	const next, active = poolwirev1.TrustAnchorState_TRUST_ANCHOR_STATE_NEXT, poolwirev1.TrustAnchorState_TRUST_ANCHOR_STATE_ACTIVE
	m.must(putAnchors(0, anchorOf("a", active), anchorOf("b", next)))
	of := func(ca, serial string) *poolwirev1.Certificate {
		c := issuedTo(m, serial, time.Hour)
		c.Issuer = strings.Repeat(ca, 64)
		return c
	}
	abort := func(seen *uint32) *storev1.Command {
		_, revision := m.view().TrustAnchors()
		c := putAnchors(revision, anchorOf("a", active))
		c.GetPutTrustAnchors().LeftBehind = seen
		return c
	}
	looked := m.view().LeftBehind([]*poolwirev1.TrustAnchor{anchorOf("a", active)})
	m.must(putRecords(of("a", "0a"), of("b", "0b")))
	var precondition *PreconditionError
	if _, err := m.apply(abort(&looked)); !errors.As(err, &precondition) || looked != 0 {
		t.Errorf("%d were seen: %v", looked, err)
	}
	m.must(abort(new(uint32(1))))
	if _, err := m.apply(putRecords(of("b", "0c"))); !errors.As(err, &precondition) || !strings.Contains(err.Error(), "not trusted any more") {
		t.Error(err)
	}
	m.must(putRecords(of("a", "0d"), of("b", "0b"))) // what is on record stays as it is
}

// Two who rotate at once: the second learns that he was not the first.
func TestTrustAnchors(t *testing.T) {
	t.Parallel()
	const active, next, retiring = poolwirev1.TrustAnchorState_TRUST_ANCHOR_STATE_ACTIVE, poolwirev1.TrustAnchorState_TRUST_ANCHOR_STATE_NEXT, poolwirev1.TrustAnchorState_TRUST_ANCHOR_STATE_RETIRING
	m := newMachine(t)
	founded := timestamppb.New(time.Date(2020, 2, 3, 4, 5, 6, 0, time.UTC))
	a, b := anchorOf("a", active), anchorOf("b", next)
	a.StateTime, b.StateTime = founded, founded
	m.must(putAnchors(0, a, b))
	first, revision := m.view().TrustAnchors()
	if !proto.Equal(first[0].GetStateTime(), founded) || proto.Equal(first[1].GetStateTime(), founded) {
		t.Errorf("the first CA was there before, the next one was not: %v", first)
	}
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

func revokeOwner(kind poolwirev1.CertificateKind, name string, before *timestamppb.Timestamp) *storev1.Command {
	return &storev1.Command{Body: &storev1.Command_RevokeCertificates{RevokeCertificates: &storev1.RevokeCertificates{
		Kind: kind, Name: name, IssuedBefore: before, By: "root",
	}}}
}

// renewal is the record of what a certificate was renewed to.
func renewal(m *machine, serial string, of *poolwirev1.Certificate) *poolwirev1.Certificate {
	c := issuedTo(m, serial, time.Hour)
	c.RenewedFromIssuer, c.RenewedFromSerial = of.GetIssuer(), of.GetSerial()
	return c
}

// revokedNow are the serial numbers of what is revoked.
func revokedNow(m *machine) (out []string) {
	for _, c := range m.view().Certificates() {
		if c.GetRevokeTime() != nil {
			out = append(out, c.GetSerial())
		}
	}
	slices.Sort(out)
	return out
}

// Whoever has stolen a certificate and renews it gains nothing: what he made goes with it, however long the line of
// renewals; what comes in after the revocation is refused; and before it there is an end to what can be made.
func TestRevocationReachesRenewals(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	stolen, other := issuedTo(m, "01", time.Hour), issuedTo(m, "0f", time.Hour)
	m.must(putRecords(stolen, other))
	second := renewal(m, "02", stolen)
	m.must(putRecords(second))
	m.must(putRecords(renewal(m, "03", second)))
	for i := range maxRenewals - 1 {
		m.must(putRecords(renewal(m, fmt.Sprintf("1%d", i), stolen)))
	}
	var refused *PreconditionError
	if _, err := m.apply(putRecords(renewal(m, "20", stolen))); !errors.As(err, &refused) || !strings.Contains(err.Error(), "already") {
		t.Errorf("one renewal too many: %v", err)
	}
	only := revoke("superseded", second)
	only.GetRevokeCertificates().OnlyThese = true
	if res := m.must(only); len(res.UUIDs) != 1 {
		t.Errorf("superseded alone: %v", res.UUIDs)
	}
	res := m.must(revoke("stolen", stolen))
	if got := fmt.Sprint(revokedNow(m)); got != "[01 02 03 10 11 12]" || len(res.UUIDs) != 5 {
		t.Errorf("revoked: %s, said: %v", got, res.UUIDs)
	}
	for _, of := range []*poolwirev1.Certificate{stolen, second} {
		if _, err := m.apply(putRecords(renewal(m, "30", of))); !errors.As(err, &refused) || !strings.Contains(err.Error(), "revoked") {
			t.Errorf("renewed after it was revoked: %v", err)
		}
	}
}

// Owners are looked up when the command is applied: what was made since it was asked for is revoked too. What was issued later
// than the time given, or to others, is not.
func TestRevokedByOwnerAndTime(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	bob := issuedTo(m, "02", time.Hour)
	bob.Name = "bob"
	host := issuedTo(m, "03", time.Hour)
	host.Kind, host.Label = poolwirev1.CertificateKind_CERTIFICATE_KIND_HOST, "ada"
	m.must(putRecords(issuedTo(m, "01", time.Hour), bob, host, issuedTo(m, "04", -time.Minute)))
	const client = poolwirev1.CertificateKind_CERTIFICATE_KIND_CLIENT
	m.must(revokeOwner(client, "ada", nil))
	if got := fmt.Sprint(revokedNow(m)); got != "[01]" {
		t.Errorf("by owner: %s", got)
	}
	late := issuedTo(m, "05", time.Hour)
	late.IssueTime = timestamppb.New(bob.GetNotBefore().AsTime().Add(2 * time.Hour))
	m.must(putRecords(late))
	m.must(revokeOwner(client, "", late.GetIssueTime()))
	if got := fmt.Sprint(revokedNow(m)); got != "[01 02]" {
		t.Errorf("by time: %s", got)
	}
	var invalid *InvalidError
	for _, c := range []*storev1.Command{revokeOwner(client, "", nil), revokeOwner(0, "ada", nil)} {
		if _, err := m.apply(c); !errors.As(err, &invalid) {
			t.Errorf("everybody: %v", err)
		}
	}
}

// Clients cannot take the places that nodes' certificates and revocations need.
func TestPlacesSpared(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	all := make([]*poolwirev1.Certificate, MaxCertificates-certificatesSpared)
	for i := range all {
		all[i] = issuedTo(m, fmt.Sprintf("%08x", i), time.Hour)
	}
	for part := range slices.Chunk(all, 5000) {
		m.must(putRecords(part...))
	}
	var refused *PreconditionError
	if _, err := m.apply(putRecords(issuedTo(m, "ff00000000", time.Hour))); !errors.As(err, &refused) {
		t.Errorf("one client more: %v", err)
	}
	node := issuedTo(m, "ff00000001", time.Hour)
	node.Kind = poolwirev1.CertificateKind_CERTIFICATE_KIND_NODE
	m.must(putRecords(node))
	m.must(revoke("not on record", issuedTo(m, "ff00000002", time.Hour)))
}
