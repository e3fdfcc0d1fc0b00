package daemon

import (
	"context"
	"time"
)

// secretsCheck is how often the file with the keys that seal secrets is read again.
const secretsCheck = 5 * time.Second

// rereadSecrets takes over what changes in that file, so that a key can be replaced without a restart.
func (n *node) rereadSecrets(ctx context.Context) error {
	tick := time.NewTicker(secretsCheck)
	defer tick.Stop()
	said := ""
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		changed, err := n.keys.Reload()
		n.reloads.secrets.note(err)
		switch {
		case err != nil && err.Error() != said:
			n.log.Error("the keys that seal secrets could not be read again; those known go on", "error", err)
		case changed:
			n.log.Info("the keys that seal secrets have changed", "keys", n.keys.IDs())
		}
		if said = ""; err != nil {
			said = err.Error()
		}
	}
}

// membersKeys are the ids of the keys of every member, as it has told; nil for one that has told none.
func (n *node) membersKeys() ([][]string, error) {
	nodes, _, err := n.store.Health()
	if err != nil {
		return nil, err
	}
	out := make([][]string, len(nodes))
	for i, s := range nodes {
		out[i] = s.GetSecretKeys()
	}
	return out, nil
}
