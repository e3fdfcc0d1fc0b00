package daemon

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

// peers keeps connections to the APIs of other nodes. None is closed while it is in use.
type peers struct {
	dial func(address string) (*grpc.ClientConn, error)

	mu    sync.Mutex
	conns map[string]*peer
}

// peer is the connection to one node.
type peer struct {
	conn  *grpc.ClientConn
	users int // calls under way; guarded by peers.mu
}

// maxPeers bounds the connections kept: members change their addresses, and leave.
const maxPeers = 32

func newPeers(dial func(string) (*grpc.ClientConn, error)) *peers {
	return &peers{dial: dial, conns: map[string]*peer{}}
}

// ask asks a node how it is doing.
func (p *peers) ask(ctx context.Context, address string) (*poolwirev1.NodeStatus, error) {
	conn, release, err := p.Reach(address)
	if err != nil {
		return nil, err
	}
	defer release()
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
	conn, release, err := p.Reach(address)
	if err != nil {
		return 0, err
	}
	defer release()
	r, err := poolwirev1.NewClusterServiceClient(conn).ReadRevision(ctx, &poolwirev1.ReadRevisionRequest{})
	if status.Code(err) == codes.Unimplemented {
		return 0, fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
	}
	return r.GetRevision(), err
}

// Reach returns a connection to a node (northbound.Peers). It stays open until release is called.
// Where there are too many, those that nobody uses are closed; it fails when all are in use.
func (p *peers) Reach(address string) (conn grpc.ClientConnInterface, release func(), err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := p.conns[address]
	if at == nil {
		if at, err = p.add(address); err != nil {
			return nil, nil, err
		}
	}
	at.users++
	return at.conn, sync.OnceFunc(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		at.users--
	}), nil
}

// add connects to one more node. mu is held.
func (p *peers) add(address string) (*peer, error) {
	if len(p.conns) >= maxPeers {
		maps.DeleteFunc(p.conns, func(_ string, at *peer) bool {
			if at.users > 0 {
				return false
			}
			_ = at.conn.Close()
			return true
		})
	}
	if len(p.conns) >= maxPeers {
		return nil, fmt.Errorf("all of %d connections to other nodes are in use", maxPeers)
	}
	conn, err := p.dial(address)
	if err != nil {
		return nil, err
	}
	at := &peer{conn: conn}
	p.conns[address] = at
	return at, nil
}

// close closes what is kept, also what is in use.
func (p *peers) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, at := range p.conns {
		_ = at.conn.Close()
	}
	clear(p.conns)
}
