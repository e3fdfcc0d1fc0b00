package northbound

import (
	"context"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"poolwire/objecttext"
	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// rotation is how far the rotation is that a view tells of.
func (s *pkiService) rotation(ctx context.Context, v *raftstore.View) (*v1.CaRotation, error) {
	out := &v1.CaRotation{}
	out.Anchors, _ = v.TrustAnchors()
	at := stageOf(out.GetAnchors())
	if at == stageNone {
		return out, nil
	}
	j := judgeOf(out.GetAnchors())
	nodes, err := s.cfg.Store.Nodes()
	if err != nil {
		return nil, statusOf(err, "")
	}
	for _, n := range nodes {
		out.Parties = append(out.Parties, j.node(n.GetId(), s.statusOfNode(ctx, n)))
	}
	for _, h := range v.Hosts() {
		if h.GetManaged() {
			out.Parties = append(out.Parties, j.host(h, s.cfg.Live.HostStatus(h.GetUuid())))
		}
	}
	out.Parties = append(out.Parties, j.clients(v.Certificates(), time.Now())...)
	return out, nil
}

// nodePatience bounds the question to one node how it is doing.
const nodePatience = 3 * time.Second

// statusOfNode asks a node; nil when it does not answer.
func (s *pkiService) statusOfNode(ctx context.Context, n *v1.Node) *v1.NodeStatus {
	if n.GetId() == s.cfg.NodeID {
		return s.selfStatus()
	}
	conn, release, err := s.cfg.Peers.Reach(n.GetApiAddress())
	if err != nil {
		return nil
	}
	defer release()
	ctx, cancel := context.WithTimeout(ctx, nodePatience)
	defer cancel()
	r, err := v1.NewClusterServiceClient(conn).GetNodeStatus(ctx, &v1.GetNodeStatusRequest{})
	if err != nil {
		return nil
	}
	return r.GetStatus()
}

// judge says who is ready for the next step of a rotation from one CA to another.
type judge struct {
	stage    stage
	old, new string // fingerprints
}

func judgeOf(anchors []*v1.TrustAnchor) judge {
	j := judge{stage: stageOf(anchors)}
	for _, a := range anchors {
		switch {
		case a.GetState() == caNext, a.GetState() == caActive && j.stage == stageSwitched:
			j.new = a.GetFingerprint()
		default:
			j.old = a.GetFingerprint()
		}
	}
	return j
}

// node must trust the next CA before others present its certificates, and present one before the old CA goes.
func (j judge) node(id string, st *v1.NodeStatus) *v1.CaRotationParty {
	p := &v1.CaRotationParty{Kind: v1.CertificateKind_CERTIFICATE_KIND_NODE, Name: id}
	switch {
	case st == nil:
		p.Reason = "does not answer"
	case !slices.Contains(st.GetTrustedCas(), j.new):
		p.Reason = "does not trust the new CA yet"
	case j.stage == stageSwitched && st.GetCertificateIssuer() != j.new:
		p.Reason = "presents a certificate of the old CA"
	default:
		p.Ready = true
	}
	return p
}

// host is taken to trust the new CA when it presents a certificate of it: the files come together. Of one whose own
// certificate is pinned nobody can tell whom it trusts.
func (j judge) host(h *v1.Host, st *v1.HostStatus) *v1.CaRotationParty {
	p := &v1.CaRotationParty{Kind: v1.CertificateKind_CERTIFICATE_KIND_HOST, Name: h.GetNameLabel()}
	shown := st.GetCertificate()
	connected := st.GetState() == v1.HostState_HOST_STATE_READY || st.GetState() == v1.HostState_HOST_STATE_SYNCING
	switch {
	case !connected:
		p.Reason = "is not connected: " + objecttext.HostState(st.GetState())
	case shown.GetIssuer() == j.new:
		p.Ready = true
	case shown.GetIssuer() == j.old:
		p.Reason = "presents a certificate of the old CA: 'poolwire pki export-host', then a new connection"
	case j.stage == stageSwitched:
		p.Ready, p.Reason = true, "presents a certificate of its own, and is connected"
	default:
		p.Reason = "presents a certificate of its own: whether it trusts the new CA is not known; see to it that its ca.pem has both"
	}
	return p
}

// clients are those on record that have a certificate of the old CA and none of the new one: they have no ca.pem
// with the new one either, and take no node for one that presents its certificates.
func (j judge) clients(records []*v1.Certificate, now time.Time) (out []*v1.CaRotationParty) {
	moved, behind := map[string]bool{}, map[string]bool{}
	for _, c := range records {
		if c.GetKind() != v1.CertificateKind_CERTIFICATE_KIND_CLIENT || !raftstore.InForce(c, now) {
			continue
		}
		switch c.GetIssuer() {
		case j.new:
			moved[c.GetName()] = true
		case j.old:
			behind[c.GetName()] = true
		}
	}
	for name := range behind {
		if !moved[name] && name != localAdmin {
			out = append(out, &v1.CaRotationParty{Kind: v1.CertificateKind_CERTIFICATE_KIND_CLIENT, Name: name,
				Reason: "has a certificate of the old CA alone: 'poolwire pki renew', or revoke it"})
		}
	}
	slices.SortFunc(out, func(a, b *v1.CaRotationParty) int { return strings.Compare(a.GetName(), b.GetName()) })
	return out
}

// moved are those who would be cut off if the new CA were forgotten: whose certificates of it are good and on record, and
// which nodes and hosts present one. They are named as in "client alice".
func (j judge) moved(records []*v1.Certificate, nodes []*v1.NodeStatus, hosts map[string]*v1.HostStatus, now time.Time) []string {
	var out []string
	for _, c := range records {
		own := c.GetKind() == v1.CertificateKind_CERTIFICATE_KIND_CLIENT && c.GetName() == localAdmin
		if c.GetIssuer() == j.new && raftstore.InForce(c, now) && !own {
			out = append(out, string(ownerKind(c.GetKind()))+" "+objecttext.OwnerName(c))
		}
	}
	for _, n := range nodes {
		if n.GetCertificateIssuer() == j.new {
			out = append(out, "node "+n.GetNode().GetId())
		}
	}
	for name, st := range hosts {
		if st.GetCertificate().GetIssuer() == j.new {
			out = append(out, "host "+name)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// nobodyMoved refuses to forget the next CA while that would cut somebody off.
func (s *pkiService) nobodyMoved(v *raftstore.View, req *v1.RotateCaRequest, anchors []*v1.TrustAnchor) error {
	if req.GetForce() {
		return nil
	}
	members, _, err := s.nodeStatuses()
	if err != nil {
		return statusOf(err, "")
	}
	hosts := map[string]*v1.HostStatus{}
	for _, h := range v.Hosts() {
		hosts[h.GetNameLabel()] = s.cfg.Live.HostStatus(h.GetUuid())
	}
	moved := judgeOf(anchors).moved(v.Certificates(), members, hosts, time.Now())
	if len(moved) == 0 {
		return nil
	}
	return status.Errorf(codes.FailedPrecondition, "these have certificates of the next CA, which nobody would accept any more: %s. Go on instead (poolwire pki rotate switch); "+
		"or cut them off with --force, and issue them others then: 'poolwire pki issue client', 'poolwire pki export-host'", shortened(moved, "; "))
}

// localAdmin is the client that each node with the CA's key makes a certificate for by itself.
const localAdmin = "admin"
