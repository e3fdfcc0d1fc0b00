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

// tokenBy makes a token, of the owner that its id names, with a certificate.
func tokenBy(id string, c *poolwirev1.Certificate) *storev1.Command {
	out := putToken(id, 100*24*time.Hour)
	k := out.GetPutToken().GetToken().GetToken()
	k.Owner, k.MadeWithIssuer, k.MadeWithSerial = id, c.GetIssuer(), c.GetSerial()
	return out
}

// tokenOf makes a token with another one, whatever it says of certificates itself.
func tokenOf(id, maker string) *storev1.Command {
	out := tokenBy(id, &poolwirev1.Certificate{Issuer: strings.Repeat("cd", 32), Serial: "0d"})
	out.GetPutToken().MadeWithToken = maker
	return out
}

func tokenIDs(v *View) string {
	var ids []string
	for _, k := range v.Tokens() {
		ids = append(ids, k.GetToken().GetId())
	}
	return strings.Join(ids, " ")
}

// Tokens that were made with a stolen certificate, with what it was renewed to, or with such tokens go with it, for
// whomever they are, also in a store that was read from a snapshot. Others stay; and so do all when nothing was stolen.
func TestRevocationReachesTokens(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	first, other := issuedTo(m, "01", time.Hour), issuedTo(m, "0f", time.Hour)
	m.must(putRecords(first, other))
	stolen := renewal(m, "02", first)
	m.must(putRecords(stolen))
	next := renewal(m, "03", stolen)
	m.must(putRecords(next))
	unknown := &poolwirev1.Certificate{Serial: "02"} // a node that did not know the issuer
	elsewhere := &poolwirev1.Certificate{Issuer: strings.Repeat("cd", 32), Serial: "02"}
	for id, c := range map[string]*poolwirev1.Certificate{"a1": first, "a2": stolen, "a3": next, "b2": unknown, "c2": elsewhere, "d1": other, "e0": nil} {
		m.must(tokenBy(id, c))
	}
	m.must(tokenOf("f2", "a2"))
	m.must(tokenOf("f3", "f2"))
	m.must(tokenOf("g0", "e0"))
	only := revoke("superseded", stolen)
	only.GetRevokeCertificates().OnlyThese = true
	if res := m.must(only); len(res.UUIDs) != 1 || len(m.view().Tokens()) != 10 {
		t.Errorf("superseded alone: %v, left %s", res.UUIDs, tokenIDs(m.view()))
	}
	m = m.restored()
	res := m.must(revoke("stolen", stolen))
	if got := tokenIDs(m.view()); got != "a1 c2 d1 e0 g0" {
		t.Errorf("left: %s", got)
	}
	if got := fmt.Sprint(res.UUIDs); got != "["+certificateKey(next.GetIssuer(), "03")+" a2 a3 b2 f2 f3]" {
		t.Errorf("said: %s", got)
	}
	var told []string
	for _, c := range m.view().AuditRecord(m.view().AuditEnds().Head).GetChanges() {
		if Table(c.GetTable()) == TableTokens && c.GetRemoved() {
			told = append(told, c.GetKey())
		}
	}
	if got := strings.Join(told, " "); got != "a2 a3 b2 f2 f3" {
		t.Errorf("the audit tells of %s", got)
	}
	if got := tokenIDs(m.restored().view()); got != "a1 c2 d1 e0 g0" {
		t.Errorf("left in a snapshot: %s", got)
	}
	m.must(revoke("stolen too", first))
	if got := tokenIDs(m.view()); got != "c2 d1 e0 g0" {
		t.Errorf("left: %s", got)
	}
}

// An owner's tokens go also when the certificate that made them has ended or was superseded before: they were good longer.
func TestTokensOfAnOwnerGo(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	const client = poolwirev1.CertificateKind_CERTIFICATE_KIND_CLIENT
	ended, bobs := issuedTo(m, "01", time.Minute), issuedTo(m, "02", time.Hour)
	bobs.Name = "bob"
	m.must(putRecords(ended, bobs))
	m.must(tokenBy("a1", ended))
	m.must(tokenBy("b2", bobs))
	late := revokeOwner(client, "ada", nil)
	late.Time = timestamppb.New(ended.GetNotAfter().AsTime().Add(time.Hour))
	if res := m.must(late); fmt.Sprint(res.UUIDs) != "[a1]" || tokenIDs(m.view()) != "b2" {
		t.Errorf("said %v, left %s", res.UUIDs, tokenIDs(m.view()))
	}
}

// No token gets in behind a revocation that comes between the question and the record.
func TestRevokedMakesNoTokens(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	stolen := issuedTo(m, "01", time.Hour)
	m.must(putRecords(stolen))
	m.must(tokenBy("a1", stolen))
	m.must(revoke("stolen", stolen))
	var refused *PreconditionError
	for _, c := range []*storev1.Command{tokenBy("a2", stolen), tokenOf("a3", "a1")} {
		if _, err := m.apply(c); !errors.As(err, &refused) || !strings.Contains(err.Error(), "revoked") {
			t.Errorf("made with what is gone: %v", err)
		}
	}
	var invalid *InvalidError
	if _, err := m.apply(tokenBy("a4", &poolwirev1.Certificate{Serial: strings.Repeat("0", maxSerial+1)})); !errors.As(err, &invalid) {
		t.Errorf("a serial number that is none: %v", err)
	}
}

// A cluster that is to be restored knows no revocations: what was made in it with a certificate that the backup says is
// revoked goes when that is known.
func TestRestoredRevocationReachesTokens(t *testing.T) {
	t.Parallel()
	from, to := founded(t, "old"), founded(t, "new")
	stolen, other := issuedTo(from, "01", time.Hour), issuedTo(from, "02", time.Hour)
	from.must(putRecords(stolen, other))
	from.must(revoke("stolen", stolen))
	to.must(tokenBy("a1", stolen))
	to.must(tokenBy("b2", other))
	for _, c := range restoreCommands("x", from.backup(1), MaxBackupPart) {
		to.must(c)
	}
	if got := tokenIDs(to.view()); got != "b2" {
		t.Errorf("left: %s", got)
	}
}
