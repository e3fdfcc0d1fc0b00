package northbound

import (
	"context"
	"fmt"

	v1 "poolwire/proto/poolwire/v1"
)

// pifService implements poolwire.v1.PifService.
type pifService struct {
	v1.UnsafePifServiceServer
	*Server
}

// GetPif returns one PIF.
func (s *pifService) GetPif(ctx context.Context, req *v1.GetPifRequest) (*v1.GetPifResponse, error) {
	if req.GetPif() == "" {
		return nil, missing("pif", "the UUID of a PIF")
	}
	v, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	id, _ := canonicalUUID(req.GetPif())
	p := v.Pif(id)
	if p == nil {
		return nil, unresolved("pif", req.GetPif(), "there is no PIF with this UUID; list the PIFs to see those there are")
	}
	return &v1.GetPifResponse{Pif: p}, nil
}

// ListPifs returns PIFs ordered by host and device.
func (s *pifService) ListPifs(ctx context.Context, req *v1.ListPifsRequest) (*v1.ListPifsResponse, error) {
	var bad violations
	at := pageQuery{size: req.GetPageSize(), token: req.GetPageToken(), query: []string{"pifs", req.GetHost()}}.cursor(&bad)
	if err := bad.err(); err != nil {
		return nil, err
	}
	v, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	pifs := v.Pifs
	if req.GetHost() != "" {
		h, err := findHost(v, "host", req.GetHost())
		if err != nil {
			return nil, err
		}
		pifs = func() []*v1.Pif { return v.PifsByHost(h.GetUuid()) }
	}
	out := &v1.ListPifsResponse{Revision: v.Revision()}
	out.Pifs, out.NextPageToken = pageOf(at, pifs(), func(p *v1.Pif) string {
		return sortKey(v.Host(p.GetHostUuid()).GetNameLabel(), p.GetDevice(), fmt.Sprintf("%04d", p.GetVlan()), p.GetUuid())
	})
	return out, nil
}
