package northbound

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	"poolwire/pki"
	storev1 "poolwire/proto/poolwire/store/v1"
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
	// Once more: as it was, and nothing is written.
	revision := f.store.View().Revision()
	byTime := &v1.RevokeCertificateRequest{Kind: v1.CertificateKind_CERTIFICATE_KIND_CLIENT, IssuedBefore: timestamppb.New(time.Now().Add(time.Hour))}
	for q, want := range map[*v1.RevokeCertificateRequest]int{byName: 2, byTime: 3} {
		q.Reason = "once more"
		r, err = f.RevokeCertificate(f.ctx, q)
		if err != nil || len(r.GetCertificates()) != want || f.store.View().Revision() != revision || r.GetRevision() != revision {
			t.Errorf("revoked twice: %v, %v; want %d; revision %d after %d", r, err, want, f.store.View().Revision(), revision)
		}
		for _, c := range r.GetCertificates() {
			if c.GetRevokeTime() == nil || c.GetRevokeReason() == "once more" {
				t.Errorf("not as it was: %v", c)
			}
		}
	}
	_, err = f.RevokeCertificate(f.ctx, &v1.RevokeCertificateRequest{Kind: v1.CertificateKind_CERTIFICATE_KIND_CLIENT, Name: "eve"})
	refusal{code: codes.NotFound, field: "name", says: []string{"eve", "in force"}}.check(t, err)
	byTime.IssuedBefore = timestamppb.New(time.Unix(1, 0))
	_, err = f.RevokeCertificate(f.ctx, byTime)
	refusal{code: codes.NotFound, field: "issued_before", says: []string{"in force"}}.check(t, err)
	r, err = f.RevokeCertificate(f.ctx, &v1.RevokeCertificateRequest{Serial: bob.GetSerial(), Reason: "lost again"})
	if err != nil || len(r.GetCertificates()) != 1 || r.GetCertificates()[0].GetRevokeReason() != "lost" || f.store.View().Revision() != revision || r.GetRevision() != revision {
		t.Errorf("revoked twice: %v, %v; revision %d after %d", r, err, f.store.View().Revision(), revision)
	}
	// One that this cluster has never heard of, as a copy of openssl shows it.
	_, err = f.RevokeCertificate(f.ctx, &v1.RevokeCertificateRequest{Serial: "0A:BC"})
	refusal{code: codes.NotFound, field: "serial", says: []string{"0A:BC", "on record", "--force"}}.check(t, err)
	_, err = f.RevokeCertificate(f.ctx, &v1.RevokeCertificateRequest{Serial: "zzz"})
	refusal{code: codes.InvalidArgument, field: "serial", says: []string{`"zzz"`}}.check(t, err)
	r, err = f.RevokeCertificate(f.ctx, &v1.RevokeCertificateRequest{Serial: "0A:BC", Force: true})
	if err != nil || f.store.View().Certificate(realCA().Anchors()[0].Fingerprint(), "0abc").GetRevokeTime() == nil {
		t.Errorf("%v, %v", r, err)
	}
	_, err = f.RevokeCertificate(f.ctx, &v1.RevokeCertificateRequest{})
	refusal{code: codes.InvalidArgument, says: []string{"serial"}}.check(t, err)
	_, err = f.IssueCertificate(f.ctx, &v1.IssueCertificateRequest{Owner: &v1.CertificateOwner{Kind: v1.CertificateKind_CERTIFICATE_KIND_CLIENT, Name: "a/b"}})
	refusal{code: codes.InvalidArgument, says: []string{"client name"}}.check(t, err)
	for _, old := range []string{"admin", "operator", "viewer"} {
		_, err = f.IssueCertificate(f.ctx, &v1.IssueCertificateRequest{Owner: &v1.CertificateOwner{Kind: v1.CertificateKind_CERTIFICATE_KIND_CLIENT, Name: "eve", Role: old}})
		refusal{code: codes.InvalidArgument, says: []string{"role", old}}.check(t, err)
	}
	_, err = f.RenewCertificate(f.ctx, &v1.RenewCertificateRequest{})
	refusal{code: codes.FailedPrecondition, says: []string{"certificate"}}.check(t, err)
}

// What a member presents is not revoked by accident, whatever it could do about it. Whoever insists is told by the status
// what he has done.
func TestMemberIsSpared(t *testing.T) {
	t.Parallel()
	for name, own := range map[string]CA{"with the CA's key": realCA(), "without it": keyless{realCA()}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixtureWith(t, func(c *Config) { c.CA = own })
			leaf := own.Own()[0]
			f.apply(&storev1.Command{Body: &storev1.Command_PutCertificates{PutCertificates: &storev1.PutCertificates{
				Certificates: []*v1.Certificate{recordOf(leaf, own.IssuerOf(leaf), "n1")},
			}}})
			q := &v1.RevokeCertificateRequest{Kind: v1.CertificateKind_CERTIFICATE_KIND_NODE, Name: "n1"}
			_, err := f.RevokeCertificate(f.ctx, q)
			refusal{code: codes.FailedPrecondition, says: []string{"n1", "member", pki.Serial(leaf), "--force"}}.check(t, err)
			q.Force = true
			if _, err = f.RevokeCertificate(f.ctx, q); err != nil {
				t.Fatal(err)
			}
			st, err := f.GetClusterStatus(f.ctx, &v1.GetClusterStatusRequest{})
			if err != nil || !strings.Contains(fmt.Sprint(st.GetWarnings()), "node n1 presents a certificate that was revoked") {
				t.Errorf("%v, %v", st.GetWarnings(), err)
			}
		})
	}
}

// While the CA is rotated, a number that is on no record may be of either.
func TestUnknownSerialOfAnyCA(t *testing.T) {
	t.Parallel()
	ca, err := pki.Open(t.TempDir(), pki.Options{NodeID: "n1"})
	if err != nil {
		t.Fatal(err)
	}
	f := newFixtureWith(t, func(c *Config) { c.CA = ca })
	if _, err := ca.PrepareNext(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.RevokeCertificate(f.ctx, &v1.RevokeCertificateRequest{Serial: "0abc", Force: true}); err != nil {
		t.Fatal(err)
	}
	for _, a := range ca.Anchors() {
		if f.store.View().Certificate(a.Fingerprint(), "0abc").GetRevokeTime() == nil {
			t.Errorf("not revoked for the CA %s", a.Fingerprint())
		}
	}
}
