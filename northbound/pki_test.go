package northbound

import (
	"fmt"
	"testing"

	"google.golang.org/grpc/codes"

	"poolwire/pki"
	v1 "poolwire/proto/poolwire/v1"
)

// issue has a certificate made for a client and returns its record.
func (f *fixture) issue(name string) *v1.Certificate {
	f.t.Helper()
	csr, _, err := pki.NewRequest(pki.KindClient)
	if err != nil {
		f.t.Fatal(err)
	}
	r, err := f.IssueCertificate(f.ctx, &v1.IssueCertificateRequest{Csr: csr, Owner: &v1.CertificateOwner{
		Kind: v1.CertificateKind_CERTIFICATE_KIND_CLIENT, Name: name, Role: "read-only",
	}})
	if err != nil {
		f.t.Fatal(err)
	}
	return r.GetCertificate()
}

func (f *fixture) listed(req *v1.ListCertificatesRequest) (names []string) {
	f.t.Helper()
	r, err := f.ListCertificates(f.ctx, req)
	if err != nil {
		f.t.Fatal(err)
	}
	for _, c := range r.GetCertificates() {
		names = append(names, c.GetName())
	}
	return names
}

// TestCertificatesAreOnRecord: what is issued is listed until it is revoked, and then only with all.
func TestCertificatesAreOnRecord(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ada, bob := f.issue("ada"), f.issue("bob")
	f.issue("ada")
	if ada.GetRole() != "read-only" || ada.GetIssuedBy() != "local root" || ada.GetSha256() == "" || ada.GetIssuer() != realCA().Anchors()[0].Fingerprint() {
		t.Errorf("%v", ada)
	}
	if got := fmt.Sprint(f.listed(&v1.ListCertificatesRequest{})); len(f.listed(&v1.ListCertificatesRequest{})) != 3 {
		t.Errorf("%s", got)
	}
	r, err := f.RevokeCertificate(f.ctx, &v1.RevokeCertificateRequest{Serial: bob.GetSerial(), Reason: "lost"})
	if err != nil || len(r.GetCertificates()) != 1 || r.GetCertificates()[0].GetRevokeReason() != "lost" || r.GetCertificates()[0].GetRevokedBy() != "local root" {
		t.Errorf("%v, %v", r, err)
	}
	if got := f.listed(&v1.ListCertificatesRequest{Name: "bob"}); len(got) != 0 {
		t.Errorf("%v", got)
	}
	if got := f.listed(&v1.ListCertificatesRequest{Name: "bob", All: true}); len(got) != 1 {
		t.Errorf("%v", got)
	}
	byName := &v1.RevokeCertificateRequest{Kind: v1.CertificateKind_CERTIFICATE_KIND_CLIENT, Name: "ada"}
	if r, err = f.RevokeCertificate(f.ctx, byName); err != nil || len(r.GetCertificates()) != 2 {
		t.Errorf("%v, %v", r, err)
	}
	_, err = f.RevokeCertificate(f.ctx, byName)
	refusal{code: codes.NotFound, says: []string{"ada", "in force"}}.check(t, err)
	// One that this cluster has never heard of, as a copy of openssl shows it.
	r, err = f.RevokeCertificate(f.ctx, &v1.RevokeCertificateRequest{Serial: "0A:BC"})
	if err != nil || f.store.View().Certificate(realCA().Anchors()[0].Fingerprint(), "0abc").GetRevokeTime() == nil {
		t.Errorf("%v, %v", r, err)
	}
	_, err = f.RevokeCertificate(f.ctx, &v1.RevokeCertificateRequest{})
	refusal{code: codes.InvalidArgument, says: []string{"serial"}}.check(t, err)
	_, err = f.IssueCertificate(f.ctx, &v1.IssueCertificateRequest{Owner: &v1.CertificateOwner{Kind: v1.CertificateKind_CERTIFICATE_KIND_CLIENT, Name: "a/b"}})
	refusal{code: codes.InvalidArgument, says: []string{"client name"}}.check(t, err)
	_, err = f.RenewCertificate(f.ctx, &v1.RenewCertificateRequest{})
	refusal{code: codes.FailedPrecondition, says: []string{"certificate"}}.check(t, err)
}
