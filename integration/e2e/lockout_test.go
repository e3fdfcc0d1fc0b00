package e2e

import (
	"strings"
	"testing"
	"time"
)

// The host is never locked out: whatever the rules say, traffic between the
// host itself and its uplinks passes.
func TestHostIsNeverLockedOut(t *testing.T) {
	t.Parallel()
	p := newPair(t, "lockout")
	for _, rule := range []string{"direction=from/to protocol=ip", "direction=from/to protocol=arp"} {
		p.do(t, append([]string{"add-rule", "bridge=xenbr0", "ipRange=", "allow=false"}, strings.Fields(rule)...)...)
	}
	blocked(t, p.a, p.b.IPv4())
	if _, err := p.h1.Run(within(t, time.Minute), "ip", "neigh", "flush", "all"); err != nil {
		t.Fatal(err)
	}
	if err := p.h1.Ping(within(t, 20*time.Second), p.h2.Addr); err != nil {
		t.Fatalf("host to host: %v", err)
	}
	if err := p.h2.Ping(within(t, 20*time.Second), p.Lab.ControllerAddr()); err != nil {
		t.Fatalf("host to controller: %v", err)
	}
	p.settled(t)
	if mode := vsctl(t, p.h1, "get", "Bridge", "xenbr0", "fail_mode"); mode != "[]" && mode != "standalone" {
		t.Errorf("fail_mode of a bridge with the host's address is %s", mode)
	}
}

// Bridge.protocols is never shrunk, and an empty set stays empty.
func TestProtocolsAreOnlyExtended(t *testing.T) {
	t.Parallel()
	p := newPair(t, "protocols")
	if got := vsctl(t, p.h1, "get", "Bridge", "xenbr0", "protocols"); got != "[]" {
		t.Errorf("an empty set became %s", got)
	}
	vsctl(t, p.h1, "set", "Bridge", "xenbr0", "protocols=OpenFlow10,OpenFlow11")
	eventually(t, wants("OpenFlow10", "OpenFlow11", "OpenFlow13").of(p.h1, "get", "Bridge", "xenbr0", "protocols"))
	p.settled(t)
}

// Release and the documented one-liner put everything back.
func TestReleaseGivesTheHostBack(t *testing.T) {
	t.Parallel()
	p := newPair(t, "release")
	p.do(t, "add-rule", "bridge=xenbr0", "direction=from/to", "protocol=icmp", "allow=false", "ipRange=10.66.0.0/24")
	p.do(t, "private-network", "create", "blue", "--vni", "7", "--pool", "paris")
	disabled := p.vm(t, p.h1, "disabled", 3)
	p.do(t, "vif", "disable", disabled.VIF().UUID)
	blocked(t, p.a, p.b.IPv4())
	blocked(t, disabled, p.b.IPv4())
	p.do(t, "host", "release", "paris1")
	p.do(t, "host", "release", "paris2")
	passes(t, p.a, p.b.IPv4())
	passes(t, disabled, p.b.IPv4())
	for _, table := range []string{"Bridge", "Port", "Interface", "Controller", "Flow_Table", "Open_vSwitch"} {
		if rows := vsctl(t, p.h1, "--columns=external_ids", "list", table); strings.Contains(rows, "poolwire-owner") || strings.Contains(rows, "poolwire-epoch") {
			t.Errorf("%s still has rows of ours:\n%s", table, rows)
		}
	}
	if got := vsctl(t, p.h1, "get-controller", "xenbr0"); got != "" {
		t.Errorf("xenbr0 still has the controller %s", got)
	}
	p.do(t, "host", "set", "paris1", "--managed=true")
	p.do(t, "host", "set", "paris2", "--managed=true")
	for _, h := range []string{"paris1", "paris2"} {
		if err := p.AwaitHost(within(t, 30*time.Second), h); err != nil {
			t.Fatal(err)
		}
	}
	blocked(t, p.a, p.b.IPv4())

	if err := p.StopDaemon(within(t, 30*time.Second)); err != nil {
		t.Fatal(err)
	}
	blocked(t, p.a, p.b.IPv4())
	vsctl(t, p.h1, "del-controller", "xenbr0")
	vsctl(t, p.h2, "del-controller", "xenbr0")
	passes(t, p.a, p.b.IPv4())
}
