package privatefile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// privateMode is for files that only their owner may read.
const privateMode fs.FileMode = 0o600

// Write is [WriteMode] with mode 0600.
func Write(path string, data []byte) error { return WriteMode(path, data, privateMode) }

// WriteMode replaces a file, with a mode whatever the umask and whatever was there before: after a power cut
// it is the old one or the new one. A symbolic link is replaced, not followed.
func WriteMode(path string, data []byte, mode fs.FileMode) error {
	return publish(path, data, mode, os.Rename)
}

// Create makes a file that was not there before, otherwise as WriteMode: of two processes that do so at
// once one makes it.
//
// Errors: those of writing, and fs.ErrExist, also for a symbolic link that leads nowhere.
func Create(path string, data []byte, mode fs.FileMode) error {
	// A link, unlike a rename, does not replace a file that another process has made meanwhile.
	return publish(path, data, mode, func(from, to string) error {
		return errors.Join(os.Link(from, to), os.Remove(from))
	})
}

// publish writes a file under a name of its own, and gives it its name when it is whole and on the disk.
func publish(path string, data []byte, mode fs.FileMode, name func(from, to string) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), temporary(path)) // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err == nil {
			return
		}
		if gone := os.Remove(f.Name()); !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
	}()
	_, err = f.Write(data)
	if err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err = name(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// temporary is what a file is called while it is written, with * for something random.
func temporary(path string) string { return "." + filepath.Base(path) + ".*" }

// syncDir makes a new name in a directory as lasting as the file.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Tidy removes what a crash has left of a file that was being written. pattern is the file's path, with the wildcards of
// filepath.Match in its last part for many. It must not run beside a writer of such a file.
func Tidy(pattern string) error {
	left, err := filepath.Glob(filepath.Join(filepath.Dir(pattern), temporary(pattern)))
	for _, path := range left {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}
