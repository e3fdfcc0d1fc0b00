package daemon

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"poolwire/daemon/config"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// raftDir is where the store is, in data_dir.
const raftDir = "raft"

// used says whether the node has been part of a cluster, or waits to be.
func used(cfg config.Config) bool {
	_, err := os.Stat(filepath.Join(cfg.DataDir, raftDir, "node-id"))
	return err == nil
}

// mayStart refuses a node that is told neither to found a cluster nor to join one.
func mayStart(cfg config.Config) error {
	if cfg.Bootstrap != "" || len(cfg.Join) > 0 || used(cfg) {
		return nil
	}
	return fmt.Errorf("data_dir %q is empty: found a cluster on its first node with --bootstrap NAME, and let the others --join HOST:PORT", cfg.DataDir)
}

// askBefore asks the nodes of join whether the cluster to be founded is there already.
func (n *node) askBefore(ctx context.Context) error {
	if n.cfg.Bootstrap == "" || used(n.cfg) {
		return nil
	}
	for _, peer := range n.cfg.Join {
		ctx, cancel := context.WithTimeout(ctx, askTimeout)
		status, err := n.peers.ask(ctx, peer)
		cancel()
		if err != nil {
			n.log.Info("founding a cluster: this node does not answer", "peer", peer, "error", err)
			continue
		}
		if uuid := status.GetClusterUuid(); uuid != "" && status.GetNode().GetId() != n.cfg.NodeID {
			return fmt.Errorf("bootstrap %q: node %s at %s belongs to cluster %s already; start this node without --bootstrap to join it", n.cfg.Bootstrap, status.GetNode().GetId(), peer, uuid)
		}
	}
	return nil
}

// askTimeout bounds a question to another node before a cluster is founded.
const askTimeout = 3 * time.Second

// itself describes this node to those that are to take it in.
func (n *node) itself() *poolwirev1.Node {
	out := n.store.SelfStatus().GetNode()
	out.StaysLearner = n.cfg.Learner
	return out
}
