package northbound

import (
	"time"

	"google.golang.org/protobuf/proto"

	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// trust are the CAs that are trusted, by fingerprint.
type trust map[string]bool

// trustIn returns the CAs that are trusted in a state. Where the CA was never rotated the state has none on record, and it is
// the one that this node has.
func (s *Server) trustIn(v *raftstore.View) trust {
	out := trust{}
	anchors, _ := v.TrustAnchors()
	for _, a := range anchors {
		out[a.GetFingerprint()] = true
	}
	if len(anchors) == 0 {
		for _, a := range s.cfg.CA.Anchors() {
			out[a.Fingerprint()] = true
		}
	}
	return out
}

// good says whether who presents a certificate is accepted.
func (t trust) good(c *v1.Certificate, at time.Time) bool {
	return t[c.GetIssuer()] && raftstore.InForce(c, at)
}

// tell returns the record of a certificate as the API shows it: with what becomes of its CA, which the record does not know.
func (t trust) tell(c *v1.Certificate) *v1.Certificate {
	c = proto.CloneOf(c)
	c.Trust = v1.CertificateTrust_CERTIFICATE_TRUST_GONE
	if t[c.GetIssuer()] {
		c.Trust = v1.CertificateTrust_CERTIFICATE_TRUST_TRUSTED
	}
	return c
}
