package privatefile

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// privateMode is for files that only their owner may read.
const privateMode fs.FileMode = 0o600

// Write is [WriteMode] with mode 0600.
func Write(path string, data []byte) error { return WriteMode(path, data, privateMode) }

// WriteMode replaces a file, with a mode whatever the umask and whatever was there before: after a power cut
// it is the old one or the new one. A symbolic link is replaced, not followed. What root writes belongs to the owner of the
// directory, or, in a directory that is root's and that nobody else can write to, to that of the file that it replaces.
func WriteMode(path string, data []byte, mode fs.FileMode) error {
	return publish(path, data, mode, (*os.Root).Rename)
}

// Create makes a file that was not there before, otherwise as WriteMode: of two processes that do so at
// once one makes it.
//
// Errors: those of writing, and fs.ErrExist, also for a symbolic link that leads nowhere.
func Create(path string, data []byte, mode fs.FileMode) error {
	// A link, unlike a rename, does not replace a file that another process has made meanwhile.
	return publish(path, data, mode, func(dir *os.Root, from, to string) error {
		return errors.Join(dir.Link(from, to), dir.Remove(from))
	})
}

// publish writes a file under a name of its own, and gives it its name when it is whole and on the disk. All of that is done in the
// directory that is opened first: the path may lead to another one by the end, where no file must get the owner of this one.
func publish(path string, data []byte, mode fs.FileMode, name func(dir *os.Root, from, to string) error) (err error) {
	dir, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	to := filepath.Base(path)
	from := strings.TrimSuffix(temporary(path), "*") + strconv.FormatUint(rand.Uint64(), 36)
	defer func() {
		if err == nil {
			return
		}
		if gone := dir.Remove(from); !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
		err = fmt.Errorf("writing %s: %w", path, err)
	}()
	whose, err := heir(dir, to)
	if err != nil {
		return err
	}
	f, err := dir.OpenFile(from, os.O_WRONLY|os.O_CREATE|os.O_EXCL, privateMode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Chmod(mode), whose.give(f), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err = name(dir, from, to); err != nil {
		return err
	}
	return syncDir(dir)
}

// temporary is what a file is called while it is written, with * for something random.
func temporary(path string) string { return "." + filepath.Base(path) + ".*" }

// syncDir makes a new name in a directory as lasting as the file.
func syncDir(dir *os.Root) error {
	d, err := dir.Open(".")
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
