// Package privatefile reads and writes files that are nobody's business but their owner's: private
// keys, tokens, keys that seal secrets. It is also the one way to write any other file that must be whole
// after a power cut.
package privatefile

import (
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// Error says why a file is not read.
type Error struct {
	// Path is the file's.
	Path string
	// Mode is its permissions where they are what is wrong, otherwise 0.
	Mode fs.FileMode
	// Problem says what is wrong, and the remedy where there is one.
	Problem string
}

func (e *Error) Error() string { return e.Path + ": " + e.Problem }

// Read returns a file of at most limit bytes. It is not read when anybody but its owner may read or write it,
// when it belongs to neither this process' user nor root (root itself reads everybody's), and when
// it is no ordinary file. A symbolic link is followed, as those that systemd and container runtimes make have
// to be; what counts is the file that was opened, so nothing can be put in its place in between.
//
// Errors: [*Error], and those of opening and reading.
func Read(path string, limit int64) ([]byte, error) {
	// Without O_NONBLOCK, opening a named pipe waits for whoever writes to it.
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	if err := check(f, path, limit); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = tooLong(path, limit)
	}
	return data, err
}

func tooLong(path string, limit int64) error {
	return &Error{Path: path, Problem: fmt.Sprintf("is longer than %d bytes, which no such file is", limit)}
}

func check(f *os.File, path string, limit int64) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return err
	}
	mode, me := fs.FileMode(st.Mode&0o777), os.Geteuid()
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return &Error{Path: path, Problem: "is no ordinary file"}
	case me != 0 && st.Uid != 0 && int(st.Uid) != me:
		return &Error{Path: path, Problem: fmt.Sprintf("belongs to user %d, neither to root nor to user %d, which reads it", st.Uid, me)}
	case mode&0o077 != 0:
		return &Error{Path: path, Mode: mode, Problem: fmt.Sprintf("has mode %04o: nobody but its owner may read it (chmod 600)", mode)}
	case st.Size > limit:
		return tooLong(path, limit)
	}
	return nil
}
