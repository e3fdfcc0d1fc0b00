// Command logstore measures the stores that Raft's log could be kept in: raft-wal, which the product
// uses, and raft-boltdb. Batches of entries are appended as a leader with that many concurrent
// writers does, each batch on the disk before the next; now and then the older half is dropped, as
// after a snapshot.
//
// It is a module of its own: the product depends on one of the two only.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	boltdb "github.com/hashicorp/raft-boltdb/v2"
	wal "github.com/hashicorp/raft-wal"
	"go.etcd.io/bbolt"
)

// entrySize is about what a small change takes in the log, in bytes.
const entrySize = 400

// kept is how many entries stay when older ones are dropped, and the number that there must be
// before they are: the defaults of Raft (TrailingLogs, SnapshotThreshold).
const kept, dropAt = 10_240, 10_240 + 8192

// store is what is measured.
type store interface {
	raft.LogStore
	io.Closer
}

// stores opens each in a directory.
var stores = []struct {
	name string
	open func(dir string) (store, error)
}{
	{"raft-wal", func(dir string) (store, error) { return wal.Open(dir, wal.WithLogger(hclog.NewNullLogger())) }},
	{"raft-boltdb", func(dir string) (store, error) {
		return boltdb.New(boltdb.Options{Path: filepath.Join(dir, "raft.db"), MsgpackUseNewTimeFormat: true})
	}},
	{"raft-boltdb, free list not stored", func(dir string) (store, error) {
		return boltdb.New(boltdb.Options{Path: filepath.Join(dir, "raft.db"), MsgpackUseNewTimeFormat: true, BoltOptions: &bbolt.Options{NoFreelistSync: true}})
	}},
}

func main() {
	data := flag.String("data", "/var/tmp", "directory on the disk to measure")
	lasts := flag.Duration("writing", 3*time.Second, "how long each is written to")
	rounds := flag.Int("rounds", 3, "rounds; the median counts")
	flag.Parse()
	if err := run(*data, *lasts, *rounds); err != nil {
		fmt.Fprintln(os.Stderr, "logstore:", err)
		os.Exit(1)
	}
}

func run(data string, lasts time.Duration, rounds int) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "LOG STORE, ENTRIES OF %d BYTES\tIN A BATCH\tENTRIES/S\tBATCH p50\tp99\tLONGEST\tON DISK\n", entrySize)
	for _, batch := range []int{1, 16, 128} {
		results := make([][]result, len(stores))
		for range rounds {
			for i := range stores {
				r, err := measure(data, i, batch, lasts)
				if err != nil {
					return fmt.Errorf("%s: %w", stores[i].name, err)
				}
				results[i] = append(results[i], r)
			}
		}
		for i, s := range stores {
			slices.SortFunc(results[i], func(a, b result) int { return int(a.rate - b.rate) })
			r := results[i][rounds/2]
			fmt.Fprintf(w, "%s\t%d\t%.0f\t%s\t%s\t%s\t%.0f MiB\n", s.name, batch, r.rate,
				r.p50.Round(time.Microsecond), r.p99.Round(time.Microsecond), r.longest.Round(time.Microsecond), float64(r.size)/(1<<20))
		}
	}
	return w.Flush()
}

// result is what one store did.
type result struct {
	rate              float64 // entries per second
	p50, p99, longest time.Duration
	size              int64 // of its files at the end, in bytes
}

// measure appends to a new store for a while.
func measure(data string, which, batch int, lasts time.Duration) (_ result, err error) {
	dir, err := os.MkdirTemp(data, "poolwire-logstore-")
	if err != nil {
		return result{}, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s, err := stores[which].open(dir)
	if err != nil {
		return result{}, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	var took []time.Duration
	first, next := uint64(1), uint64(1)
	begin := time.Now()
	for time.Since(begin) < lasts {
		logs := make([]*raft.Log, batch)
		for i := range logs {
			logs[i] = &raft.Log{Index: next, Term: 1, Type: raft.LogCommand, Data: make([]byte, entrySize), AppendedAt: time.Now()}
			next++
		}
		at := time.Now()
		if err := s.StoreLogs(logs); err != nil {
			return result{}, err
		}
		if next-first > dropAt {
			if err := s.DeleteRange(first, next-1-kept); err != nil {
				return result{}, err
			}
			first = next - kept
		}
		took = append(took, time.Since(at))
	}
	all := time.Since(begin)
	slices.Sort(took)
	size, err := sizeOf(dir)
	return result{
		rate: float64(next-1) / all.Seconds(), p50: took[(len(took)*50+99)/100-1], p99: took[(len(took)*99+99)/100-1], longest: took[len(took)-1], size: size,
	}, err
}

func sizeOf(dir string) (sum int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			sum += info.Size()
		}
		return err
	})
	return sum, err
}
