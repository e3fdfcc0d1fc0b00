package privatefile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// daemon is a user and a group as a unit with DynamicUser has them, passer a user that just has a place to write to.
const (
	daemonUID, daemonGID = 61234, 61235
	passerUID            = 61300
)

// asRoot gives a directory of root's with one of the daemon's in it.
func asRoot(t *testing.T) (roots, daemons string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away: run this test as root")
	}
	roots = t.TempDir()
	daemons = filepath.Join(roots, "daemon")
	if err := errors.Join(os.Chmod(roots, 0o755), os.Mkdir(daemons, 0o700), os.Lchown(daemons, daemonUID, daemonGID)); err != nil {
		t.Fatal(err)
	}
	return roots, daemons
}

// put makes a file of somebody's.
func put(t *testing.T, path string, uid, gid int) {
	t.Helper()
	if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Lchown(path, uid, gid)); err != nil {
		t.Fatal(err)
	}
}

// belongs checks whose a file or directory is, and its mode.
func belongs(t *testing.T, path string, uid, gid uint32, mode fs.FileMode) {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Error(err)
		return
	}
	if st, ok := info.Sys().(*syscall.Stat_t); !ok || st.Uid != uid || st.Gid != gid || info.Mode().Perm() != mode {
		t.Errorf("%s: of %v:%v, mode %v; want %d:%d, %v", path, st.Uid, st.Gid, info.Mode(), uid, gid, mode)
	}
}

// What root writes for a daemon with a user of its own, that can read.
func TestRootWritesForTheOwner(t *testing.T) {
	t.Parallel()
	roots, daemons := asRoot(t)
	at := func(name string) string { return filepath.Join(daemons, name) }
	put(t, at("its-own"), daemonUID, daemonGID)
	put(t, at("roots"), 0, 0)
	put(t, filepath.Join(roots, "secrets.key"), daemonUID, daemonGID)
	for _, path := range []string{at("new"), at("its-own"), at("roots"), filepath.Join(roots, "secrets.key")} {
		if err := WriteMode(path, []byte("x"), 0o640); err != nil {
			t.Fatal(err)
		}
		belongs(t, path, daemonUID, daemonGID, 0o640)
	}
	if err := Create(at("created"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	belongs(t, at("created"), daemonUID, daemonGID, 0o600)
	for range 2 {
		if err := MakeDir(filepath.Join(daemons, "a", "b")); err != nil {
			t.Fatal(err)
		}
	}
	belongs(t, at("a"), daemonUID, daemonGID, 0o700)
	belongs(t, filepath.Join(daemons, "a", "b"), daemonUID, daemonGID, 0o700)
}

// What root writes for itself stays with it, also where somebody has left something for it to replace.
func TestRootKeepsItsOwn(t *testing.T) {
	t.Parallel()
	roots, daemons := asRoot(t)
	public := filepath.Join(roots, "tmp")
	if err := errors.Join(os.Mkdir(public, 0o700), os.Chmod(public, 0o777|fs.ModeSticky)); err != nil {
		t.Fatal(err)
	}
	laid := filepath.Join(public, "backup")
	put(t, laid, passerUID, passerUID)
	target, link := filepath.Join(daemons, "target"), filepath.Join(roots, "link")
	put(t, target, daemonUID, daemonGID)
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	if err := os.Lchown(link, passerUID, passerUID); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{laid, link, filepath.Join(roots, "new")} {
		if err := Write(path, []byte("x")); err != nil {
			t.Fatal(err)
		}
		belongs(t, path, 0, 0, 0o600)
	}
	if err := MakeDir(filepath.Join(roots, "dir")); err != nil {
		t.Fatal(err)
	}
	belongs(t, filepath.Join(roots, "dir"), 0, 0, 0o700)
}

// A path in the place of a directory is not taken for one.
func TestMakeDirOnAFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, filepath.Join(file, "below")} {
		if err := MakeDir(path); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// Whatever root has left below a directory goes to its owner; what others have there stays theirs, and nothing outside is given.
func TestHandOver(t *testing.T) {
	t.Parallel()
	roots, daemons := asRoot(t)
	log, outside := filepath.Join(daemons, "raft", "log"), filepath.Join(roots, "shadow")
	if err := os.MkdirAll(log, 0o700); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(log, "segment"), 0, 0)
	put(t, filepath.Join(daemons, "foreign"), passerUID, passerUID)
	put(t, outside, 0, 0)
	if err := errors.Join(os.Symlink(outside, filepath.Join(daemons, "symlink")), syscall.Mkfifo(filepath.Join(daemons, "pipe"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := HandOver(daemons); err != nil {
		t.Fatal(err)
	}
	belongs(t, filepath.Join(daemons, "raft"), daemonUID, daemonGID, 0o700)
	belongs(t, filepath.Join(log, "segment"), daemonUID, daemonGID, 0o600)
	belongs(t, filepath.Join(daemons, "foreign"), passerUID, passerUID, 0o600)
	if err := os.Link(outside, filepath.Join(daemons, "hardlink")); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(daemons, "last"), 0, 0)
	if err := HandOver(daemons); err == nil || !strings.Contains(err.Error(), "hardlink: has 2 names") {
		t.Errorf("a link to a file elsewhere: %v", err)
	}
	belongs(t, filepath.Join(daemons, "last"), daemonUID, daemonGID, 0o600)
	belongs(t, outside, 0, 0, 0o600)
	if err := HandOver(roots); err != nil {
		t.Error(err)
	}
	belongs(t, filepath.Join(daemons, "foreign"), passerUID, passerUID, 0o600)
}
