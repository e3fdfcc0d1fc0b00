package scenario

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"poolwire/integration/lab"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// firstNode is the node that StartDaemon starts.
const firstNode = "n1"

// FirstController is the address of a lab's first controller, for [ClusterFlags].
const FirstController = "100.64.0.1"

// ClusterFlags let other nodes and bridges reach the node at an address of the underlay: those of docs/cluster.md, and no more.
func ClusterFlags(addr string) []string {
	return []string{"--listen-api", addr + ":6700", "--listen-raft", addr + ":6701"}
}

// AddController starts another node, which joins, and waits until it votes. The first one must have
// been started with [ClusterFlags].
func (s *System) AddController(ctx context.Context, id string) error {
	place, err := s.Lab.AddNode(ctx, id)
	if err != nil {
		return err
	}
	dir, program := filepath.Join(s.Lab.Dir(), id), filepath.Join(s.bin, "poolwired")
	if _, err := s.Lab.Machine().Run(ctx, program, "certificate", "node", id, "--address", place.Addr.String(),
		"--data-dir", filepath.Join(s.Dir, "data"), "--pki-dir", filepath.Join(s.Dir, "pki"), "--dir", filepath.Join(dir, "pki")); err != nil {
		return err
	}
	socket := filepath.Join(dir, "api.sock")
	args := append([]string{program, "--node-id", id, "--data-dir", filepath.Join(dir, "data"), "--pki-dir", filepath.Join(dir, "pki"),
		"--api-socket", socket, "--log-level", "debug", "--join", s.Lab.ControllerAddr().String() + ":6700"}, ClusterFlags(place.Addr.String())...)
	n := &controllerNode{place: place, options: lab.ProcessOptions{Name: "poolwired-" + id, Args: args}, socket: socket}
	if err := n.start(); err != nil {
		return err
	}
	if s.others == nil {
		s.others = map[string]*controllerNode{}
	}
	s.others[id] = n
	return s.awaitCluster(ctx, func(r *poolwirev1.GetClusterStatusResponse) error {
		for _, n := range r.GetNodes() {
			if n.GetId() == id && n.GetVoter() {
				return nil
			}
		}
		return fmt.Errorf("node %s does not vote", id)
	})
}

// controllerNode is one that was added.
type controllerNode struct {
	place   *lab.Node
	options lab.ProcessOptions
	process *lab.Process
	socket  string
}

func (n *controllerNode) start() (err error) {
	n.process, err = n.place.Start(n.options)
	return err
}

// awaitCluster polls the cluster's status, as the node tells it that the client speaks to.
func (s *System) awaitCluster(ctx context.Context, want func(*poolwirev1.GetClusterStatusResponse) error) error {
	api, err := s.API()
	if err != nil {
		return err
	}
	return await(ctx, api, want)
}

func await(ctx context.Context, api poolwirev1.ClusterServiceClient, want func(*poolwirev1.GetClusterStatusResponse) error) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		r, err := api.GetClusterStatus(ctx, &poolwirev1.GetClusterStatusRequest{}, grpc.WaitForReady(true))
		if err == nil {
			err = want(r)
		}
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Through runs the client against the socket of a node that was added.
func (s *System) Through(ctx context.Context, id string, args ...string) (string, error) {
	n := s.others[id]
	if n == nil {
		return "", fmt.Errorf("node %q was not added", id)
	}
	return s.Poolwire(ctx, append(args, "--socket", n.socket)...)
}

// ControllerAddr is the underlay's address of a node that was added.
func (s *System) ControllerAddr(id string) string { return s.others[id].place.Addr.String() }

// ControllerLog is the last lines of the log of a node that was added.
func (s *System) ControllerLog(id string, lines int) string {
	return lab.Tail(s.others[id].process.Log(), lines)
}

