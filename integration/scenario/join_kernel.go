package scenario

import (
	"context"
	"path/filepath"

	"poolwire/integration/lab/kernel"
)

// JoinKernel registers a host with a kernel of its own in a pool, as Join does: the controller
// dials it. It returns once the host is connected and everything is confirmed.
func (s *System) JoinKernel(ctx context.Context, pool string, h *kernel.Host) error {
	if _, err := s.Poolwire(ctx, "host", "add", h.ShortName, "--pool", pool, "--wait", "none", "--address", h.Addr.String()); err != nil {
		return err
	}
	if _, err := s.Poolwire(ctx, "host", "certificate", h.ShortName, "--dir", filepath.Join(h.Dir, "pki")); err != nil {
		return err
	}
	if err := s.RestoreKernelTLS(ctx, h); err != nil {
		return err
	}
	if err := h.SetManager(ctx, "pssl:6640"); err != nil {
		return err
	}
	return s.AwaitHost(ctx, h.ShortName)
}

// RestoreKernelTLS gives a kernel host its certificate files back, as RestoreTLS does.
func (s *System) RestoreKernelTLS(ctx context.Context, h *kernel.Host) error {
	return h.SetTLS(ctx, hostTLS(h.Dir))
}
