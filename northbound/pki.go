package northbound

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"poolwire/pki"
	v1 "poolwire/proto/poolwire/v1"
)

// pkiService implements poolwire.v1.PkiService.
type pkiService struct {
	v1.UnsafePkiServiceServer
	*Server
}

// IssueCertificate makes a certificate for whoever the request names.
func (s *pkiService) IssueCertificate(ctx context.Context, req *v1.IssueCertificateRequest) (*v1.IssueCertificateResponse, error) {
	want, err := requestOf(req.GetOwner(), "", req.GetCsr())
	if err != nil {
		return nil, err
	}
	if want.Owner.Kind == pki.KindHost || want.Owner.Kind == pki.KindIPsec {
		v, err := s.read(ctx)
		if err != nil {
			return nil, err
		}
		h, err := findHost(v, "owner.name", want.Owner.Name)
		if err != nil {
			return nil, err
		}
		want.Owner.Name, want.Unit = h.GetUuid(), h.GetNameLabel()
	}
	out, err := s.certify(ctx, want, provenance{by: callOf(ctx).who.Name})
	if err != nil {
		return nil, err
	}
	return &v1.IssueCertificateResponse{CertificatePem: out.CertPEM, CaPem: out.CAPEM, Certificate: s.trustIn(s.cfg.Store.View()).tell(out.record), Revision: out.revision}, nil
}

// SignCertificate makes a certificate on this node.
func (s *pkiService) SignCertificate(_ context.Context, req *v1.SignCertificateRequest) (*v1.SignCertificateResponse, error) {
	want, err := requestOf(req.GetOwner(), req.GetLabel(), req.GetCsr())
	if err != nil {
		return nil, err
	}
	if !s.cfg.CA.CanIssue() {
		return nil, status.Errorf(codes.FailedPrecondition, "node %s has no CA key", s.cfg.NodeID)
	}
	issued, err := s.cfg.CA.Sign(want)
	if err != nil {
		return nil, badRequest(err)
	}
	return &v1.SignCertificateResponse{CertificatePem: issued.CertPEM, CaPem: issued.CAPEM, Issuer: issued.Issuer}, nil
}

// maxRecorded bounds the certificates of one request.
const maxRecorded = 16

// RecordCertificates records what a node has made for itself.
func (s *pkiService) RecordCertificates(ctx context.Context, req *v1.RecordCertificatesRequest) (*v1.RecordCertificatesResponse, error) {
	v, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	var records []*v1.Certificate
	rest := req.GetCertificatesPem()
	for range maxRecorded {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		leaf, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, status.Errorf(codes.InvalidArgument, "certificates_pem: %v", err)
		}
		issuer := s.cfg.CA.IssuerOf(leaf)
		if issuer == "" || leaf.IsCA {
			return nil, status.Error(codes.InvalidArgument, "certificates_pem: not signed by a CA that is trusted")
		}
		if v.Certificate(issuer, pki.Serial(leaf)) == nil {
			records = append(records, recordOf(leaf, issuer, callOf(ctx).who.Name))
		}
	}
	if len(records) == 0 {
		return &v1.RecordCertificatesResponse{}, nil
	}
	_, err = s.record(ctx, records...)
	return &v1.RecordCertificatesResponse{}, err
}

// ListCertificates returns the records, those that end first before the others.
func (s *pkiService) ListCertificates(ctx context.Context, req *v1.ListCertificatesRequest) (*v1.ListCertificatesResponse, error) {
	var bad violations
	at := pageQuery{size: req.GetPageSize(), token: req.GetPageToken(), query: []string{"certificates", req.GetKind().String(), req.GetName(), boolText(req.GetAll())}}.cursor(&bad)
	if err := bad.err(); err != nil {
		return nil, err
	}
	v, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	var found []*v1.Certificate
	trust, now := s.trustIn(v), time.Now()
	for _, c := range v.Certificates() {
		if isOf(c, req.GetKind(), req.GetName()) && (req.GetAll() || trust.good(c, now)) {
			found = append(found, c)
		}
	}
	out := &v1.ListCertificatesResponse{}
	out.Certificates, out.NextPageToken = pageOf(at, found, func(c *v1.Certificate) string {
		return sortKey(c.GetNotAfter().AsTime().UTC().Format(time.RFC3339), c.GetIssuer(), c.GetSerial())
	})
	for i, c := range out.GetCertificates() {
		out.Certificates[i] = trust.tell(c)
	}
	return out, nil
}

func boolText(b bool) string {
	if b {
		return "yes"
	}
	return ""
}

// isOf says whether a record is of a kind and an owner; both may be left open.
func isOf(c *v1.Certificate, kind v1.CertificateKind, name string) bool {
	return (kind == v1.CertificateKind_CERTIFICATE_KIND_UNSPECIFIED || c.GetKind() == kind) && (name == "" || c.GetName() == name || c.GetLabel() == name)
}
