package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"syscall"

	"poolwire/integration/lab/frame"
)

// ErrRemote is returned where a namespace of another kernel is asked for what
// needs a descriptor in this one: sockets, [Namespace.Do].
var ErrRemote = errors.New("lab: the namespace belongs to another kernel")

// Remote is a namespace of another kernel, a guest's: prefix is the command line
// that runs the words behind it there. Programs are run, started, pinged from and
// captured with as in any other; what needs a socket of this kernel's fails with
// [ErrRemote].
func (l *Lab) Remote(name string, prefix ...string) *Namespace {
	return &Namespace{Name: name, lab: l, prefix: prefix}
}

// Seat is the place of a host that is not a namespace: its name, which no other
// host of the lab has, and its address on the underlay.
type Seat struct {
	// Name is the host's name.
	Name string
	// Addr is its underlay address, with the length of the underlay's prefix.
	Addr netip.Prefix
	// Dir is the host's directory, which exists.
	Dir string
}

// TakeSeat takes a name and an address. Names are those of [HostOptions].
func (l *Lab) TakeSeat(name string) (*Seat, error) {
	if !hostName.MatchString(name) {
		return nil, fmt.Errorf("lab: host name %q: up to 10 lower-case letters, digits and dashes", name)
	}
	s := &Seat{Name: name, Dir: filepath.Join(l.dir, name)}
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil, ErrClosed
	}
	if l.taken(name) {
		l.mu.Unlock()
		return nil, fmt.Errorf("lab: host %s exists", name)
	}
	l.seats[name] = struct{}{}
	l.nextHost++
	s.Addr = netip.PrefixFrom(hostAddr(l.nextHost), 16)
	l.mu.Unlock()
	if err := makeHostDir(s.Dir); err != nil {
		l.LeaveSeat(s)
		return nil, err
	}
	return s, nil
}

// LeaveSeat gives the name back; the directory stays.
func (l *Lab) LeaveSeat(s *Seat) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.seats, s.Name)
}

// taken reports whether a host has the name. The caller holds l.mu.
func (l *Lab) taken(name string) bool {
	_, host := l.hosts[name]
	_, seat := l.seats[name]
	return host || seat
}

// Tap makes a tap device in the fabric's namespace that outlives whoever opens it
// and goes with the namespace, and returns its name. It is connected to the
// underlay unless addr is valid: then it stands alone and has that address.
func (l *Lab) Tap(ctx context.Context, addr netip.Prefix) (string, error) {
	l.mu.Lock()
	l.nextPort++
	tap := fmt.Sprintf("tap%d", l.nextPort)
	l.mu.Unlock()
	lines := []string{"tuntap add " + tap + " mode tap", fmt.Sprintf("link set %s mtu %d", tap, l.mtu)}
	if addr.IsValid() {
		lines = append(lines, fmt.Sprintf("addr add %s dev %s", addr, tap))
	} else {
		lines = append(lines, fmt.Sprintf("link set %s master %s", tap, underlay))
	}
	return tap, l.ipBatch(ctx, l.fabric, append(lines, fmt.Sprintf("link set %s up", tap))...)
}

// UnderlayMTU is the MTU of the hosts' NICs in bytes.
func (l *Lab) UnderlayMTU() int { return l.mtu }

// UUID is a UUID that depends only on the lab's name and what it is for.
func (l *Lab) UUID(kind, name string) string { return l.uuid(kind, name) }

// MAC is a locally administered address that depends only on the lab's name and
// what it is for.
func (l *Lab) MAC(kind, name string) frame.MAC { return l.generatedMAC(kind, name) }

// KillGroup ends the program and every process of its group with SIGKILL, all at
// once, and waits until the program is gone. A program that traces others must be
// ended like this: killed alone, it would let those go on by themselves.
func (p *Process) KillGroup() {
	if p.Running() {
		_ = syscall.Kill(-p.PID(), syscall.SIGKILL)
	}
	<-p.done
}
