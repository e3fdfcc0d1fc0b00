package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"

	"poolwire/integration/lab"
	"poolwire/pki"
)

// writers are the numbers of clients that write at once.
var writers = [...]int{1, 16, 128}

// valueSize is the length of what is written, in bytes.
const valueSize = 256

// soon bounds the start of a cluster.
const soon = 30 * time.Second

// writeRow is what one number of writers got from one size of cluster.
type writeRow struct {
	nodes, writers int
	asked          string // which node is asked: the leader or a follower
	poolwire, etcd load
}

// clusterBench is clusters of Poolwire and of etcd on one disk.
type clusterBench struct {
	s   settings
	bin string
	dir string // on the disk
	lab *lab.Lab
	// net is the first three bytes of the loopback addresses of this run, with dots.
	net string
	// founder is the directory of the node of Poolwire whose authority all nodes and clients trust.
	founder string
	tls     *tls.Config // of clients
}

// clusterWrites measures acknowledged writes, every time to the disks of a majority, of one node and of
// three, beside etcd. Everything speaks mutual TLS over loopback: clients with
// nodes and nodes with each other.
func clusterWrites(ctx context.Context, s settings, out io.Writer) error {
	if err := etcdThere(); err != nil {
		_, err = fmt.Fprintln(out, "writes beside etcd: skipped:", err)
		return err
	}
	bin, err := filepath.Abs(s.bin)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(s.data, "poolwire-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := onDisk(dir); err != nil {
		return err
	}
	l, err := lab.New(ctx, lab.Options{Name: "benchw", Dir: dir})
	if err != nil {
		return err
	}
	defer func() { _ = l.Close() }()
	b := &clusterBench{s: s, bin: bin, dir: dir, lab: l, net: fmt.Sprintf("127.%d.%d.", 64+rand.N(128), rand.N(256))}
	var rows []writeRow
	for _, nodes := range []int{1, 3} {
		got, err := b.size(ctx, nodes)
		if err != nil {
			return err
		}
		rows = append(rows, got...)
	}
	return reportWrites(out, rows)
}

// onDisk refuses a file system in memory, where writing costs nothing.
func onDisk(dir string) error {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return err
	}
	if fs.Type == unix.TMPFS_MAGIC {
		return fmt.Errorf("%s is in memory: name a directory on a disk with -data", dir)
	}
	return nil
}

// target is a cluster under test.
type target interface {
	// aim makes the following writes ask the leader, or another node.
	aim(ctx context.Context, at place) error
	// write makes one write and returns when it is acknowledged.
	write(ctx context.Context, writer int, value string) error
	// running are the nodes.
	running() []*lab.Process
	// stop ends the nodes.
	stop(ctx context.Context) error
}

// place is which node is asked.
type place string

const (
	leader   place = "leader"
	follower place = "follower"
)

// size measures clusters of one size.
func (b *clusterBench) size(ctx context.Context, nodes int) (_ []writeRow, err error) {
	var targets []target
	defer func() {
		for _, t := range targets {
			err = errors.Join(err, t.stop(ctx))
		}
	}()
	for _, start := range []func(context.Context, int) (target, error){b.startPoolwire, b.startEtcd} {
		t, err := start(ctx, nodes)
		if err != nil {
			return nil, err
		}
		targets = append(targets, t)
	}
	places := []place{leader, follower}
	if nodes == 1 {
		places = places[:1]
	}
	var out []writeRow
	for _, at := range places {
		for _, t := range targets {
			if err := t.aim(ctx, at); err != nil {
				return nil, err
			}
		}
		for _, n := range writers {
			got, err := b.compare(ctx, targets, n)
			if err != nil {
				return nil, err
			}
			out = append(out, writeRow{nodes: nodes, writers: n, asked: string(at), poolwire: got[0], etcd: got[1]})
		}
	}
	return out, nil
}

// compare loads the targets one after the other, several times, so that a machine
// that gets slower meanwhile does so for both.
func (b *clusterBench) compare(ctx context.Context, targets []target, n int) ([]load, error) {
	rounds := make([][]load, len(targets))
	for range b.s.rounds {
		for i, t := range targets {
			if _, err := drive(ctx, t, n, b.s.seconds/4); err != nil { // to warm up
				return nil, err
			}
			got, err := drive(ctx, t, n, b.s.seconds)
			if err != nil {
				return nil, err
			}
			rounds[i] = append(rounds[i], got)
		}
	}
	out := make([]load, len(targets))
	for i := range rounds {
		out[i] = middle(rounds[i])
	}
	return out, nil
}

// What is where in a node's directory.
func dataDir(node string) string { return filepath.Join(node, "data") }
func pkiDir(node string) string  { return filepath.Join(node, "pki") }

// start starts a program of a node.
func (b *clusterBench) start(name string, args ...string) (*lab.Process, error) {
	return b.lab.Machine().Start(lab.ProcessOptions{Name: name, Args: args})
}

// certificate makes a node's certificate, node.pem and node.key, in a directory.
func (b *clusterBench) certificate(ctx context.Context, id, addr, dir string) error {
	_, err := b.lab.Machine().Run(ctx, filepath.Join(b.bin, "poolwired"), "certificate", "node", id, "--address", addr,
		"--data-dir", dataDir(b.founder), "--pki-dir", pkiDir(b.founder), "--dir", dir)
	return err
}

// clientTLS is what clients show, to nodes of either kind.
func (b *clusterBench) clientTLS() (err error) {
	b.tls, err = pki.APIClientTLS(pkiDir(b.founder))
	return err
}

// reportWrites writes the table.
func reportWrites(out io.Writer, rows []writeRow) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "WRITES OF %d BYTES\tWRITERS\tPOOLWIRE\tp50\tp99\tCPU\tETCD\tp50\tp99\tCPU\tRATIO\tREACH\n", valueSize)
	for _, r := range rows {
		work := fmt.Sprintf("%d nodes, through the %s", r.nodes, r.asked)
		if r.nodes == 1 {
			work = "1 node"
		}
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%.2f\t>= 1\n", work, r.writers,
			r.poolwire, r.etcd, r.poolwire.rate/r.etcd.rate)
	}
	return w.Flush()
}
