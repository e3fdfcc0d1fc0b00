package northbound

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"poolwire/pki"
	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// RenewCertificate is not forwarded as other calls are: only the node that is asked sees the certificate that the caller shows.
// It passes it on, so that the leader can say whether it is good still.
func (s *pkiService) RenewCertificate(ctx context.Context, req *v1.RenewCertificateRequest) (*v1.RenewCertificateResponse, error) {
	own, err := shownBy(ctx, req)
	if err != nil {
		return nil, err
	}
	conn, release, err := s.awaitWay(ctx)
	if err != nil {
		return nil, err
	}
	if conn != nil {
		defer release()
		callOf(ctx).passedOn.Store(true)
		return v1.NewPkiServiceClient(conn).RenewCertificate(s.speakFor(ctx), &v1.RenewCertificateRequest{
			Csr: req.GetCsr(), PresentedPem: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: own.Raw}),
		})
	}
	v, err := s.readWhole(ctx) // who has been granted little sees neither CAs nor records
	if err != nil {
		return nil, err
	}
	from, err := s.renewable(v, own)
	if err != nil {
		return nil, err
	}
	want, err := sameAs(own, req.GetCsr())
	if err != nil {
		return nil, err
	}
	out, err := s.certify(ctx, want, from)
	if err != nil {
		return nil, err
	}
	return &v1.RenewCertificateResponse{CertificatePem: out.CertPEM, CaPem: out.CAPEM, Certificate: s.trustIn(v).tell(out.record)}, nil
}

// shownBy is the certificate that the caller has shown, here or to the node that passes the call on.
func shownBy(ctx context.Context, req *v1.RenewCertificateRequest) (*x509.Certificate, error) {
	if forwarded(ctx) && callOf(ctx).who.Via != "" { // a node has said so, see spokenFor
		c, err := firstCertificate(req.GetPresentedPem())
		if err != nil {
			return nil, status.Errorf(codes.InvalidArgument, "presented_pem: %v", err)
		}
		return c, nil
	}
	if p, ok := peer.FromContext(ctx); ok {
		if info, secured := p.AuthInfo.(credentials.TLSInfo); secured {
			if c := leafOf(info); c != nil {
				return c, nil
			}
		}
	}
	return nil, status.Error(codes.FailedPrecondition, "only who calls with a certificate can have it renewed")
}

// renewalSlack is how much earlier than in its last third a certificate is renewed: the clocks of two nodes differ.
const renewalSlack = 24 * time.Hour

// renewable refuses to renew what is not due: certificates are on record for as long as they live, and there is an end to what
// records there can be. Leader only.
func (s *pkiService) renewable(v *raftstore.View, own *x509.Certificate) (provenance, error) {
	refused := func(format string, args ...any) (provenance, error) {
		return provenance{}, status.Errorf(codes.FailedPrecondition, "the certificate that is shown: "+format, args...)
	}
	id, err := pki.IdentityOf(own)
	if err != nil {
		return refused("%v", err)
	}
	now, issuer := time.Now(), s.cfg.CA.IssuerOf(own)
	from := provenance{by: id.Name, issuer: issuer, serial: pki.Serial(own)}
	switch {
	case issuer == "":
		return refused("it is not of a CA that is trusted")
	case now.After(own.NotAfter):
		return refused("it has ended on %s", own.NotAfter.UTC().Format(time.RFC3339))
	case issuer == s.signerFor(v, id.Kind) && !pki.InLastThird(own, now.Add(renewalSlack)):
		return refused("it is good until %s, and can be renewed in the last third of its life, from %s on; for another key have another one issued",
			own.NotAfter.UTC().Format(time.RFC3339), pki.LastThird(own).UTC().Format(time.RFC3339))
	}
	return from, statusOf(v.MayRenew(from.record(), now), "")
}

// signerFor is the fingerprint of the CA that certificates of a kind come from now. See pki.Authority.certify.
func (s *pkiService) signerFor(v *raftstore.View, kind pki.Kind) string {
	signer := s.cfg.CA.Anchors()[0].Fingerprint()
	anchors, _ := v.TrustAnchors()
	for _, a := range anchors {
		switch {
		case a.GetState() == caNext && (kind == pki.KindClient || kind == pki.KindHost):
			return a.GetFingerprint()
		case a.GetState() == caActive:
			signer = a.GetFingerprint()
		}
	}
	return signer
}

// sameAs asks for a certificate that says what another one says.
func sameAs(own *x509.Certificate, csr []byte) (pki.Request, error) {
	id, err := pki.IdentityOf(own)
	if err != nil {
		return pki.Request{}, status.Errorf(codes.FailedPrecondition, "the certificate that is shown: %v", err)
	}
	r := pki.Request{Owner: id, CSR: csr}
	if id.Kind == pki.KindNode {
		r.Addresses = append(r.Addresses, own.DNSNames...)
		for _, ip := range own.IPAddresses {
			r.Addresses = append(r.Addresses, ip.String())
		}
	}
	return r, nil
}
