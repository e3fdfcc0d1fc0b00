package kernel

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"poolwire/integration/lab"
)

// Capture records what crosses the host's cable, on the fabric's end of it: what
// is seen there has left the host, or is about to reach it. This is the judge of
// packets in clear.
func (h *Host) Capture(ctx context.Context, filter string) (*lab.Capture, error) {
	return h.lab.Fabric().Capture(ctx, lab.CaptureOptions{Interface: h.Tap, Filter: filter})
}

// Cables records what crosses any of the host's cables.
func (h *Host) Cables(ctx context.Context, filter string) ([]*lab.Capture, error) {
	var out []*lab.Capture
	for _, tap := range append([]string{h.Tap}, h.Others...) {
		c, err := h.lab.Fabric().Capture(ctx, lab.CaptureOptions{Interface: tap, Filter: filter})
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// SetAddr moves the host to another address of the underlay, as a PIF that is given a new one does.
func (h *Host) SetAddr(ctx context.Context, addr netip.Addr) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := netip.PrefixFrom(addr, h.seat.Addr.Bits())
	err := h.ipBatch(ctx, fmt.Sprintf("addr del %s dev %s", h.seat.Addr, management), fmt.Sprintf("addr add %s dev %s", now, management))
	if err == nil {
		h.Addr, h.seat.Addr = addr, now
	}
	return err
}

// CaptureInside records what passes a link of the guest.
func (h *Host) CaptureInside(ctx context.Context, opts lab.CaptureOptions) (*lab.Capture, error) {
	return h.Namespace.Capture(ctx, opts)
}

// Partition makes the fabric refuse everything from and to the host. Unlike a
// host of the fast lab, the guest does not see its carrier go: this is a cut
// behind the next switch.
func (h *Host) Partition(ctx context.Context) error {
	_, err := h.lab.Fabric().Run(ctx, "bridge", "link", "set", "dev", h.Tap, "state", "disabled")
	return err
}

// Unplug takes the carrier of eth0 away inside the guest, as a cable that is
// pulled does; Heal undoes it too.
func (h *Host) Unplug(ctx context.Context) error {
	_, err := h.Run(ctx, "ip", "link", "set", "eth0", "down")
	return err
}

// Heal undoes Partition and Unplug.
func (h *Host) Heal(ctx context.Context) error {
	if _, err := h.Run(ctx, "ip", "link", "set", "eth0", "up"); err != nil {
		return err
	}
	const healTimeout = 10 * time.Second
	ctx, cancel := context.WithTimeout(ctx, healTimeout)
	defer cancel()
	for {
		_, err := h.lab.Fabric().Run(ctx, "bridge", "link", "set", "dev", h.Tap, "state", "forwarding")
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
