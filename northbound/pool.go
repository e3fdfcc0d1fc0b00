package northbound

import (
	"context"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	storev1 "poolwire/proto/poolwire/store/v1"
	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// poolService implements poolwire.v1.PoolService.
type poolService struct {
	v1.UnsafePoolServiceServer
	*Server
}

// Bounds of controller_grace.
const (
	minGrace     = 3 * time.Second
	maxGrace     = 24 * time.Hour
	defaultGrace = 60 * time.Second
)

// poolFields are the fields of a pool that a client may set.
func poolFields() []fieldRow[*v1.Pool] {
	return []fieldRow[*v1.Pool]{
		{path: "uuid", when: onCreate, check: func(p *v1.Pool, at place) { at.uuid(&p.Uuid) }},
		{path: "name_label", when: always, check: func(p *v1.Pool, at place) { at.name(p.GetNameLabel()) }},
		{path: "name_description", when: always, check: func(p *v1.Pool, at place) { at.description(p.GetNameDescription()) }},
		{path: "fail_mode", when: always, check: func(p *v1.Pool, at place) {
			checkEnum(at, p.GetFailMode())
			if p.FailMode == v1.FailMode_FAIL_MODE_UNSPECIFIED {
				p.FailMode = v1.FailMode_FAIL_MODE_STANDALONE
			}
		}},
		{path: "controller_grace", when: always, check: checkGrace},
	}
}

func checkGrace(p *v1.Pool, at place) {
	if p.GetControllerGrace() == nil {
		p.ControllerGrace = durationpb.New(defaultGrace)
		return
	}
	d := p.GetControllerGrace()
	if d.CheckValid() != nil || d.AsDuration() < minGrace || d.AsDuration() > maxGrace {
		at.refuseNumber(d.AsDuration(), "must be 3s to 24h; the default is 60s")
	}
}

func putPool(p *v1.Pool, create bool) *storev1.Command {
	return &storev1.Command{Body: &storev1.Command_PutPool{PutPool: &storev1.PutPool{Pool: p, Create: create}}}
}

// CreatePool adds a pool.
func (s *poolService) CreatePool(ctx context.Context, req *v1.CreatePoolRequest) (*v1.CreatePoolResponse, error) {
	p := inputOnly(poolFields(), req.GetPool())
	var bad violations
	if req.GetPool() == nil {
		bad.at("pool").say("is required")
	}
	validate(poolFields(), p, bad.at("pool"))
	if err := bad.err(); err != nil {
		return nil, err
	}
	cmd := putPool(p, true)
	res, err := s.write(ctx, mutation{asked: req, resource: "pool", probe: putPool(nil, true),
		plan: func(*raftstore.View) (*storev1.Command, error) { return cmd, nil }})
	if err != nil {
		return nil, err
	}
	return &v1.CreatePoolResponse{Pool: s.storedPool(res, p), Revision: res.Revision, Preview: res.preview}, nil
}

// storedPool is the pool as it is stored now, or as it was asked for when it is
// gone again already.
func (s *poolService) storedPool(res outcome, asked *v1.Pool) *v1.Pool {
	if p := res.view.Pool(res.first()); p != nil {
		return p
	}
	out := proto.CloneOf(asked)
	out.Uuid = res.first()
	return out
}

// GetPool returns one pool.
func (s *poolService) GetPool(ctx context.Context, req *v1.GetPoolRequest) (*v1.GetPoolResponse, error) {
	v, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	p, err := findPool(v, req.GetPool())
	if err != nil {
		return nil, err
	}
	return &v1.GetPoolResponse{Pool: p}, nil
}

// ListPools returns pools ordered by name_label.
func (s *poolService) ListPools(ctx context.Context, req *v1.ListPoolsRequest) (*v1.ListPoolsResponse, error) {
	var bad violations
	at := pageQuery{size: req.GetPageSize(), token: req.GetPageToken(), query: []string{"pools"}}.cursor(&bad)
	if err := bad.err(); err != nil {
		return nil, err
	}
	v, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	out := &v1.ListPoolsResponse{Revision: v.Revision()}
	out.Pools, out.NextPageToken = pageOf(at, v.Pools(), func(p *v1.Pool) string { return sortKey(p.GetNameLabel(), p.GetUuid()) })
	return out, nil
}

// UpdatePool changes the fields named by update_mask.
func (s *poolService) UpdatePool(ctx context.Context, req *v1.UpdatePoolRequest) (*v1.UpdatePoolResponse, error) {
	res, err := s.write(ctx, mutation{
		asked: req, resource: "pool", etag: req.GetPool().GetEtag(), probe: putPool(nil, false),
		plan: func(v *raftstore.View) (*storev1.Command, error) {
			now, err := updater[*v1.Pool]{table: poolFields(), name: "pool", get: v.Pool}.apply(req.GetPool(), req.GetUpdateMask())
			return putPool(now, false), err
		},
	})
	if err != nil {
		return nil, err
	}
	return &v1.UpdatePoolResponse{Pool: s.storedPool(res, req.GetPool()), Revision: res.Revision, Preview: res.preview}, nil
}

// DeletePool removes a pool without hosts.
func (s *poolService) DeletePool(ctx context.Context, req *v1.DeletePoolRequest) (*v1.DeletePoolResponse, error) {
	command := func(uuid string) *storev1.Command {
		return &storev1.Command{Body: &storev1.Command_DeletePool{DeletePool: &storev1.Delete{Uuid: uuid, Etag: req.GetEtag()}}}
	}
	res, err := s.write(ctx, mutation{
		asked: req, resource: "pool", etag: req.GetEtag(), probe: command(""),
		plan: func(v *raftstore.View) (*storev1.Command, error) {
			p, err := findPool(v, req.GetPool())
			if err != nil {
				return nil, err
			}
			return command(p.GetUuid()), nil
		},
	})
	if err != nil {
		return nil, err
	}
	return &v1.DeletePoolResponse{Revision: res.Revision, Preview: res.preview}, nil
}
