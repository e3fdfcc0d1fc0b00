package northbound

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"poolwire/pki"
	storev1 "poolwire/proto/poolwire/store/v1"
	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
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
	who := callOf(ctx).who
	by := who.Name
	if who.Role == RoleNode && req.GetAskedBy() != "" {
		by = req.GetAskedBy()
	}
	out, err := s.certify(ctx, want, by)
	if err != nil {
		return nil, err
	}
	return &v1.IssueCertificateResponse{CertificatePem: out.CertPEM, CaPem: out.CAPEM, Certificate: out.record, Revision: out.revision}, nil
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

// RenewCertificate is answered by the node that is asked: only there is the certificate that the caller shows.
func (s *pkiService) RenewCertificate(ctx context.Context, req *v1.RenewCertificateRequest) (*v1.RenewCertificateResponse, error) {
	own := presentedBy(ctx)
	if own == nil {
		return nil, status.Error(codes.FailedPrecondition, "only who calls with a certificate can have it renewed")
	}
	id, err := pki.IdentityOf(own)
	if err != nil {
		return nil, status.Errorf(codes.FailedPrecondition, "the certificate that is shown: %v", err)
	}
	owner := &v1.CertificateOwner{Kind: kindIn(id.Kind), Name: id.Name, Role: string(id.Role)}
	if id.Kind == pki.KindNode {
		owner.Addresses = append(owner.Addresses, own.DNSNames...)
		for _, ip := range own.IPAddresses {
			owner.Addresses = append(owner.Addresses, ip.String())
		}
	}
	ask := &v1.IssueCertificateRequest{Owner: owner, Csr: req.GetCsr(), AskedBy: id.Name}
	conn, release, err := s.awaitWay(ctx)
	if err != nil {
		return nil, err
	}
	if conn == nil {
		want, err := requestOf(owner, "", req.GetCsr())
		if err != nil {
			return nil, err
		}
		out, err := s.certify(ctx, want, id.Name)
		if err != nil {
			return nil, err
		}
		return &v1.RenewCertificateResponse{CertificatePem: out.CertPEM, CaPem: out.CAPEM, Certificate: out.record}, nil
	}
	defer release()
	r, err := v1.NewPkiServiceClient(conn).IssueCertificate(ctx, ask)
	if err != nil {
		return nil, err
	}
	return &v1.RenewCertificateResponse{CertificatePem: r.GetCertificatePem(), CaPem: r.GetCaPem(), Certificate: r.GetCertificate()}, nil
}

// presentedBy is the certificate that the caller himself has shown; nil for none.
func presentedBy(ctx context.Context) *x509.Certificate {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return nil
	}
	info, secured := p.AuthInfo.(credentials.TLSInfo)
	if !secured {
		return nil
	}
	return leafOf(info)
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
	for _, c := range v.Certificates() {
		if isOf(c, req.GetKind(), req.GetName()) && (req.GetAll() || inForce(c)) {
			found = append(found, c)
		}
	}
	out := &v1.ListCertificatesResponse{}
	out.Certificates, out.NextPageToken = pageOf(at, found, func(c *v1.Certificate) string {
		return sortKey(c.GetNotAfter().AsTime().UTC().Format(time.RFC3339), c.GetIssuer(), c.GetSerial())
	})
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

// inForce says whether a certificate is neither revoked nor expired.
func inForce(c *v1.Certificate) bool {
	return c.GetRevokeTime() == nil && c.GetNotAfter().AsTime().After(time.Now())
}

// RevokeCertificate takes certificates back.
func (s *pkiService) RevokeCertificate(ctx context.Context, req *v1.RevokeCertificateRequest) (*v1.RevokeCertificateResponse, error) {
	v, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	gone, err := s.toRevoke(v, req)
	if err != nil {
		return nil, err
	}
	res, err := s.cfg.Store.Apply(ctx, signed(ctx, &storev1.Command{Body: &storev1.Command_RevokeCertificates{RevokeCertificates: &storev1.RevokeCertificates{
		Certificates: gone, Reason: req.GetReason(), By: callOf(ctx).who.Name,
	}}}))
	if err != nil {
		return nil, statusOf(err, "")
	}
	out := &v1.RevokeCertificateResponse{Revision: res.Revision}
	now := s.cfg.Store.View()
	for _, c := range gone {
		out.Certificates = append(out.Certificates, now.Certificate(c.GetIssuer(), c.GetSerial()))
	}
	return out, nil
}

// toRevoke finds the certificates that a request means.
func (s *pkiService) toRevoke(v *raftstore.View, req *v1.RevokeCertificateRequest) (gone []*v1.Certificate, err error) {
	serial := strings.ToLower(strings.ReplaceAll(req.GetSerial(), ":", ""))
	switch {
	case serial == "" && (req.GetName() == "" || ownerKind(req.GetKind()) == ""):
		return nil, missing("serial", "a serial number, or kind and name of an owner")
	case serial != "" && req.GetName() != "":
		return nil, status.Error(codes.InvalidArgument, "name: give it or serial, not both")
	}
	if len(serial)%2 == 1 {
		serial = "0" + serial
	}
	for _, c := range v.Certificates() {
		if serial != "" && c.GetSerial() == serial || serial == "" && isOf(c, req.GetKind(), req.GetName()) && inForce(c) {
			gone = append(gone, c)
		}
	}
	switch {
	case len(gone) > 0:
		return gone, nil
	case serial == "":
		return nil, unresolved("name", req.GetName(), "no certificate of this owner is in force and on record")
	}
	ca := s.cfg.CA.Anchors()[0]
	return []*v1.Certificate{{Issuer: ca.Fingerprint(), Serial: serial, NotAfter: timestamppb.New(ca.Issuing().NotAfter)}}, nil
}
