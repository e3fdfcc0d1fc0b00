package scenario

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
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

	recording sync.Mutex    // what the client prints, and secrets
	secrets   []namedSecret // to look for at the end
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

// Poolwire runs the client as a user would and returns what it printed.
func (s *System) Poolwire(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, "poolwire"), args...)
	cmd.Env = append(os.Environ(), "POOLWIRE_SOCKET="+s.Socket)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err := s.record(args, string(out), errs.String()); err != nil {
		return string(out), err
	}
	if err != nil {
		return string(out), &ClientError{Args: args, Code: cmd.ProcessState.ExitCode(), Message: strings.TrimSpace(errs.String())}
	}
	return string(out), nil
}

// ClientError is a client that did not exit with 0.
type ClientError struct {
	Args    []string
	Code    int
	Message string
}

func (e *ClientError) Error() string {
	return fmt.Sprintf("poolwire %s: exit %d: %s", strings.Join(e.Args, " "), e.Code, e.Message)
}

// Join adds a host to the lab and registers it in a pool: the whole way an
// operator goes, certificates included.
func (s *System) Join(ctx context.Context, pool string, active bool, opts lab.HostOptions) (*lab.Host, error) {
	h, err := s.Lab.AddHost(ctx, opts)
	if err != nil {
		return nil, err
	}
	patience, err := clientTimeout(ctx)
	if err != nil {
		return nil, err
	}
	args := append([]string{"host", "add", opts.Name, "--pool", pool, "--wait", "none"}, patience...)
	if active {
		args = append(args, "--mode", "active", "--system-id", h.UUID)
	} else {
		args = append(args, "--address", h.Addr.String())
	}
	if _, err := s.Poolwire(ctx, args...); err != nil {
		return nil, err
	}
	if _, err := s.Poolwire(ctx, append([]string{"host", "certificate", opts.Name, "--dir", filepath.Join(h.Dir, "pki")}, patience...)...); err != nil {
		return nil, err
	}
	if err := h.SetTLS(ctx, hostTLS(h.Dir)); err != nil {
		return nil, err
	}
	target := "pssl:6640"
	if active {
		target = "ssl:" + netip.AddrPortFrom(s.Lab.ControllerAddr(), 6640).String()
	}
	if err := h.SetManager(ctx, target); err != nil {
		return nil, err
	}
	return h, s.AwaitHost(ctx, opts.Name)
}

// clientTimeout makes the client wait until ctx ends, rather than for its own 30 seconds: the key of a host's certificate is
// an RSA key, which on a machine that is busy with other things has been seen to take 10 seconds to find.
func clientTimeout(ctx context.Context) ([]string, error) {
	deadline, bounded := ctx.Deadline()
	if !bounded {
		return nil, nil
	}
	left := time.Until(deadline).Round(time.Second)
	if left <= 0 {
		return nil, context.DeadlineExceeded
	}
	return []string{"--timeout", left.String()}, nil
}

// AwaitHost waits until a host is connected and everything is confirmed, or ctx ends. Meanwhile both sides may rest between
// their attempts: the daemon up to 10 seconds, a switch up to 8, and a switch that does not know that the daemon has
// given its connection up notices only after 20.
func (s *System) AwaitHost(ctx context.Context, name string) error {
	conn, err := s.Conn()
	if err != nil {
		return err
	}
	hosts := poolwirev1.NewHostServiceClient(conn)
	for {
		r, err := hosts.GetHost(ctx, &poolwirev1.GetHostRequest{Host: name}, grpc.WaitForReady(true))
		if err == nil && r.GetHost().GetStatus().GetState() == poolwirev1.HostState_HOST_STATE_READY {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("host %s is not ready: %v (%w)\n%s", name, r.GetHost().GetStatus(), errors.Join(ctx.Err(), err), s.DaemonLog(30))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Close stops the daemon and removes the lab. It fails when a secret is where it must not be.
func (s *System) Close() error {
	err := s.leaks()
	if s.conn != nil {
		_ = s.conn.Close()
	}
	return errors.Join(err, s.Lab.Close())
}

// JoinDummy registers a host without devices: as Join, but over the loopback of
// the controller's own namespace.
func (s *System) JoinDummy(ctx context.Context, pool string, d *lab.DummyHost) error {
	if _, err := s.Poolwire(ctx, "host", "add", d.ShortName, "--pool", pool, "--mode", "active", "--system-id", d.UUID, "--wait", "none"); err != nil {
		return err
	}
	if _, err := s.Poolwire(ctx, "host", "certificate", d.ShortName, "--dir", filepath.Join(d.Dir, "pki")); err != nil {
		return err
	}
	files := hostTLS(d.Dir)
	if _, err := d.Vsctl(ctx, "set-ssl", files.Key, files.Cert, files.CA, "--", "set-manager", "ssl:127.0.0.1:6640"); err != nil {
		return err
	}
	return s.AwaitHost(ctx, d.ShortName)
}

// RestoreTLS gives a host its certificate files back, as XAPI does after it has
// reset a host's switch.
func (s *System) RestoreTLS(ctx context.Context, h *lab.Host) error {
	return h.SetTLS(ctx, hostTLS(h.Dir))
}

// hostTLS are the files that `poolwire host certificate` wrote for a host.
func hostTLS(hostDir string) lab.TLS {
	dir := filepath.Join(hostDir, "pki")
	return lab.TLS{Key: filepath.Join(dir, "key.pem"), Cert: filepath.Join(dir, "cert.pem"), CA: filepath.Join(dir, "ca.pem")}
}
