package daemon

import (
	"context"
	"errors"
	"io"

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

// saveBackup gets a backup from the leader, which may be this node.
func (n *node) saveBackup(ctx context.Context) ([]byte, error) {
	if n.store.IsLeader() {
		v, err := n.store.ReadView(ctx)
		if err != nil {
			return nil, err
		}
		return n.store.Backup(v)
	}
	_, address := n.store.Leader()
	if address == "" {
		return nil, errNoLeader
	}
	conn, err := n.peers.conn(address)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	in, err := poolwirev1.NewBackupServiceClient(conn).SaveBackup(ctx, &poolwirev1.SaveBackupRequest{})
	if err != nil {
		return nil, err
	}
	var out []byte
	for {
		r, err := in.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return out, nil
		case err != nil:
			return nil, err
		}
		if out = append(out, r.GetData()...); len(out) > backup.MaxFile {
			return nil, backup.ErrTooLarge
		}
	}
}
