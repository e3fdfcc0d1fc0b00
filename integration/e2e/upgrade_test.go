package e2e

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"poolwire/client"
	"poolwire/integration/lab"
	"poolwire/integration/scenario"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// older is what the version before calls itself.
const older = "0.9-before"

// Three nodes are replaced one by one by a newer version while VMs talk and clients write:
// nothing is lost, and what is new waits until all nodes know it. From then on the version
// before is of no use on a node's data, and says so.
func TestRollingUpgrade(t *testing.T) {
	t.Parallel()
	before := olderVersion(t)
	p := &pair{World: newWorldOf(t, scenario.Options{Name: "upgrade", Bin: before, Flags: scenario.ClusterFlags(scenario.FirstController)})}
	ctx := within(t, 4*time.Minute)
	p.do(t, "pool", "create", "paris")
	p.cluster(t)
	p.h1, p.h2 = p.join(t, "paris1"), p.join(t, "paris2")
	p.a, p.b = p.vm(t, p.h1, "a", 1), p.vm(t, p.h2, "b", 2)
	p.settled(t)
	ping, err := p.a.StartPing(ctx, p.b.IPv4(), lab.PingOptions{Interval: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	writes := p.keepWriting(t)

	p.install(t, "n2", binaries)
	// The leader is of the version before, and knows nothing of reads on other nodes.
	if out, err := p.Through(ctx, "n2", "pool", "list"); err != nil || !strings.Contains(out, "paris") {
		t.Errorf("a read on the new node: %q, %v", out, err)
	}
	p.install(t, "n3", binaries)
	p.do(t, "cluster", "transfer-leader", "n2")
	setting := []string{"cluster", "set", "--min-voters", "3"}
	_, err = p.Poolwire(ctx, setting...)
	if err == nil || !strings.Contains(err.Error(), "upgrade these nodes first") || !strings.Contains(err.Error(), "n1 (version "+older+")") || strings.Contains(err.Error(), "n3") {
		t.Errorf("what n1 does not know yet: %v", err)
	}
	p.install(t, "n1", binaries)
	eventually(t, func(ctx context.Context) error { _, err := p.Poolwire(ctx, setting...); return err })

	said, err := p.InstallUnfit(ctx, "n3", before)
	// Which it meets first depends on the writes: the setting, or a command that has come to mean more.
	if err != nil || !strings.Contains(said, "does not know") && !strings.Contains(said, "means more") || !strings.Contains(said, "install that version") {
		t.Errorf("the version before on newer data: %v\n%s", err, said)
	}
	p.install(t, "n3", binaries)

	acknowledged := writes()
	list := p.do(t, "pool", "list", "-o", "json")
	for _, name := range acknowledged {
		if !strings.Contains(list, `"`+name+`"`) {
			t.Errorf("pool %s was acknowledged and is lost", name)
		}
	}
	p.settled(t)
	r, err := ping.Stop(ctx)
	if err != nil || r.Lost() > 0 {
		t.Errorf("%d of %d pings lost, %v", r.Lost(), r.Sent, err)
	}
	t.Logf("%d pings, %d writes", r.Sent, len(acknowledged))
}

// install replaces a node's version and waits until three nodes vote again.
func (p *pair) install(t *testing.T, id, bin string) {
	t.Helper()
	if err := p.Install(within(t, time.Minute), id, bin); err != nil {
		t.Fatal(err)
	}
	eventually(t, func(ctx context.Context) error { return p.threeVote(ctx) })
}

// keepWriting makes pools, with every node to turn to, until stop is called, which returns those
// acknowledged. A write that is refused fails the test.
func (p *pair) keepWriting(t *testing.T) (stop func() []string) {
	t.Helper()
	var cfg client.Config
	for _, socket := range p.Sockets() {
		cfg.Endpoints = append(cfg.Endpoints, "unix:"+socket)
	}
	c, err := client.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ended, done := make(chan struct{}), make(chan []string)
	calls := context.WithoutCancel(t.Context())
	go func() {
		var names []string
		defer func() { done <- names }()
		for n := 0; ; n++ {
			select {
			case <-ended:
				return
			case <-time.After(50 * time.Millisecond):
			}
			name := fmt.Sprint("written-", n)
			ctx, cancel := context.WithTimeout(calls, 20*time.Second)
			_, err := poolwirev1.NewPoolServiceClient(c).CreatePool(ctx, &poolwirev1.CreatePoolRequest{Pool: &poolwirev1.Pool{NameLabel: name}})
			cancel()
			if err != nil {
				t.Errorf("%s: %v", name, err)
				return
			}
			names = append(names, name)
		}
	}()
	stop = func() []string {
		close(ended)
		defer func() { _ = c.Close() }()
		return <-done
	}
	return stop
}

// olderVersion builds poolwired as it was before, and puts the client beside it: without the later commands
// of the log and what commands mean since, without records of certificates, and without the call by which nodes answer reads
// themselves.
func olderVersion(t *testing.T) (bin string) {
	t.Helper()
	dir := t.TempDir()
	replaced := map[string]string{}
	edit := func(file, pattern, with string) {
		from, err := filepath.Abs(filepath.Join("../..", file))
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(cmp.Or(replaced[from], from))
		if err != nil {
			t.Fatal(err)
		}
		changed := regexp.MustCompile(pattern).ReplaceAllString(string(text), with)
		if changed == string(text) {
			t.Fatalf("%s has nothing like %s", file, pattern)
		}
		to := filepath.Join(dir, filepath.Base(file))
		if err := os.WriteFile(to, []byte(changed), 0o600); err != nil {
			t.Fatal(err)
		}
		replaced[from] = to
	}
	edit("raftstore/versions.go", `commandsNow uint32 = \d+`, `commandsNow uint32 = 28`)
	edit("raftstore/command.go", `meaningNow = \w+`, `meaningNow = meaningOverlay`)
	edit("raftstore/command.go", `(?m)^\t(29|[3-9]\d): .*\n`, "")
	edit("northbound/certify.go", `(records \.\.\.\*v1\.Certificate\) \(uint64, error\) \{\n)`, "${1}\tif ctx != nil {\n\t\treturn 0, nil\n\t}\n")
	edit("northbound/cluster_members.go", `(ReadRevisionResponse, error\) \{\n)`, "${1}\tif ctx != nil {\n\t\treturn nil, status.Error(codes.Unimplemented, \"not in this version\")\n\t}\n")
	overlay, err := json.Marshal(map[string]any{"Replace": replaced})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay"), overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	bin = filepath.Join(dir, "bin")
	build := exec.CommandContext(within(t, 5*time.Minute), "go", "build", "-overlay", filepath.Join(dir, "overlay"),
		"-ldflags", "-X poolwire/daemon/version.Version="+older, "-o", bin+"/", "./cmd/poolwired")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the version before: %v\n%s", err, out)
	}
	if err := os.Symlink(filepath.Join(binaries, "poolwire"), filepath.Join(bin, "poolwire")); err != nil {
		t.Fatal(err)
	}
	return bin
}
