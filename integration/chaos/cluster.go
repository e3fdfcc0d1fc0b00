package chaos

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"poolwire/client"
	"poolwire/integration/lab"
	"poolwire/integration/leak"
	"poolwire/integration/nodes"
)

// cluster is three nodes in a lab.
type cluster struct {
	lab   *lab.Lab
	nodes []*node
}

// tools are the programs that faults are made with.
func tools() []string {
	return []string{"nft", "tc", "mkfs.ext4", "mount", "nsenter", "fsfreeze", "fallocate", "ss"}
}

// newCluster starts three nodes and waits until all of them vote.
func newCluster(ctx context.Context, bin string) (*cluster, error) {
	for _, tool := range tools() {
		if _, err := exec.LookPath(tool); err != nil {
			return nil, fmt.Errorf("chaos: %w (`make deps` installs it)", err)
		}
	}
	l, err := lab.New(ctx, lab.Options{Name: "chaos"})
	if err != nil {
		return nil, err
	}
	c := &cluster{lab: l}
	if err := c.build(ctx, bin); err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

func (c *cluster) build(ctx context.Context, bin string) error {
	for _, id := range []string{"n1", "n2", "n3"} {
		n, err := newNode(ctx, c.lab, bin, id)
		if err != nil {
			return err
		}
		c.nodes = append(c.nodes, n)
	}
	first := c.nodes[0]
	first.args = first.flags("--bootstrap", "chaos")
	if err := first.start(); err != nil {
		return err
	}
	if err := await(ctx, "the first node to lead", func() error { _, err := c.leader(ctx); return err }); err != nil {
		return fmt.Errorf("%w\n%s", err, first.lastWords(10))
	}
	for _, n := range c.nodes[1:] {
		if err := c.join(ctx, n); err != nil {
			return err
		}
	}
	return await(ctx, "three voters", func() error { return nodes.Vote(ctx, first, len(c.nodes)) })
}

// join gives a node its certificate and starts it. The first node has the authority.
func (c *cluster) join(ctx context.Context, n *node) error {
	first := c.nodes[0]
	var peers []string
	for _, peer := range c.nodes {
		if peer != n {
			peers = append(peers, peer.at.Addr.String()+":6700")
		}
	}
	n.args = n.flags("--join", strings.Join(peers, ","))
	_, err := c.lab.Machine().Run(ctx, filepath.Join(n.bin, "poolwired"), "certificate", "node", n.id, "--address", n.at.Addr.String(),
		"--data-dir", first.inside(), "--pki-dir", filepath.Join(first.dir, "pki"), "--dir", filepath.Join(n.dir, "pki"))
	if err != nil {
		return err
	}
	return n.start()
}

func (c *cluster) close() error {
	errs := []error{c.leaks()}
	for _, n := range c.nodes {
		errs = append(errs, n.punctual(), n.conn.Close(), n.clock.Close())
	}
	return errors.Join(append(errs, c.lab.Close())...)
}

// dial makes a client of all nodes that asks a certain one first.
func (c *cluster) dial(first int) (*client.Client, error) {
	cfg := client.Config{Attempt: time.Second}
	for i := range c.nodes {
		cfg.Endpoints = append(cfg.Endpoints, c.nodes[(first+i)%len(c.nodes)].endpoint())
	}
	return client.New(cfg)
}

func (c *cluster) leader(ctx context.Context) (*node, error) { return nodes.Leader(ctx, c.nodes) }

// others are the nodes but one.
func (c *cluster) others(than *node) []*node {
	var out []*node
	for _, n := range c.nodes {
		if n != than {
			out = append(out, n)
		}
	}
	return out
}

// settle waits until one node leads and all have applied what it had when it was asked.
func (c *cluster) settle(ctx context.Context) error {
	var want uint64
	return await(ctx, "the nodes to agree", func() error {
		var leaders, behind []string
		var last uint64
		for _, n := range c.nodes {
			st, err := nodes.Status(ctx, n)
			if err != nil {
				return fmt.Errorf("%s: %w", n.id, err)
			}
			if st.GetNode().GetLeader() {
				leaders, last = append(leaders, n.id), st.GetLastIndex()
			}
			if want == 0 || st.GetAppliedIndex() < want {
				behind = append(behind, fmt.Sprintf("%s at %d", n.id, st.GetAppliedIndex()))
			}
		}
		if len(leaders) != 1 {
			return fmt.Errorf("leaders: %v", leaders)
		}
		if want == 0 {
			want = last
		}
		if len(behind) > 0 {
			return fmt.Errorf("%v, want %d", behind, want)
		}
		return nil
	})
}

// leaks ends the nodes and says what secrets they have let out: into their logs, or onto their disks, which are searched from
// within, not as images.
func (c *cluster) leaks() error {
	var search leak.Search
	roots := []string{c.lab.Dir()}
	for _, n := range c.nodes {
		if n.Running() {
			n.kill()
		}
		if n.holder.Running() {
			roots = append(roots, n.inside())
		}
	}
	got, err := search.Files(func(path string) bool {
		name := filepath.Base(path)
		return name == "image" || name == "ballast"
	}, roots...)
	if err == nil && len(got.Secrets) == 0 {
		err = errors.New("there are no secrets to search for")
	}
	return errors.Join(err, got.Err())
}
