package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"golang.org/x/sys/unix"
)

// Sender puts whole Ethernet frames on a link, past the namespace's own network
// stack: what a guest with root can do. It may be used from any goroutine.
type Sender struct {
	mu sync.Mutex
	fd int // -1 once closed
}

// NewSender opens a raw socket on a link of the namespace (packet(7)). It stays
// good while the link lives, also while its VIF is unplugged or moved.
func (n *Namespace) NewSender(link string) (*Sender, error) {
	s := &Sender{fd: -1}
	err := n.Do(func() error {
		card, err := net.InterfaceByName(link)
		if err != nil {
			return err
		}
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0) // 0: receives nothing
		if err != nil {
			return err
		}
		if err := unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: card.Index}); err != nil {
			return errors.Join(err, unix.Close(fd))
		}
		s.fd = fd
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("lab: raw socket on %s: %w", link, err)
	}
	return s, nil
}

// Send sends the frames in order. A link without carrier takes and loses them.
func (s *Sender) Send(frames ...[]byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fd < 0 {
		return net.ErrClosed
	}
	for _, f := range frames {
		_, err := unix.Write(s.fd, f)
		if err != nil && !errors.Is(err, unix.ENOBUFS) && !errors.Is(err, unix.ENETDOWN) {
			return fmt.Errorf("lab: send frame: %w", err)
		}
	}
	return nil
}

// Close closes the socket; closing twice is harmless.
func (s *Sender) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fd < 0 {
		return nil
	}
	err := unix.Close(s.fd)
	s.fd = -1
	return err
}

// Send puts whole Ethernet frames on the VM's first card, in order.
func (vm *VM) Send(frames ...[]byte) error { return vm.send(vm.VIF().Card(), frames) }

func (vm *VM) send(card string, frames [][]byte) error {
	s, err := vm.NewSender(card)
	if err != nil {
		return err
	}
	return errors.Join(s.Send(frames...), s.Close())
}

// SendUntil repeats a frame on the VM's first card, every 20 ms, until the
// capture has one that match accepts, and returns that one; or until ctx ends.
func (vm *VM) SendUntil(ctx context.Context, c *Capture, frame []byte, match func(Packet) bool) (Packet, error) {
	s, err := vm.NewSender(vm.VIF().Card())
	if err != nil {
		return Packet{}, err
	}
	defer func() { _ = s.Close() }()
	return c.repeatUntil(ctx, func() error { return s.Send(frame) }, match)
}
