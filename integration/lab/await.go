package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// resendInterval is how often repeatUntil repeats its frame.
const resendInterval = 20 * time.Millisecond

// WaitFor returns the first captured frame, among those there already and those
// to come, that match accepts. When ctx ends before, the error wraps
// [ErrNotSeen].
func (c *Capture) WaitFor(ctx context.Context, match func(Packet) bool) (Packet, error) {
	return c.repeatUntil(ctx, nil, match)
}

// StopAfter ends the capture when there is a frame that match accepts, and that has been sent. tcpdump, told to stop,
// reads no further: what has come, and waits for a busy machine to give tcpdump a turn, would be lost.
func (c *Capture) StopAfter(ctx context.Context, match func(Packet) bool) error {
	if _, err := c.WaitFor(ctx, match); err != nil {
		return err
	}
	return c.Stop(ctx)
}

// repeatUntil waits for a frame and, while it does, calls send now and then.
func (c *Capture) repeatUntil(ctx context.Context, send func() error, match func(Packet) bool) (Packet, error) {
	next := 0
	var again <-chan time.Time
	if send != nil {
		tick := time.NewTicker(resendInterval)
		defer tick.Stop()
		again = tick.C
		if err := send(); err != nil {
			return Packet{}, err
		}
	}
	for {
		c.mu.Lock()
		fresh, more, ended := c.packets[next:], c.more, c.ended
		c.mu.Unlock()
		if i := slices.IndexFunc(fresh, match); i >= 0 {
			return fresh[i], nil
		}
		next += len(fresh)
		if ended {
			return Packet{}, fmt.Errorf("%w on %s before the capture ended", ErrNotSeen, c.where)
		}
		select {
		case <-more:
		case <-again:
			if err := send(); err != nil {
				return Packet{}, err
			}
		case <-ctx.Done():
			return Packet{}, fmt.Errorf("%w on %s (%d others were): %w", ErrNotSeen, c.where, next, ctx.Err())
		}
	}
}

// Before sends a marker, waits until it is captured, and returns everything that
// was captured before it. The marker must take the same way as the frames whose
// absence is to be shown (same sender, same switches), so that what was sent
// before it and is not there now was dropped, not late. marker should be unlike
// any frame sent before; send it with [VM.Send] or [Sender.Send].
func (c *Capture) Before(ctx context.Context, send func(...[]byte) error, marker []byte) ([]Packet, error) {
	start := len(c.Packets())
	isMarker := func(p Packet) bool { return bytes.HasPrefix(p.Bytes, marker) }
	if slices.ContainsFunc(c.Packets(), isMarker) {
		return nil, errors.New("lab: the marker was captured before it was sent")
	}
	_, err := c.repeatUntil(ctx, func() error { return send(marker) }, isMarker)
	if err != nil {
		return nil, fmt.Errorf("marker: %w", err)
	}
	packets := c.Packets()
	end := start + slices.IndexFunc(packets[start:], isMarker)
	return packets[:end], nil
}

// Count returns how many of the packets match accepts.
func Count(packets []Packet, match func(Packet) bool) int {
	n := 0
	for _, p := range packets {
		if match(p) {
			n++
		}
	}
	return n
}

// Is returns a match for one exact frame; padding behind it is ignored.
func Is(f []byte) func(Packet) bool {
	return func(p Packet) bool { return bytes.HasPrefix(p.Bytes, f) }
}

// Capture records what arrives at the VM's first card, filtered by a
// pcap-filter(7) expression; empty means everything.
func (vm *VM) Capture(ctx context.Context, filter string) (*Capture, error) {
	return vm.Namespace.Capture(ctx, CaptureOptions{Interface: vm.VIF().Card(), Filter: filter, Inbound: true})
}
