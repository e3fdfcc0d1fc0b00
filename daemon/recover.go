package daemon

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"

	"poolwire/daemon/config"
	"poolwire/privatefile"
	"poolwire/raftstore"
)

// Recover makes this node, which does not run, the only member of its cluster.
func Recover(cfg config.Config, log *slog.Logger) (raftstore.Recovered, error) {
	id, err := cfg.EnsureNodeID()
	if err != nil {
		return raftstore.Recovered{}, fmt.Errorf("data_dir %q: %w", cfg.DataDir, err)
	}
	if !used(cfg) {
		return raftstore.Recovered{}, fmt.Errorf("data_dir %q: there is no node here", cfg.DataDir)
	}
	got, err := raftstore.Recover(raftstore.Config{NodeID: id, Dir: filepath.Join(cfg.DataDir, raftDir), Log: log})
	// Also after an error: the daemon must still be able to start.
	if given := privatefile.HandOver(cfg.DataDir); given != nil {
		err = errors.Join(err, fmt.Errorf("data_dir %q: what is root's cannot be given to the daemon's user: %w", cfg.DataDir, given))
	}
	return got, advise(cfg, err)
}

// advise adds to an error about damaged data what can be done.
func advise(cfg config.Config, err error) error {
	var damaged *raftstore.CorruptError
	if !errors.As(err, &damaged) {
		return err
	}
	return fmt.Errorf("%w\nThis node's data cannot be used; it has been left as it is. With other nodes: 'poolwire cluster remove %s' there, move %s away, "+
		"and start this node with --join. Without: restore a backup into an empty data_dir", err, cfg.NodeID, filepath.Join(cfg.DataDir, raftDir))
}
