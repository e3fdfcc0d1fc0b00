// Package copies keeps the last backups of the cluster in a directory, made on a schedule.
//
// Every node that is given a directory keeps copies of its own: the loss of one machine, and
// of the leader's before all, must not take them along. Each copy comes from the leader and
// holds all that was acknowledged before; a node that cannot reach it makes none, and never
// one of what it remembers.
package copies

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"poolwire/backup"
	"poolwire/privatefile"
)

// Config is what a Keeper works with. Dir, Interval, Keep, Save and Log are required.
type Config struct {
	// Dir holds the copies; it is made when missing.
	Dir string
	// Interval is the time between two copies.
	Interval time.Duration
	// Keep is how many copies of a cluster there are at most; the oldest goes first. At least 1.
	Keep int
	// Save returns a backup file of the cluster.
	Save func(context.Context) ([]byte, error)
	// Log receives failures, and each copy made.
	Log *slog.Logger
	// Registerer receives the metrics; nil for none.
	Registerer prometheus.Registerer
}

const (
	// retryAfter is the longest wait after a failure.
	retryAfter = time.Minute
	// saveTimeout bounds one copy.
	saveTimeout = 10 * time.Minute
	timeLayout  = "20060102T150405Z"
)

// A copy is named after its time, the beginning of its cluster's UUID and its revision.
var (
	namePattern = regexp.MustCompile(`^poolwire-([0-9]{8}T[0-9]{6}Z)-([0-9a-f]{8})-r([0-9]+)\.backup$`)
	uuidPattern = regexp.MustCompile(`^[0-9a-f]{8}`)
)

// Keeper makes the copies.
type Keeper struct {
	cfg      Config
	last     prometheus.Gauge
	size     prometheus.Gauge
	failures prometheus.Counter
}

// New returns a keeper; Run makes it work.
func New(cfg Config) (*Keeper, error) {
	k := &Keeper{
		cfg:      cfg,
		last:     prometheus.NewGauge(prometheus.GaugeOpts{Name: "poolwire_backup_last_success_timestamp_seconds", Help: "When this node made its last scheduled copy, in Unix time; 0 for none."}),
		size:     prometheus.NewGauge(prometheus.GaugeOpts{Name: "poolwire_backup_size_bytes", Help: "Size of the last scheduled copy."}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{Name: "poolwire_backup_failures_total", Help: "Scheduled copies that could not be made."}),
	}
	if cfg.Registerer == nil {
		return k, nil
	}
	return k, errors.Join(cfg.Registerer.Register(k.last), cfg.Registerer.Register(k.size), cfg.Registerer.Register(k.failures))
}

// Run makes a copy whenever one is due, until ctx ends. The first one is due when the newest
// that is there is an interval old. Failures are logged and counted, and tried again.
func (k *Keeper) Run(ctx context.Context) {
	if newest := k.newest(); !newest.IsZero() {
		k.last.Set(float64(newest.Unix()))
	}
	wait := k.due(time.Now())
	for {
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		wait = k.cfg.Interval
		if err := k.make(ctx); err != nil && ctx.Err() == nil {
			k.failures.Inc()
			k.cfg.Log.Error("the scheduled backup was not made", "dir", k.cfg.Dir, "error", err)
			wait = min(wait, retryAfter)
		}
	}
}

// due is how long the next copy has time. A copy from the future, made before the clock was
// set back, delays the next one by an interval at most.
func (k *Keeper) due(now time.Time) time.Duration {
	newest := k.newest()
	if newest.IsZero() {
		return 0
	}
	return min(max(newest.Add(k.cfg.Interval).Sub(now), 0), k.cfg.Interval)
}

func (k *Keeper) make(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, saveTimeout)
	defer cancel()
	if err := privatefile.MakeDir(k.cfg.Dir); err != nil {
		return err
	}
	data, err := k.cfg.Save(ctx)
	if err != nil {
		return err
	}
	f, err := backup.Decode(data)
	if err != nil {
		return err
	}
	now := time.Now().UTC()
	cluster := uuidPattern.FindString(f.Manifest.GetClusterUuid())
	if cluster == "" {
		return fmt.Errorf("the backup is of no proper cluster: %.64q", f.Manifest.GetClusterUuid())
	}
	path := filepath.Join(k.cfg.Dir, fmt.Sprintf("poolwire-%s-%s-r%d.backup", now.Format(timeLayout), cluster, f.Manifest.GetRevision()))
	if err := privatefile.Write(path, data); err != nil {
		return err
	}
	k.last.Set(float64(now.Unix()))
	k.size.Set(float64(len(data)))
	k.cfg.Log.Info("backup made", "file", path, "revision", f.Manifest.GetRevision(), "bytes", len(data))
	return k.prune(cluster)
}

// list returns the names of the copies, the oldest first. Other files are nobody's business.
func (k *Keeper) list() ([]string, error) {
	entries, err := os.ReadDir(k.cfg.Dir)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range entries {
		if e.Type().IsRegular() && namePattern.MatchString(e.Name()) {
			out = append(out, e.Name())
		}
	}
	slices.Sort(out)
	return out, nil
}

func (k *Keeper) newest() time.Time {
	names, err := k.list()
	if err != nil || len(names) == 0 {
		return time.Time{}
	}
	at, err := time.Parse(timeLayout, namePattern.FindStringSubmatch(names[len(names)-1])[1])
	if err != nil {
		return time.Time{}
	}
	return at
}

// prune removes the oldest copies of a cluster, by revision: the clock may have been set back,
// and would call the one just made the oldest. It also removes what a crash left of one that
// was being written. Copies of another cluster stay: an empty one that was founded after a
// loss must not push out those that it is to be restored from.
func (k *Keeper) prune(cluster string) error {
	names, err := k.list()
	if err != nil {
		return err
	}
	names = slices.DeleteFunc(names, func(name string) bool { return namePattern.FindStringSubmatch(name)[2] != cluster })
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(revisionOf(a), revisionOf(b)) })
	errs := []error{privatefile.Tidy(filepath.Join(k.cfg.Dir, "poolwire-*.backup"))}
	for _, name := range names[:max(len(names)-k.cfg.Keep, 0)] {
		errs = append(errs, os.Remove(filepath.Join(k.cfg.Dir, name)))
	}
	return errors.Join(errs...)
}

// revisionOf is the revision of the copy of a name that fits the pattern.
func revisionOf(name string) uint64 {
	n, _ := strconv.ParseUint(namePattern.FindStringSubmatch(name)[3], 10, 64)
	return n
}
