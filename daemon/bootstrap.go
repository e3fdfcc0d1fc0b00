package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"poolwire/daemon/config"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// claimFile in pki_dir says which cluster was founded with its CA, and by which node. Every
// cluster has a CA of its own; a copy of the directory founds no second one.
const claimFile = "cluster"

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

// claim writes down that this node founds the cluster, or finds that it has.
func claim(cfg config.Config) error {
	if cfg.Bootstrap == "" {
		return nil
	}
	path, mine := filepath.Join(cfg.PKIDir, claimFile), cfg.Bootstrap+" "+cfg.NodeID
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	switch {
	case errors.Is(err, fs.ErrExist):
		return checkClaim(path, mine)
	case err != nil:
		return err
	}
	_, err = f.WriteString(mine + "\n")
	return errors.Join(err, f.Sync(), f.Close())
}

// checkClaim compares. An empty file is what a first start left that ended between making it
// and writing it: nothing was founded.
func checkClaim(path, mine string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	name, node, _ := strings.Cut(strings.TrimSpace(string(data)), " ")
	switch wantName, wantNode, _ := strings.Cut(mine, " "); {
	case name == "":
		return os.WriteFile(path, []byte(mine+"\n"), 0o600)
	case name != wantName:
		return fmt.Errorf("bootstrap %q: the CA of pki_dir is that of cluster %q, founded by node %s", wantName, name, node)
	case node != wantNode:
		return fmt.Errorf("bootstrap %q: node %s has founded this cluster already; start this node with --join and the address of one of its nodes", wantName, node)
	}
	return nil
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
