package privatefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
)

// What was there before, or lies in wait there, neither keeps its mode nor gets the secret.
func TestWrite(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	wide, elsewhere, link := filepath.Join(dir, "wide"), filepath.Join(dir, "elsewhere"), filepath.Join(dir, "link")
	if err := errors.Join(os.WriteFile(wide, nil, 0o644), os.WriteFile(elsewhere, nil, 0o644), os.Symlink(elsewhere, link)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{wide, link} {
		if err := Write(path, []byte("secret")); err != nil {
			t.Fatal(err)
		}
		if data, err := Read(path, 100); err != nil || string(data) != "secret" {
			t.Errorf("%s: %q, %v", path, data, err)
		}
	}
	if data, err := os.ReadFile(elsewhere); err != nil || len(data) > 0 {
		t.Errorf("written through the link: %q, %v", data, err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
}

// A mode is the one that is asked for whatever the umask, and of the file that was there.
func TestWriteMode(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ca.pem")
	for _, mode := range []fs.FileMode{0o644, 0o600, 0o666} {
		if err := WriteMode(path, []byte("x"), mode); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode() != mode {
			t.Errorf("%v, %v, want %v", info.Mode(), err, mode)
		}
	}
}

// Of many who make a file at once one does, and what it holds is whole; nothing is replaced, nothing is left over.
func TestCreate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, link := filepath.Join(dir, "node_id"), filepath.Join(dir, "link")
	var made atomic.Int32
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			switch err := Create(path, fmt.Appendf(nil, "%04d", i), 0o640); {
			case err == nil:
				made.Add(1)
			case !errors.Is(err, fs.ErrExist):
				t.Error(err)
			}
		})
	}
	all.Wait()
	data, err := os.ReadFile(path)
	info, statErr := os.Stat(path)
	if err != nil || statErr != nil || made.Load() != 1 || len(data) != 4 || info.Mode() != 0o640 {
		t.Errorf("%d made it: %q, %v, %v, %v", made.Load(), data, info.Mode(), err, statErr)
	}
	if err := os.Symlink(filepath.Join(dir, "nowhere"), link); err != nil {
		t.Fatal(err)
	}
	if err := Create(link, nil, 0o600); !errors.Is(err, fs.ErrExist) {
		t.Errorf("through a link that leads nowhere: %v", err)
	}
	if err := Create(filepath.Join(dir, "missing", "x"), nil, 0o600); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a directory: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
}

func TestTidy(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{".a.backup.123", ".b.backup.9", ".c.pem.1", "a.backup"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := Tidy(filepath.Join(dir, "*.backup")); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 || entries[0].Name() != ".c.pem.1" {
		t.Errorf("%v, %v", entries, err)
	}
}
