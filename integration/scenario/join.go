package scenario

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"time"

	"google.golang.org/grpc"

	"poolwire/integration/lab"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

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
