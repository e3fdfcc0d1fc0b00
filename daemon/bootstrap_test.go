package daemon

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"poolwire/daemon/config"
)

// A cluster is founded once: again by the same node under the same name, and by no copy of its certificates.
func TestClaim(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := config.Config{Bootstrap: "prod", NodeID: "n1", PKIDir: dir}
	for range 2 {
		if err := claim(first); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name, node, want string
	}{
		{"prod", "n2", "node n1 has founded this cluster already"},
		{"test", "n1", `that of cluster "prod", founded by node n1`},
	} {
		err := claim(config.Config{Bootstrap: c.name, NodeID: c.node, PKIDir: dir})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s founds %s: %v, want %q", c.node, c.name, err, c.want)
		}
	}
	if err := claim(config.Config{NodeID: "n2", PKIDir: dir}); err != nil {
		t.Errorf("a node that founds nothing: %v", err)
	}
	// The first start ended before it had written anything.
	if err := os.WriteFile(filepath.Join(dir, claimFile), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := claim(first); err != nil {
		t.Error(err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, claimFile)); err != nil || string(got) != "prod n1\n" {
		t.Errorf("claim %q, %v", got, err)
	}
}

// A node that is told nothing founds nothing.
func TestMayStart(t *testing.T) {
	t.Parallel()
	fresh, old := t.TempDir(), t.TempDir()
	if err := os.MkdirAll(filepath.Join(old, raftDir), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(old, raftDir, "node-id"), []byte("n1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		cfg config.Config
		ok  bool
	}{
		"nothing":      {config.Config{DataDir: fresh}, false},
		"to found one": {config.Config{DataDir: fresh, Bootstrap: "prod"}, true},
		"to join one":  {config.Config{DataDir: fresh, Join: []string{"192.0.2.1:6700"}}, true},
		"to go on":     {config.Config{DataDir: old}, true},
	} {
		if err := mayStart(c.cfg); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}
