package e2e

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// explain runs the client's explain and returns what it prints.
func (p *pair) explain(t *testing.T, args ...string) string {
	t.Helper()
	return p.do(t, append([]string{"explain"}, args...)...)
}

// needs checks that a text holds some words.
func needs(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%q is missing in:\n%s", w, text)
		}
	}
}

// "Why" names the rule, its level and its author, and agrees with what packets do.
func TestExplain(t *testing.T) {
	t.Parallel()
	p := newPair(t, "explain")
	web := serve(t, p.b, 80)
	a, b := p.a.VIF().UUID, p.b.VIF().UUID
	ask := []string{"--vif", a, "--to", b, "--proto", "tcp", "--port", "80"}
	needs(t, p.explain(t, ask...), "passes")

	p.do(t, "rule", "add", "--pool", "paris", "--drop", "--outbound", "--mandatory", "--protocol", "tcp", "--remote-port", "80-90", "--name", "no-web", "--description", "ticket 7")
	connects(t, p.a, web, false)
	needs(t, p.explain(t, ask...), "dropped", "no-web", "pool", "paris", "mandatory_out", "out_verdict")
	needs(t, p.explain(t, "--vif", a, "--to", b, "--proto", "tcp", "--port", "443"), "passes", "paris2")

	p.do(t, "rule", "delete", "no-web")
	p.do(t, "rule", "add", "--vif", b, "--drop", "--inbound", "--protocol", "tcp", "--local-port", "80", "--name", "closed")
	connects(t, p.a, web, false)
	needs(t, p.explain(t, ask...), "dropped", "closed", "paris2", "default_in")
	needs(t, p.explain(t, "--vif", b, "--from", p.a.IPv4().String(), "--proto", "tcp", "--port", "80"), "dropped", "closed")

	p.do(t, "rule", "delete", "closed")
	p.do(t, "vif", "lock", a, "--ipv4", p.a.IPv4().String())
	needs(t, p.explain(t, append(ask, "--local-address", "10.66.0.77")...), "dropped", "spoof_guard")
	p.do(t, "vif", "lock", b, "--ipv4", p.b.IPv4().String())
	needs(t, p.explain(t, "--vif", a, "--to", p.b.IPv4().String(), "--proto", "tcp", "--port", "80"), "passes", "paris2")
	connects(t, p.a, web, true)
	needs(t, p.explain(t, ask...), "passes")
}

// Counters say what a rule has matched, and the log names what was denied.
func TestHitsAndDeniedLog(t *testing.T) {
	t.Parallel()
	p := newPair(t, "hits")
	a := p.a.VIF().UUID
	p.do(t, "rule", "add", "--vif", a, "--drop", "--outbound", "--protocol", "udp", "--remote-port", "4000", "--name", "no-4000")
	out := p.watchDenied(t, a)
	f := datagram(p.a, p.b.MAC(), p.b.IPv4(), 4000, "denied")
	eventually(t, func(context.Context) error {
		if err := p.a.Send(f, f); err != nil {
			return err
		}
		for _, word := range []string{"no-4000", p.a.IPv4().String(), p.b.IPv4().String(), "4000"} {
			if !strings.Contains(out.String(), word) {
				return fmt.Errorf("the log of what was denied lacks %q:\n%s", word, out)
			}
		}
		return nil
	})
	before := p.hits(t, "no-4000")
	for range 10 {
		if err := p.a.Send(f); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, func(context.Context) error {
		if now := p.hits(t, "no-4000"); now < before+10 {
			return fmt.Errorf("%d packets counted, then %d after 10 more", before, now)
		}
		return nil
	})
}

// hits is how many packets a rule has matched.
func (p *pair) hits(t *testing.T, rule string) int {
	t.Helper()
	type hits struct {
		Hits []struct {
			Packets uint64 `json:"packets,string"`
		} `json:"hits"`
	}
	total := 0
	for _, h := range readJSON[hits](t, p, "rule", "hits", rule).Hits {
		total += int(h.Packets)
	}
	return total
}

