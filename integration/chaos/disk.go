package chaos

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// freeze stalls every write to the node's file system for a while. The helper thaws it
// whatever becomes of this process: a frozen one cannot be unmounted, and who writes to it
// cannot be killed.
func (n *node) freeze(ctx context.Context, d time.Duration) error {
	_, err := n.lab.Machine().Run(context.WithoutCancel(ctx), "sh", "-c", `trap 'fsfreeze -u "$1"' EXIT; fsfreeze -f "$1" && sleep "$2"`,
		"sh", n.inside(), strconv.FormatFloat(d.Seconds(), 'f', 3, 64))
	return err
}

// fill leaves so many bytes free on the node's file system; drain gives the room back.
func (n *node) fill(ctx context.Context, left uint64) error {
	var fs unix.Statfs_t
	if err := unix.Statfs(n.inside(), &fs); err != nil {
		return err
	}
	free := fs.Bavail * uint64(fs.Bsize)
	if free <= left {
		return nil
	}
	_, err := n.lab.Machine().Run(ctx, "fallocate", "-l", strconv.FormatUint(free-left, 10), n.inside("ballast"))
	return err
}

func (n *node) drain() error {
	err := os.Remove(n.inside("ballast"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// tear does to the log of a node that does not run what a write does that a crash cut short:
// the last bytes that were written are not there. Files of the log are allocated as a whole,
// so that what was not written reads as zeros; a random half of the time the file also ends.
func (n *node) tear(rng *rand.Rand) (string, error) {
	files, err := filepath.Glob(n.inside("*", "*.wal"))
	if err == nil && len(files) == 0 {
		files, err = filepath.Glob(n.inside("*", "*", "*.wal"))
	}
	if err != nil || len(files) == 0 {
		return "", fmt.Errorf("no log below %s: %w", n.inside(), err)
	}
	// Their names begin with the index of their first entry, in hexadecimal or decimal of a fixed width.
	slices.Sort(files)
	path := files[len(files)-1]
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	used := len(bytes.TrimRight(b, "\x00"))
	const header = 32 // of the file; it is written before the file is used
	if used <= header {
		return "the log's last file is empty", nil
	}
	lost := 1 + rng.IntN(min(used-header, 2000))
	if err := os.Truncate(path, int64(used-lost)); err != nil {
		return "", err
	}
	if rng.IntN(2) == 0 {
		return fmt.Sprintf("%d bytes cut off", lost), nil
	}
	return fmt.Sprintf("%d bytes zero", lost), os.Truncate(path, int64(len(b)))
}
