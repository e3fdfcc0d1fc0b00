package northbound

import (
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"poolwire/pki"
	v1 "poolwire/proto/poolwire/v1"
)

// A stolen key is worth nothing once its certificate is revoked, as a token neither: those that were made with it go, on whichever node
// they were made; those made with what it was renewed to; and those that such a token has made, for whomever. What others have made stays.
func TestRevocationTakesTokens(t *testing.T) {
	t.Parallel()
	issuer, alice := agedCA(t, 600*24*time.Hour)
	ca := newAuthority(t)
	leader, doors := issuingPair(t, ca, issuer)
	f := &fixture{t: t, ctx: patience(t), store: leader.store, live: leader.live, conn: ca.dial(leader.api, "ada", "pool-admin")}
	f.grant("alice", RolePoolAdmin, scopeCase{})
	create := func(conn grpc.ClientConnInterface, owner string) (*v1.Token, string) {
		r, err := v1.NewTokenServiceClient(conn).CreateToken(f.ctx, &v1.CreateTokenRequest{Token: &v1.Token{Owner: owner, MadeWithSerial: "forged"}})
		if err != nil {
			t.Fatal(err)
		}
		return r.GetToken(), r.GetSecret()
	}
	csr, key, err := pki.NewRequest(pki.KindClient)
	if err != nil {
		t.Fatal(err)
	}
	byStolen := dialDoor(t, doors[0], issuer, alice.CertPEM, alice.KeyPEM)
	renewal, err := v1.NewPkiServiceClient(byStolen).RenewCertificate(f.ctx, &v1.RenewCertificateRequest{Csr: csr})
	if err != nil {
		t.Fatal(err)
	}
	here, hereSecret := create(byStolen, "")
	there, thereSecret := create(dialDoor(t, doors[1], issuer, alice.CertPEM, alice.KeyPEM), "")
	later, laterSecret := create(dialDoor(t, doors[0], issuer, renewal.GetCertificatePem(), key), "")
	more, moreSecret := create(ca.dialToken(leader.api, hereSecret), "bob")
	stays, staysSecret := create(f.conn, "alice")
	serial := pki.Serial(alice.Leaf)
	for _, k := range []*v1.Token{here, there, more} {
		if k.GetMadeWithIssuer() != alice.Issuer || k.GetMadeWithSerial() != serial {
			t.Errorf("not made with %s of %s: %v", serial, alice.Issuer, k)
		}
	}
	if later.GetMadeWithSerial() != renewal.GetCertificate().GetSerial() || stays.GetMadeWithSerial() == "forged" {
		t.Errorf("made with another: %v, %v", later, stays)
	}
	gone := map[string]string{"leader": hereSecret, "follower": thereSecret, "renewed": laterSecret, "token of a token": moreSecret}
	whoami := func(secret string) error {
		_, err := v1.NewAccessServiceClient(ca.dialToken(leader.api, secret)).WhoAmI(f.ctx, &v1.WhoAmIRequest{})
		return err
	}
	for name, secret := range gone {
		if err := whoami(secret); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	r, err := v1.NewPkiServiceClient(f.conn).RevokeCertificate(f.ctx, &v1.RevokeCertificateRequest{Serial: serial, Force: true})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{here.GetId(), there.GetId(), later.GetId(), more.GetId()}
	slices.Sort(want)
	if !slices.Equal(r.GetTokenIds(), want) || len(r.GetCertificates()) != 2 {
		t.Errorf("%v, want tokens %v", r, want)
	}
	for name, secret := range gone {
		if err := whoami(secret); err == nil {
			t.Errorf("%s is good still", name)
		} else {
			refusal{code: codes.Unauthenticated, says: []string{"not accepted"}}.check(t, err)
		}
	}
	if err := whoami(staysSecret); err != nil {
		t.Errorf("made by another: %v", err)
	}
	page, err := v1.NewAuditServiceClient(f.conn).ListAuditRecords(f.ctx, &v1.ListAuditRecordsRequest{Filter: &v1.AuditFilter{Kind: "token", Method: "RevokeCertificate"}})
	if err != nil || len(page.GetRecords()) != 1 || len(page.GetRecords()[0].GetChanges()) != 2+len(want) {
		t.Errorf("recorded %v, %v", page, err)
	}
	for _, id := range want {
		if !strings.Contains(page.String(), id) {
			t.Errorf("no record of token %s", id)
		}
	}
}