// A dry run says what would change, and changes nothing.
func TestDryRun(t *testing.T) {
	t.Parallel()
	p := newPair(t, "dryrun")
	web := serve(t, p.b, 80)
	a := p.a.VIF().UUID
	p.do(t, "rule", "add", "--vif", a, "--allow", "--outbound", "--name", "out")
	running := session(t, p.a, web)
	before := flows(t, p.h1, "xenbr0")
	sessions, err := p.h1.Appctl(within(t, 10*time.Second), "dpctl/dump-conntrack")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "sessions")
	write(t, file, sessions)
	deny := []string{"rule", "add", "--vif", a, "--drop", "--outbound", "--protocol", "tcp", "--remote-port", "80", "--mandatory", "--name", "no-web"}
	out := p.do(t, append(deny, "--dry-run", "--sessions", file, "--sessions-host", "paris1")...)
	needs(t, out, "paris1", "xenbr0", "+ ", "ct_tp_dst=80", "cut", p.b.IPv4().String())
	if strings.Contains(p.do(t, "rule", "list"), "no-web") || flows(t, p.h1, "xenbr0") != before {
		t.Error("a dry run has changed something")
	}
	alive(t, running, true)
	p.do(t, deny...)
	after := flows(t, p.h1, "xenbr0")
	added := 0
	for _, line := range lost(after, before) {
		if strings.Contains(line, "ct_tp_dst=80") {
			added++
		}
	}
	if added == 0 {
		t.Error("the change did not do what its dry run said")
	}
	needs(t, p.do(t, "vif", "lock", a, "--dry-run"), "xenbr0", "spoof_guard")
	if !strings.Contains(p.do(t, "vif", "show", a), "unlocked") {
		t.Error("the dry run of a lock has locked the VIF")
	}
}

// A change that is not confirmed in time is undone, also when the leader dies in
// between; one that is confirmed stays.
func TestConfirmOrRollBack(t *testing.T) {
	t.Parallel()
	p := newPair(t, "confirm")
	a := p.a.VIF().UUID
	deny := []string{"rule", "add", "--vif", a, "--drop", "--outbound", "--protocol", "icmp"}
	p.do(t, append(deny, "--name", "undone", "--confirm-within", "3s")...)
	blocked(t, p.a, p.b.IPv4())
	p.KillDaemon()
	if err := p.StartDaemon(within(t, time.Minute)); err != nil {
		t.Fatal(err)
	}
	eventually(t, func(ctx context.Context) error {
		out, err := p.Poolwire(ctx, "rule", "list")
		if err == nil && strings.Contains(out, "undone") {
			err = errors.New("the change is still there:\n" + out)
		}
		return err
	})
	eventually(t, func(ctx context.Context) error { return p.a.Ping(ctx, p.b.IPv4()) })

	p.do(t, append(deny, "--name", "kept", "--confirm-within", "30s")...)
	pending := p.do(t, "change", "list")
	needs(t, pending, "kept")
	type change struct {
		ID string `json:"id"`
	}
	changes := readJSON[[]change](t, p, "change", "list")
	if len(changes) != 1 {
		t.Fatalf("pending changes: %+v", changes)
	}
	if _, err := p.Poolwire(within(t, time.Minute), "rule", "delete", "kept"); err == nil {
		t.Error("a pending change takes another change")
	}
	p.do(t, "change", "confirm", changes[0].ID)
	blocked(t, p.a, p.b.IPv4())
	p.do(t, "rule", "delete", "kept")
	passes(t, p.a, p.b.IPv4())
}

// A rule goes out of force when its time has come.
func TestExpiry(t *testing.T) {
	t.Parallel()
	p := newPair(t, "expiry")
	p.do(t, "rule", "add", "--vif", p.a.VIF().UUID, "--drop", "--outbound", "--protocol", "icmp", "--name", "for-a-while", "--expires", "3s")
	blocked(t, p.a, p.b.IPv4())
	eventually(t, func(ctx context.Context) error { return p.a.Ping(ctx, p.b.IPv4()) })
	needs(t, p.do(t, "rule", "show", "for-a-while"), "expired")
}
