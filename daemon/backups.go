package daemon

import (
	"context"
	"errors"
	"time"

	"poolwire/backup"
	"poolwire/daemon/copies"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// keepCopies makes scheduled backups where that is asked for.
func (n *node) keepCopies(ctx context.Context) error {
	if n.cfg.Backup.Dir == "" {
		return nil
	}
	k, err := copies.New(copies.Config{
		Dir: n.cfg.Backup.Dir, Interval: n.cfg.Backup.Interval, Keep: n.cfg.Backup.Keep, Save: n.saveBackup, Log: n.log, Registerer: n.metrics,
	})
	if err != nil {
		return err
	}
	k.Run(ctx)
	return nil
}

var errNoLeader = errors.New("no node leads now")

// How long a backup waits for a leader, and how often it looks.
const (
	leaderWait = 30 * time.Second
	leaderLook = 200 * time.Millisecond
)

// awaitLeader waits until a node leads, and returns its API address; empty for this one.
func (n *node) awaitLeader(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, leaderWait)
	defer cancel()
	look := time.NewTicker(leaderLook)
	defer look.Stop()
	for {
		if n.store.IsLeader() {
			return "", nil
		}
		if id, address := n.store.Leader(); address != "" && id != n.cfg.NodeID {
			return address, nil
		}
		select {
		case <-ctx.Done():
			return "", errNoLeader
		case <-look.C:
		}
	}
}

// saveBackup gets a backup from the leader, which may be this node.
func (n *node) saveBackup(ctx context.Context) ([]byte, error) {
	address, err := n.awaitLeader(ctx)
	if err != nil {
		return nil, err
	}
	if address == "" {
		v, err := n.store.ReadView(ctx)
		if err != nil {
			return nil, err
		}
		return n.store.Backup(v)
	}
	conn, release, err := n.peers.Reach(address)
	if err != nil {
		return nil, err
	}
	defer release()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	in, err := poolwirev1.NewBackupServiceClient(conn).SaveBackup(ctx, &poolwirev1.SaveBackupRequest{})
	if err != nil {
		return nil, err
	}
	return backup.Receive(in)
}
