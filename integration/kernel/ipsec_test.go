package kernel_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"poolwire/integration/lab"
	"poolwire/integration/lab/kernel"
	"poolwire/integration/lab/labtest"
)

// overlay connects a network bridge to an overlay bridge with one VXLAN port to
// the peer, whose VNI the flows set and match, and which has a PSK.
func overlay(ctx context.Context, t *testing.T, h, peer *kernel.Host, psk string) {
	t.Helper()
	options := []string{"options:key=flow", "options:remote_ip=" + peer.Addr.String()}
	if psk != "" {
		options = append(options, "options:psk="+psk)
	}
	_, err := h.Vsctl(ctx, append([]string{"add-br", "net0",
		"--", "add-br", "over0", "--", "set", "Bridge", "over0", "fail_mode=secure",
		"--", "add-port", "net0", "to-over", "--", "set", "Interface", "to-over", "type=patch", "options:peer=to-net",
		"--", "add-port", "over0", "to-net", "--", "set", "Interface", "to-net", "type=patch", "options:peer=to-over",
		"--", "add-port", "over0", "tun0", "--", "set", "Interface", "tun0", "type=vxlan"}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	for _, flow := range []string{
		"in_port=to-net,actions=set_field:7000->tun_id,output:tun0",
		"in_port=tun0,tun_id=7000,actions=output:to-net",
	} {
		if _, err := h.Ofctl(ctx, "-O", "OpenFlow13", "add-flow", "over0", flow); err != nil {
			t.Fatal(err)
		}
	}
}

// awaitPolicies waits until the host's kernel has the policies of a peer: in, out
// and forwarded, for each of the two directions of VXLAN. strongSwan makes SAs
// only when a packet asks for them.
func awaitPolicies(t *testing.T, h, peer *kernel.Host) {
	t.Helper()
	ctx := within(t, 30*time.Second)
	for {
		policies, err := h.Policies(ctx)
		text := strings.Join(policies, "\n")
		if strings.Contains(text, fmt.Sprintf("src %s/32 dst %s/32", h.Addr, peer.Addr)) &&
			strings.Contains(text, fmt.Sprintf("src %s/32 dst %s/32", peer.Addr, h.Addr)) {
			return
		}
		select {
		case <-ctx.Done():
			status, _ := h.IPsecStatus(context.WithoutCancel(ctx))
			t.Fatalf("no policies on %s: %v %s\n%s", h.ShortName, err, text, status)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// TestJudge shows that the capture tells encrypted traffic from traffic in clear:
// two networks' packets are ESP while IPsec runs, and seen in clear once one side
// has stopped it, which is what Open vSwitch does when nothing guards it.
func TestJudge(t *testing.T) {
	l := labtest.New(t, lab.Options{Name: "kjudge"})
	two := hosts(t, l, kernel.HostOptions{Name: "kern1", AcquireExpires: 3}, kernel.HostOptions{Name: "kern2", AcquireExpires: 3})
	a, b := two[0], two[1]
	ctx := labtest.Context(t)
	begun := time.Now()
	overlay(ctx, t, a, b, "0123456789abcdef")
	overlay(ctx, t, b, a, "0123456789abcdef")
	awaitPolicies(t, a, b)
	awaitPolicies(t, b, a)
	t.Logf("policies after %v", time.Since(begun))
	vm1, err := a.AddVM(ctx, lab.VMOptions{Name: "vm1", Bridge: "net0", IPv4: prefix(1), MTU: 1350})
	if err != nil {
		t.Fatal(err)
	}
	vm2, err := b.AddVM(ctx, lab.VMOptions{Name: "vm2", Bridge: "net0", IPv4: prefix(2), MTU: 1350})
	if err != nil {
		t.Fatal(err)
	}

	begun = time.Now()
	cable, err := a.Capture(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := vm1.Ping(within(t, time.Minute), vm2.IPv4()); err != nil {
		t.Fatal(err)
	}
	t.Logf("first answer after %v", time.Since(begun))
	sas, err := a.SAs(ctx)
	if err != nil || len(sas) < 2 {
		t.Errorf("security associations: %q, %v", sas, err)
	}
	if r, err := vm1.PingCount(ctx, vm2.IPv4(), lab.PingOptions{Count: 50}); err != nil || r.Received != 50 {
		t.Errorf("%+v, %v", r, err)
	}
	if err := cable.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	secured := lab.Count(cable.Packets(), kernel.ESP)
	if leaked := lab.Count(cable.Packets(), kernel.Clear); leaked != 0 || secured < 100 {
		text, _ := cable.Text(ctx)
		t.Errorf("%d in clear, %d ESP:\n%.4000s", leaked, secured, text)
	}

	if cable, err = a.Capture(ctx, ""); err != nil {
		t.Fatal(err)
	}
	if err := a.StopIPsec(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := vm1.PingCount(ctx, vm2.IPv4(), lab.PingOptions{Count: 50}); err != nil {
		t.Error(err)
	}
	if _, err := cable.WaitFor(within(t, 10*time.Second), kernel.Clear); err != nil {
		t.Errorf("the judge saw nothing in clear after IPsec was stopped: %v", err)
	}
}
