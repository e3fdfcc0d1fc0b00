package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"poolwire/integration/lab"
	"poolwire/integration/lab/frame"
)

const (
	// warm is how long the burst of a limit passes, measured how long the rate is taken after.
	warm     = time.Second
	measured = 3 * time.Second
)

// rate floods a limited path with twice what it lets pass and returns what arrived, in
// bit/s of Ethernet frames, leaving out the first moment, in which the burst passes.
func rate(t *testing.T, from, to *lab.VM, offered float64) float64 {
	t.Helper()
	ctx := within(t, 30*time.Second)
	c, err := to.Capture(ctx, "udp and dst port 7000")
	if err != nil {
		t.Fatal(err)
	}
	f := frame.Header{Src: from.MAC(), Dst: to.MAC()}.IPv4(frame.IPv4{Src: from.IPv4(), Dst: to.IPv4()},
		frame.UDP{Src: 7000, Dst: 7000, Payload: make([]byte, 1200)})
	offer(ctx, t, from, f, offered)
	if err := c.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	return arrived(t, c.Packets())
}

// offer sends a frame at a rate in bit/s, and returns how often.
func offer(ctx context.Context, t *testing.T, from *lab.VM, f []byte, rate float64) int {
	t.Helper()
	s, err := from.NewSender(from.VIF().Card())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	begin := time.Now()
	sent := 0
	for now := begin; now.Sub(begin) < warm+measured; now = time.Now() {
		for due := rate * now.Sub(begin).Seconds() / 8 / float64(len(f)); float64(sent) < due; sent++ {
			if err := s.Send(f); err != nil {
				t.Fatal(err)
			}
		}
		pause(ctx, time.Millisecond)
	}
	return sent
}

// arrived is the rate in bit/s at which packets came in after the first moment.
func arrived(t *testing.T, packets []lab.Packet) float64 {
	t.Helper()
	if len(packets) == 0 {
		t.Fatal("nothing arrived")
	}
	start, bytes := packets[0].Time.Add(warm), 0
	var first, last time.Time
	for _, p := range packets {
		if p.Time.Before(start) {
			continue
		}
		if first.IsZero() {
			first = p.Time
			continue // what came before the first interval has begun
		}
		last, bytes = p.Time, bytes+len(p.Bytes)
	}
	return float64(bytes) * 8 / last.Sub(first).Seconds()
}

// pause paces a sender.
func pause(ctx context.Context, d time.Duration) {
	tick := time.NewTimer(d)
	defer tick.Stop()
	select {
	case <-ctx.Done():
	case <-tick.C:
	}
}

// A limit is kept within a tenth, each way, on the userspace datapath's meters.
func TestRateLimits(t *testing.T) {
	p := newPair(t, "qos")
	for _, c := range []struct {
		name     string
		flags    []string
		from, to *lab.VM
		limit    float64
	}{
		{"outbound", []string{"--limit-out", "10M"}, p.a, p.b, 10e6},
		{"inbound", []string{"--limit-in", "20M"}, p.b, p.a, 20e6},
		{"in XenServer's kilobytes", []string{"--kbps", "1000"}, p.a, p.b, 1000 * 8192},
	} {
		p.do(t, append([]string{"vif", "update", p.a.VIF().UUID}, c.flags...)...)
		if err := p.h1.Settle(within(t, 20*time.Second)); err != nil {
			t.Fatal(err)
		}
		got := rate(t, c.from, c.to, 2*c.limit)
		t.Logf("%s: limit %.0f bit/s, achieved %.0f bit/s (%+.1f %%)", c.name, c.limit, got, 100*(got/c.limit-1))
		if got < 0.9*c.limit || got > 1.1*c.limit {
			t.Errorf("%s: %.0f bit/s, want %.0f within a tenth", c.name, got, c.limit)
		}
		p.do(t, "vif", "update", p.a.VIF().UUID, "--limit-in", "0", "--limit-out", "0")
	}
}

