package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/encoding/protowire"

	"poolwire/integration/lab"
)

// etcdThere says why etcd cannot be run.
func etcdThere() error {
	if _, err := exec.LookPath("etcd"); err != nil {
		return errors.New("etcd is not installed (`make deps-bench` installs it)")
	}
	return nil
}

// etcdCluster is etcd on one node or three. Each writer has a key, whose value it writes.
//
// Two calls of etcd's API are all that is needed, and two fields of the answers: they are put
// together here, so that the client is the same gRPC as Poolwire's and no other module comes in.
type etcdCluster struct {
	bench     *clusterBench
	processes []*lab.Process
	endpoints []string
	conn      *grpc.ClientConn
}

// The calls, and the numbers of their fields (etcd, api/etcdserverpb/rpc.proto).
const (
	etcdPut    = "/etcdserverpb.KV/Put"
	etcdStatus = "/etcdserverpb.Maintenance/Status"

	putKey, putValue             = 1, 2
	statusHeader, headerMemberID = 1, 2
	statusLeader                 = 4
)

// startEtcd starts a cluster and waits until it has a leader.
func (b *clusterBench) startEtcd(ctx context.Context, nodes int) (target, error) {
	ctx, cancel := context.WithTimeout(ctx, soon)
	defer cancel()
	c := &etcdCluster{bench: b}
	var addrs, all []string
	for i := range nodes {
		addrs = append(addrs, fmt.Sprint(b.net, 100+10*nodes+i))
		all = append(all, fmt.Sprintf("e%d=https://%s:2380", i+1, addrs[i]))
		c.endpoints = append(c.endpoints, addrs[i]+":2379")
	}
	for i, addr := range addrs {
		if err := c.add(ctx, fmt.Sprint("e", i+1), addr, all); err != nil {
			return nil, errors.Join(err, c.stop(ctx))
		}
	}
	if err := await(ctx, c.processes[0], func() error { return c.aim(ctx, leader) }); err != nil {
		return nil, errors.Join(err, c.stop(ctx))
	}
	return c, nil
}

func (c *etcdCluster) add(ctx context.Context, name, addr string, all []string) error {
	dir := filepath.Join(c.bench.dir, fmt.Sprintf("%s-%d", name, len(all)))
	if err := c.bench.certificate(ctx, name, addr, dir); err != nil {
		return err
	}
	cert, key, ca := filepath.Join(dir, "node.pem"), filepath.Join(dir, "node.key"), filepath.Join(dir, "ca.pem")
	clients, peers := "https://"+addr+":2379", "https://"+addr+":2380"
	p, err := c.bench.start(fmt.Sprintf("etcd-%s-%d", name, len(all)),
		"etcd", "--name", name, "--data-dir", dataDir(dir), "--logger", "zap", "--log-level", "warn",
		"--listen-client-urls", clients, "--advertise-client-urls", clients, "--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers,
		"--initial-cluster", strings.Join(all, ","), "--initial-cluster-state", "new",
		"--cert-file", cert, "--key-file", key, "--trusted-ca-file", ca, "--client-cert-auth",
		"--peer-cert-file", cert, "--peer-key-file", key, "--peer-trusted-ca-file", ca, "--peer-client-cert-auth")
	if err == nil {
		c.processes = append(c.processes, p)
	}
	return err
}

// aim implements target.
func (c *etcdCluster) aim(ctx context.Context, at place) error {
	for _, endpoint := range c.endpoints {
		conn, err := grpc.NewClient(endpoint, grpc.WithTransportCredentials(credentials.NewTLS(c.bench.tls)),
			grpc.WithDefaultCallOptions(grpc.ForceCodec(rawCodec{})))
		if err != nil {
			return err
		}
		leads, err := leads(ctx, conn)
		if err == nil && leads == (at == leader) {
			if c.conn != nil {
				_ = c.conn.Close()
			}
			c.conn = conn
			return nil
		}
		_ = conn.Close()
		if err != nil {
			return err
		}
	}
	return fmt.Errorf("etcd has no %s", at)
}

// leads asks a node of etcd whether it leads.
func leads(ctx context.Context, conn *grpc.ClientConn) (bool, error) {
	var answer []byte
	if err := conn.Invoke(ctx, etcdStatus, []byte(nil), &answer, grpc.WaitForReady(true)); err != nil {
		return false, err
	}
	header, _, err := fieldOf(answer, statusHeader)
	if err != nil {
		return false, err
	}
	_, self, err := fieldOf(header, headerMemberID)
	if err != nil {
		return false, err
	}
	_, leader, err := fieldOf(answer, statusLeader)
	if err == nil && leader == 0 {
		err = errors.New("etcd has no leader")
	}
	return self == leader, err
}

// fieldOf finds a field of a message, as bytes or as a number.
func fieldOf(message []byte, number protowire.Number) (content []byte, value uint64, err error) {
	for len(message) > 0 {
		n, kind, size := protowire.ConsumeField(message)
		if size < 0 {
			return nil, 0, protowire.ParseError(size)
		}
		if n == number {
			_, _, tag := protowire.ConsumeTag(message)
			switch kind {
			case protowire.BytesType:
				content, _ = protowire.ConsumeBytes(message[tag:])
			case protowire.VarintType:
				value, _ = protowire.ConsumeVarint(message[tag:])
			}
		}
		message = message[size:]
	}
	return content, value, nil
}

// write implements target.
func (c *etcdCluster) write(ctx context.Context, writer int, value string) error {
	put := protowire.AppendTag(nil, putKey, protowire.BytesType)
	put = protowire.AppendString(put, fmt.Sprint("pool-", writer))
	put = protowire.AppendTag(put, putValue, protowire.BytesType)
	put = protowire.AppendString(put, value)
	var answer []byte
	return c.conn.Invoke(ctx, etcdPut, put, &answer)
}

// running implements target.
func (c *etcdCluster) running() []*lab.Process { return c.processes }

// stop implements target.
func (c *etcdCluster) stop(ctx context.Context) error {
	var errs []error
	if c.conn != nil {
		errs = append(errs, c.conn.Close())
	}
	for _, p := range c.processes {
		errs = append(errs, p.Stop(ctx))
	}
	return errors.Join(errs...)
}

// rawCodec passes messages that are encoded already.
type rawCodec struct{}

// Marshal takes the bytes of a message (encoding.Codec).
func (rawCodec) Marshal(v any) ([]byte, error) { return v.([]byte), nil }

// Unmarshal gives the bytes of a message (encoding.Codec).
func (rawCodec) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = data
	return nil
}

// Name is that of protobuf, which the messages are in (encoding.Codec).
func (rawCodec) Name() string { return "proto" }
