package raftstore

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"golang.org/x/sys/unix"

	storev1 "poolwire/proto/poolwire/store/v1"
)

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openSingle(t, dir)
	if _, err := Open(context.Background(), Config{NodeID: "n1", Dir: dir}); !errors.Is(err, ErrLocked) {
		t.Errorf("a directory in use: %v", err)
	}
	closeStore(t, s)
	if _, err := Open(context.Background(), Config{NodeID: "n2", Dir: dir}); err == nil || !strings.Contains(err.Error(), `belongs to node "n1"`) {
		t.Errorf("another node's directory: %v", err)
	}
	file := t.TempDir() + "/file"
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	for name, c := range map[string]struct {
		ctx context.Context
		cfg Config
	}{
		"no node id":   {context.Background(), Config{Dir: dir}},
		"bad node id":  {context.Background(), Config{NodeID: "a/b", Dir: dir}},
		"no directory": {context.Background(), Config{NodeID: "n1"}},
		"a file":       {context.Background(), Config{NodeID: "n1", Dir: file}},
		"bad options":  {context.Background(), Config{NodeID: "n1", Dir: dir, Raft: RaftOptions{HeartbeatTimeout: 1}}},
		"long lease":   {context.Background(), Config{NodeID: "n1", Dir: dir, Raft: RaftOptions{LeaseTimeout: time.Minute}}},
		"cancelled":    {cancelled, Config{NodeID: "n1", Dir: dir}},
	} {
		if s, err := Open(c.ctx, c.cfg); err == nil {
			closeStore(t, s)
			t.Errorf("%s: opened", name)
		}
	}
	// None of that left the directory locked.
	closeStore(t, openSingle(t, dir))
}

// A damaged snapshot is not passed over in silence.
func TestOpenDamagedSnapshot(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openSingle(t, dir)
	apply(t, s, createPool("p1"))
	if err := s.Snapshot(patience(t)); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	entries, err := os.ReadDir(dir + "/snapshots")
	if err != nil || len(entries) == 0 {
		t.Fatal(err)
	}
	for _, e := range entries {
		if err := os.WriteFile(dir+"/snapshots/"+e.Name()+"/state.bin", []byte("damaged"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err = Open(context.Background(), Config{NodeID: "n1", Dir: dir, Raft: quick()})
	if err == nil {
		closeStore(t, s)
		t.Fatal("opened")
	}
	var damaged *CorruptError
	if !errors.As(err, &damaged) || !strings.Contains(damaged.What, "snapshot ") {
		t.Errorf("error %v does not name the snapshot", err)
	}
}

// A version that is too old for the newest snapshot says so, and does not go on from an older one.
func TestOpenNewerSnapshot(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openSingle(t, dir)
	apply(t, s, createPool("p1"))
	closeStore(t, s)
	store, err := raft.NewFileSnapshotStoreWithLogger(dir, retainSnapshots, newLogger(slog.New(slog.DiscardHandler), "test"))
	if err != nil {
		t.Fatal(err)
	}
	_, transport := raft.NewInmemTransport("n1")
	sink, err := store.Create(raft.SnapshotVersionMax, 1000, 1000, raft.Configuration{}, 1, transport)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(writeMessage(sink, &storev1.SnapshotHeader{Format: snapshotFormatBased + 1}), sink.Close()); err != nil {
		t.Fatal(err)
	}
	_, err = Open(context.Background(), Config{NodeID: "n1", Dir: dir, Raft: quick()})
	if !errors.Is(err, ErrTooNew) || !strings.Contains(err.Error(), "1000-1000-") {
		t.Errorf("error %v does not name the snapshot", err)
	}
}

// A snapshot that was being removed when the process ended is not taken for a damaged one; one whose description is gone is.
func TestOpenHalfRemovedSnapshot(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openSingle(t, dir)
	apply(t, s, createPool("p1"))
	if err := s.Snapshot(patience(t)); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	if err := os.MkdirAll(dir+"/snapshots/1-1-1", 0o700); err != nil {
		t.Fatal(err)
	}
	closeStore(t, openSingle(t, dir))
	newest, err := filepath.Glob(dir + "/snapshots/*/meta.json")
	if err != nil || len(newest) != 1 {
		t.Fatalf("descriptions %v, %v", newest, err)
	}
	if err := os.Remove(newest[0]); err != nil {
		t.Fatal(err)
	}
	var damaged *CorruptError
	if _, err := Open(context.Background(), Config{NodeID: "n1", Dir: dir, Raft: quick()}); !errors.As(err, &damaged) {
		t.Errorf("a snapshot without description: %v", err)
	}
}

// A directory is free as soon as its store is closed, whoever still has a copy of the file, as a process has that is being started.
func TestLockEndsWithTheStore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	lock, err := lockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Dup(int(lock.file.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(fd) }()
	if _, err := lockDir(dir); !errors.Is(err, ErrLocked) {
		t.Errorf("locked twice: %v", err)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	lock, err = lockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := lock.Close(); err != nil {
		t.Error(err)
	}
}
