package daemon

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"poolwire/daemon/config"
	"poolwire/raftstore"
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

// Once a cluster is there, no node with its certificates founds it again: it goes on, or joins. A founding that was
// interrupted goes on, and where the file was removed there can be another.
func TestFoundedOnce(t *testing.T) {
	t.Parallel()
	fresh, old, pki := t.TempDir(), t.TempDir(), t.TempDir()
	if err := errors.Join(os.MkdirAll(filepath.Join(old, raftDir), 0o700), os.WriteFile(filepath.Join(old, raftDir, "node-id"), []byte("n1\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	first := config.Config{Bootstrap: "prod", NodeID: "n1", PKIDir: pki, DataDir: fresh}
	with := func(dir string, join ...string) config.Config {
		c := first
		c.DataDir, c.Join = dir, join
		return c
	}
	founds := func(when string, want bool, cfgs ...config.Config) {
		t.Helper()
		for _, c := range cfgs {
			if got, err := settle(c); err != nil || (got.Bootstrap != "") != want {
				t.Errorf("%s, %s --join %s: founds %q, %v", when, c.DataDir, c.Join, got.Bootstrap, err)
			}
		}
	}
	all := []config.Config{with(fresh), with(old), with(fresh, "192.0.2.2:6700"), with(old, "192.0.2.2:6700")}
	founds("nothing claimed", true, all...)
	if err := claim(first); err != nil {
		t.Fatal(err)
	}
	founds("interrupted", true, all...)

	if err := writeClaim(first, "uuid-1"); err != nil {
		t.Fatal(err)
	}
	founds("founded", false, all[1:]...)
	file := filepath.Join(pki, claimFile)
	if _, err := settle(with(fresh)); err == nil || !strings.Contains(err.Error(), "--join") || !strings.Contains(err.Error(), "remove "+file) {
		t.Errorf("without data and without a node to join: %v", err)
	}
	another := with(fresh, "192.0.2.2:6700")
	another.NodeID = "n9" // data_dir was lost with the id in it
	founds("founded", false, another)
	another.Bootstrap = "test"
	if _, err := settle(another); err == nil || !strings.Contains(err.Error(), `that of cluster "prod", founded by node n1`) {
		t.Errorf("another name: %v", err)
	}

	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	founds("lost", true, all...)
}

// A node notes the founding as soon as its log has it.
func TestFoundingIsNoted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cfg := config.Config{Bootstrap: "prod", NodeID: "n1", PKIDir: t.TempDir(), DataDir: t.TempDir()}
	s, err := raftstore.Open(ctx, raftstore.Config{NodeID: "n1", Dir: filepath.Join(cfg.DataDir, raftDir), Bootstrap: true, ClusterName: "prod",
		Raft: raftstore.RaftOptions{SegmentSize: 1 << 20}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close(ctx) }()
	n := &node{cfg: cfg, store: s, log: slog.New(slog.DiscardHandler)}
	if err := errors.Join(claim(cfg), n.noteFounding(ctx)); err != nil {
		t.Fatal(err)
	}
	if f, err := readClaim(cfg); err != nil || f != (founding{"prod", "n1", s.View().FoundingUUID()}) || f.uuid == "" {
		t.Errorf("claim %+v, %v", f, err)
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
