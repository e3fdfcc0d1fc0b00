package northbound

import (
	"errors"
	"io"
	"slices"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"poolwire/backup"
	storev1 "poolwire/proto/poolwire/store/v1"
	v1 "poolwire/proto/poolwire/v1"
)

func (f *fixture) save() []byte {
	f.t.Helper()
	in, err := f.SaveBackup(f.ctx, &v1.SaveBackupRequest{})
	if err != nil {
		f.t.Fatal(err)
	}
	var out []byte
	for {
		r, err := in.Recv()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			f.t.Fatal(err)
		}
		out = append(out, r.GetData()...)
	}
}

func (f *fixture) stage(id string, data []byte) uint32 {
	f.t.Helper()
	n := uint32(0)
	for part := range slices.Chunk(data, 500) {
		if _, err := f.StageBackup(f.ctx, &v1.StageBackupRequest{RestoreId: id, Index: n, Data: part}); err != nil {
			f.t.Fatal(err)
		}
		n++
	}
	return n
}

func TestABackupGoesIntoAFreshCluster(t *testing.T) {
	t.Parallel()
	from, to := newWorld(t), newFixture(t)
	data := from.save()
	file, err := backup.Decode(data)
	if err != nil || file.Manifest.GetNodeId() != "n1" || file.Manifest.GetVersion() != "test" || file.Manifest.GetObjects()["hosts"] != 3 || file.Manifest.GetTime() == nil {
		t.Fatalf("%v, %v", file.Manifest, err)
	}
	_, err = from.StageBackup(from.ctx, &v1.StageBackupRequest{RestoreId: "x", Data: data[:1]})
	if status.Code(err) != codes.FailedPrecondition {
		t.Errorf("into a used cluster: %v", err)
	}
	n := to.stage("x", data)
	before := to.store.View().Revision()
	_, err = to.RestoreBackup(to.ctx, &v1.RestoreBackupRequest{RestoreId: "x", Parts: n - 1})
	if status.Code(err) != codes.InvalidArgument || to.store.View().Revision() != before {
		t.Errorf("without its end: %v, at %d after %d", err, to.store.View().Revision(), before)
	}
	_, err = to.RestoreBackup(to.ctx, &v1.RestoreBackupRequest{RestoreId: "x", Parts: n + 1})
	if status.Code(err) != codes.FailedPrecondition {
		t.Errorf("with a part too many: %v", err)
	}
	req := &v1.RestoreBackupRequest{RestoreId: "x", Parts: n, RequestId: "once"}
	r, err := to.RestoreBackup(to.ctx, req)
	if err != nil || r.GetManifest().GetRevision() != file.Manifest.GetRevision() || r.GetRevision() <= file.Manifest.GetRevision() {
		t.Fatalf("%v, %v", r, err)
	}
	again, err := to.RestoreBackup(to.ctx, req)
	if err != nil || again.GetRevision() != r.GetRevision() {
		t.Errorf("the retry: %v, %v", again, err)
	}
	v := to.store.View()
	if v.ClusterUUID() != from.store.View().ClusterUUID() || len(v.Hosts()) != 3 || len(v.Vifs()) != len(from.store.View().Vifs()) {
		t.Errorf("restored: %d hosts, %d VIFs", len(v.Hosts()), len(v.Vifs()))
	}
	// A node of the lost cluster has another log: it is no member.
	_, err = to.AddNode(to.ctx, &v1.AddNodeRequest{Node: &v1.Node{Id: "n9", RaftAddress: "192.0.2.9:6701"}, ClusterUuid: v.ClusterUUID()})
	if status.Code(err) != codes.FailedPrecondition {
		t.Errorf("a node of the lost cluster: %v", err)
	}
	// A watch of the former life is told to begin anew.
	in, err := to.Watch(to.ctx, &v1.WatchRequest{FromRevision: file.Manifest.GetRevision() + 1})
	if err == nil {
		_, err = in.Recv()
	}
	if status.Code(err) != codes.OutOfRange {
		t.Errorf("watch: %v", err)
	}
	if back, err := backup.Decode(to.save()); err != nil || back.Manifest.GetEpoch() <= file.Manifest.GetEpoch() {
		t.Errorf("the next backup: %v, %v", back, err)
	}
}

func TestStagedPartsAreThrownAway(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	n := f.stage("x", []byte("no backup at all"))
	if _, err := f.RestoreBackup(f.ctx, &v1.RestoreBackupRequest{RestoreId: "x", Parts: n}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("restored: %v", err)
	}
	if _, err := f.RestoreBackup(f.ctx, &v1.RestoreBackupRequest{RestoreId: "x", Discard: true}); err != nil {
		t.Error(err)
	}
	if _, err := f.RestoreBackup(f.ctx, &v1.RestoreBackupRequest{RestoreId: "x", Parts: n}); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("there still: %v", err)
	}
}

func TestTakeOverIsRefusedWhileHostsFollow(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	req := &v1.TakeOverClusterRequest{ClusterUuid: id('9', 1)}
	if _, err := f.TakeOverCluster(f.ctx, req); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("got %v", err)
	}
	f.live.change(func() {
		for _, h := range []string{xcp1, xcp2, xcp3} {
			f.live.state[h] = v1.HostState_HOST_STATE_REFUSED
		}
	})
	if r, err := f.TakeOverCluster(f.ctx, req); err != nil || r.GetRevision() != f.store.View().Revision() || f.store.View().ClusterUUID() != req.GetClusterUuid() {
		t.Errorf("%v, %v", r, err)
	}
	for _, bad := range []string{"", "x"} {
		if _, err := f.TakeOverCluster(f.ctx, &v1.TakeOverClusterRequest{ClusterUuid: bad}); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// Marks on hosts name what the cluster does not know; those of what it knows, and rows of
// others, are left out.
func TestLeftovers(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	pn := id('d', 9)
	port := func(name, object string, owned bool) *storev1.Port {
		return &storev1.Port{Name: name, Bridge: "xenbr0", NetworkBridge: "xenbr0", Object: object, Owned: owned}
	}
	f.apply(&storev1.Command{Body: &storev1.Command_ObserveHost{ObserveHost: &storev1.ObserveHost{HostUuid: xcp1, Ports: []*storev1.Port{
		port("t1", "tunnel:geneve:"+id('b', 9), true), port("t2", "tunnel:geneve:"+xcp2, true), port("q", "patch:"+pn, true),
		port("p", "uplink:"+pn, true), port("x", "patch:"+pn, false), port("y", "nonsense", true), port("z", "", true),
	}}}})
	r, err := f.ListLeftovers(f.ctx, &v1.ListLeftoversRequest{})
	if err != nil || len(r.GetLeftovers()) != 2 {
		t.Fatalf("%v, %v", r, err)
	}
	host, net := r.GetLeftovers()[0], r.GetLeftovers()[1]
	if host.GetKind() != "host" || host.GetUuid() != id('b', 9) || !slices.Equal(host.GetRows(), []string{"t1"}) ||
		net.GetKind() != "private-network" || net.GetUuid() != pn || !slices.Equal(net.GetRows(), []string{"p", "q"}) || net.GetHostUuid() != xcp1 {
		t.Errorf("%v", r)
	}
}
