package e2e

import (
	"path/filepath"
	"testing"
	"time"

	"poolwire/integration/lab/skew"
	"poolwire/integration/scenario"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// Somebody sets the clock of the controller's machine, by minutes and by hours, ahead and back. No host notices; one that falls
// silent is noticed all the same; and a change that is not confirmed is undone when it was said to be.
func TestClockIsSet(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := skew.Build(dir, "poolwire/cmd/poolwired", "poolwire/cmd/poolwire"); err != nil {
		t.Fatal(err)
	}
	clock, err := skew.NewClock(filepath.Join(dir, "clock"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = clock.Close() }()
	set := func(ahead time.Duration) {
		t.Helper()
		if err := clock.Set(ahead); err != nil {
			t.Fatal(err)
		}
	}
	p := &pair{World: newWorldOf(t, scenario.Options{Name: "clock", Bin: dir, Env: []string{clock.Env()}})}
	p.do(t, "pool", "create", "paris")
	p.h1, p.h2 = p.join(t, "paris1"), p.join(t, "paris2")
	p.a, p.b = p.vm(t, p.h1, "a", 1), p.vm(t, p.h2, "b", 2)
	passes(t, p.a, p.b.IPv4())
	p.settled(t)
	since := p.since(t)
	for _, ahead := range []time.Duration{9 * time.Hour, -9 * time.Hour, time.Minute} {
		p.undoneInTime(t, func() { set(ahead) })
		for name, was := range since {
			if now := p.since(t)[name]; now != was {
				t.Errorf("set by %s, %s is connected since %s, and was since %s", ahead, name, now, was)
			}
		}
	}
	cutOff(t, p.h1, bothWays, p.Lab.ControllerAddr().String())
	set(-time.Hour)
	p.isAway(t, "paris1")
	set(0)
	reconnect(t, p.h1)
	p.isBack(t)
}

// since is since when each host has been in its state, which is ready.
func (p *pair) since(t *testing.T) map[string]time.Time {
	t.Helper()
	conn, err := p.Conn()
	if err != nil {
		t.Fatal(err)
	}
	r, err := poolwirev1.NewHostServiceClient(conn).ListHosts(within(t, 20*time.Second), &poolwirev1.ListHostsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]time.Time{}
	for _, h := range r.GetHosts() {
		if st := h.GetStatus(); st.GetState() == poolwirev1.HostState_HOST_STATE_AWAY || st.GetState() == poolwirev1.HostState_HOST_STATE_CONNECTING {
			t.Fatalf("%s: %v", h.GetNameLabel(), st)
		}
		out[h.GetNameLabel()] = h.GetStatus().GetSince().AsTime()
	}
	return out
}

// trial is how long a change waits to be confirmed: long enough for every session to be looked at, whether it is silent
// (ovsdb.DefaultEchoInterval).
const trial = 6 * time.Second

// undoneInTime forbids pings on trial, has the clock set meanwhile, and looks when they pass again.
func (p *pair) undoneInTime(t *testing.T, set func()) {
	t.Helper()
	began := time.Now()
	p.do(t, "add-rule", "bridge=xenbr0", "direction=to", "protocol=icmp", "ipRange=10.66.0.0/24", "allow=false", "--confirm-within", trial.String())
	set()
	passes(t, p.a, p.b.IPv4())
	took := time.Since(began)
	t.Logf("undone after %s", took.Round(time.Millisecond))
	if took < trial || took > trial+8*time.Second {
		t.Errorf("a change that had %s was undone after %s", trial, took)
	}
}
