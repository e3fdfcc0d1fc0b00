package scale

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"poolwire/integration/lab"
	"poolwire/integration/lab/simhost"
	"poolwire/integration/monitoring"
)

// node is one poolwired. Its addresses are 127.0.1.number.
type node struct {
	id, addr, dir string
	clients       string // the directory with a client's certificate
	bin           string
	args          []string
	cmd           *exec.Cmd
	ended         chan struct{}
	conn          *grpc.ClientConn
}

func newNode(bin, dir string, number int) (*node, error) {
	n := &node{id: fmt.Sprintf("n%d", number), addr: fmt.Sprintf("127.0.1.%d", number), bin: bin, clients: filepath.Join(dir, "n1", "pki")}
	n.dir = filepath.Join(dir, n.id)
	if err := os.MkdirAll(n.dir, 0o700); err != nil {
		return nil, err
	}
	n.args = []string{
		"--node-id", n.id, "--data-dir", filepath.Join(n.dir, "data"), "--pki-dir", n.pki(), "--api-socket", filepath.Join(n.dir, "api.sock"),
		"--listen-api", n.addr + ":6700", "--listen-raft", n.addr + ":6701", "--listen-openflow", n.addr + ":6653",
		"--listen-ovsdb", n.addr + ":6640", "--listen-metrics", n.addr + ":9654",
		// All hosts are on this machine.
		"--limits-connections-per-address", "65536",
	}
	var err error
	n.conn, err = grpc.NewClient("unix:"+filepath.Join(n.dir, "api.sock"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	return n, err
}

func (n *node) pki() string { return filepath.Join(n.dir, "pki") }

// start starts poolwired. Its log is DIR/log.
func (n *node) start() error {
	out, err := os.OpenFile(filepath.Join(n.dir, "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = out.Close() }()
	cmd := exec.Command(filepath.Join(n.bin, "poolwired"), n.args...)
	cmd.Stdout, cmd.Stderr = out, out
	// A real node has its machine for itself. Here it gets a share of the processors of its own.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	simhost.Favour(cmd.Process.Pid)
	ended := make(chan struct{})
	n.cmd, n.ended = cmd, ended
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	return nil
}

// kill ends the node with SIGKILL.
func (n *node) kill() {
	if n.Running() {
		_ = n.cmd.Process.Kill()
		<-n.ended
	}
}

// Conn is the connection to the node's API.
func (n *node) Conn() *grpc.ClientConn { return n.conn }

// Running says whether poolwired has not ended.
func (n *node) Running() bool {
	if n.cmd == nil {
		return false
	}
	select {
	case <-n.ended:
		return false
	default:
		return true
	}
}

// metrics reads the node's metrics: name and labels as they are written, and values.
func (n *node) metrics(ctx context.Context) (map[string]float64, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	r, err := monitoring.NewReader(n.clients, nil)
	if err != nil {
		return nil, err
	}
	_, body, err := r.Get(ctx, n.addr+":9654", "/metrics")
	if err != nil {
		return nil, err
	}
	out := map[string]float64{}
	lines := bufio.NewScanner(strings.NewReader(body))
	for lines.Scan() {
		name, text, found := strings.Cut(lines.Text(), "} ")
		if found {
			name += "}"
		} else {
			name, text, _ = strings.Cut(lines.Text(), " ")
		}
		if v, err := strconv.ParseFloat(text, 64); err == nil {
			out[name] = v
		}
	}
	return out, lines.Err()
}

// lastWords are the last lines of the node's log.
func (n *node) lastWords(lines int) string { return lab.Tail(filepath.Join(n.dir, "log"), lines) }

// How often facts are looked at that announce themselves in no way, and how often metrics are
// read, which costs the nodes something.
const (
	lookEvery = 10 * time.Millisecond
	readEvery = 200 * time.Millisecond
)

// await repeats a look until it succeeds or ctx ends.
func await(ctx context.Context, what string, look func() error) error {
	return lab.Await(ctx, lookEvery, what, look)
}
