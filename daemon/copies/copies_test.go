package copies

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"poolwire/backup"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func file(t *testing.T, revision uint64) []byte {
	t.Helper()
	data, err := backup.Encode(&poolwirev1.BackupManifest{ClusterUuid: "0123abcd-0000-4000-8000-000000000001", Revision: revision}, func(io.Writer) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// metric reads a metric of a keeper.
func metric(t *testing.T, k *Keeper, name string) float64 {
	t.Helper()
	families, err := k.cfg.Registerer.(*prometheus.Registry).Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			m := f.GetMetric()[0]
			return m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

func keeper(t *testing.T, dir string, save func(context.Context) ([]byte, error)) *Keeper {
	t.Helper()
	k, err := New(Config{Dir: dir, Interval: time.Millisecond, Keep: 3, Save: save, Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestCopiesAreMadeAndTheOldestGo(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "copies")
	var revision atomic.Uint64
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	k := keeper(t, dir, func(context.Context) ([]byte, error) {
		n := revision.Add(1)
		switch {
		case n == 2:
			return nil, errors.New("no leader")
		case n == 3:
			return []byte("something else"), nil
		case n > 8:
			cancel()
			return nil, ctx.Err()
		}
		return file(t, n), nil
	})
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"poolwire-20200101T000000Z-0123abcd-r1.backup", "poolwire-20200101T000000Z-ffffffff-r1.backup", "mine.backup", ".poolwire-20200101T000000Z-0123abcd-r1.backup.123"} {
		if err := os.WriteFile(filepath.Join(dir, name), file(t, 1), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	k.Run(ctx)
	names, err := k.list()
	if err != nil || len(names) != 4 || slices.Contains(names, "poolwire-20200101T000000Z-0123abcd-r1.backup") || names[0] != "poolwire-20200101T000000Z-ffffffff-r1.backup" {
		t.Errorf("%v, %v", names, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "mine.backup")); err != nil {
		t.Errorf("somebody else's file: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, ".poolwire-20200101T000000Z-0123abcd-r1.backup.123")); err == nil {
		t.Error("half a copy is still there")
	}
	f, _, err := backup.ReadFile(filepath.Join(dir, names[3]))
	info, statErr := os.Stat(filepath.Join(dir, names[3]))
	if err != nil || f.Manifest.GetRevision() != 8 || statErr != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v, %v", f, err, info)
	}
	if n := metric(t, k, "poolwire_backup_failures_total"); n != 2 {
		t.Errorf("%v failures", n)
	}
	if at := metric(t, k, "poolwire_backup_last_success_timestamp_seconds"); time.Since(time.Unix(int64(at), 0)) > time.Minute {
		t.Errorf("last copy at %v", at)
	}
}

// A restart makes no copy before its time, and a clock that was set back does not stop them.
func TestDue(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	k := keeper(t, dir, nil)
	k.cfg.Interval = time.Hour
	now := time.Date(2026, 5, 4, 3, 0, 0, 0, time.UTC)
	if d := k.due(now); d != 0 {
		t.Errorf("without a copy: %s", d)
	}
	for name, want := range map[string]time.Duration{
		"poolwire-20260504T024000Z-0123abcd-r9.backup": 40 * time.Minute, "poolwire-20260504T010000Z-0123abcd-r9.backup": 0, "poolwire-20300101T000000Z-0123abcd-r9.backup": time.Hour,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if d := k.due(now); d != want {
			t.Errorf("%s: due in %s, want %s", name, d, want)
		}
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
}

// Copies that are made after the clock was set back are kept, although their names are the oldest.
func TestTheNewestStaysWhenTheClockIsSetBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	k := keeper(t, dir, func(context.Context) ([]byte, error) { return file(t, 10), nil })
	for _, name := range []string{"poolwire-20990101T000000Z-0123abcd-r7.backup", "poolwire-20990102T000000Z-0123abcd-r8.backup", "poolwire-20990103T000000Z-0123abcd-r9.backup"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := k.make(t.Context()); err != nil {
		t.Fatal(err)
	}
	names, err := k.list()
	if err != nil || len(names) != 3 || revisionOf(names[0]) != 10 || revisionOf(names[1]) != 8 {
		t.Errorf("%v, %v", names, err)
	}
}
