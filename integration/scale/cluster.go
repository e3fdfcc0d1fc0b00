package scale

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"

	"poolwire/client"
	"poolwire/integration/leak"
	"poolwire/integration/nodes"
)

// cluster is three nodes on the loopback interface.
type cluster struct {
	nodes  []*node
	client *client.Client
}

// newCluster starts three nodes and waits until all of them vote.
func newCluster(ctx context.Context, bin, dir string) (*cluster, error) {
	c := &cluster{}
	cfg := client.Config{}
	for number := range 3 {
		n, err := newNode(bin, dir, number+1)
		if err != nil {
			return nil, errors.Join(err, c.close())
		}
		c.nodes = append(c.nodes, n)
		cfg.Endpoints = append(cfg.Endpoints, "unix:"+filepath.Join(n.dir, "api.sock"))
	}
	err := c.grow(ctx)
	if err == nil {
		c.client, err = client.New(cfg)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%w\n%s", err, c.nodes[0].lastWords(10)), c.close())
	}
	return c, nil
}

// grow starts the first node and has the others join it.
func (c *cluster) grow(ctx context.Context) error {
	first := c.nodes[0]
	first.args = append(first.args, "--bootstrap", "scale")
	if err := first.start(); err != nil {
		return err
	}
	if err := await(ctx, "the first node to lead", func() error { _, err := c.leader(ctx); return err }); err != nil {
		return err
	}
	for _, n := range c.nodes[1:] {
		issue := exec.CommandContext(ctx, filepath.Join(n.bin, "poolwired"), "certificate", "node", n.id, "--address", n.addr,
			"--data-dir", filepath.Join(first.dir, "data"), "--pki-dir", first.pki(), "--dir", n.pki())
		if out, err := issue.CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		n.args = append(n.args, "--join", first.addr+":6700")
		if err := n.start(); err != nil {
			return err
		}
	}
	return c.awaitVoters(ctx)
}

// awaitVoters waits until all nodes vote and are healthy.
func (c *cluster) awaitVoters(ctx context.Context) error {
	return await(ctx, "three voters", func() error {
		leader, err := c.leader(ctx)
		if err != nil {
			return err
		}
		return nodes.Vote(ctx, leader, len(c.nodes))
	})
}

func (c *cluster) close() error {
	var errs []error
	if c.client != nil {
		errs = append(errs, c.client.Close())
	}
	for _, n := range c.nodes {
		n.kill()
		errs = append(errs, n.conn.Close())
	}
	return errors.Join(append(errs, c.leaks())...)
}

// leaks says what secrets the nodes have let out into what they have written but for their disks, which hold a lot here and are
// searched by other suites.
func (c *cluster) leaks() error {
	var search leak.Search
	var roots []string
	for _, n := range c.nodes {
		roots = append(roots, n.dir)
	}
	got, err := search.Files(func(path string) bool { return filepath.Base(path) == "data" }, roots...)
	if err == nil && len(got.Secrets) == 0 {
		err = errors.New("there are no secrets to search for")
	}
	return errors.Join(err, got.Err())
}

// managers are where active hosts dial: every node.
func (c *cluster) managers() (targets []string) {
	for _, n := range c.nodes {
		targets = append(targets, "ssl:"+n.addr+":6640")
	}
	return targets
}

func (c *cluster) leader(ctx context.Context) (*node, error) { return nodes.Leader(ctx, c.nodes) }
