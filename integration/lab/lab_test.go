package lab_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"poolwire/integration/lab"
	"poolwire/integration/lab/labtest"
)

func TestMain(m *testing.M) {
	if os.Getenv(ownerVariable) != "" {
		os.Exit(ownLab())
	}
	os.Exit(lab.Main(m))
}

// addr4 and addr6 are the n-th addresses of the networks the tests use.
func addr4(n int) netip.Prefix { return netip.MustParsePrefix(fmt.Sprintf("10.9.0.%d/24", n)) }
func addr6(n int) netip.Prefix { return netip.MustParsePrefix(fmt.Sprintf("fd09::%x/64", n)) }

// machine is what a lab must leave as it was.
type machine struct{ namespaces, links, processes []string }

// look sees the machine's namespaces and links and the processes that matter here:
// those whose environment has the mark of the lab called id.
func look(t *testing.T, id string) machine {
	t.Helper()
	var m machine
	out, err := exec.Command("ip", "netns", "list").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		if name := strings.Fields(line)[0]; strings.HasPrefix(name, id) {
			m.namespaces = append(m.namespaces, name)
		}
	}
	links, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		m.links = append(m.links, l.Name)
	}
	procs, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range procs {
		environ, err := os.ReadFile("/proc/" + p.Name() + "/environ")
		if err == nil && strings.Contains(string(environ), "PWLAB_ID="+id) {
			m.processes = append(m.processes, p.Name())
		}
	}
	return m
}

// gone fails the test unless the lab called id has left the machine.
func gone(t *testing.T, before machine, id string) {
	t.Helper()
	after := look(t, id)
	if len(after.namespaces)+len(after.processes) > 0 {
		t.Errorf("left behind: namespaces %v, processes %v", after.namespaces, after.processes)
	}
	if !slices.Equal(before.links, after.links) {
		t.Errorf("links were %v and are %v", before.links, after.links)
	}
	if _, err := os.Lstat("/run/poolwire-lab/" + id); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the lab's directory: %v", err)
	}
}

func TestThreeHostsReachEachOther(t *testing.T) {
	t.Parallel()
	ctx := labtest.Context(t)
	l := labtest.New(t, lab.Options{Name: "three"})
	var vms []*lab.VM
	for i := 1; i <= 3; i++ {
		h := labtest.Host(t, l, lab.HostOptions{Name: fmt.Sprintf("xen%d", i)})
		vms = append(vms, labtest.VM(t, h, lab.VMOptions{Name: fmt.Sprintf("vm%d", i), IPv4: addr4(i), IPv6: addr6(i)}))
	}
	for i, from := range vms {
		for j, to := range vms {
			if i == j {
				continue
			}
			for _, addr := range []netip.Addr{to.IPv4(), to.IPv6()} {
				if err := from.Ping(ctx, addr); err != nil {
					t.Error(err)
				}
			}
		}
	}
	for _, h := range l.Hosts() {
		if err := l.Controller().Ping(ctx, h.Addr); err != nil {
			t.Error(err)
		}
		if got := len(h.VMs()); got != 1 {
			t.Errorf("%s has %d VMs", h.ShortName, got)
		}
		warnings, err := h.Warnings()
		if err != nil || len(warnings) > 0 {
			t.Errorf("%s: warnings %q, %v", h.ShortName, warnings, err)
		}
	}
}

func TestTwoLabsUseTheSameAddresses(t *testing.T) {
	t.Parallel()
	ctx := labtest.Context(t)
	for range 2 {
		l := labtest.New(t, lab.Options{Name: "twin"})
		h := labtest.Host(t, l, lab.HostOptions{Name: "xen1"})
		if err := l.Controller().Ping(ctx, h.Addr); err != nil {
			t.Error(err)
		}
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	ctx := labtest.Context(t)
	before := look(t, "no-such-lab")
	goroutines := goleak.IgnoreCurrent()
	dir := t.TempDir()
	l, err := lab.New(ctx, lab.Options{Name: "tidy", Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	h := labtest.Host(t, l, lab.HostOptions{Name: "xen1"})
	vm := labtest.VM(t, h, lab.VMOptions{Name: "vm1", IPv4: addr4(1), Tap: true})
	if _, err := vm.Capture(ctx, ""); err != nil {
		t.Fatal(err)
	}
	// A child of a child that ignores SIGTERM.
	stubborn, err := vm.Start(lab.ProcessOptions{Name: "stubborn",
		Args: []string{"sh", "-c", `trap "" TERM; sh -c 'trap "" TERM; echo ready; while :; do sleep 60; done'; :`}})
	if err != nil {
		t.Fatal(err)
	}
	awaitFile(ctx, t, stubborn.Log(), "ready")
	if _, err := l.AddDummyHost(ctx, lab.DummyOptions{Name: "dummy", VIFs: 2}); err != nil {
		t.Fatal(err)
	}
	during := look(t, l.ID())
	if len(during.namespaces) != 4 || len(during.processes) < 6 {
		t.Errorf("a lab of namespaces %v and processes %v", during.namespaces, during.processes)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if err := l.Close(); err != nil {
		t.Error("closing twice:", err)
	}
	gone(t, before, l.ID())
	if _, err := os.Stat(dir + "/xen1/ovs-vswitchd.log"); err != nil {
		t.Error("a directory of the caller's keeps its logs:", err)
	}
	if _, err := l.AddHost(ctx, lab.HostOptions{Name: "late"}); err == nil {
		t.Error("a host was added to a closed lab")
	}
	gone(t, before, l.ID())
	goleak.VerifyNone(t, goroutines)
}

// awaitFile waits until a file holds text.
func awaitFile(ctx context.Context, t *testing.T, path, text string) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		content, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(content), text) {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("no %q in %s: %q, %v", text, path, content, err)
		}
	}
}

func TestBadNames(t *testing.T) {
	t.Parallel()
	ctx := labtest.Context(t)
	for _, name := range []string{"Upper", "1st", "a-name-that-is-too-long", "sla/sh", "dot."} {
		if l, err := lab.New(ctx, lab.Options{Name: name}); err == nil {
			t.Errorf("lab name %q was accepted", name)
			_ = l.Close()
		}
	}
	l := labtest.New(t, lab.Options{Name: "names"})
	for _, name := range []string{"", "Upper", "a-host-name-too-long", "sp ace"} {
		if _, err := l.AddHost(ctx, lab.HostOptions{Name: name}); err == nil {
			t.Errorf("host name %q was accepted", name)
		}
	}
	h := labtest.Host(t, l, lab.HostOptions{Name: "xen1"})
	if _, err := l.AddHost(ctx, lab.HostOptions{Name: "xen1"}); err == nil {
		t.Error("two hosts of one name")
	}
	labtest.VM(t, h, lab.VMOptions{Name: "vm1"})
	if _, err := h.AddVM(ctx, lab.VMOptions{Name: "vm1"}); err == nil {
		t.Error("two VMs of one name")
	}
	if _, err := h.AddVM(ctx, lab.VMOptions{Name: "vm2", Bridge: "nowhere"}); err == nil {
		t.Error("a VM on a bridge that does not exist")
	}
}
