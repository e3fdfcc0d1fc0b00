package kernel_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"poolwire/integration/lab"
	"poolwire/integration/lab/frame"
	"poolwire/integration/lab/kernel"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// TestSolicitations: the kernel's datapath cannot write the flags and the option of a neighbour advertisement, and the switch
// above it answers for locked VMs of the other host all the same.
func TestSolicitations(t *testing.T) {
	d := newDuo(t, "ksolicit", func(first, second *kernel.HostOptions) { first.NoIPsec, second.NoIPsec = true, true })
	d.create(t, &poolwirev1.PrivateNetwork{NameLabel: "blue", Vni: 7})
	ctx := within(t, 2*time.Minute)
	vms := make([]*kernel.VM, 2)
	for i, h := range []*kernel.Host{d.h1, d.h2} {
		vm, err := h.AddVM(ctx, lab.VMOptions{
			Name: []string{"x", "y"}[i], Bridge: "pw7", MTU: encryptedMTU, IPv4: prefix(byte(i + 1)),
			IPv6: netip.MustParsePrefix([]string{"fd66::1/64", "fd66::2/64"}[i]),
		})
		if err != nil {
			t.Fatal(err)
		}
		vms[i] = vm
	}
	x, y := vms[0], vms[1]
	if err := x.Ping(within(t, 30*time.Second), y.IPv6()); err != nil {
		t.Fatal(err)
	}
	for _, vm := range vms {
		d.do(t, "vif", "lock", vm.VIFUUID, "--ipv4", vm.IPv4().String(), "--ipv6", vm.IPv6().String())
	}
	wire, err := d.h1.Capture(ctx, "udp dst port 4789")
	if err != nil {
		t.Fatal(err)
	}
	asked, err := x.Capture(ctx, "icmp6 and ip6[40] == 136")
	if err != nil {
		t.Fatal(err)
	}
	for _, vm := range vms {
		if out, err := vm.Run(ctx, "ip", "-6", "neigh", "flush", "all"); err != nil {
			t.Fatal(out, err)
		}
	}
	if err := x.Ping(within(t, 30*time.Second), y.IPv6()); err != nil {
		t.Fatal(err)
	}
	advert := frame.Advertisement(y.IPv6(), y.MAC())
	advert.Body[0] = 0x60 // solicited, override
	want := string(frame.Header{Src: y.MAC(), Dst: x.MAC()}.IPv6(frame.IPv6{Src: y.IPv6(), Dst: x.IPv6()}, advert))
	eventually(t, func(context.Context) error {
		if lab.Count(asked.Packets(), func(p lab.Packet) bool { return string(p.Bytes) == want }) == 0 {
			return errors.New("no advertisement is as it should be")
		}
		return nil
	})
	for _, c := range []*lab.Capture{wire, asked} {
		if err := c.Stop(ctx); err != nil {
			t.Fatal(err)
		}
	}
	const inner = 14 + 20 + 8 + 8 // what VXLAN puts before a frame
	types := func(icmpType uint8) int {
		return lab.Count(wire.Packets(), func(p lab.Packet) bool {
			const icmp = inner + 14 + 40
			return len(p.Bytes) > icmp && p.Bytes[icmp-34] == frame.ProtocolICMPv6 && p.Bytes[icmp] == icmpType
		})
	}
	if types(frame.ICMPv6EchoRequest) == 0 {
		t.Fatalf("no ping among the %d packets on the cable", len(wire.Packets()))
	}
	if n := types(frame.NeighborSolicit) + types(frame.NeighborAdvert); n != 0 {
		t.Errorf("%d packets of neighbour discovery have crossed between locked VMs", n)
	}
	features, err := d.h1.Appctl(ctx, "dpif/show-dp-features", "pw7")
	if err != nil || !strings.Contains(features, "IPv6 ND Extension: No") {
		t.Logf("this datapath may be one that knows these fields: %v\n%s", err, features)
	}
}
