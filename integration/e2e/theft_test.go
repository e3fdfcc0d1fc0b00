package e2e

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"poolwire/integration/lab"
	"poolwire/integration/lab/frame"
)

// becomes makes a VM's port say that it is another VM's VIF, and the VM behave like that one:
// what somebody can do who has taken a host over.
func becomes(t *testing.T, thief, victim *lab.VM) {
	t.Helper()
	ctx := within(t, time.Minute)
	if err := thief.SetMAC(ctx, victim.MAC()); err != nil {
		t.Fatal(err)
	}
	vsctl(t, thief.Host(), "set", "Interface", thief.VIF().Port(),
		"external_ids:xs-vif-uuid="+victim.VIF().UUID, "external_ids:iface-id="+victim.VIF().UUID,
		fmt.Sprintf("external_ids:attached-mac=\"%s\"", victim.MAC()))
}

// hears tells whether a VM's card gets anything while others send to everybody and to its address.
func hears(t *testing.T, thief *lab.VM, from ...*lab.VM) int {
	t.Helper()
	for _, vm := range append(from, thief) {
		if err := vm.Host().Settle(within(t, 20*time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	c, err := thief.Capture(within(t, 20*time.Second), "inbound")
	if err != nil {
		t.Fatal(err)
	}
	for _, vm := range from {
		for range 5 {
			if err := vm.Send(broadcastUDP(vm, 4001), frame.Header{Src: vm.MAC(), Dst: thief.MAC()}.IPv4(
				frame.IPv4{Src: vm.IPv4(), Dst: thief.IPv4()}, frame.UDP{Src: 4001, Dst: 4000, Payload: []byte("for its address")})); err != nil {
				t.Fatal(err)
			}
		}
		passes(t, vm, other(from, vm).IPv4())
	}
	if err := c.Stop(within(t, 20*time.Second)); err != nil {
		t.Fatal(err)
	}
	return len(c.Packets())
}

// other is one of several VMs that is not the given one.
func other(vms []*lab.VM, not *lab.VM) *lab.VM {
	for _, vm := range vms {
		if vm != not {
			return vm
		}
	}
	return not
}

// metric returns a look at the daemon's metrics.
func (p *pair) metric(line string) func(context.Context) error {
	return func(ctx context.Context) error {
		code, body, err := p.Monitoring(ctx, "/metrics")
		if err == nil && (code != http.StatusOK || !strings.Contains(body, line)) {
			err = fmt.Errorf("no metric %q", line)
		}
		return err
	}
}

// A host says that a VIF of another host is one of its own. That is to be seen, since a migration
// looks the same; of a VIF that is bound to hosts nobody else gets anything, and nothing is lost.
func TestTheftOfVif(t *testing.T) {
	t.Parallel()
	p := newPair(t, "theft")
	beside := p.vm(t, p.h1, "beside", 3)
	thief := p.vm(t, p.h2, "thief", 9)
	victim := p.a.VIF().UUID
	passes(t, thief, p.b.IPv4())

	becomes(t, thief, p.a)
	eventually(t, p.shows("is on hosts paris1 and paris2 at once", "vif", "show", victim))
	eventually(t, p.shows("which is on paris1 too", "host", "show", "paris2"))
	eventually(t, p.shows("which is on paris2 too", "host", "show", "paris1"))
	eventually(t, p.metric("poolwire_vif_moves_total 1"))

	p.do(t, "vif", "set", victim, "--hosts", "paris1")
	eventually(t, p.shows("host paris2 claims it with port "+thief.VIF().Port(), "vif", "show", victim))
	eventually(t, p.shows("it stays on host paris1", "host", "show", "paris2"))
	eventually(t, p.metric(`poolwire_vif_claims_refused_total{reason="hosts"} 1`))
	p.settled(t)
	passes(t, p.b, p.a.IPv4())
	passes(t, p.a, beside.IPv4())

	all := streams(t, p.a, p.b, beside)
	flowing(t, all, 20)
	blocked(t, thief, p.b.IPv4())
	if err := thief.VIF().Announce(); err != nil {
		t.Fatal(err)
	}
	if n := hears(t, thief, p.b, beside); n > 0 {
		t.Errorf("the port that is refused was sent %d packets", n)
	}
	flowing(t, all, 40)
	judge(t, "bound, while another host claims it", all, 0)
	trace, err := p.h2.Trace(within(t, 20*time.Second), "xenbr0", fmt.Sprintf("in_port=%s,dl_src=%s,dl_dst=%s,ip,nw_src=%s,nw_dst=%s",
		thief.VIF().Port(), p.a.MAC(), p.b.MAC(), p.a.IPv4(), p.b.IPv4()))
	if err != nil || !strings.Contains(trace, "Datapath actions: drop") {
		t.Errorf("the switch would pass on what the refused port sends: %v\n%s", err, trace)
	}

	// Another name for the same address is no way around it.
	vsctl(t, p.h2, "set", "Interface", thief.VIF().Port(), "external_ids:xs-vif-uuid="+thief.VIF().UUID, "external_ids:iface-id="+thief.VIF().UUID)
	eventually(t, p.shows("its MAC address "+p.a.MAC().String()+" is that of VIF "+victim, "host", "show", "paris2"))
	p.settled(t)
	blocked(t, thief, p.b.IPv4())

	// With its own name and address it is a VIF as any other. What it sent before must have been counted: a switch that
	// counts it afterwards learns the address from it, by the tables that hold then.
	if err := thief.SetMAC(within(t, 20*time.Second), thief.MAC()); err != nil {
		t.Fatal(err)
	}
	if err := p.h2.Settle(within(t, 20*time.Second)); err != nil {
		t.Fatal(err)
	}
	vsctl(t, p.h2, "set", "Interface", thief.VIF().Port(), fmt.Sprintf("external_ids:attached-mac=\"%s\"", thief.MAC()))
	p.settled(t)
	eventually(t, func(ctx context.Context) error { return thief.Ping(ctx, p.b.IPv4()) })
	passes(t, p.b, p.a.IPv4())
}
