package northbound

import (
	"context"

	"google.golang.org/protobuf/proto"

	storev1 "poolwire/proto/poolwire/store/v1"
	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// hostService implements poolwire.v1.HostService. DeleteHost and ReleaseHost are
// in host_release.go, the checks in host_fields.go.
type hostService struct {
	v1.UnsafeHostServiceServer
	*Server
}

func putHost(h *v1.Host, create bool) *storev1.Command {
	return &storev1.Command{Body: &storev1.Command_PutHost{PutHost: &storev1.PutHost{Host: h, Create: create}}}
}

// CreateHost registers a host.
func (s *hostService) CreateHost(ctx context.Context, req *v1.CreateHostRequest) (*v1.CreateHostResponse, error) {
	h := inputOnly(hostFields(), req.GetHost())
	h.Managed = true
	var bad violations
	if req.GetHost() == nil {
		bad.at("host").say("is required")
	}
	validate(hostFields(), h, bad.at("host"))
	checkHost(h, bad.at("host"))
	cmd := putHost(h, true)
	res, err := s.write(ctx, mutation{asked: req, resource: "host", probe: putHost(nil, true),
		plan: func(v *raftstore.View) (*storev1.Command, error) {
			found := bad.and()
			if p := h.GetPoolUuid(); p != "" && v.Pool(p) == nil {
				found.at("host.pool_uuid").refuse(p, "there is no pool with this UUID; known: %s", listed(poolChoices(v)))
			}
			return cmd, found.err()
		}})
	if err != nil {
		return nil, err
	}
	return &v1.CreateHostResponse{Host: s.storedHost(res, h), Revision: res.Revision, Preview: res.preview}, nil
}

// poolChoices lists pools for a field that takes a UUID.
func poolChoices(v *raftstore.View) []string {
	var out []string
	for _, p := range v.Pools() {
		out = append(out, p.GetUuid()+" ("+p.GetNameLabel()+")")
	}
	return out
}

// storedHost is the host as it is stored now, with its status, or as it was
// asked for when it is gone again already.
func (s *hostService) storedHost(res outcome, asked *v1.Host) *v1.Host {
	if h := res.view.Host(res.first()); h != nil {
		return s.withStatus(h)
	}
	out := proto.CloneOf(asked)
	out.Uuid = res.first()
	return out
}

// withStatus adds what the leader knows of a host now.
func (s *Server) withStatus(h *v1.Host) *v1.Host {
	out := proto.CloneOf(h)
	out.Status = s.cfg.Live.HostStatus(h.GetUuid())
	return out
}

// GetHost returns one host with its live status.
func (s *hostService) GetHost(ctx context.Context, req *v1.GetHostRequest) (*v1.GetHostResponse, error) {
	v, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	h, err := findHost(v, "host", req.GetHost())
	if err != nil {
		return nil, err
	}
	return &v1.GetHostResponse{Host: s.withStatus(h)}, nil
}

// ListHosts returns hosts ordered by name_label.
func (s *hostService) ListHosts(ctx context.Context, req *v1.ListHostsRequest) (*v1.ListHostsResponse, error) {
	var bad violations
	at := pageQuery{size: req.GetPageSize(), token: req.GetPageToken(), query: []string{"hosts", req.GetPool()}}.cursor(&bad)
	if err := bad.err(); err != nil {
		return nil, err
	}
	v, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	hosts := v.Hosts()
	if req.GetPool() != "" {
		p, err := findPool(v, req.GetPool())
		if err != nil {
			return nil, err
		}
		hosts = v.HostsByPool(p.GetUuid())
	}
	out := &v1.ListHostsResponse{Revision: v.Revision()}
	out.Hosts, out.NextPageToken = pageAs(at, hosts, func(h *v1.Host) string { return sortKey(h.GetNameLabel(), h.GetUuid()) }, s.withStatus)
	return out, nil
}

// UpdateHost changes the fields named by update_mask.
func (s *hostService) UpdateHost(ctx context.Context, req *v1.UpdateHostRequest) (*v1.UpdateHostResponse, error) {
	mask := req.GetUpdateMask()
	res, err := s.write(ctx, mutation{
		asked: req, resource: "host", etag: req.GetHost().GetEtag(), probe: putHost(nil, false),
		plan: func(v *raftstore.View) (*storev1.Command, error) {
			now, err := updater[*v1.Host]{table: hostFields(), name: "host", get: v.Host,
				also: func(_, now *v1.Host, at place) error {
					if masks(mask, "trust") && now.GetTrust() == v1.TrustMode_TRUST_MODE_CA && !masks(mask, "certificate_sha256") {
						now.CertificateSha256 = "" // what was pinned before means nothing to the CA
					}
					if masks(mask, "mode") && now.GetMode() == v1.ConnectionMode_CONNECTION_MODE_ACTIVE && !masks(mask, "address") {
						now.Address = ""
					}
					checkHost(now, at)
					return nil
				}}.apply(req.GetHost(), mask)
			return putHost(now, false), err
		},
	})
	if err != nil {
		return nil, err
	}
	return &v1.UpdateHostResponse{Host: s.storedHost(res, req.GetHost()), Revision: res.Revision, Preview: res.preview}, nil
}
