package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"poolwire/integration/lab"
	"poolwire/integration/scenario"
)

// Nodes join with a certificate of the first one's CA, answer like any other,
// and one of them leads on when the leader is killed; no packet is lost.
func TestNodesJoin(t *testing.T) {
	t.Parallel()
	p := &pair{World: newWorld(t, "join", scenario.ClusterFlags(scenario.FirstController)...)}
	ctx := within(t, 2*time.Minute)
	if p.Lab.ControllerAddr().String() != scenario.FirstController {
		t.Fatalf("the lab's controller has the address %s", p.Lab.ControllerAddr())
	}
	p.do(t, "pool", "create", "paris")
	others := map[string]*node{}
	for _, id := range []string{"n2", "n3"} {
		others[id] = startNode(t, p.World, id)
		eventually(t, p.shows(id, "cluster", "status"))
	}
	p.h1, p.h2 = p.join(t, "paris1"), p.join(t, "paris2")
	p.a, p.b = p.vm(t, p.h1, "a", 1), p.vm(t, p.h2, "b", 2)
	eventually(t, wants(scenario.FirstController+":6653", others["n2"].addr, others["n3"].addr).of(p.h1, "get-controller", "xenbr0"))
	passes(t, p.a, p.b.IPv4())
	// Any node answers any call: this one forwards to the leader.
	rule := []string{"bridge=xenbr0", "direction=to", "protocol=tcp", "port=7", "ipRange=10.66.0.0/24"}
	if _, err := others["n2"].poolwire(ctx, append([]string{"add-rule", "allow=false"}, rule...)...); err != nil {
		t.Fatal(err)
	}
	if out := p.do(t, "rule", "list"); !strings.Contains(out, "10.66.0.0/24") {
		t.Errorf("a rule added through another node is not there:\n%s", out)
	}
	ping, err := p.a.StartPing(ctx, p.b.IPv4(), lab.PingOptions{Interval: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	p.KillDaemon()
	eventually(t, func(ctx context.Context) error {
		_, err := others["n3"].poolwire(ctx, append([]string{"del-rule"}, rule...)...)
		return err
	})
	r, err := ping.Stop(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if r.Lost() > 0 {
		t.Errorf("%d of %d pings were lost while the leader changed", r.Lost(), r.Sent)
	}
}

// node is another controller node of a world.
type node struct {
	addr   string
	socket string
	world  *scenario.World
}

// startNode starts another node that joins the world's.
func startNode(t *testing.T, w *scenario.World, id string) *node {
	t.Helper()
	ctx := within(t, time.Minute)
	ns, err := w.Lab.AddNode(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(w.Lab.Dir(), id)
	daemon := filepath.Join(binaries, "poolwired")
	if _, err := w.Lab.Machine().Run(ctx, daemon, "certificate", "node", id, "--address", ns.Addr.String(),
		"--data-dir", filepath.Join(w.Dir, "data"), "--pki-dir", filepath.Join(w.Dir, "pki"), "--dir", filepath.Join(dir, "pki")); err != nil {
		t.Fatal(err)
	}
	n := &node{addr: ns.Addr.String(), socket: filepath.Join(dir, "api.sock"), world: w}
	args := append([]string{daemon, "--node-id", id, "--data-dir", filepath.Join(dir, "data"), "--pki-dir", filepath.Join(dir, "pki"),
		"--api-socket", n.socket, "--join", fmt.Sprintf("%s:6700", w.Lab.ControllerAddr())}, scenario.ClusterFlags(n.addr)...)
	p, err := ns.Start(lab.ProcessOptions{Name: "poolwired-" + id, Args: args})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			b, _ := os.ReadFile(p.Log())
			t.Logf("log of %s:\n%s", id, b[max(0, len(b)-3000):])
		}
	})
	return n
}

// poolwire runs the client against the node's own socket.
func (n *node) poolwire(ctx context.Context, args ...string) (string, error) {
	return n.world.Poolwire(ctx, append(args, "--socket", n.socket)...)
}
