package lab

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// journalName is the journal's file name in a lab's directory.
const journalName = "journal"

// recordKind tells what a journal record is about.
type recordKind string

const (
	recordOwner     recordKind = "owner"     // the process that made the lab
	recordNamespace recordKind = "namespace" // written before the namespace is made
	recordProcess   recordKind = "process"   // written right after the process was started
	recordKeep      recordKind = "keep"      // the owner left the lab up on purpose
	recordOwnDir    recordKind = "own-dir"   // the directory is the lab's own and goes with it
)

// record is one line of a journal.
type record struct {
	Kind recordKind `json:"kind"`
	Name string     `json:"name,omitempty"`
	PID  int        `json:"pid,omitempty"`
	// Start is the process's start time in clock ticks since boot, as
	// /proc/PID/stat gives it: a process id alone may mean another process later.
	Start uint64 `json:"start,omitempty"`
}

// journal is a lab's list of resources on disk. The owner holds an exclusive
// flock on it for as long as it lives, so whoever can take that lock knows that
// the owner is gone.
type journal struct {
	mu   sync.Mutex
	file *os.File
}

// createJournal makes the journal of a new lab and locks it.
func createJournal(dir string) (*journal, error) {
	f, err := os.OpenFile(filepath.Join(dir, journalName), os.O_CREATE|os.O_EXCL|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lab: journal: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("lab: lock journal: %w", err), f.Close())
	}
	return &journal{file: f}, nil
}

// add writes one record, in a single write so that a crash tears at most the
// last line.
func (j *journal) add(r record) error {
	line, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("lab: journal: %w", err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if _, err := j.file.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("lab: journal: %w", err)
	}
	return nil
}

// close gives up ownership.
func (j *journal) close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.file.Close()
}

// readJournal returns the records in dir's journal. Lines that do not parse
// (torn by a crash) are passed over. A directory without a journal has none.
func readJournal(dir string) ([]record, error) {
	f, err := os.Open(filepath.Join(dir, journalName))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("lab: journal: %w", err)
	}
	defer func() { _ = f.Close() }()
	var records []record
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var r record
		if json.Unmarshal(lines.Bytes(), &r) == nil {
			records = append(records, r)
		}
	}
	return records, lines.Err()
}

// lockedByOwner reports whether a living process owns the lab in dir.
func lockedByOwner(dir string) (bool, error) {
	f, err := os.Open(filepath.Join(dir, journalName))
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("lab: journal: %w", err)
	}
	defer func() { _ = f.Close() }()
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return true, nil
	}
	return false, err
}
