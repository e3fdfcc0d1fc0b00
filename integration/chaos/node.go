package chaos

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"poolwire/integration/lab"
	"poolwire/integration/lab/skew"
)

// imageSize is the size of a node's file system, in bytes: room for the reserve that poolwired
// keeps (256 MiB) and a few segments of its log. The image is sparse.
const imageSize = 1 << 30

// node is one poolwired and its place. Only the injector starts and ends it.
type node struct {
	id   string
	bin  string
	at   *lab.Node
	lab  *lab.Lab
	dir  string // certificates, socket, image
	data string // mount point, seen in the holder's mount namespace only
	args []string

	// holder keeps the mount namespace in which the image is mounted. The mount and its loop
	// device go with the last process in there, however the test ends.
	holder *lab.Process
	proc   *lab.Process
	conn   *grpc.ClientConn
	// clock is poolwired's.
	clock *skew.Clock
	// inTime ends that packets to the node are late; nil when none are.
	inTime func() error
}

// newNode makes the namespace and the file system.
func newNode(ctx context.Context, l *lab.Lab, bin, id string) (*node, error) {
	at, err := l.AddNode(ctx, id)
	if err != nil {
		return nil, err
	}
	n := &node{id: id, bin: bin, at: at, lab: l, dir: filepath.Join(l.Dir(), id)}
	n.data = filepath.Join(n.dir, "data")
	if err := os.MkdirAll(n.data, 0o700); err != nil {
		return nil, err
	}
	if n.clock, err = skew.NewClock(filepath.Join(n.dir, "clock")); err != nil {
		return nil, err
	}
	image := filepath.Join(n.dir, "image")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		return nil, err
	}
	if err := os.Truncate(image, imageSize); err != nil {
		return nil, err
	}
	if _, err := l.Machine().Run(ctx, "mkfs.ext4", "-q", "-F", "-m", "0", image); err != nil {
		return nil, err
	}
	mounted := filepath.Join(n.dir, "mounted")
	script := `mount -o loop "$1" "$2" && : >"$3" && exec sleep infinity`
	n.holder, err = at.Start(lab.ProcessOptions{Name: "holder-" + id, Args: []string{"sh", "-c", script, "sh", image, n.data, mounted}})
	if err != nil {
		return nil, err
	}
	err = await(ctx, "the image of "+id+" to be mounted", func() error {
		if !n.holder.Running() {
			return fmt.Errorf("mount ended: %w", n.holder.Err())
		}
		_, err := os.Stat(mounted)
		return err
	})
	if err != nil {
		return nil, err
	}
	n.conn, err = grpc.NewClient(n.endpoint(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	return n, err
}

func (n *node) endpoint() string { return "unix:" + filepath.Join(n.dir, "api.sock") }

// inside is the path of a file on the node's file system as others reach it.
func (n *node) inside(elem ...string) string {
	return filepath.Join(append([]string{fmt.Sprintf("/proc/%d/root", n.holder.PID()), n.data}, elem...)...)
}

// flags are the arguments of poolwired that all nodes have.
func (n *node) flags(more ...string) []string {
	addr := n.at.Addr.String()
	return append([]string{
		"--node-id", n.id, "--data-dir", n.data, "--pki-dir", filepath.Join(n.dir, "pki"), "--api-socket", filepath.Join(n.dir, "api.sock"),
		"--listen-api", addr + ":6700", "--listen-raft", addr + ":6701", "--advertise-openflow", addr + ":6653",
	}, more...)
}

// start starts poolwired.
func (n *node) start() error {
	ns := fmt.Sprintf("/proc/%d/ns/", n.holder.PID())
	args := append([]string{"nsenter", "--mount=" + ns + "mnt", "--net=" + ns + "net", "--", filepath.Join(n.bin, "poolwired")}, n.args...)
	var err error
	n.proc, err = n.lab.Machine().Start(lab.ProcessOptions{Name: "poolwired-" + n.id, Args: args, Env: []string{n.clock.Env()}})
	return err
}

// Conn is the connection to the node's API.
func (n *node) Conn() *grpc.ClientConn { return n.conn }

// Running says whether poolwired has not ended.
func (n *node) Running() bool { return n.proc != nil && n.proc.Running() }

func (n *node) kill()                         { n.proc.Kill() }
func (n *node) signal(s syscall.Signal) error { return n.proc.Signal(s) }

// lastWords are the last lines of the node's log.
func (n *node) lastWords(lines int) string {
	if n.proc == nil {
		return ""
	}
	return lab.Tail(n.proc.Log(), lines)
}

// lookEvery is how often facts are looked at that announce themselves in no way.
const lookEvery = 20 * time.Millisecond

// await repeats a look until it succeeds or ctx ends.
func await(ctx context.Context, what string, look func() error) error {
	return lab.Await(ctx, lookEvery, what, look)
}