// A broadcast storm reaches a VIF at the rate of its limit, and costs the others nothing:
// neither one with rules, which gets copies as well, nor one without.
func TestRateLimitOfBroadcasts(t *testing.T) {
	p := newPair(t, "storm")
	const limit, offered = 1e6, 8e6
	guarded, plain := p.vm(t, p.h1, "c", 3), p.vm(t, p.h1, "d", 4)
	p.do(t, "rule", "add", "--vif", guarded.VIF().UUID, "--drop", "--inbound", "--protocol", "tcp", "--local-port", "1")
	p.do(t, "vif", "update", p.a.VIF().UUID, "--limit-in", "1M")
	if err := p.h1.Settle(within(t, 20*time.Second)); err != nil {
		t.Fatal(err)
	}
	ctx := within(t, 30*time.Second)
	var captures []*lab.Capture
	for _, vm := range []*lab.VM{p.a, guarded, plain} {
		c, err := vm.Capture(ctx, "udp and dst port 7000")
		if err != nil {
			t.Fatal(err)
		}
		captures = append(captures, c)
	}
	f := frame.Header{Src: p.b.MAC(), Dst: frame.Broadcast}.IPv4(frame.IPv4{Src: p.b.IPv4(), Dst: netip.MustParseAddr("255.255.255.255")},
		frame.UDP{Src: 7000, Dst: 7000, Payload: make([]byte, 1200)})
	sent := offer(ctx, t, p.b, f, offered)
	for _, c := range captures[1:] {
		eventually(t, func(context.Context) error {
			// One in a hundred may go where a machine is short of processors; the limit lets one in eight pass.
			if n := len(c.Packets()); n > sent || n < sent-sent/100 {
				return fmt.Errorf("of %d frames %d arrived at a VIF without a limit", sent, n)
			}
			return nil
		})
	}
	for _, c := range captures {
		if err := c.Stop(ctx); err != nil {
			t.Fatal(err)
		}
	}
	got := arrived(t, captures[0].Packets())
	t.Logf("limit %.0f bit/s, offered %.0f bit/s, achieved %.0f bit/s (%+.1f %%); of %d frames the others got %d and %d", limit, offered, got,
		100*(got/limit-1), sent, len(captures[1].Packets()), len(captures[2].Packets()))
	if got < 0.9*limit || got > 1.1*limit {
		t.Errorf("%.0f bit/s, want %.0f within a tenth", got, limit)
	}
}

// Two VMs share an address by VRRP: both may announce it and its virtual MAC address,
// and nothing else.
func TestSharedAddress(t *testing.T) {
	t.Parallel()
	p := newPair(t, "vrrp")
	shared, all := netip.MustParseAddr("10.66.0.100"), netip.MustParseAddr("224.0.0.18")
	virtual := frame.MustMAC("00:00:5e:00:01:33")
	for _, vm := range []*lab.VM{p.a, p.b} {
		p.do(t, "vif", "lock", vm.VIF().UUID, "--ipv4", vm.IPv4().String(), "--ipv6", vm.IPv6().String())
		p.do(t, "vif", "update", vm.VIF().UUID, "--virtual-router", "51="+shared.String())
	}
	passes(t, p.a, p.b.IPv4())
	for _, way := range [][2]*lab.VM{{p.a, p.b}, {p.b, p.a}} {
		from, to := way[0], way[1]
		own, asVirtual := frame.Header{Src: from.MAC(), Dst: frame.MulticastMAC(netip.MustParseAddr("ff02::12"))}, frame.Header{Src: virtual, Dst: frame.Broadcast}
		vrrp := frame.Payload{Protocol: 112, Bytes: make([]byte, 20)}
		other := netip.MustParseAddr("10.66.0.101")
		good := map[string][]byte{
			"advertisement":                         own.IPv4(frame.IPv4{Src: from.IPv4(), Dst: all}, vrrp),
			"advertisement under the virtual MAC":   asVirtual.IPv4(frame.IPv4{Src: from.IPv4(), Dst: all}, vrrp),
			"gratuitous ARP for the shared address": asVirtual.ARP(frame.ARP{Op: frame.ARPReply, SHA: virtual, SPA: shared, TPA: shared}),
			"data from the shared address":          asVirtual.IPv4(frame.IPv4{Src: shared, Dst: netip.MustParseAddr("10.66.0.255")}, frame.UDP{Src: 1, Dst: 2, Payload: []byte("x")}),
		}
		bad := map[string][]byte{
			"gratuitous ARP for another address": asVirtual.ARP(frame.ARP{Op: frame.ARPReply, SHA: virtual, SPA: other, TPA: other}),
			"another router's virtual MAC":       frame.Header{Src: frame.MustMAC("00:00:5e:00:01:34"), Dst: frame.Broadcast}.ARP(frame.ARP{Op: frame.ARPReply, SHA: frame.MustMAC("00:00:5e:00:01:34"), SPA: shared, TPA: shared}),
			"advertisement from another address": own.IPv4(frame.IPv4{Src: other, Dst: all}, vrrp),
		}
		sees(t, from, to, good, bad)
	}
}

