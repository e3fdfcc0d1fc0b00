// Package nodes asks running poolwired nodes how they and their cluster are doing, for suites
// that start nodes in places of their own.
package nodes

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

// ErrNoLeader says that no node says that it leads.
var ErrNoLeader = errors.New("no node leads")

// Node is a node of a suite.
type Node interface {
	// Running tells whether its poolwired has not ended.
	Running() bool
	// Conn is the connection to its API.
	Conn() *grpc.ClientConn
}

// statusTimeout bounds the wait for a node's answer about itself.
const statusTimeout = time.Second

// Status asks a node about itself.
func Status(ctx context.Context, n Node) (*poolwirev1.NodeStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	// A node that was away is asked at once, not after gRPC's growing pauses.
	n.Conn().ResetConnectBackoff()
	r, err := poolwirev1.NewClusterServiceClient(n.Conn()).GetNodeStatus(ctx, &poolwirev1.GetNodeStatusRequest{}, grpc.WaitForReady(true))
	return r.GetStatus(), err
}

// Leader finds the node that says it leads, and of two the one of the later term. The error is
// [ErrNoLeader].
func Leader[N Node](ctx context.Context, all []N) (found N, err error) {
	var term uint64
	err = ErrNoLeader
	for _, n := range all {
		if !n.Running() {
			continue
		}
		st, failed := Status(ctx, n)
		if failed == nil && st.GetNode().GetLeader() && st.GetLastTerm() >= term {
			found, term, err = n, st.GetLastTerm(), nil
		}
	}
	return found, err
}

// Vote looks whether so many nodes vote and are healthy, as far as the node knows that is asked.
func Vote(ctx context.Context, asked Node, want int) error {
	r, err := poolwirev1.NewClusterServiceClient(asked.Conn()).ListNodes(ctx, &poolwirev1.ListNodesRequest{})
	if err != nil {
		return err
	}
	voters := 0
	for _, n := range r.GetNodes() {
		if n.GetNode().GetVoter() && n.GetHealthy() {
			voters++
		}
	}
	if voters < want {
		return fmt.Errorf("%d vote: %v", voters, r.GetNodes())
	}
	return nil
}
