package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// ErrInUse is returned by [Clean] for a lab whose owner is alive.
var ErrInUse = errors.New("lab: in use by a living process")

// Entry is a lab on this machine, as [List] finds it.
type Entry struct {
	ID string
	// Alive means that the process that made it still owns it.
	Alive bool
	// Kept means that it was left up on purpose.
	Kept bool
}

// List returns the labs on this machine.
func List() ([]Entry, error) {
	ids, err := registered()
	if err != nil {
		return nil, err
	}
	var entries []Entry
	for _, id := range ids {
		path := filepath.Join(registryDir, id)
		alive, err := lockedByOwner(path)
		if err != nil {
			return nil, err
		}
		records, err := readJournal(path)
		if err != nil {
			return nil, err
		}
		entries = append(entries, Entry{ID: id, Alive: alive, Kept: isKept(records)})
	}
	return entries, nil
}

func isKept(records []record) bool {
	return slices.ContainsFunc(records, func(r record) bool { return r.Kind == recordKeep })
}

// Sweep removes what labs left behind whose owner process is gone: their
// processes, namespaces and directories. Labs with a living owner and labs that
// were kept on purpose ([Lab.Keep]) stay. It returns the ids of the removed labs.
func Sweep(ctx context.Context) ([]string, error) {
	lock, err := lockRegistry(ctx)
	if err != nil {
		return nil, err
	}
	defer lock.release()
	return sweepLocked(ctx)
}

func sweepLocked(ctx context.Context) ([]string, error) {
	ids, err := registered()
	if err != nil {
		return nil, err
	}
	var removed []string
	var errs []error
	for _, id := range ids {
		path := filepath.Join(registryDir, id)
		if busy, err := lockedByOwner(path); err != nil || busy {
			errs = append(errs, err)
			continue
		}
		records, err := readJournal(path)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if isKept(records) {
			continue
		}
		errs = append(errs, remove(ctx, id, records))
		removed = append(removed, id)
	}
	return removed, errors.Join(errs...)
}

// Clean removes one lab, by its id or by the directory that [Lab.Dir] gave: one
// that was kept, or one whose owner died. A lab with a living owner is refused
// with [ErrInUse]; one that does not exist is no error.
func Clean(ctx context.Context, idOrDir string) error {
	id := strings.TrimPrefix(filepath.Clean(idOrDir), registryDir+"/")
	if !labID.MatchString(id) {
		return fmt.Errorf("lab: %q is not a lab's id", idOrDir)
	}
	lock, err := lockRegistry(ctx)
	if err != nil {
		return err
	}
	defer lock.release()
	path := filepath.Join(registryDir, id)
	if _, err := os.Lstat(path); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	busy, err := lockedByOwner(path)
	if err != nil {
		return err
	}
	if busy {
		return fmt.Errorf("%w: %s", ErrInUse, id)
	}
	records, err := readJournal(path)
	if err != nil {
		return err
	}
	return remove(ctx, id, records)
}

// remove takes down everything a lab's journal lists: first the processes, since
// an open tap device or raw socket keeps a namespace alive, then the namespaces,
// and last the directory, so that an interrupted removal is finished by the next.
func remove(ctx context.Context, id string, records []record) error {
	if err := removeProcesses(ctx, id, records); err != nil {
		return err
	}
	for _, r := range records {
		if r.Kind != recordNamespace {
			continue
		}
		if err := deleteNamespace(ctx, r.Name); err != nil {
			return err
		}
	}
	path := filepath.Join(registryDir, id)
	if slices.ContainsFunc(records, func(r record) bool { return r.Kind == recordOwnDir }) || len(records) == 0 {
		return os.RemoveAll(path)
	}
	if err := os.Remove(filepath.Join(path, journalName)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("lab: %w", err)
	}
	return os.Remove(path)
}

// removeProcesses ends the journaled processes, then those that only carry the
// mark: children of theirs, and one that was started just before the owner died.
func removeProcesses(ctx context.Context, id string, records []record) error {
	var journaled []processID
	for _, r := range records {
		if r.Kind == recordProcess {
			journaled = append(journaled, processID{PID: r.PID, Start: r.Start})
		}
	}
	return errors.Join(endAll(ctx, journaled), endAll(ctx, markedProcesses(id)))
}
