package daemon

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

// peers keeps connections to the APIs of other nodes.
type peers struct {
	dial func(address string) (*grpc.ClientConn, error)

	mu    sync.Mutex
	conns map[string]*grpc.ClientConn
}

// maxPeers bounds the connections kept: members change their addresses, and leave.
const maxPeers = 32

func newPeers(dial func(string) (*grpc.ClientConn, error)) *peers {
	return &peers{dial: dial, conns: map[string]*grpc.ClientConn{}}
}

// ask asks a node how it is doing.
func (p *peers) ask(ctx context.Context, address string) (*poolwirev1.NodeStatus, error) {
	conn, err := p.conn(address)
	if err != nil {
		return nil, err
	}
	r, err := poolwirev1.NewClusterServiceClient(conn).GetNodeStatus(ctx, &poolwirev1.GetNodeStatusRequest{})
	if err != nil {
		return nil, err
	}
	if r.GetStatus() == nil {
		return nil, errors.New("the answer is empty")
	}
	return r.GetStatus(), nil
}

// revision asks a node that leads for the revision that reads have to reach.
func (p *peers) revision(ctx context.Context, address string) (uint64, error) {
	conn, err := p.conn(address)
	if err != nil {
		return 0, err
	}
	r, err := poolwirev1.NewClusterServiceClient(conn).ReadRevision(ctx, &poolwirev1.ReadRevisionRequest{})
	if status.Code(err) == codes.Unimplemented {
		return 0, fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
	}
	return r.GetRevision(), err
}

func (p *peers) conn(address string) (*grpc.ClientConn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.conns[address]; c != nil {
		return c, nil
	}
	c, err := p.dial(address)
	if err != nil {
		return nil, err
	}
	if len(p.conns) >= maxPeers {
		p.drop()
	}
	p.conns[address] = c
	return c, nil
}

func (p *peers) drop() {
	for address, c := range p.conns {
		_ = c.Close()
		delete(p.conns, address)
	}
}

// close closes what is kept.
func (p *peers) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop()
}
