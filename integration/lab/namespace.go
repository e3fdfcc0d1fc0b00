package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

// netnsDir is where iproute2 keeps named network namespaces (ip-netns(8)).
const netnsDir = "/run/netns"

// Namespace is a network namespace of the lab, or the machine's own (see
// [Lab.Machine]).
type Namespace struct {
	// Name is the name `ip netns` knows it by; empty for the machine's own.
	Name string

	lab *Lab
	// prefix is set for a namespace of another kernel: see [Lab.Remote].
	prefix []string
}

// newNamespace makes a named namespace with its loopback up. The journal learns
// of it first: removing one that was never made is harmless.
func (l *Lab) newNamespace(ctx context.Context, suffix string) (*Namespace, error) {
	name := l.id + "-" + suffix
	if _, err := os.Stat(filepath.Join(netnsDir, name)); err == nil {
		return nil, fmt.Errorf("lab: namespace %s exists", name)
	}
	if err := l.journal.add(record{Kind: recordNamespace, Name: name}); err != nil {
		return nil, err
	}
	ns := &Namespace{Name: name, lab: l}
	if err := l.ipBatch(ctx, nil, "netns add "+name); err != nil {
		return nil, err
	}
	return ns, l.ipBatch(ctx, ns, "link set lo up")
}

// deleteNamespace removes a named namespace if it exists; "" was never made.
func deleteNamespace(ctx context.Context, name string) error {
	if name == "" {
		return nil
	}
	if _, err := os.Stat(filepath.Join(netnsDir, name)); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	_, err := run(ctx, command{args: []string{"ip", "netns", "delete", name}})
	return err
}

// Do runs fn on an operating system thread that is inside the namespace: sockets
// fn makes and /proc/sys/net files it writes belong to it. fn must not start
// goroutines that rely on that, and name lookups by DNS are among what does.
func (n *Namespace) Do(fn func() error) error {
	if n.prefix != nil {
		return ErrRemote
	}
	if n.Name == "" {
		return fn()
	}
	result := make(chan error, 1)
	go func() { result <- n.doLocked(fn) }()
	return <-result
}

func (n *Namespace) doLocked(fn func() error) error {
	runtime.LockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("lab: %w", err)
	}
	defer func() { _ = home.Close() }()
	target, err := os.Open(filepath.Join(netnsDir, n.Name))
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("lab: %w", err)
	}
	defer func() { _ = target.Close() }()
	if err := unix.Setns(int(target.Fd()), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("lab: enter %s: %w", n.Name, err)
	}
	err = fn()
	// A thread that cannot go home must not run anything else: left locked, it
	// ends with this goroutine.
	if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
		return errors.Join(err, fmt.Errorf("lab: leave %s: %w", n.Name, back))
	}
	runtime.UnlockOSThread()
	return err
}

// Dial connects from inside the namespace. address holds a literal IP address.
func (n *Namespace) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	var conn net.Conn
	err := n.Do(func() error {
		var err error
		conn, err = new(net.Dialer).DialContext(ctx, network, address)
		return err
	})
	if err != nil {
		return nil, err
	}
	return conn, nil
}

// Listen listens inside the namespace. address holds a literal IP address or none.
func (n *Namespace) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	var listener net.Listener
	err := n.Do(func() error {
		var err error
		listener, err = new(net.ListenConfig).Listen(ctx, network, address)
		return err
	})
	if err != nil {
		return nil, err
	}
	return listener, nil
}

// sysctl writes values below /proc/sys/net, each key relative to it.
func (n *Namespace) sysctl(values map[string]string) error {
	return n.Do(func() error {
		for key, value := range values {
			if err := os.WriteFile(filepath.Join("/proc/sys/net", key), []byte(value), 0o644); err != nil {
				return fmt.Errorf("lab: %w", err)
			}
		}
		return nil
	})
}

// hasLink reports whether the namespace has a link of that name.
func (n *Namespace) hasLink(name string) (bool, error) {
	var found bool
	err := n.Do(func() error {
		_, err := net.InterfaceByName(name)
		found = err == nil
		return nil
	})
	return found, err
}
