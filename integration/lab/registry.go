package lab

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// registryDir holds one entry per lab of this machine, named by the lab's id:
// the lab's directory, or a symbolic link to it. The path is short because unix
// sockets live below it and their names end at 107 bytes.
const registryDir = "/run/poolwire-lab"

// lockFile is a file locked with flock, which works between processes and is
// released by the kernel when the holder dies.
type lockFile struct{ file *os.File }

// lockPath waits until it holds path's lock or ctx ends.
func lockPath(ctx context.Context, path string) (*lockFile, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lab: %w", err)
	}
	err = poll(ctx, func() (bool, error) {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if errors.Is(err, unix.EWOULDBLOCK) {
			return false, nil
		}
		return err == nil, err
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lab: lock %s: %w", path, err), f.Close())
	}
	return &lockFile{file: f}, nil
}

func (l *lockFile) release() { _ = l.file.Close() }

// lockRegistry serialises the making and sweeping of labs, so that a sweep never
// takes a lab that is being made for one that was left behind.
func lockRegistry(ctx context.Context) (*lockFile, error) {
	if err := os.MkdirAll(registryDir, 0o755); err != nil {
		return nil, fmt.Errorf("lab: %w", err)
	}
	return lockPath(ctx, filepath.Join(registryDir, ".lock"))
}

// claim takes an unused id beginning with prefix and returns it with the short
// path of the lab's directory. dir is where the files go; empty means the
// registry entry itself. The caller holds the registry lock.
func claim(prefix, dir string) (id, path string, err error) {
	for range 100 {
		id = prefix + "-" + strings.ToLower(rand.Text()[:4])
		path = filepath.Join(registryDir, id)
		if dir == "" {
			err = os.Mkdir(path, 0o755)
		} else {
			err = os.Symlink(dir, path)
		}
		if !errors.Is(err, os.ErrExist) {
			break
		}
	}
	if err != nil {
		return "", "", fmt.Errorf("lab: %w", err)
	}
	return id, path, nil
}

// registered lists the ids of the labs on this machine.
func registered() ([]string, error) {
	entries, err := os.ReadDir(registryDir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("lab: %w", err)
	}
	var ids []string
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") {
			ids = append(ids, e.Name())
		}
	}
	return ids, nil
}
