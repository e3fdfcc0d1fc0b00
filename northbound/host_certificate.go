package northbound

import (
	"context"
	"crypto/x509"
	"path"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"poolwire/pki"
	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// IssueHostCertificate makes a certificate that names the host, on a node that has the CA's key,
// and the key where the request brings none.
func (s *hostService) IssueHostCertificate(ctx context.Context, req *v1.IssueHostCertificateRequest) (*v1.IssueHostCertificateResponse, error) {
	v, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	h, err := findHost(v, "host", req.GetHost())
	if err != nil {
		return nil, err
	}
	kind := pki.KindHost
	if req.GetIpsec() {
		kind = pki.KindIPsec
	}
	want := pki.Request{Owner: pki.Identity{Kind: kind, Name: h.GetUuid()}, Unit: h.GetNameLabel(), CSR: req.GetCsr()}
	var key []byte
	if len(want.CSR) == 0 {
		if want.CSR, key, err = pki.NewRequest(kind); err != nil {
			return nil, status.Errorf(codes.Internal, "making a key: %v", err)
		}
	}
	issued, err := s.certify(ctx, want, provenance{by: callOf(ctx).who.Name})
	if err != nil {
		return nil, err
	}
	out := &v1.IssueHostCertificateResponse{
		CertificatePem: issued.CertPEM, PrivateKeyPem: key, CaPem: issued.CAPEM,
		ExpireTime: timestamppb.New(issued.Leaf.NotAfter),
	}
	if !req.GetIpsec() {
		return out, nil
	}
	cas, err := pki.ParseAnchors("the CA's certificate", issued.CAPEM)
	if err != nil {
		return nil, status.Errorf(codes.Internal, "issuing a certificate: %v", err)
	}
	certificatePath, keyPath, caPath := raftstore.IpsecPaths(h.GetIpsec())
	out.CertificatePath, out.PrivateKeyPath, out.CaPath = beside(certificatePath, issued.Leaf), beside(keyPath, issued.Leaf), beside(caPath, cas[0].Issuing())
	return out, nil
}

// beside is a path that no other certificate has. ovs-monitor-ipsec does not notice when a file becomes another: a new
// certificate has to have a new name.
func beside(base string, cert *x509.Certificate) string {
	const distinct = 8 // hexadecimal digits
	extension := path.Ext(base)
	return strings.TrimSuffix(base, extension) + "-" + pki.Fingerprint(cert)[:distinct] + extension
}
