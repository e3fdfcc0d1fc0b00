package kernel

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"poolwire/integration/lab"
	"poolwire/integration/lab/kernel/guest"
)

// Ping sends echo requests until one is answered: nil, or an error when ctx ends
// before. Unlike [lab.Namespace.Ping] it goes on when ping(8) gives up because the
// address does not resolve: the first associations of a tunnel take about as long
// as the kernel's patience with ARP, three seconds.
func (vm *VM) Ping(ctx context.Context, to netip.Addr) error {
	for {
		err := vm.Namespace.Ping(ctx, to)
		if err == nil || ctx.Err() != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// helper is a program of the guest's that is spoken to by lines and frames.
type helper struct {
	cmd   *exec.Cmd
	end   context.CancelFunc
	stdin io.WriteCloser
	lines *bufio.Scanner
	said  strings.Builder
}

// startHelper starts it inside the VM and waits until it is ready.
func (vm *VM) startHelper(ctx context.Context, args ...string) (*helper, error) {
	// Not ctx: the helper outlives the call that starts it.
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	h := &helper{end: end}
	h.cmd = vm.host.lab.Command(life, vm.Namespace, append([]string{vm.host.program()}, args...)...)
	h.cmd.Stderr = &h.said
	stdin, err := h.cmd.StdinPipe()
	if err != nil {
		end()
		return nil, err
	}
	stdout, err := h.cmd.StdoutPipe()
	if err != nil {
		end()
		return nil, err
	}
	h.stdin, h.lines = stdin, bufio.NewScanner(stdout)
	if err := h.cmd.Start(); err != nil {
		end()
		return nil, err
	}
	if err := h.expect(ctx, guest.Ready); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return h, nil
}

// expect waits for a line.
func (h *helper) expect(ctx context.Context, line string) error {
	// A helper that does not answer is ended, which ends the wait.
	stop := context.AfterFunc(ctx, h.end)
	defer stop()
	if h.lines.Scan() && h.lines.Text() == line {
		return nil
	}
	return errors.Join(ctx.Err(), fmt.Errorf("%s: %q instead of %q", strings.Join(h.cmd.Args, " "), h.lines.Text(), line))
}

// Close ends the helper; how it ends is no error.
func (h *helper) Close() error {
	h.end()
	_ = h.stdin.Close()
	_ = h.cmd.Wait()
	return nil
}

// EchoServer is a TCP server inside a VM that sends back what it gets.
type EchoServer struct{ *helper }

// ListenEcho serves TCP on a port of the VM, over IPv4 and IPv6.
func (vm *VM) ListenEcho(ctx context.Context, port uint16) (*EchoServer, error) {
	h, err := vm.startHelper(ctx, "echo-server", strconv.Itoa(int(port)))
	if err != nil {
		return nil, err
	}
	return &EchoServer{h}, nil
}

// ConnectEcho connects to an echo server, of this package or of package lab, and
// has a few bytes sent back. It tries once, as long as ctx lasts.
func (vm *VM) ConnectEcho(ctx context.Context, to netip.AddrPort) error {
	_, err := vm.Run(ctx, vm.host.program(), "echo", to.String())
	return err
}

// EchoConn is an open connection to an echo server.
type EchoConn struct{ *helper }

// OpenEcho connects to an echo server and leaves the connection open.
func (vm *VM) OpenEcho(ctx context.Context, to netip.AddrPort) (*EchoConn, error) {
	h, err := vm.startHelper(ctx, "echo-lines", to.String())
	if err != nil {
		return nil, err
	}
	return &EchoConn{h}, nil
}

// Check sends a few bytes and waits until they are back or ctx ends, after which
// the connection is of no use.
func (c *EchoConn) Check(ctx context.Context) error {
	if _, err := c.stdin.Write([]byte("\n")); err != nil {
		return err
	}
	return c.expect(ctx, "ok")
}

// Sender puts whole Ethernet frames on a VM's card.
type Sender struct{ *helper }

// NewSender opens a raw socket on the VM's card.
func (vm *VM) NewSender(ctx context.Context) (*Sender, error) {
	h, err := vm.startHelper(ctx, "inject", card)
	if err != nil {
		return nil, err
	}
	return &Sender{h}, nil
}

// Send hands the frames over, in order; they leave the card a moment later.
func (s *Sender) Send(frames ...[]byte) error {
	var batch []byte
	for _, f := range frames {
		batch = append(binary.BigEndian.AppendUint16(batch, uint16(len(f))), f...)
	}
	_, err := s.stdin.Write(batch)
	return err
}

// Send puts whole Ethernet frames on the VM's card, in order, and returns when
// they have left it.
func (vm *VM) Send(ctx context.Context, frames ...[]byte) error {
	cmd := vm.host.lab.Command(ctx, vm.Namespace, vm.host.program(), "inject", card)
	var batch []byte
	for _, f := range frames {
		batch = append(binary.BigEndian.AppendUint16(batch, uint16(len(f))), f...)
	}
	cmd.Stdin = strings.NewReader(string(batch))
	out, err := cmd.CombinedOutput()
	if err != nil {
		return &lab.CommandError{Args: cmd.Args, Output: string(out), Err: err}
	}
	return nil
}
