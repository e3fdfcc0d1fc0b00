package daemon

import (
	"context"
	"time"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

// joinRetry is how long a node waits before it asks the next time.
const joinRetry = 2 * time.Second

// join asks the nodes of a running cluster to take this one in, until one has.
// A node that is already a member finds that out from its own log and asks nobody.
func (n *node) join(ctx context.Context) error {
	if len(n.cfg.Join) == 0 {
		return nil
	}
	for {
		if id, _ := n.store.Leader(); id != "" {
			return nil
		}
		for _, peer := range n.cfg.Join {
			err := n.askToJoin(ctx, peer)
			if err == nil {
				n.log.Info("joined", "peer", peer)
				return nil
			}
			n.log.Warn("could not join", "peer", peer, "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(joinRetry):
		}
	}
}

func (n *node) askToJoin(ctx context.Context, peer string) error {
	conn, err := n.dialNode(peer)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithTimeout(ctx, shutdownGrace)
	defer cancel()
	_, err = poolwirev1.NewClusterServiceClient(conn).AddNode(ctx, &poolwirev1.AddNodeRequest{Node: n.itself(), ClusterUuid: n.store.View().FoundingUUID()})
	return err
}
