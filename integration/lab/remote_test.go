package lab_test

import (
	"errors"
	"net/netip"
	"os"
	"testing"

	"poolwire/integration/lab"
	"poolwire/integration/lab/labtest"
)

func TestSeatsAndTaps(t *testing.T) {
	t.Parallel()
	ctx := labtest.Context(t)
	l := labtest.New(t, lab.Options{Name: "seat"})
	seat, err := l.TakeSeat("kern1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(seat.Dir); err != nil {
		t.Error(err)
	}
	if _, err := l.TakeSeat("kern1"); err == nil {
		t.Error("one name, two seats")
	}
	if _, err := l.AddHost(ctx, lab.HostOptions{Name: "kern1"}); err == nil {
		t.Error("a host took a seat's name")
	}
	h := labtest.Host(t, l, lab.HostOptions{Name: "xen1"})
	if h.Addr == seat.Addr.Addr() || !seat.Addr.Contains(h.Addr) {
		t.Errorf("%s and %s", h.Addr, seat.Addr)
	}
	tap, err := l.Tap(ctx, netip.Prefix{})
	if err != nil {
		t.Fatal(err)
	}
	if out, err := l.Fabric().Run(ctx, "bridge", "link", "show", "dev", tap); err != nil || out == "" {
		t.Errorf("%q, %v", out, err)
	}
	if _, err := l.Tap(ctx, netip.MustParsePrefix("198.18.0.0/31")); err != nil {
		t.Error(err)
	}
	l.LeaveSeat(seat)
}

// TestRemote runs programs by a prefix, and refuses what needs a namespace here.
func TestRemote(t *testing.T) {
	t.Parallel()
	ctx := labtest.Context(t)
	l := labtest.New(t, lab.Options{Name: "remote"})
	n := l.Remote("far", "sh", "-c", `echo "far: $*"`, "--")
	if out, err := n.Run(ctx, "one", "two"); err != nil || out != "far: one two\n" {
		t.Errorf("%q, %v", out, err)
	}
	if err := n.Do(func() error { return nil }); !errors.Is(err, lab.ErrRemote) {
		t.Error(err)
	}
	if _, err := n.NewSender("lo"); !errors.Is(err, lab.ErrRemote) {
		t.Error(err)
	}
}

// TestKillGroup ends a program's children with it.
func TestKillGroup(t *testing.T) {
	t.Parallel()
	l := labtest.New(t, lab.Options{Name: "group"})
	p, err := l.Machine().Start(lab.ProcessOptions{Name: "family", Args: []string{"sh", "-c", "sleep 1000 & wait"}})
	if err != nil {
		t.Fatal(err)
	}
	p.KillGroup()
	p.KillGroup()
	if p.Running() {
		t.Error("it runs")
	}
}
