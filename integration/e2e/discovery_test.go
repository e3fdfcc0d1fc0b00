package e2e

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"poolwire/integration/lab"
	"poolwire/integration/lab/frame"
)

// discovery is a neighbour solicitation or advertisement that was captured within VXLAN over IPv4, or by itself.
type discovery struct {
	icmpType uint8
	src      netip.Addr
}

// discoveryIn reads a frame; ok is false when it is neither.
func discoveryIn(b []byte) (d discovery, ok bool) {
	const addresses, icmp = 14 + 8, 14 + 40
	if len(b) <= icmp || binary.BigEndian.Uint16(b[12:]) != 0x86dd || b[14+6] != frame.ProtocolICMPv6 {
		return d, false
	}
	d = discovery{b[icmp], netip.AddrFrom16([16]byte(b[addresses : addresses+16]))}
	return d, d.icmpType == frame.NeighborSolicit || d.icmpType == frame.NeighborAdvert
}

// discoveries counts the captured ones of VMs on the underlay, those from an address apart from those from none.
func discoveries(packets []lab.Packet) (from, fromNone int) {
	for _, q := range packets {
		if len(q.Bytes) < vxlanHeaders {
			continue
		}
		if d, ok := discoveryIn(q.Bytes[vxlanHeaders:]); ok && d.src.IsUnspecified() {
			fromNone++
		} else if ok {
			from++
		}
	}
	return from, fromNone
}

// discoveryBetweenHosts is arpBetweenHosts for IPv6.
func discoveryBetweenHosts(t *testing.T, p *pair, x, y *lab.VM) int {
	t.Helper()
	ctx := within(t, time.Minute)
	p.settled(t)
	wire, err := p.Lab.Capture(ctx, "udp dst port 4789")
	if err != nil {
		t.Fatal(err)
	}
	for _, vm := range []*lab.VM{x, y} {
		if out, err := vm.Exec(ctx, "ip", "-6", "neigh", "flush", "all"); err != nil {
			t.Fatal(out, err)
		}
	}
	passes(t, x, y.IPv6())
	err = wire.StopAfter(ctx, func(q lab.Packet) bool {
		const icmp = vxlanHeaders + 14 + 40
		return len(q.Bytes) > icmp && q.Bytes[icmp-34] == frame.ProtocolICMPv6 && q.Bytes[icmp] == frame.ICMPv6EchoRequest
	})
	if err != nil {
		t.Fatal("a ping that has arrived on the underlay: ", err)
	}
	known, err := x.Exec(ctx, "ip", "-6", "neigh", "show", y.IPv6().String())
	if err != nil || !strings.Contains(known, y.MAC().String()) || strings.Contains(known, "router") {
		t.Errorf("the asker knows %q, want %v, and no router: %v", known, y.MAC(), err)
	}
	n, _ := discoveries(wire.Packets())
	return n
}

// Solicitations for the address of a locked VM are answered where they are made, before and after it has moved; those for one that
// is not locked, or that may be a router, cross the underlay, as do all where a rule decides over them.
func TestSolicitationsAreAnsweredOnTheHost(t *testing.T) {
	t.Parallel()
	p, x, y := newOverlay(t, "solicit")
	lock := func(vm *lab.VM, more ...string) {
		p.do(t, append([]string{"vif", "lock", vm.VIF().UUID, "--ipv4", vm.IPv4().String(), "--ipv6", vm.IPv6().String()}, more...)...)
	}
	crosses := func(why string) {
		t.Helper()
		if n := discoveryBetweenHosts(t, p, x, y); n == 0 {
			t.Errorf("%s, and no solicitation has crossed", why)
		}
	}
	stays := func(why string) {
		t.Helper()
		if n := discoveryBetweenHosts(t, p, x, y); n != 0 {
			t.Errorf("%s, and %d packets of neighbour discovery have crossed", why, n)
		}
	}
	crosses("nobody is locked")
	lock(x)
	lock(y)
	stays("both are locked")
	p.do(t, "vif", "unlock", y.VIF().UUID)
	crosses("one is not locked any more")
	lock(y)
	p.do(t, "vif", "set", y.VIF().UUID, "--allow-ra")
	crosses("one may be a router")
	p.do(t, "vif", "set", y.VIF().UUID, "--allow-ra=false")
	p.do(t, "rule", "add", "--vif", y.VIF().UUID, "--allow", "--inbound", "--protocol", "icmpv6", "--icmp-type", "135", "--name", "asks")
	crosses("a rule decides over solicitations")
	p.do(t, "rule", "delete", "asks")
	stays("the rule has gone")

	ctx := within(t, time.Minute)
	for _, to := range []*lab.Host{p.h1, p.h2} {
		if err := y.Migrate(ctx, to); err != nil {
			t.Fatal(err)
		}
		passes(t, x, y.IPv6())
	}
	stays("one has moved away and back")
	t.Run("wire", func(t *testing.T) { adverts(t, x, y) })
	t.Run("duplicates", func(t *testing.T) { duplicates(t, p, y) })
}

