package northbound

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	storev1 "poolwire/proto/poolwire/store/v1"
	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// backupService implements poolwire.v1.BackupService.
type backupService struct {
	v1.UnsafeBackupServiceServer
	*Server
}

// backupChunk is how much of a backup is sent at a time, in bytes.
const backupChunk = 256 << 10

// SaveBackup sends the file of a state that holds every acknowledged write.
func (s *backupService) SaveBackup(_ *v1.SaveBackupRequest, out grpc.ServerStreamingServer[v1.SaveBackupResponse]) error {
	v, err := s.read(out.Context())
	if err != nil {
		return err
	}
	data, err := s.cfg.Store.Backup(v)
	if err != nil {
		return statusOf(err, "")
	}
	for part := range slices.Chunk(data, backupChunk) {
		if err := out.Send(&v1.SaveBackupResponse{Data: part}); err != nil {
			return err
		}
	}
	return nil
}

// StageBackup puts a part of a file down.
func (s *backupService) StageBackup(ctx context.Context, req *v1.StageBackupRequest) (*v1.StageBackupResponse, error) {
	res, err := s.restore(ctx, raftstore.Asked{}, &storev1.RestoreBackup{
		Id: req.GetRestoreId(), Step: storev1.RestoreStep_RESTORE_STEP_STAGE, Index: req.GetIndex(), Data: req.GetData(),
	})
	return &v1.StageBackupResponse{Revision: res.Revision}, err
}

// RestoreBackup replaces the state by what was put down, or throws that away. What cannot be
// restored is refused before the log has it.
func (s *backupService) RestoreBackup(ctx context.Context, req *v1.RestoreBackupRequest) (*v1.RestoreBackupResponse, error) {
	cmd := &storev1.RestoreBackup{Id: req.GetRestoreId(), Step: storev1.RestoreStep_RESTORE_STEP_COMMIT, Parts: req.GetParts()}
	cmd.KeepGrants = req.GetKeepGrants()
	if req.GetDiscard() {
		cmd.Step, cmd.Parts = storev1.RestoreStep_RESTORE_STEP_DISCARD, 0
	}
	v, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	out := &v1.RestoreBackupResponse{}
	if !req.GetDiscard() && !v.Requested(askedBy(ctx, req)) {
		if out.Manifest, err = s.cfg.Store.CheckRestore(v, req.GetRestoreId(), req.GetParts()); err != nil {
			return nil, statusOf(err, "")
		}
	}
	res, err := s.restore(ctx, askedBy(ctx, req), cmd)
	out.Revision = res.Revision
	return out, err
}

func (s *backupService) restore(ctx context.Context, by raftstore.Asked, c *storev1.RestoreBackup) (raftstore.Result, error) {
	cmd := &storev1.Command{Body: &storev1.Command_RestoreBackup{RestoreBackup: c}}
	by.Sign(cmd)
	res, err := s.cfg.Store.Apply(ctx, signed(ctx, cmd))
	return res, statusOf(err, "")
}

// TakeOverCluster gives the cluster the identity of a lost one. It is refused while hosts
// follow it under its own: to those it would be another cluster.
func (s *backupService) TakeOverCluster(ctx context.Context, req *v1.TakeOverClusterRequest) (*v1.TakeOverClusterResponse, error) {
	var bad violations
	bad.at("cluster_uuid").requiredUUID(&req.ClusterUuid)
	if err := bad.err(); err != nil {
		return nil, err
	}
	v, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	for _, h := range v.Hosts() {
		if s.cfg.Live.HostStatus(h.GetUuid()).GetState() == v1.HostState_HOST_STATE_READY && h.GetManaged() {
			return nil, status.Errorf(codes.FailedPrecondition,
				"host %s (%s) follows this cluster already, under its present identity: release it first, or found a cluster anew", quote(h.GetNameLabel()), h.GetUuid())
		}
	}
	res, err := s.cfg.Store.Apply(ctx, signed(ctx, &storev1.Command{
		Body: &storev1.Command_TakeOverCluster{TakeOverCluster: &storev1.TakeOverCluster{ClusterUuid: req.GetClusterUuid()}}}))
	if err != nil {
		return nil, statusOf(err, "")
	}
	return &v1.TakeOverClusterResponse{Revision: res.Revision}, nil
}

// ListLeftovers returns what hosts hold for objects that nobody knows here.
func (s *backupService) ListLeftovers(ctx context.Context, _ *v1.ListLeftoversRequest) (*v1.ListLeftoversResponse, error) {
	v, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	return &v1.ListLeftoversResponse{Leftovers: leftovers(v)}, nil
}

// leftovers looks at the marks of what hosts report. Reports are bounded.
func leftovers(v *raftstore.View) []*v1.Leftover {
	found := map[[3]string]*v1.Leftover{}
	for _, h := range v.Hosts() {
		for _, p := range v.Ports(h.GetUuid()) {
			kind, uuid := markOf(p.GetObject())
			if !p.GetOwned() || known(v, kind, uuid) {
				continue
			}
			at := [3]string{h.GetUuid(), kind, uuid}
			if found[at] == nil {
				found[at] = &v1.Leftover{HostUuid: at[0], Kind: kind, Uuid: uuid}
			}
			found[at].Rows = append(found[at].Rows, p.GetName())
		}
	}
	out := make([]*v1.Leftover, 0, len(found))
	for _, l := range found {
		slices.Sort(l.Rows)
		out = append(out, l)
	}
	slices.SortFunc(out, func(a, b *v1.Leftover) int {
		return cmp.Or(cmp.Compare(a.GetHostUuid(), b.GetHostUuid()), cmp.Compare(a.GetKind(), b.GetKind()), cmp.Compare(a.GetUuid(), b.GetUuid()))
	})
	return out
}

// Kinds of objects that marks name.
const (
	leftPrivateNetwork = "private-network"
	leftHost           = "host"
)

// markOf reads the mark of a port: what it is for, and the last part of it the UUID.
func markOf(object string) (kind, uuid string) {
	what, rest, _ := strings.Cut(object, ":")
	switch what {
	case "private-network", "patch", "uplink":
		return leftPrivateNetwork, rest
	case "tunnel", "companion":
		return leftHost, rest[strings.LastIndexByte(rest, ':')+1:]
	}
	return "", ""
}

func known(v *raftstore.View, kind, uuid string) bool {
	switch kind {
	case leftPrivateNetwork:
		return v.PrivateNetwork(uuid) != nil
	case leftHost:
		return v.Host(uuid) != nil
	}
	return true
}
