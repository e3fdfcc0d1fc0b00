package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/uuid"

	"poolwire/privatefile"
)

const nodeIDFile = "node_id"

// EnsureNodeID makes the data directory and returns the node's id: the configured
// one, else the one kept there, else a new random one. The id is kept at the first
// start and can never be another one afterwards: the cluster knows the node, and
// its votes, by it.
func (c Config) EnsureNodeID() (string, error) {
	if err := privatefile.MakeDir(c.DataDir); err != nil {
		return "", err
	}
	path := filepath.Join(c.DataDir, nodeIDFile)
	data, err := os.ReadFile(path)
	kept := strings.TrimSpace(string(data))
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return "", err
	case kept == "" || !namePattern.MatchString(kept):
		return "", fmt.Errorf("%s: %.80q is no node id", path, kept)
	case c.NodeID != "" && c.NodeID != kept:
		return "", &FieldError{Source: "configuration", Field: "node_id", Value: c.NodeID,
			Accepted: fmt.Sprintf("want %q, by which the cluster has known this node since its first start (%s)", kept, path)}
	default:
		return kept, nil
	}
	id := c.NodeID
	if id == "" {
		id = uuid.NewString()
	}
	return id, privatefile.Create(path, []byte(id+"\n"), 0o600)
}
