package northbound

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"poolwire/pki"
	storev1 "poolwire/proto/poolwire/store/v1"
	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// RevokeCertificate takes certificates back.
func (s *pkiService) RevokeCertificate(ctx context.Context, req *v1.RevokeCertificateRequest) (*v1.RevokeCertificateResponse, error) {
	v, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	cmd, err := s.toRevoke(v, req)
	if err != nil {
		return nil, err
	}
	cmd.Reason, cmd.By, cmd.OnlyThese = req.GetReason(), callOf(ctx).who.Name, req.GetOnlyThese()
	gone, tokens := v.ToRevoke(cmd, time.Now()), v.TokensToRevoke(cmd, time.Now())
	if !req.GetForce() {
		if err := s.sparesMembers(gone); err != nil {
			return nil, err
		}
	}
	out, trust := &v1.RevokeCertificateResponse{Revision: v.Revision()}, s.trustIn(v)
	for _, c := range cmd.GetCertificates() {
		if was := v.Certificate(c.GetIssuer(), c.GetSerial()); was.GetRevokeTime() != nil {
			out.Certificates = append(out.Certificates, trust.tell(was))
		}
	}
	if len(gone)+len(tokens) == 0 {
		return out, nil // there is nothing to write down
	}
	res, err := s.cfg.Store.Apply(ctx, signed(ctx, &storev1.Command{Body: &storev1.Command_RevokeCertificates{RevokeCertificates: cmd}}))
	if err != nil {
		return nil, statusOf(err, "")
	}
	out.Revision = res.Revision
	now := s.cfg.Store.View()
	for _, key := range res.UUIDs {
		issuer, serial, certificate := strings.Cut(key, "/")
		if !certificate {
			out.TokenIds = append(out.TokenIds, key)
		} else if c := now.Certificate(issuer, serial); c != nil {
			out.Certificates = append(out.Certificates, trust.tell(c))
		}
	}
	return out, nil
}

// toRevoke says which certificates a request means. Those of an owner are looked up when the command is applied.
func (s *pkiService) toRevoke(v *raftstore.View, req *v1.RevokeCertificateRequest) (*storev1.RevokeCertificates, error) {
	owned := req.GetName() != "" || req.GetIssuedBefore() != nil
	switch {
	case req.GetSerial() == "" && (!owned || ownerKind(req.GetKind()) == ""):
		return nil, missing("serial", "a serial number, or kind and name of an owner, or kind and issued_before")
	case req.GetSerial() != "" && owned:
		return nil, status.Error(codes.InvalidArgument, "name, issued_before: give them or serial, not both")
	case req.GetIssuedBefore() != nil && req.GetIssuedBefore().CheckValid() != nil:
		return nil, status.Error(codes.InvalidArgument, "issued_before: is no time")
	case req.GetSerial() != "":
		return s.bySerial(v, req)
	}
	cmd := &storev1.RevokeCertificates{Kind: req.GetKind(), Name: req.GetName(), IssuedBefore: req.GetIssuedBefore()}
	if len(v.ToRevoke(cmd, time.Now())) > 0 {
		return cmd, nil
	}
	// Asked once more: what is meant are those that were revoked then.
	cmd.Certificates = v.Revoked(cmd)
	switch {
	case len(cmd.GetCertificates()) > 0, !req.GetOnlyThese() && len(v.TokensToRevoke(cmd, time.Now())) > 0:
		return cmd, nil
	case req.GetIssuedBefore() != nil:
		return nil, unresolved("issued_before", req.GetIssuedBefore().AsTime().UTC().Format(time.RFC3339), "no such certificate that was issued before is in force and on record")
	}
	return nil, unresolved("name", req.GetName(), "no certificate of this owner is in force and on record")
}