// sees checks which frames of one VM another sees: all good ones, no bad one.
func sees(t *testing.T, from, to *lab.VM, good, bad map[string][]byte) {
	t.Helper()
	ctx := within(t, 30*time.Second)
	c, err := to.Capture(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	// A frame may have lost its padding on the way.
	same := func(f []byte) func(lab.Packet) bool {
		return func(p lab.Packet) bool {
			n := min(len(p.Bytes), len(f))
			return n >= 42 && bytes.Equal(p.Bytes[:n], f[:n])
		}
	}
	for name, f := range bad {
		for range 5 {
			if err := from.Send(f); err != nil {
				t.Fatal(name, err)
			}
		}
	}
	for name, f := range good {
		if _, err := from.SendUntil(ctx, c, f, same(f)); err != nil {
			t.Errorf("%s did not pass: %v", name, err)
		}
	}
	if err := c.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	for _, p := range c.Packets() {
		for name, f := range bad {
			if same(f)(p) {
				t.Errorf("%s passed", name)
			}
		}
	}
}

// Router advertisements and DHCP answers come from those who may send them.
func TestGuards(t *testing.T) {
	t.Parallel()
	p := newPair(t, "guards")
	all6 := netip.MustParseAddr("ff02::1")
	ra := frame.Header{Src: p.a.MAC(), Dst: frame.MulticastMAC(all6)}.IPv6(frame.IPv6{Src: frame.LinkLocal(p.a.MAC()), Dst: all6}, frame.RouterAdvertisement())
	h := frame.Header{Src: p.a.MAC(), Dst: frame.Broadcast}
	offer := h.IPv4(frame.IPv4{Src: p.a.IPv4(), Dst: netip.MustParseAddr("255.255.255.255")}, frame.UDP{Src: 67, Dst: 68, Payload: make([]byte, 240)})
	offer6 := frame.Header{Src: p.a.MAC(), Dst: p.b.MAC()}.IPv6(frame.IPv6{Src: p.a.IPv6(), Dst: p.b.IPv6()}, frame.UDP{Src: 547, Dst: 546, Payload: []byte("reply")})
	plain := h.IPv4(frame.IPv4{Src: p.a.IPv4(), Dst: netip.MustParseAddr("255.255.255.255")}, frame.UDP{Src: 9, Dst: 9, Payload: []byte("plain")})
	served := map[string][]byte{"router advertisement": ra, "DHCP offer": offer, "DHCPv6 reply": offer6}
	mine := map[string][]byte{"a plain broadcast": plain}
	sees(t, p.a, p.b, served, nil)
	p.do(t, "network", "set", "xenbr0", "--ra-guard", "--dhcp-guard")
	sees(t, p.a, p.b, mine, served)
	p.do(t, "vif", "update", p.a.VIF().UUID, "--allow-ra", "--allow-dhcp-server")
	sees(t, p.a, p.b, served, nil)
	p.do(t, "vif", "lock", p.a.VIF().UUID, "--ipv4", p.a.IPv4().String(), "--ipv6", p.a.IPv6().String())
	sees(t, p.a, p.b, served, nil)
	p.do(t, "vif", "update", p.a.VIF().UUID, "--allow-ra=false", "--allow-dhcp-server=false")
	p.do(t, "network", "set", "xenbr0", "--ra-guard=false", "--dhcp-guard=false")
	sees(t, p.a, p.b, mine, served)
}
