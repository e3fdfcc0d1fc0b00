package raftstore

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// spaceCheck is how often the room on the disk is looked at.
const spaceCheck = time.Second

// space watches the room on the file system of the node's directory. Raft takes a write
// that fails for lack of it as the end of leading, and a term that cannot be stored as the
// end of the process: the node stops taking writes while there is still room for both.
type space struct {
	dir string
	// reserve is what must be free, in bytes.
	reserve atomic.Uint64

	free  atomic.Uint64
	short atomic.Bool
	// making is since when this node has tried to hand the lead over; nil while it does not.
	making atomic.Pointer[making]
}

// making is an attempt to make way in one term.
type making struct {
	term  uint64
	since time.Time
}

// wayPatience is how long a leader with a full disk sends writers to its successor before they
// are told why there is none.
const wayPatience = 5 * time.Second

// stuck says whether the leader of a term has tried for too long to make way.
func (s *space) stuck(term uint64) bool {
	m := s.making.Load()
	return m != nil && m.term == term && time.Since(m.since) > wayPatience
}

func newSpace(dir string, reserve uint64) *space {
	s := &space{dir: dir}
	s.reserve.Store(reserve)
	return s
}

// ample is what ends a shortage: an eighth more, so that it does not come and go with every
// segment of the log.
func (s *space) ample() uint64 { return s.reserve.Load() / 8 * 9 }

// look measures; it says whether that began or ended a shortage.
func (s *space) look() (changed bool, err error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(s.dir, &fs); err != nil {
		return false, fmt.Errorf("room on the disk of %s: %w", s.dir, err)
	}
	free := fs.Bavail * uint64(fs.Bsize)
	s.free.Store(free)
	short := free < s.reserve.Load() || s.short.Load() && free < s.ample()
	return s.short.Swap(short) != short, nil
}

// run looks until ctx ends, and tells of shortages.
func (s *space) run(ctx context.Context, log *slog.Logger, handOver func(context.Context)) {
	tick := time.NewTicker(spaceCheck)
	defer tick.Stop()
	for {
		changed, err := s.look()
		switch {
		case err != nil:
			log.Warn("the disk was not looked at", "error", err)
		case changed && s.short.Load():
			log.Error("the disk is too full: this node takes no writes", "dir", s.dir, "free", s.free.Load(), "needed", s.ample())
		case changed:
			log.Info("there is room on the disk again", "dir", s.dir, "free", s.free.Load())
		}
		if s.short.Load() {
			handOver(ctx)
		} else {
			s.making.Store(nil)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