// bySerial finds a certificate by its number. One that is not on record is of any of the CAs: which, nobody knows.
func (s *pkiService) bySerial(v *raftstore.View, req *v1.RevokeCertificateRequest) (*storev1.RevokeCertificates, error) {
	serial := strings.ToLower(strings.ReplaceAll(req.GetSerial(), ":", ""))
	if len(serial)%2 == 1 {
		serial = "0" + serial
	}
	if b, err := hex.DecodeString(serial); err != nil || len(b) > 20 {
		var bad violations
		bad.at("serial").refuse(req.GetSerial(), "must have 1 to 20 octets in hexadecimal, as 'openssl x509 -noout -serial' writes it")
		return nil, bad.err()
	}
	out := &storev1.RevokeCertificates{}
	for _, c := range v.Certificates() {
		if c.GetSerial() == serial {
			out.Certificates = append(out.Certificates, c)
		}
	}
	if len(out.GetCertificates()) > 0 {
		return out, nil
	}
	if !req.GetForce() {
		return nil, unresolved("serial", req.GetSerial(), "no certificate with this number is on record; one that 'poolwired certificate' or an offline CA has made "+
			"is revoked all the same with --force")
	}
	for _, ca := range s.cfg.CA.Anchors() {
		out.Certificates = append(out.Certificates, &v1.Certificate{Issuer: ca.Fingerprint(), Serial: serial, NotAfter: timestamppb.New(ca.Issuing().NotAfter)})
	}
	return out, nil
}

// sparesMembers refuses to cut a member of the cluster off by revoking what it presents. One that has the CA's key makes itself
// another one, if it hears of the revocation before nobody talks to it any more, which cannot be known.
func (s *Server) sparesMembers(gone []*v1.Certificate) error {
	members, _, err := s.nodeStatuses()
	if err != nil {
		return statusOf(err, "")
	}
	var cut []string
	for _, c := range gone {
		for _, m := range members {
			id := m.GetNode().GetId()
			if c.GetKind() != v1.CertificateKind_CERTIFICATE_KIND_NODE || c.GetName() != id {
				continue
			}
			if m.GetCertificateSerial() == "" || m.GetCertificateSerial() == c.GetSerial() { // who does not answer may present any
				cut = append(cut, fmt.Sprintf("node %s is a member and presents %s, without which nobody talks to it", id, c.GetSerial()))
			}
		}
	}
	if len(cut) == 0 {
		return nil
	}
	return status.Errorf(codes.FailedPrecondition, "serial: %s. Give it another one first: 'poolwire pki issue node ID --address ADDRESS', the files into its pki_dir, "+
		"SIGHUP; then revoke this one by its serial number. Or remove the node (poolwire cluster remove). To cut it off, say --force", strings.Join(cut, "; "))
}

// refusedMembers warns of members that present a certificate that was revoked: nobody talks to them.
func refusedMembers(v *raftstore.View, members []*v1.NodeStatus) (out []string) {
	for _, m := range members {
		id := m.GetNode().GetId()
		if c := v.Certificate(m.GetCertificateIssuer(), m.GetCertificateSerial()); c.GetRevokeTime() != nil {
			out = append(out, fmt.Sprintf("node %s presents a certificate that was revoked, and is refused by the others: "+
				"poolwire pki issue node %s --address ADDRESS, the files into its pki_dir", id, id))
		}
	}
	return out
}

// nodeStatuses are the members with what the leader knows of them, of one that does not answer what it said last, and how many
// may fail.
func (s *Server) nodeStatuses() (all []*v1.NodeStatus, tolerance int, err error) {
	all, tolerance, err = s.cfg.Store.Health()
	for _, n := range all {
		if n.GetNode().GetId() == s.cfg.NodeID {
			s.certificatesOf(n)
		}
	}
	return all, tolerance, err
}

// certificatesOf adds to what the store knows of this node what its certificates are, where hosts dial it, and which of its
// files it cannot read again.
func (s *Server) certificatesOf(self *v1.NodeStatus) {
	own := s.cfg.CA.Own()[0]
	self.HasCaKey, self.CertificateIssuer, self.CertificateSerial = s.cfg.CA.CanIssue(), s.cfg.CA.IssuerOf(own), pki.Serial(own)
	self.TrustedCas, self.OvsdbPort, self.Warnings = nil, uint32(s.cfg.OVSDBPort), s.cfg.Unread()
	for _, a := range s.cfg.CA.Anchors() {
		self.TrustedCas = append(self.TrustedCas, a.Fingerprint())
	}
}
