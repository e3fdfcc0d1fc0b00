package daemon

import (
	"context"
	"log/slog"
	"time"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

// joinRetry is how long a node waits before it asks the next time.
const joinRetry = 2 * time.Second

// joining is what a node goes by that is to be taken in, or to be known by its present addresses.
type joining struct {
	peers []string
	retry time.Duration
	// led says whether this node hears a leader, known whether it is a member by the addresses it
	// has, as far as its own log says.
	led, known func() bool
	// ask asks a node of the cluster to write this one down.
	ask func(ctx context.Context, peer string) error
	log *slog.Logger
}

// join asks the nodes of a running cluster to take this one in, until one has. A member that
// the others know by its addresses finds that out from its own log and asks nobody.
func (n *node) join(ctx context.Context) error {
	if len(n.cfg.Join) > 0 {
		joining{peers: n.cfg.Join, retry: joinRetry, led: n.led, known: n.known, ask: n.askToJoin, log: n.log}.run(ctx)
	}
	return nil
}

func (j joining) run(ctx context.Context) {
	for first := true; ; first = false {
		led := j.led()
		if led && j.known() {
			return
		}
		// Just started, a node that is led may not have its own record from the log yet.
		if !led || !first {
			for _, peer := range j.peers {
				err := j.ask(ctx, peer)
				if err == nil {
					j.log.Info("joined", "peer", peer)
					return
				}
				j.log.Warn("could not join", "peer", peer, "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(j.retry):
		}
	}
}

func (n *node) led() bool {
	id, _ := n.store.Leader()
	return id != ""
}

func (n *node) known() bool {
	nodes, err := n.store.Nodes()
	return err == nil && knownBy(nodes, n.store.SelfStatus().GetNode())
}

// knownBy says whether a node is a member by the addresses it has. One that does not know how
// bridges reach it leaves that to others.
func knownBy(members []*poolwirev1.Node, self *poolwirev1.Node) bool {
	for _, m := range members {
		if m.GetId() == self.GetId() {
			return m.GetRaftAddress() == self.GetRaftAddress() && m.GetApiAddress() == self.GetApiAddress() &&
				(self.GetOpenflowAddress() == "" || m.GetOpenflowAddress() == self.GetOpenflowAddress())
		}
	}
	return false
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
