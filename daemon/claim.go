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
	"poolwire/privatefile"
)

// claimFile in pki_dir says which cluster is founded with its CA, and by which node. Every
// cluster has a CA of its own; a copy of the directory founds no second one, and neither does
// the node that has lost its data.
const claimFile = "cluster"

// founding is what the file says: the name and the node in the first line, and once the cluster
// is there a second line with its UUID.
type founding struct {
	name, node, uuid string
}

// founded begins the second line.
const founded = "founded "

// readClaim returns an empty claim where there is none. An empty file is what a first start left
// that ended between making it and writing it: nothing was founded.
func readClaim(cfg config.Config) (founding, error) {
	data, err := os.ReadFile(filepath.Join(cfg.PKIDir, claimFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return founding{}, err
	}
	first, second, _ := strings.Cut(strings.TrimSpace(string(data)), "\n")
	var f founding
	f.name, f.node, _ = strings.Cut(first, " ")
	if uuid, ok := strings.CutPrefix(second, founded); ok {
		f.uuid = strings.TrimSpace(uuid)
	}
	return f, nil
}

// Founded reports whether a cluster was founded with the CA in pki_dir, or is about to be.
func Founded(cfg config.Config) bool {
	f, err := readClaim(cfg)
	return err != nil || f.name != ""
}

// check refuses a node that wants to found what the file does not say.
func (f founding) check(cfg config.Config) error {
	switch {
	case f.name == "":
	case f.name != cfg.Bootstrap:
		return fmt.Errorf("bootstrap %q: the CA of pki_dir is that of cluster %q, founded by node %s", cfg.Bootstrap, f.name, f.node)
	case f.node != cfg.NodeID && (f.uuid == "" || len(cfg.Join) == 0):
		return fmt.Errorf("bootstrap %q: node %s has founded this cluster already; start this node with --join and the address of one of its nodes", cfg.Bootstrap, f.node)
	}
	return nil
}

// settle takes the founding out of the configuration once it has happened: from then on the
// node goes on with its data, or joins, whatever else has become of it. Without data and
// without a node to join it is refused.
func settle(cfg config.Config) (config.Config, error) {
	if cfg.Bootstrap == "" {
		return cfg, nil
	}
	f, err := readClaim(cfg)
	if err == nil {
		err = f.check(cfg)
	}
	if err != nil || f.uuid == "" {
		return cfg, err
	}
	if len(cfg.Join) == 0 && !used(cfg) {
		return cfg, fmt.Errorf("bootstrap %q: the cluster was founded already, as %s, and data_dir %q has nothing of it: start this node with --join and the address "+
			"of another node to come back. Only when the cluster is lost, remove %s to found another one", cfg.Bootstrap, f.uuid, cfg.DataDir, filepath.Join(cfg.PKIDir, claimFile))
	}
	cfg.Bootstrap = ""
	return cfg, nil
}

// claim writes down that this node founds the cluster, or finds that it does.
func claim(cfg config.Config) error {
	if cfg.Bootstrap == "" {
		return nil
	}
	f, err := readClaim(cfg)
	if err == nil {
		err = f.check(cfg)
	}
	if err != nil || f.name != "" {
		return err
	}
	return writeClaim(cfg, "")
}

// writeClaim leaves the file as it was, or complete, also after a power cut.
func writeClaim(cfg config.Config, uuid string) error {
	text := cfg.Bootstrap + " " + cfg.NodeID + "\n"
	if uuid != "" {
		text += founded + uuid + "\n"
	}
	return privatefile.Write(filepath.Join(cfg.PKIDir, claimFile), []byte(text))
}

// foundingCheck is how often a node that founds a cluster looks whether it is there.
const foundingCheck = 50 * time.Millisecond

// noteFounding writes the cluster's UUID into the file when the log has it: a founding that was
// interrupted before is repeated by the next start, and later there is none.
func (n *node) noteFounding(ctx context.Context) error {
	if n.cfg.Bootstrap == "" {
		return nil
	}
	tick := time.NewTicker(foundingCheck)
	defer tick.Stop()
	for {
		if uuid := n.store.View().FoundingUUID(); uuid != "" {
			if err := writeClaim(n.cfg, uuid); err != nil {
				n.log.Warn("the founding of the cluster was not noted; the next start tries again", "pki_dir", n.cfg.PKIDir, "error", err)
			}
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
