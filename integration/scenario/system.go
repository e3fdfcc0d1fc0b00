package scenario

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"poolwire/integration/lab"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// System is one poolwired in a lab, and the client to talk to it.
type System struct {
	// Lab holds the hosts and the controller's namespace.
	Lab *lab.Lab
	// Dir holds the daemon's data and its socket.
	Dir string
	// Socket is the API socket that the client uses: the daemon's, or another node's after [System.KillLeader].
	Socket string

	bin       string
	daemonBin string // holds the first node's poolwired
	daemon    *lab.Process
	conn      *grpc.ClientConn
	extra     []string
	env       []string
	wrap      []string                   // runs the first node's poolwired
	others    map[string]*controllerNode // by their names

	recording sync.Mutex // guards what the client prints, and tokens
	tokens    []string   // answers to `token create`, whose secrets are looked for
}

// Options describe a System.
type Options struct {
	// Name begins the lab's name.
	Name string
	// Bin is the directory that holds poolwired and poolwire.
	Bin string
	// Log takes what the lab does; nil for silence.
	Log *slog.Logger
	// Flags are added to the daemon's command line.
	Flags []string
	// Env is added to the daemon's environment.
	Env []string
	// User is who the daemon runs as, without capabilities and without a way to any, as under its unit; 0
	// for root.
	User int
	// Umask is what the daemon is started with, in octal; empty for the test's own.
	Umask string
}

// wrap returns what runs the daemon as the options want.
func (o Options) wrap() []string {
	var out []string
	if o.Umask != "" {
		out = append(out, "sh", "-c", "umask "+o.Umask+`; exec "$@"`, "sh")
	}
	if o.User != 0 {
		id := strconv.Itoa(o.User)
		out = append(out, "setpriv", "--reuid", id, "--regid", id, "--clear-groups", "--inh-caps=-all", "--ambient-caps=-all", "--bounding-set=-all", "--no-new-privs")
	}
	return out
}

// Start builds a lab, starts poolwired in it, and waits until it leads.
func Start(ctx context.Context, opts Options) (*System, error) {
	l, err := lab.New(ctx, lab.Options{Name: opts.Name, Log: opts.Log})
	if err != nil {
		return nil, err
	}
	s := &System{Lab: l, Dir: filepath.Join(l.Dir(), "poolwired"), bin: opts.Bin, daemonBin: opts.Bin, extra: opts.Flags, env: opts.Env, wrap: opts.wrap()}
	s.Socket = s.firstSocket()
	if err := errors.Join(os.MkdirAll(s.Dir, 0o700), os.Chown(s.Dir, opts.User, opts.User)); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	if err := s.StartDaemon(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// firstSocket is the API socket of the node that StartDaemon starts.
func (s *System) firstSocket() string { return filepath.Join(s.Dir, "api.sock") }

// StartDaemon starts poolwired on its directory and waits until it leads.
func (s *System) StartDaemon(ctx context.Context) error {
	args := slices.Concat(s.wrap, []string{
		filepath.Join(s.daemonBin, "poolwired"), "--data-dir", filepath.Join(s.Dir, "data"), "--pki-dir", filepath.Join(s.Dir, "pki"),
		"--api-socket", s.firstSocket(), "--log-level", "debug", "--node-id", firstNode, "--bootstrap", "lab",
	}, s.extra)
	p, err := s.Lab.Controller().Start(lab.ProcessOptions{Name: "poolwired", Args: args, Env: s.env})
	if err != nil {
		return err
	}
	s.daemon = p
	return s.awaitLeader(ctx)
}

// awaitLeader waits until the daemon answers and leads.
func (s *System) awaitLeader(ctx context.Context) error {
	api, err := s.API()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		r, err := api.GetClusterStatus(ctx, &poolwirev1.GetClusterStatusRequest{}, grpc.WaitForReady(true))
		if err == nil && r.GetLeaderId() != "" {
			return nil
		}
		select {
		case <-s.daemon.Done():
			return fmt.Errorf("poolwired ended: %w\n%s", s.daemon.Err(), s.DaemonLog(20))
		case <-ctx.Done():
			return fmt.Errorf("poolwired does not lead: %w\n%s", errors.Join(ctx.Err(), err), s.DaemonLog(20))
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// API is the daemon's cluster service over its socket.
func (s *System) API() (poolwirev1.ClusterServiceClient, error) {
	conn, err := s.Conn()
	if err != nil {
		return nil, err
	}
	return poolwirev1.NewClusterServiceClient(conn), nil
}

// Conn is a connection to the daemon over its socket; it survives restarts.
func (s *System) Conn() (*grpc.ClientConn, error) {
	if s.conn == nil {
		conn, err := grpc.NewClient("unix:"+s.Socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			return nil, err
		}
		s.conn = conn
	}
	return s.conn, nil
}

// KillDaemon ends poolwired with SIGKILL.
func (s *System) KillDaemon() { s.daemon.Kill() }

// PauseDaemon stops poolwired with SIGSTOP; ResumeDaemon lets it go on.
func (s *System) PauseDaemon() error { return s.daemon.Signal(syscall.SIGSTOP) }

// ResumeDaemon undoes PauseDaemon.
func (s *System) ResumeDaemon() error { return s.daemon.Signal(syscall.SIGCONT) }

// StopDaemon ends poolwired with SIGTERM.
func (s *System) StopDaemon(ctx context.Context) error { return s.daemon.Stop(ctx) }

// DaemonPID is the process id of poolwired.
func (s *System) DaemonPID() int { return s.daemon.PID() }

// DaemonLog is the last lines of the daemon's log.
func (s *System) DaemonLog(lines int) string { return lab.Tail(s.daemon.Log(), lines) }

// Close stops the daemon and removes the lab. It fails when a secret is where it must not be.
func (s *System) Close() error {
	err := s.leaks()
	if s.conn != nil {
		_ = s.conn.Close()
	}
	return errors.Join(err, s.Lab.Close())
}
