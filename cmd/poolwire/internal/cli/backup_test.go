package cli

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"poolwire/privatefile"
	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// fakeBackup serves a file and remembers the parts it gets.
type fakeBackup struct {
	poolwirev1.UnimplementedBackupServiceServer

	saved     []byte
	staged    []byte
	discarded bool
	refuse    error
	taken     string
	leftovers []*poolwirev1.Leftover
}

func (f *fakeBackup) SaveBackup(_ *poolwirev1.SaveBackupRequest, out grpc.ServerStreamingServer[poolwirev1.SaveBackupResponse]) error {
	for part := range slices.Chunk(f.saved, 100) {
		if err := out.Send(&poolwirev1.SaveBackupResponse{Data: part}); err != nil {
			return err
		}
	}
	return f.refuse
}

func (f *fakeBackup) StageBackup(_ context.Context, r *poolwirev1.StageBackupRequest) (*poolwirev1.StageBackupResponse, error) {
	f.staged = append(f.staged, r.GetData()...)
	return &poolwirev1.StageBackupResponse{Revision: 3}, nil
}

func (f *fakeBackup) RestoreBackup(_ context.Context, r *poolwirev1.RestoreBackupRequest) (*poolwirev1.RestoreBackupResponse, error) {
	if r.GetDiscard() {
		f.discarded = true
		return &poolwirev1.RestoreBackupResponse{}, nil
	}
	return &poolwirev1.RestoreBackupResponse{Revision: 77}, f.refuse
}

func (f *fakeBackup) TakeOverCluster(_ context.Context, r *poolwirev1.TakeOverClusterRequest) (*poolwirev1.TakeOverClusterResponse, error) {
	f.taken = r.GetClusterUuid()
	return &poolwirev1.TakeOverClusterResponse{Revision: 5}, nil
}

func (f *fakeBackup) ListLeftovers(context.Context, *poolwirev1.ListLeftoversRequest) (*poolwirev1.ListLeftoversResponse, error) {
	return &poolwirev1.ListLeftoversResponse{Leftovers: f.leftovers}, nil
}

// backupOf is the backup of a small cluster with pools of these names.
func backupOf(t *testing.T, pools ...string) []byte {
	t.Helper()
	s, err := raftstore.Open(t.Context(), raftstore.Config{NodeID: "n1", Dir: t.TempDir(), Bootstrap: true, ClusterName: "paris", Version: "1.5",
		Raft: raftstore.RaftOptions{SegmentSize: 64 << 10}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close(context.Background()) }()
	for leads := false; !leads; {
		leads = <-s.Leadership()
	}
	for i, name := range pools {
		c := &storev1.Command{Body: &storev1.Command_PutPool{PutPool: &storev1.PutPool{Create: true,
			Pool: &poolwirev1.Pool{Uuid: strings.Repeat(string(rune('a'+i)), 8), NameLabel: name}}}}
		if _, err := s.Apply(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	data, err := s.Backup(s.View())
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestBackupSaveAndInspect(t *testing.T) {
	t.Parallel()
	f := &fakeServer{fakeBackup: fakeBackup{saved: backupOf(t, "p")}}
	path := filepath.Join(t.TempDir(), "b")
	code, out, errs := f.run(t, "backup", "save", path)
	data, err := os.ReadFile(path)
	info, _ := os.Stat(path)
	if code != exitOK || err != nil || !bytes.Equal(data, f.saved) || info.Mode().Perm() != 0o600 || !strings.Contains(out, "saved "+path) {
		t.Fatalf("exit %d: %s%s, %v", code, out, errs, err)
	}
	if code, out, errs = f.run(t, "backup", "save", "-"); code != exitOK || out != string(data) {
		t.Errorf("to standard output: exit %d: %s", code, errs)
	}
	code, out, errs = f.run(t, "--socket", "/nowhere", "backup", "inspect", path)
	for _, want := range []string{"cluster   paris ", "by node n1, version 1.5", "1 pools", "checked   whole"} {
		if code != exitOK || !strings.Contains(out, want) {
			t.Errorf("exit %d, no %q in: %s%s", code, want, out, errs)
		}
	}
	// A server that breaks off leaves the former file as it was.
	f.refuse = status.Error(codes.Unavailable, "gone")
	f.saved = f.saved[:50]
	if code, _, _ = f.run(t, "backup", "save", path); code == exitOK {
		t.Error("half a backup was saved")
	}
	f.refuse = nil
	if code, _, errs = f.run(t, "backup", "save", path); code == exitOK || !strings.Contains(errs, "cut off") {
		t.Errorf("half a backup was saved: %s", errs)
	}
	if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, data) {
		t.Errorf("the former file: %v", err)
	}
	if err := os.WriteFile(path, data[:len(data)-1], 0o600); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"inspect", "restore", "missing"} {
		if code, _, errs = f.run(t, "backup", command, path); code == exitOK || !strings.Contains(errs, path+": backup is cut off in its body") {
			t.Errorf("%s: exit %d: %s", command, code, errs)
		}
	}
}

func TestBackupRestore(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "b")
	data := backupOf(t, "p")
	if err := privatefile.Write(path, data); err != nil {
		t.Fatal(err)
	}
	f := &fakeServer{}
	code, out, errs := f.run(t, "backup", "restore", path)
	if code != exitOK || !bytes.Equal(f.staged, data) || f.discarded || !strings.Contains(out, "restored "+path+" at revision 77") {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
	f = &fakeServer{fakeBackup: fakeBackup{refuse: status.Error(codes.FailedPrecondition, "this cluster has pools")}}
	if code, _, errs = f.run(t, "backup", "restore", path); code != exitConflict || !f.discarded || !strings.Contains(errs, "has pools") {
		t.Errorf("exit %d, parts thrown away: %v: %s", code, f.discarded, errs)
	}
}

func TestBackupMissing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "b")
	if err := privatefile.Write(path, backupOf(t, "kept", "lost")); err != nil {
		t.Fatal(err)
	}
	f := &fakeServer{fakeBackup: fakeBackup{saved: backupOf(t, "kept")}}
	if code, out, _ := f.run(t, "backup", "missing"); code != exitOK || !strings.Contains(out, "nothing is missing") {
		t.Errorf("exit %d: %s", code, out)
	}
	f.leftovers = []*poolwirev1.Leftover{{HostUuid: "h1", Kind: "private-network", Uuid: "pn\x1b9", Rows: []string{"pwp1", "pwp2"}}}
	code, out, errs := f.run(t, "backup", "missing", path)
	for _, want := range []string{"private network", "on host h1: pwp1, pwp2", "bbbbbbbb", "lost", "in the backup"} {
		if code != exitOK || !strings.Contains(out, want) {
			t.Errorf("exit %d, no %q in: %s%s", code, want, out, errs)
		}
	}
	if strings.Contains(out, "kept") || strings.Contains(out, "\x1b") {
		t.Errorf("got %q", out)
	}
	if code, out, _ = f.run(t, "backup", "missing", path, "-o", "json"); code != exitOK || !strings.Contains(out, `"nameLabel": "lost"`) {
		t.Errorf("exit %d: %s", code, out)
	}
}

func TestClusterTakeOver(t *testing.T) {
	t.Parallel()
	f := &fakeServer{}
	if code, out, errs := f.run(t, "cluster", "take-over", "c9"); code != exitOK || f.taken != "c9" || !strings.Contains(out, "this is cluster c9 now") {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
}
