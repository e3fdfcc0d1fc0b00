package northbound

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"poolwire/pki"
	storev1 "poolwire/proto/poolwire/store/v1"
	v1 "poolwire/proto/poolwire/v1"
)

// certified is a certificate that was made and recorded.
type certified struct {
	pki.Issued
	record   *v1.Certificate
	revision uint64
}

// provenance is where a certificate comes from.
type provenance struct {
	by             string // who has asked for it
	issuer, serial string // of the one that was renewed; empty for none
}

func (p provenance) record() *v1.Certificate {
	return &v1.Certificate{IssuedBy: p.by, RenewedFromIssuer: p.issuer, RenewedFromSerial: p.serial}
}

// certify makes a certificate, here or on another node that has the CA's key, and records it. Nobody gets
// one that is not on record. Leader only.
func (s *Server) certify(ctx context.Context, want pki.Request, from provenance) (certified, error) {
	if err := want.Check(); err != nil {
		return certified{}, badRequest(err)
	}
	issued, err := s.signAnywhere(ctx, want)
	if err != nil {
		return certified{}, err
	}
	record := recordOf(issued.Leaf, issued.Issuer, from.by)
	record.RenewedFromIssuer, record.RenewedFromSerial = from.issuer, from.serial
	if want.Owner.Kind == pki.KindHost || want.Owner.Kind == pki.KindIPsec {
		record.Label = want.Unit
	}
	revision, err := s.record(ctx, record)
	return certified{issued, record, revision}, err
}

// record writes down that certificates were issued.
func (s *Server) record(ctx context.Context, records ...*v1.Certificate) (uint64, error) {
	res, err := s.cfg.Store.Apply(ctx, signed(ctx, &storev1.Command{Body: &storev1.Command_PutCertificates{PutCertificates: &storev1.PutCertificates{Certificates: records}}}))
	return res.Revision, statusOf(err, "")
}

// signAnywhere has a certificate made by this node, or by the first other one that has the CA's key.
func (s *Server) signAnywhere(ctx context.Context, want pki.Request) (pki.Issued, error) {
	if s.cfg.CA.CanIssue() {
		issued, err := s.cfg.CA.Sign(want)
		return issued, badRequest(err)
	}
	nodes, err := s.cfg.Store.Nodes()
	if err != nil {
		return pki.Issued{}, statusOf(err, "")
	}
	var unreachable []string
	for _, n := range nodes {
		if n.GetId() == s.cfg.NodeID || n.GetApiAddress() == "" {
			continue
		}
		issued, err := s.signAt(ctx, n.GetApiAddress(), want)
		switch status.Code(err) {
		case codes.OK:
			return issued, nil
		case codes.FailedPrecondition, codes.Unimplemented: // it has no key
		case codes.InvalidArgument, codes.Canceled, codes.DeadlineExceeded:
			return pki.Issued{}, err
		default:
			unreachable = append(unreachable, n.GetId())
		}
	}
	text := fmt.Sprintf("none of the cluster's nodes has the CA's key: make the certificate where %q is, as described in docs/certificates.md", "ca.key")
	if len(unreachable) > 0 {
		text = "no node that can be reached has the CA's key, ca.key; these cannot be reached: " + listed(unreachable)
	}
	return pki.Issued{}, status.Error(codes.FailedPrecondition, text)
}

// signAt has a certificate made by another node.
func (s *Server) signAt(ctx context.Context, address string, want pki.Request) (pki.Issued, error) {
	conn, release, err := s.cfg.Peers.Reach(address)
	if err != nil {
		return pki.Issued{}, notReached(err)
	}
	defer release()
	r, err := v1.NewPkiServiceClient(conn).SignCertificate(ctx, &v1.SignCertificateRequest{
		Owner: ownerOfRequest(want), Label: want.Unit, Csr: want.CSR,
	})
	if err != nil {
		return pki.Issued{}, err
	}
	leaf, err := firstCertificate(r.GetCertificatePem())
	if err != nil {
		return pki.Issued{}, status.Errorf(codes.Internal, "the node at %s returned no certificate: %v", address, err)
	}
	return pki.Issued{CertPEM: r.GetCertificatePem(), CAPEM: r.GetCaPem(), NotAfter: leaf.NotAfter, Leaf: leaf, Issuer: r.GetIssuer()}, nil
}

// badRequest gives what is wrong with a request for a certificate the API's form.
func badRequest(err error) error {
	var input *pki.InputError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &input):
		return status.Error(codes.InvalidArgument, err.Error())
	case errors.Is(err, pki.ErrNoCAKey), errors.Is(err, pki.ErrIntermediate):
		return status.Error(codes.FailedPrecondition, err.Error())
	}
	return status.Errorf(codes.Internal, "making a certificate: %v", err)
}

// ownerKind gives the words of the API for the kinds of certificates.
func ownerKind(k v1.CertificateKind) pki.Kind {
	switch k {
	case v1.CertificateKind_CERTIFICATE_KIND_HOST:
		return pki.KindHost
	case v1.CertificateKind_CERTIFICATE_KIND_IPSEC:
		return pki.KindIPsec
	case v1.CertificateKind_CERTIFICATE_KIND_NODE:
		return pki.KindNode
	case v1.CertificateKind_CERTIFICATE_KIND_CLIENT:
		return pki.KindClient
	}
	return ""
}

func kindIn(k pki.Kind) v1.CertificateKind {
	for n := range v1.CertificateKind_name {
		if ownerKind(v1.CertificateKind(n)) == k && k != "" {
			return v1.CertificateKind(n)
		}
	}
	return v1.CertificateKind_CERTIFICATE_KIND_UNSPECIFIED
}

func ownerOfRequest(r pki.Request) *v1.CertificateOwner {
	return &v1.CertificateOwner{Kind: kindIn(r.Owner.Kind), Name: r.Owner.Name, Role: string(r.Owner.Role), Addresses: r.Addresses}
}

// requestOf is what an owner in the API's words asks for.
func requestOf(o *v1.CertificateOwner, label string, csr []byte) (pki.Request, error) {
	kind := ownerKind(o.GetKind())
	if kind == "" {
		return pki.Request{}, missing("owner.kind", "host, ipsec, node or client")
	}
	r := pki.Request{Owner: pki.Identity{Kind: kind, Name: o.GetName()}, Unit: label, Addresses: o.GetAddresses(), CSR: csr}
	if kind != pki.KindClient || o.GetRole() == "" {
		return r, nil
	}
	role, err := pki.ParseRole(o.GetRole())
	r.Owner.Role = role
	return r, badRequest(err)
}

// recordOf is the record of a certificate.
func recordOf(leaf *x509.Certificate, issuer, by string) *v1.Certificate {
	out := &v1.Certificate{
		Issuer: issuer, Serial: pki.Serial(leaf), Sha256: pki.Fingerprint(leaf),
		NotBefore: timestamppb.New(leaf.NotBefore), NotAfter: timestamppb.New(leaf.NotAfter), IssuedBy: by,
	}
	if id, err := pki.IdentityOf(leaf); err == nil {
		out.Kind, out.Name, out.Role = kindIn(id.Kind), id.Name, string(id.Role)
	}
	return out
}

// firstCertificate reads the first certificate of a PEM text.
func firstCertificate(text []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("the result is not PEM")
	}
	return x509.ParseCertificate(block.Bytes)
}