// adverts compares what answers x, bit by bit, with what y would have answered, and has it not answer what must not be.
func adverts(t *testing.T, x, y *lab.VM) {
	ctx := within(t, time.Minute)
	advert := frame.Advertisement(y.IPv6(), y.MAC())
	advert.Body[0] = 0x60 // solicited, override
	want := frame.Header{Src: y.MAC(), Dst: x.MAC()}.IPv6(frame.IPv6{Src: y.IPv6(), Dst: x.IPv6()}, advert)
	group := frame.SolicitedNode(y.IPv6())
	toAll, toOne := frame.Header{Src: x.MAC(), Dst: frame.MulticastMAC(group)}, frame.Header{Src: x.MAC(), Dst: y.MAC()}
	ask := frame.Solicitation(y.IPv6(), x.MAC())
	wrong := ask
	wrong.Code = 1
	c, err := x.Capture(ctx, "icmp6 and ip6[40] == 136")
	if err != nil {
		t.Fatal(err)
	}
	// The last is answered, and after what came before it would have been.
	for _, f := range [][]byte{
		toAll.IPv6(frame.IPv6{Src: x.IPv6(), Dst: group, HopLimit: 254}, ask),
		toAll.IPv6(frame.IPv6{Src: x.IPv6(), Dst: group}, wrong),
		toAll.IPv6(frame.IPv6{Src: x.IPv6(), Dst: group}, ask),
		toOne.IPv6(frame.IPv6{Src: x.IPv6(), Dst: y.IPv6()}, ask),
	} {
		if err := x.Send(f); err != nil {
			t.Fatal(err)
		}
	}
	answers := func() (n int) {
		for _, q := range c.Packets() {
			if bytes.Equal(q.Bytes, want) {
				n++
			}
		}
		return n
	}
	eventually(t, func(context.Context) error {
		if answers() < 2 {
			return errors.New("there are not two answers as they should be")
		}
		return nil
	})
	if err := c.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if all := len(c.Packets()); all != 2 || answers() != 2 {
		t.Errorf("%d answers, of which %d as they should be, want both 2", all, answers())
		for _, q := range c.Packets() {
			t.Logf("%x", q.Bytes)
		}
		t.Logf("%x is as it should be", want)
	}
}

// duplicates has a VM take the address of another on the other host, and find out that it is taken.
func duplicates(t *testing.T, p *pair, taken *lab.VM) {
	ctx := within(t, time.Minute)
	options := vmOptions("z", "pw7", 13)
	options.DAD = true
	z, err := p.h1.AddVM(ctx, options)
	if err != nil {
		t.Fatal(err)
	}
	passes(t, z, taken.IPv4())
	p.settled(t)
	wire, err := p.Lab.Capture(ctx, "udp dst port 4789")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := z.Exec(ctx, "ip", "addr", "add", taken.IPv6().String()+"/64", "dev", "eth0"); err != nil {
		t.Fatal(out, err)
	}
	eventually(t, func(ctx context.Context) error {
		out, err := z.Exec(ctx, "ip", "-6", "addr", "show", "dadfailed")
		if err == nil && !strings.Contains(out, taken.IPv6().String()) {
			err = errors.New("the address is not known to be taken")
		}
		return err
	})
	err = wire.StopAfter(ctx, func(q lab.Packet) bool {
		_, n := discoveries([]lab.Packet{q})
		return n > 0
	})
	if err != nil {
		t.Error("the question whether the address is taken has not crossed: ", err)
	}
}
