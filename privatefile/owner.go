package privatefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// owner is whose a file is. The zero value, root, stands for leaving a file with whom has made it.
type owner struct{ uid, gid uint32 }

// heir says whose a new file or directory becomes: of root's making that of the directory's owner, otherwise and in a directory of
// root's that of who makes it. What replaces a file in a directory that only root can write to becomes that file's owner's; where
// others can, as in /tmp, anybody may have put that file there, to get what replaces it.
func heir(dir *os.Root, name string) (owner, error) {
	if os.Geteuid() != 0 {
		return owner{}, nil
	}
	info, err := dir.Stat(".")
	if err != nil {
		return owner{}, err
	}
	if of := ownerOf(info); of.uid != 0 || info.Mode().Perm()&0o022 != 0 {
		return of, nil
	}
	info, err = dir.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return owner{}, nil
	case err != nil:
		return owner{}, err
	case !info.Mode().IsRegular():
		return owner{}, nil
	}
	return ownerOf(info), nil
}

func ownerOf(info fs.FileInfo) owner {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return owner{st.Uid, st.Gid}
	}
	return owner{}
}

// give changes whose an open file is. It takes no path: in a directory of somebody else's, another file may be there by now.
func (o owner) give(f *os.File) error {
	if o.uid == 0 {
		return nil
	}
	info, err := f.Stat()
	if err != nil || ownerOf(info) == o { // some file systems know one owner only, and refuse every change
		return err
	}
	if err := f.Chown(int(o.uid), int(o.gid)); err != nil {
		return fmt.Errorf("giving it to user %d: %w", o.uid, err)
	}
	return nil
}

// MakeDir makes a directory that nobody but its owner may enter, and those above it that are not there. Made by root, it belongs to the
// owner of the one that it is put in.
func MakeDir(path string) error {
	path = filepath.Clean(path)
	if isDir(path) {
		return nil
	}
	above, name := filepath.Split(path)
	if above = filepath.Clean(above); above != path { // otherwise it is the root of a tree that is not there
		if err := MakeDir(above); err != nil {
			return err
		}
	}
	dir, err := os.OpenRoot(above)
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	if err := dir.Mkdir(name, 0o700); err != nil {
		if errors.Is(err, fs.ErrExist) && isDir(path) {
			return nil // somebody was faster
		}
		return fmt.Errorf("making %s: %w", path, err)
	}
	whose, err := heir(dir, name)
	if err != nil || whose.uid == 0 {
		return err
	}
	// If the owner has put something else there meanwhile, it is below his directory, and a directory: os.Root sees to it.
	made, err := dir.OpenFile(name, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	if err := errors.Join(whose.give(made), made.Close()); err != nil {
		return fmt.Errorf("making %s: %w", path, err)
	}
	return nil
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// HandOver gives what is root's below a directory to the directory's owner, after libraries that do not write through this package. It does
// nothing unless root runs it.
func HandOver(path string) error {
	dir, err := os.OpenRoot(path)
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	info, err := dir.Stat(".")
	if err != nil {
		return err
	}
	whose := ownerOf(info)
	if os.Geteuid() != 0 || whose.uid == 0 {
		return nil
	}
	var errs []error
	err = fs.WalkDir(dir.FS(), ".", func(name string, e fs.DirEntry, failed error) error {
		if failed == nil && (e.IsDir() || e.Type().IsRegular()) {
			failed = whose.handOver(dir, name)
		}
		if failed != nil && !errors.Is(failed, fs.ErrNotExist) { // a daemon that runs after all removes files
			errs = append(errs, fmt.Errorf("%s: %w", filepath.Join(path, name), failed))
		}
		return nil // one that cannot be given does not keep the others
	})
	return errors.Join(append(errs, err)...)
}

// handOver gives a file or directory that is root's. A file with another name elsewhere is not: whoever owns the
// directory may have made a link there to a file that was never his.
func (o owner) handOver(dir *os.Root, name string) error {
	// It may have become a named pipe since it was listed, which O_NONBLOCK does not wait for.
	f, err := dir.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return err
	}
	switch kind := st.Mode & unix.S_IFMT; {
	case st.Uid != 0 || kind != unix.S_IFREG && kind != unix.S_IFDIR:
		return nil
	case kind == unix.S_IFREG && st.Nlink > 1:
		return fmt.Errorf("has %d names, and is not given to user %d", st.Nlink, o.uid)
	}
	return o.give(f)
}
