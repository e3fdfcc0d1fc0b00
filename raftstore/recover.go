package raftstore

import (
	"errors"
	"fmt"

	"github.com/hashicorp/raft"
)

// Recovered is what a node has after [Recover].
type Recovered struct {
	// Revision is that of the last command in its log.
	Revision uint64
	// Cluster is the cluster's name, or its UUID where it has none.
	Cluster string
	// Others are the ids of the members that no longer are.
	Others []string
}

// Recover makes this node the only member of its cluster, for when a majority of the voters is
// lost for good. It works on the directory of a node that does not run. Whatever is in the log
// counts as committed. The other nodes must never start again on their data: a majority of them
// would go on as the cluster they know.
//
// Errors: ErrLocked while the node runs, *CorruptError, and for a directory that was never part
// of a cluster.
func Recover(cfg Config) (_ Recovered, err error) {
	cfg.Stream = nil
	if err := cfg.check(); err != nil {
		return Recovered{}, fmt.Errorf("recover: %w", err)
	}
	d, err := openDisk(cfg, newWatchdog(cfg.Raft.DiskStall))
	if err != nil {
		return Recovered{}, fmt.Errorf("recover: %w", err)
	}
	defer func() { err = errors.Join(err, d.close()) }()
	rc, err := raftConfig(cfg)
	if err != nil {
		return Recovered{}, err
	}
	_, transport := raft.NewInmemTransport(raft.ServerAddress(cfg.NodeID))
	defer func() { err = errors.Join(err, transport.Close()) }()
	f := newFSM(cfg.Log)
	was, err := raft.GetConfiguration(rc, f, d.logs, d.stable, d.snapshots, transport)
	if err != nil {
		return Recovered{}, fmt.Errorf("recover: %w", err)
	}
	if len(was.Servers) == 0 {
		return Recovered{}, fmt.Errorf("recover: %s was never part of a cluster", cfg.Dir)
	}
	out := Recovered{}
	alone := raft.Configuration{Servers: []raft.Server{{ID: rc.LocalID, Address: transport.LocalAddr()}}}
	for _, server := range was.Servers {
		if server.ID == rc.LocalID {
			alone.Servers[0].Address = server.Address
			continue
		}
		out.Others = append(out.Others, string(server.ID))
	}
	f = newFSM(cfg.Log)
	if err := raft.RecoverCluster(rc, f, d.logs, d.stable, d.snapshots, transport, alone); err != nil {
		return Recovered{}, fmt.Errorf("recover: %w", err)
	}
	v := f.view()
	if out.Revision, out.Cluster = v.Revision(), v.ClusterName(); out.Cluster == "" {
		out.Cluster = v.ClusterUUID()
	}
	return out, f.err()
}