// KillLeader kills the node that leads, with SIGKILL, has the client speak to another one from then on, and waits until that knows
// of another leader. It returns the names of both.
func (s *System) KillLeader(ctx context.Context) (was, is string, err error) {
	if err := s.awaitCluster(ctx, func(r *poolwirev1.GetClusterStatusResponse) error {
		if was = r.GetLeaderId(); was == "" {
			return errors.New("nobody leads")
		}
		return nil
	}); err != nil {
		return "", "", err
	}
	if was == firstNode {
		s.KillDaemon()
	} else {
		s.others[was].process.Kill()
	}
	for id, n := range s.others {
		if id == was {
			continue
		}
		if err := s.speakTo(n.socket); err != nil {
			return "", "", err
		}
		break
	}
	return was, is, s.awaitCluster(ctx, func(r *poolwirev1.GetClusterStatusResponse) error {
		if is = r.GetLeaderId(); is == "" || is == was {
			return fmt.Errorf("%s is still said to lead", was)
		}
		return nil
	})
}

// Revive starts a node again that [System.KillLeader] has killed, and waits until it follows the leader.
func (s *System) Revive(ctx context.Context, id string) error {
	socket := s.firstSocket()
	start := func() error { return s.StartDaemon(ctx) }
	if n := s.others[id]; n != nil {
		socket, start = n.socket, n.start
	}
	if err := start(); err != nil {
		return err
	}
	conn, err := grpc.NewClient("unix:"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	return await(ctx, poolwirev1.NewClusterServiceClient(conn), func(r *poolwirev1.GetClusterStatusResponse) error {
		if r.GetLeaderId() == "" {
			return fmt.Errorf("node %s follows nobody", id)
		}
		return nil
	})
}

// LoseCluster kills every node and throws away what they had written. What is left is pki_dir, without the file
// that says that its cluster was founded: another one can be.
func (s *System) LoseCluster() error {
	s.KillDaemon()
	for _, n := range s.others {
		n.process.Kill()
	}
	s.others = nil
	return errors.Join(s.speakTo(s.firstSocket()), os.RemoveAll(filepath.Join(s.Dir, "data")), os.Remove(filepath.Join(s.Dir, "pki", "cluster")))
}

// Install stops a node, starts the poolwired of another directory on its data, as an upgrade does,
// and waits until the node follows a leader or leads.
func (s *System) Install(ctx context.Context, id, bin string) error {
	if err := s.replaceProgram(ctx, id, bin); err != nil {
		return err
	}
	return s.Revive(ctx, id)
}

// InstallUnfit is Install of a version that cannot go on with the node's data. It returns the last
// lines of what the node says before it ends.
func (s *System) InstallUnfit(ctx context.Context, id, bin string) (string, error) {
	if err := s.replaceProgram(ctx, id, bin); err != nil {
		return "", err
	}
	n := s.others[id]
	if n == nil {
		return "", fmt.Errorf("node %q was not added", id)
	}
	if err := n.start(); err != nil {
		return "", err
	}
	select {
	case <-n.process.Done():
		return lab.Tail(n.process.Log(), 10), nil
	case <-ctx.Done():
		return "", fmt.Errorf("node %s goes on: %w", id, ctx.Err())
	}
}

// replaceProgram stops a node; poolwired of another directory is to be started next.
func (s *System) replaceProgram(ctx context.Context, id, bin string) error {
	if n := s.others[id]; n != nil {
		n.options.Args[0] = filepath.Join(bin, "poolwired")
		return n.process.Stop(ctx)
	}
	s.daemonBin = bin
	return s.StopDaemon(ctx)
}

// Sockets are the API sockets of all nodes.
func (s *System) Sockets() []string {
	out := []string{s.firstSocket()}
	for _, n := range s.others {
		out = append(out, n.socket)
	}
	return out
}

// speakTo has the client, and connections that are made from now on, use another socket.
func (s *System) speakTo(socket string) error {
	conn, err := grpc.NewClient("unix:"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	if s.conn != nil {
		_ = s.conn.Close()
	}
	s.Socket, s.conn = socket, conn
	return nil
}
