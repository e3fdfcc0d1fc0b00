package northbound

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"path"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// IssueHostCertificate makes a key and a certificate that names the host, on the node that is
// asked if it has the CA's key, else on the leader.
func (s *hostService) IssueHostCertificate(ctx context.Context, req *v1.IssueHostCertificateRequest) (*v1.IssueHostCertificateResponse, error) {
	v, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	h, err := findHost(v, "host", req.GetHost())
	if err != nil {
		return nil, err
	}
	if !s.cfg.HasCAKey {
		return nil, status.Errorf(codes.FailedPrecondition,
			"node %s, which leads, has no CA key, and neither has the node that was asked: ask the one whose pki_dir holds ca.key", s.cfg.NodeID)
	}
	issue := s.cfg.IssueHost
	if req.GetIpsec() {
		issue = s.cfg.IssueIPsec
	}
	issued, err := issue(h.GetUuid(), h.GetNameLabel())
	if err != nil {
		return nil, status.Errorf(codes.Internal, "issuing a certificate for host %q: %v", h.GetNameLabel(), err)
	}
	cert, err := firstCertificate(issued.CertificatePEM)
	if err != nil {
		return nil, status.Errorf(codes.Internal, "issuing a certificate: %v", err)
	}
	out := &v1.IssueHostCertificateResponse{
		CertificatePem: issued.CertificatePEM, PrivateKeyPem: issued.PrivateKeyPEM, CaPem: issued.CAPEM,
		ExpireTime: timestamppb.New(cert.NotAfter),
	}
	if !req.GetIpsec() {
		return out, nil
	}
	ca, err := firstCertificate(issued.CAPEM)
	if err != nil {
		return nil, status.Errorf(codes.Internal, "issuing a certificate: the CA's: %v", err)
	}
	certificatePath, keyPath, caPath := raftstore.IpsecPaths(h.GetIpsec())
	out.CertificatePath, out.PrivateKeyPath, out.CaPath = beside(certificatePath, cert), beside(keyPath, cert), beside(caPath, ca)
	return out, nil
}

// beside is a path that no other certificate has. ovs-monitor-ipsec does not notice when a file becomes another: a new
// certificate has to have a new name.
func beside(base string, cert *x509.Certificate) string {
	const distinct = 4 // octets
	sum, extension := sha256.Sum256(cert.Raw), path.Ext(base)
	return strings.TrimSuffix(base, extension) + "-" + hex.EncodeToString(sum[:distinct]) + extension
}

// firstCertificate reads the first certificate of a PEM text.
func firstCertificate(text []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("the result is not PEM")
	}
	return x509.ParseCertificate(block.Bytes)
}
