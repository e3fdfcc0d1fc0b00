package northbound

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"testing"

	"google.golang.org/grpc/codes"

	"poolwire/pki"
	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// TestIssuerIsWhoHasTheKey: the node with the CA's key signs, whoever leads and whoever is asked; where no node has it,
// that is said.
func TestIssuerIsWhoHasTheKey(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	leader := startNodeWith(t, ca, raftstore.Config{NodeID: "n1", Bootstrap: true}, func(c *Config) { c.CA = keyless{realCA()} })
	var asked []pki.Request
	lost := false
	holder := startNodeWith(t, ca, raftstore.Config{NodeID: "n2", AskRevision: ca.askRevision}, func(c *Config) {
		c.CA = signing{realCA(), func(r pki.Request) (pki.Issued, error) {
			if lost {
				return pki.Issued{}, pki.ErrNoCAKey
			}
			asked = append(asked, r)
			return realCA().Sign(r)
		}}
	})
	joinPair(t, ca, leader, holder)
	f := &fixture{t: t, ctx: patience(t), store: leader.store, live: leader.live}
	f.populate()
	req := &v1.IssueHostCertificateRequest{Host: "xcp1"}
	for i, api := range []string{leader.api, holder.api} {
		r, err := clientsOf(ca.dial(api, "ada", "pool-admin")).IssueHostCertificate(f.ctx, req)
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := firstCertificate(r.GetCertificatePem())
		if err != nil {
			t.Fatal(err)
		}
		if len(asked) != i+1 || asked[i].Owner.Name != xcp1 || asked[i].Unit != "xcp1" {
			t.Errorf("the holder was asked for %v", asked)
		}
		got := leader.store.View().Certificate(realCA().IssuerOf(leaf), pki.Serial(leaf))
		if got.GetName() != xcp1 || got.GetLabel() != "xcp1" || got.GetIssuedBy() != "ada" || got.GetSha256() != pki.Fingerprint(leaf) {
			t.Errorf("on record: %v", got)
		}
	}
	lost = true
	_, err := clientsOf(ca.dial(leader.api, "ada", "pool-admin")).IssueHostCertificate(f.ctx, req)
	refusal{code: codes.FailedPrecondition, says: []string{"none of the cluster's nodes", "ca.key"}}.check(t, err)
}

// TestIssueHostCertificate: key, certificate, chain, and when it expires; with a request no key.
func TestIssueHostCertificate(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.populate()
	got, err := f.IssueHostCertificate(f.ctx, &v1.IssueHostCertificateRequest{Host: "xcp1"})
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := firstCertificate(got.GetCertificatePem())
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(got.GetPrivateKeyPem())
	if block == nil {
		t.Fatal("no key")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil || !leaf.PublicKey.(interface{ Equal(crypto.PublicKey) bool }).Equal(key.(crypto.Signer).Public()) {
		t.Errorf("the key is not that of the certificate: %v", err)
	}
	if !got.GetExpireTime().AsTime().Equal(leaf.NotAfter) || len(got.GetCaPem()) == 0 {
		t.Errorf("%v", got)
	}
	csr, _, err := pki.NewRequest(pki.KindHost)
	if err != nil {
		t.Fatal(err)
	}
	got, err = f.IssueHostCertificate(f.ctx, &v1.IssueHostCertificateRequest{Host: "xcp1", Csr: csr})
	if err != nil || len(got.GetPrivateKeyPem()) != 0 {
		t.Errorf("%v with a key of %d bytes", err, len(got.GetPrivateKeyPem()))
	}
	_, err = f.IssueHostCertificate(f.ctx, &v1.IssueHostCertificateRequest{Host: "xcp1", Csr: []byte("x")})
	refusal{code: codes.InvalidArgument, says: []string{"csr", "PKCS #10"}}.check(t, err)
}
