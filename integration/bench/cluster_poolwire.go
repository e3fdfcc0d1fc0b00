package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"poolwire/client"
	"poolwire/integration/lab"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// poolwireCluster is poolwired on one node or three. Each writer has a pool, whose description it
// writes.
type poolwireCluster struct {
	bench     *clusterBench
	processes []*lab.Process
	endpoints []string
	api       *client.Client
	pools     []string // UUIDs, by writer
}

// startPoolwire starts a cluster and waits until all nodes vote.
func (b *clusterBench) startPoolwire(ctx context.Context, nodes int) (target, error) {
	ctx, cancel := context.WithTimeout(ctx, soon)
	defer cancel()
	c := &poolwireCluster{bench: b}
	for i := range nodes {
		if err := c.add(ctx, nodes, i); err != nil {
			return nil, errors.Join(err, c.stop(ctx))
		}
	}
	if err := c.makePools(ctx); err != nil {
		return nil, errors.Join(err, c.stop(ctx))
	}
	return c, nil
}

// add starts node i of a number of nodes, and waits until it votes.
func (c *poolwireCluster) add(ctx context.Context, nodes, i int) error {
	b := c.bench
	id, addr := fmt.Sprint("n", i+1), fmt.Sprint(b.net, 10*nodes+i)
	dir := filepath.Join(b.dir, fmt.Sprintf("%s-%d", id, nodes))
	role := []string{"--bootstrap", "bench"}
	if i > 0 {
		role = []string{"--join", c.endpoints[0]}
		if err := b.certificate(ctx, id, addr, pkiDir(dir)); err != nil {
			return err
		}
	} else {
		b.founder = dir
	}
	p, err := b.start(fmt.Sprintf("poolwired-%s-%d", id, nodes), append([]string{
		filepath.Join(b.bin, "poolwired"), "--node-id", id, "--data-dir", dataDir(dir), "--pki-dir", pkiDir(dir), "--api-socket", "",
		"--listen-api", addr + ":6700", "--listen-raft", addr + ":6701", "--listen-openflow", addr + ":6653", "--listen-ovsdb", "", "--listen-metrics", "",
		// One client makes all the load.
		"--limits-requests-per-second", "1000000",
	}, role...)...)
	if err != nil {
		return err
	}
	c.processes, c.endpoints = append(c.processes, p), append(c.endpoints, addr+":6700")
	if i == 0 {
		if err := await(ctx, p, func() error { return errors.Join(b.clientTLS(), c.dial(c.endpoints[0])) }); err != nil {
			return err
		}
	}
	return await(ctx, p, func() error { return c.votes(ctx, id) })
}

// votes says why a node does not vote.
func (c *poolwireCluster) votes(ctx context.Context, id string) error {
	r, err := poolwirev1.NewClusterServiceClient(c.api).GetClusterStatus(ctx, &poolwirev1.GetClusterStatusRequest{})
	if err != nil {
		return err
	}
	for _, n := range r.GetNodes() {
		if n.GetId() == id && n.GetVoter() && r.GetLeaderId() != "" {
			return nil
		}
	}
	return fmt.Errorf("node %s does not vote", id)
}

// dial makes a client of one node. It is the product's own: every write has a request id.
func (c *poolwireCluster) dial(endpoint string) (err error) {
	if c.api != nil {
		_ = c.api.Close()
	}
	c.api, err = client.New(client.Config{Endpoints: []string{endpoint}, TLS: c.bench.tls})
	return err
}

func (c *poolwireCluster) makePools(ctx context.Context) error {
	for w := range writers[len(writers)-1] {
		r, err := poolwirev1.NewPoolServiceClient(c.api).CreatePool(ctx, &poolwirev1.CreatePoolRequest{Pool: &poolwirev1.Pool{NameLabel: fmt.Sprint("pool-", w)}})
		if err != nil {
			return err
		}
		c.pools = append(c.pools, r.GetPool().GetUuid())
	}
	return nil
}

// aim implements target. The first node leads from the beginning.
func (c *poolwireCluster) aim(ctx context.Context, at place) error {
	r, err := poolwirev1.NewClusterServiceClient(c.api).GetClusterStatus(ctx, &poolwirev1.GetClusterStatusRequest{}, grpc.WaitForReady(true))
	if err != nil {
		return err
	}
	for i, endpoint := range c.endpoints {
		if (fmt.Sprint("n", i+1) == r.GetLeaderId()) == (at == leader) {
			return c.dial(endpoint)
		}
	}
	return fmt.Errorf("no node to ask: %s leads", r.GetLeaderId())
}

// write implements target.
func (c *poolwireCluster) write(ctx context.Context, writer int, value string) error {
	_, err := poolwirev1.NewPoolServiceClient(c.api).UpdatePool(ctx, &poolwirev1.UpdatePoolRequest{
		Pool: &poolwirev1.Pool{Uuid: c.pools[writer], NameDescription: value}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"name_description"}},
	})
	return err
}

// running implements target.
func (c *poolwireCluster) running() []*lab.Process { return c.processes }

// stop implements target.
func (c *poolwireCluster) stop(ctx context.Context) error {
	var errs []error
	if c.api != nil {
		errs = append(errs, c.api.Close())
	}
	for _, p := range c.processes {
		errs = append(errs, p.Stop(ctx))
	}
	return errors.Join(errs...)
}

// await repeats a look at something that a program brings about.
func await(ctx context.Context, p *lab.Process, look func() error) error {
	for {
		err := look()
		if err == nil {
			return nil
		}
		select {
		case <-p.Done():
			return fmt.Errorf("%s ended: %w (%w)", p.Log(), p.Err(), err)
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
