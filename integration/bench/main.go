// Command bench measures Poolwire beside ovs-ofctl and etcd on the same machine in
// the same run, against a real ovs-vswitchd whose devices are dummies and on a real
// disk, and prints tables with the ratios.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"poolwire/integration/quantile"
)

// row is one line of the result.
type row struct {
	work string
	// poolwire and yardstick are the medians; yardstick is 0 where there is none.
	poolwire, yardstick time.Duration
	// beside names the yardstick.
	beside string
	// reach is what the product aims at, in words.
	reach string
	note  string
}

// settings are the sizes of a run.
type settings struct {
	flows, rounds, vifs, rules, changes int
	seconds                             time.Duration
	bin, data                           string
}

// part is a measurement that can be run alone.
type part struct {
	name string
	run  func(ctx context.Context, s settings) ([]row, error)
}

// parts are all measurements that are rows of the first table. Writes of clusters have a table
// of their own.
func parts() []part {
	return []part{{"flows", flows}, {"change", singleChange}, {"policy", policies}}
}

// writesPart names the measurement of a cluster's writes.
const writesPart = "cluster"

func main() {
	var s settings
	flag.IntVar(&s.flows, "flows", 100_000, "flows for the whole-table measurements, about")
	flag.IntVar(&s.rounds, "rounds", 3, "rounds of the whole-table measurements and of each number of writers; the median counts")
	flag.IntVar(&s.vifs, "vifs", 1000, "VIFs of the host for the single-change measurement")
	flag.IntVar(&s.rules, "rules", 10, "rules of each VIF")
	flag.IntVar(&s.changes, "changes", 200, "single changes to measure")
	flag.StringVar(&s.bin, "bin", "bin", "directory of poolwired and poolwire")
	flag.DurationVar(&s.seconds, "writing", 3*time.Second, "how long writers write in each round")
	flag.StringVar(&s.data, "data", "/var/tmp", "directory, on a disk, for the data of clusters")
	only := flag.String("only", "", "parts to run, with commas between them: flows, change, policy, cluster; empty for all")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, s, *only, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, s settings, only string, out io.Writer) error {
	wanted, err := chosen(only)
	if err != nil {
		return err
	}
	var rows []row
	for _, p := range parts() {
		if !slices.Contains(wanted, p.name) {
			continue
		}
		got, err := p.run(ctx, s)
		if err != nil {
			return err
		}
		rows = append(rows, got...)
	}
	if len(rows) > 0 {
		if err := report(out, rows); err != nil {
			return err
		}
	}
	if slices.Contains(wanted, writesPart) {
		return clusterWrites(ctx, s, out)
	}
	return nil
}

// chosen returns the names of the parts to run; all where none is named.
func chosen(only string) ([]string, error) {
	all := []string{writesPart}
	for _, p := range parts() {
		all = append(all, p.name)
	}
	if only == "" {
		return all, nil
	}
	wanted := strings.Split(only, ",")
	for _, name := range wanted {
		if !slices.Contains(all, name) {
			return nil, fmt.Errorf("no part is called %q: there are %s", name, strings.Join(all, ", "))
		}
	}
	return wanted, nil
}

// report writes the table.
func report(out io.Writer, rows []row) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "WORK\tPOOLWIRE\tYARDSTICK\tRATIO\tREACH\tNOTE")
	for _, r := range rows {
		beside, ratio := "-", "-"
		if r.yardstick > 0 {
			beside = fmt.Sprintf("%s (%s)", rounded(r.yardstick), r.beside)
			ratio = fmt.Sprintf("%.2f", float64(r.poolwire)/float64(r.yardstick))
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", r.work, rounded(r.poolwire), beside, ratio, r.reach, r.note)
	}
	return w.Flush()
}

func rounded(d time.Duration) time.Duration {
	if d < 100*time.Millisecond {
		return d.Round(10 * time.Microsecond)
	}
	return d.Round(time.Millisecond)
}

func median(samples []time.Duration) time.Duration { return quantile.Of(samples, 50) }
