package raftstore

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
	"golang.org/x/sys/unix"

	"poolwire/privatefile"
)

// The directory of a node:
//
//	lock        locked while a process uses the directory
//	node-id     the node's id
//	log/        write-ahead log, terms and votes (raft-wal)
//	snapshots/  snapshots (raft.FileSnapshotStore)
const (
	lockFile   = "lock"
	nodeIDFile = "node-id"
	logDir     = "log"
	// snapshotsDir is the name that raft.FileSnapshotStore gives it.
	snapshotsDir = "snapshots"
	// unfinished ends the names of snapshots that were being written when the process ended.
	unfinished = ".tmp"
)

// disk is what a node keeps in its directory.
type disk struct {
	lock      *dirLock
	wal       *wal.WAL
	logs      raft.LogStore
	stable    raft.StableStore
	snapshots raft.SnapshotStore
}

func openDisk(c Config, dog *watchdog) (_ *disk, err error) {
	if err := os.MkdirAll(filepath.Join(c.Dir, logDir), 0o700); err != nil {
		return nil, err
	}
	d := &disk{}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.close())
		}
	}()
	if d.lock, err = lockDir(c.Dir); err != nil {
		return nil, err
	}
	if err := checkNodeID(c.Dir, c.NodeID); err != nil {
		return nil, err
	}
	d.wal, err = wal.Open(filepath.Join(c.Dir, logDir), wal.WithSegmentSize(c.Raft.SegmentSize), wal.WithLogger(newLogger(c.Log, "wal")))
	if err != nil {
		return nil, fmt.Errorf("log: %w", err)
	}
	var below raft.LogStore = d.wal
	if c.wrapLogs != nil {
		below = c.wrapLogs(below)
	}
	sealed := sealedLogs{below, filepath.Join(c.Dir, logDir)}
	if err := sealed.verify(); err != nil {
		return nil, err
	}
	d.stable = timedStable{d.wal, dog}
	if d.logs, err = raft.NewLogCache(logCache, timedLogs{sealed, dog}); err != nil {
		return nil, fmt.Errorf("log: %w", err)
	}
	d.snapshots, err = raft.NewFileSnapshotStoreWithLogger(c.Dir, retainSnapshots, newLogger(c.Log, "snapshot"))
	if err != nil {
		return nil, fmt.Errorf("snapshots: %w", err)
	}
	if err := verifySnapshot(c.Dir, d.snapshots); err != nil {
		return nil, err
	}
	return d, nil
}

// verifySnapshot reads the newest snapshot. Raft passes over one that is damaged and
// takes an older one, after which the log may begin too late.
func verifySnapshot(dir string, store raft.SnapshotStore) error {
	all, err := store.List()
	if err != nil {
		return &CorruptError{Path: filepath.Join(dir, snapshotsDir), What: "the list of snapshots", Cause: err}
	}
	written, err := os.ReadDir(filepath.Join(dir, snapshotsDir))
	if err != nil {
		return err
	}
	for _, e := range written {
		// Of an older one, half may be gone: the process ended while it was being removed.
		if strings.HasSuffix(e.Name(), unfinished) || len(all) > 0 && !newer(e.Name(), all[0]) {
			continue
		}
		// The library's list leaves out what it cannot describe.
		if err := readDescription(filepath.Join(dir, snapshotsDir, e.Name(), "meta.json")); err != nil {
			return &CorruptError{Path: filepath.Join(dir, snapshotsDir), What: "snapshot " + e.Name(), Cause: err}
		}
	}
	if len(all) == 0 {
		return nil
	}
	_, content, err := store.Open(all[0].ID)
	if err != nil {
		return &CorruptError{Path: filepath.Join(dir, snapshotsDir), What: "snapshot " + all[0].ID, Cause: err}
	}
	// Raft would pass over one that cannot be restored, too.
	err = errors.Join(mayRead(bufio.NewReaderSize(content, 256<<10)), content.Close())
	switch {
	case errors.Is(err, ErrTooNew):
		return fmt.Errorf("%s: %w", all[0].ID, err)
	case err != nil:
		return &CorruptError{Path: filepath.Join(dir, snapshotsDir), What: "snapshot " + all[0].ID, Cause: err}
	}
	return nil
}

// newer says whether a snapshot's name, TERM-INDEX-MILLISECONDS, is later than another snapshot.
func newer(name string, than *raft.SnapshotMeta) bool {
	var term, index, ms uint64
	if _, err := fmt.Sscanf(name, "%d-%d-%d", &term, &index, &ms); err != nil {
		return true
	}
	return term > than.Term || term == than.Term && index > than.Index
}

func readDescription(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, new(raft.SnapshotMeta))
}

func (d *disk) close() error {
	var errs []error
	for _, c := range []io.Closer{closerOf(d.wal), closerOf(d.lock)} {
		if c != nil {
			errs = append(errs, c.Close())
		}
	}
	return errors.Join(errs...)
}

// closerOf keeps a nil pointer from becoming a non-nil interface.
func closerOf[T any, C interface {
	*T
	io.Closer
}](c C) io.Closer {
	if c == nil {
		return nil
	}
	return c
}

// dirLock is the lock of a directory. It ends with the process at the latest.
type dirLock struct{ file *os.File }

// Close gives the lock back at once: a process that is being started elsewhere in this one has copies of all files until its
// program runs, and the lock goes with the last copy unless it is undone (flock(2)).
func (l *dirLock) Close() error {
	return errors.Join(unix.Flock(int(l.file.Fd()), unix.LOCK_UN), l.file.Close())
}

// lockDir takes the lock of a directory. Errors: [ErrLocked].
func lockDir(dir string) (*dirLock, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s: %w", dir, ErrLocked)
		}
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	return &dirLock{f}, nil
}

// checkNodeID ties a directory to a node: under another id the node would
// vote twice in one term, or wait for ever for a cluster that does not know it.
func checkNodeID(dir, id string) error {
	path := filepath.Join(dir, nodeIDFile)
	have, err := os.ReadFile(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return privatefile.Write(path, []byte(id+"\n"))
	case err != nil:
		return err
	}
	if got := strings.TrimSpace(string(have)); got != id {
		return fmt.Errorf("%s belongs to node %q, not %q", dir, got, id)
	}
	return nil
}
