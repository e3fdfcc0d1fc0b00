package raftstore

import (
	"google.golang.org/protobuf/proto"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// Nodes returns the recorded controller nodes. Whether a node leads or votes
// is Raft's to say: see Store.Nodes.
func (v *View) Nodes() []*poolwirev1.Node { return all[*poolwirev1.Node](v, TableNodes) }

// Node returns a controller node by id.
func (v *View) Node(id string) *poolwirev1.Node { return get[*poolwirev1.Node](v, TableNodes, id) }

// bootstrapCluster gives the cluster its identity, once.
func (t *tx) bootstrapCluster(c *storev1.BootstrapCluster) (Result, error) {
	if err := checkKey("cluster_uuid", c.GetClusterUuid()); err != nil {
		return Result{}, err
	}
	if have := t.header.GetClusterUuid(); have != "" {
		return Result{}, &ExistsError{Kind: KindCluster, Field: "cluster_uuid", Value: c.GetClusterUuid(), By: have}
	}
	t.header.ClusterUuid, t.header.ClusterName = c.GetClusterUuid(), c.GetClusterName()
	return wrote(c.GetClusterUuid()), nil
}

func (t *tx) putNode(c *storev1.PutNode) (Result, error) {
	n := proto.CloneOf(c.GetNode())
	if err := checkKey("id", n.GetId()); err != nil {
		return Result{}, err
	}
	n.Leader, n.Voter = false, false
	t.put(TableNodes, n)
	return wrote(n.GetId()), nil
}

func (t *tx) deleteNode(c *storev1.Delete) (Result, error) {
	if t.Node(c.GetUuid()) == nil {
		return Result{}, &NotFoundError{Kind: KindNode, ID: c.GetUuid()}
	}
	t.del(TableNodes, c.GetUuid())
	return wrote(c.GetUuid()), nil
}
