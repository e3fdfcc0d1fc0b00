package lab

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"time"

	"github.com/google/uuid"
)

// ErrClosed is returned when a lab is used after Close.
var ErrClosed = errors.New("lab: closed")

// closeTimeout bounds Close; a lab of a dozen hosts needs about a second.
const closeTimeout = time.Minute

// Options for a new lab.
type Options struct {
	// Name begins the lab's id and with it the names of its namespaces: up to 12
	// lower-case letters, digits and dashes. Empty means "pwlab". Labs of one name
	// may run beside each other.
	Name string
	// Dir takes the lab's files (logs, databases, sockets); it must exist and stays
	// when the lab is closed. Empty means a directory of the lab's own, which goes
	// with it.
	Dir string
	// Log takes one line per thing made; nil means silence.
	Log *slog.Logger
	// UnderlayMTU is the MTU of the hosts' NICs in bytes; 0 means 1500. VXLAN needs
	// 50 bytes of it: VMs keep an MTU of 1500 with 1550 or more here, else those on
	// an overlay must be made with 1450 (see VMOptions.MTU).
	UnderlayMTU int
}

// Lab is a set of hosts, VMs and controller nodes around one fabric. Its methods
// may be called from any goroutine.
type Lab struct {
	id      string
	name    string
	dir     string
	mtu     int
	log     *slog.Logger
	journal *journal

	fabric     *Namespace
	controller *Node

	// wiring is held while a segment is made, and guards segments.
	wiring   sync.Mutex
	segments map[string]struct{}

	// mu guards what follows, and is held while a process is started. It is never
	// held while waiting for one, and is taken after a Host's or VM's own mutex.
	mu        sync.Mutex
	closed    bool
	kept      bool
	hosts     map[string]*Host
	seats     map[string]struct{} // names of hosts that are not namespaces
	vms       map[string]*VM
	nodes     map[string]*Node
	processes map[*Process]struct{}
	nextHost  int
	nextNode  int
	nextPort  int
}

var (
	labName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,11}$`)
	labID   = regexp.MustCompile(`^[a-z][a-z0-9-]{0,11}-[a-z0-9]{4}$`)
)

// New removes what dead labs left behind, then makes a lab with its fabric and
// the namespace of one controller node. It fails as [Require] does where a lab
// cannot be built. The lab's life is not bounded by ctx: close it.
func New(ctx context.Context, opts Options) (*Lab, error) {
	if err := Require(); err != nil {
		return nil, err
	}
	if opts.Name == "" {
		opts.Name = "pwlab"
	}
	if !labName.MatchString(opts.Name) {
		return nil, fmt.Errorf("lab: name %q: up to 12 lower-case letters, digits and dashes", opts.Name)
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.UnderlayMTU == 0 {
		opts.UnderlayMTU = 1500
	}
	l, err := open(ctx, opts)
	if err != nil {
		return nil, err
	}
	if err := l.build(ctx); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// open sweeps, claims an id and opens the journal, all under the registry's lock.
func open(ctx context.Context, opts Options) (*Lab, error) {
	if opts.Dir != "" {
		dir, err := filepath.Abs(opts.Dir)
		if err != nil {
			return nil, fmt.Errorf("lab: %w", err)
		}
		opts.Dir = dir
	}
	lock, err := lockRegistry(ctx)
	if err != nil {
		return nil, err
	}
	defer lock.release()
	swept, err := sweepLocked(ctx)
	if err != nil {
		opts.Log.WarnContext(ctx, "sweep of older labs", "error", err)
	}
	if len(swept) > 0 {
		opts.Log.InfoContext(ctx, "removed labs whose owner is gone", "labs", swept)
	}
	id, path, err := claim(opts.Name, opts.Dir)
	if err != nil {
		return nil, err
	}
	l := &Lab{
		id: id, name: opts.Name, dir: path, mtu: opts.UnderlayMTU, log: opts.Log.With("lab", id),
		hosts: map[string]*Host{}, vms: map[string]*VM{}, nodes: map[string]*Node{},
		segments: map[string]struct{}{}, seats: map[string]struct{}{}, processes: map[*Process]struct{}{},
	}
	if l.journal, err = createJournal(path); err != nil {
		return nil, errors.Join(err, os.Remove(path))
	}
	if opts.Dir == "" {
		err = l.journal.add(record{Kind: recordOwnDir})
	}
	return l, errors.Join(err, l.journal.add(record{Kind: recordOwner, PID: os.Getpid()}))
}

func (l *Lab) build(ctx context.Context) error {
	var err error
	if l.fabric, err = l.newNamespace(ctx, "fabric"); err != nil {
		return err
	}
	if err := l.fabric.sysctl(map[string]string{"ipv6/conf/all/disable_ipv6": "1", "ipv6/conf/default/disable_ipv6": "1"}); err != nil {
		return err
	}
	if err := l.ensureSegment(ctx, underlay); err != nil {
		return err
	}
	l.controller, err = l.AddNode(ctx, "ctl")
	return err
}

// ID is the lab's unique name: every namespace's name begins with it.
func (l *Lab) ID() string { return l.id }

// Dir is the lab's directory, by a path short enough for unix sockets below it.
func (l *Lab) Dir() string { return l.dir }

// Fabric is the namespace that holds the underlay.
func (l *Lab) Fabric() *Namespace { return l.fabric }

// Machine is the machine's own network namespace, as a place to start processes
// that the lab cleans up.
func (l *Lab) Machine() *Namespace { return &Namespace{lab: l} }

// Controller is the node made with the lab, for a controller to run in.
func (l *Lab) Controller() *Node { return l.controller }

// ControllerAddr is the address of [Lab.Controller] on the fabric.
func (l *Lab) ControllerAddr() netip.Addr { return l.controller.Addr }

// uuid makes a UUID that depends only on the lab's name and what it is for, so
// that two runs of one test see the same.
func (l *Lab) uuid(kind, name string) string {
	return uuid.NewSHA1(uuid.NameSpaceOID, []byte(l.name+"/"+kind+"/"+name)).String()
}

// Keep leaves the lab up when its owner ends: Close then only lets go of it, and
// Sweep passes it over. Remove it with [Clean].
func (l *Lab) Keep() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return ErrClosed
	}
	if err := l.journal.add(record{Kind: recordKeep}); err != nil {
		return err
	}
	l.kept = true
	return nil
}

// Close ends the lab's processes and removes its namespaces and, unless
// Options.Dir named it, its directory. Closing twice is harmless.
func (l *Lab) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	kept := l.kept
	processes := make([]*Process, 0, len(l.processes))
	for p := range l.processes {
		processes = append(processes, p)
	}
	l.mu.Unlock()
	if kept {
		return l.journal.close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	// All at once: switches take a moment each to end. A failure shows in what
	// remove does next, which looks at the processes themselves.
	var stopping sync.WaitGroup
	for _, p := range processes {
		stopping.Go(func() { _ = p.Stop(ctx) })
	}
	stopping.Wait()
	records, err := readJournal(l.dir)
	return errors.Join(err, remove(ctx, l.id, records), l.journal.close())
}
