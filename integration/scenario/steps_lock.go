package scenario

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"

	"poolwire/integration/lab"
	"poolwire/integration/lab/frame"
)

// lockedVM and its neighbour, which sees what gets through.
const (
	lockedVM  = "blue-paris1"
	neighbour = "blue-paris2"
)

func lockedPasses(ctx context.Context, w *World) (string, error) {
	vm := w.vms[lockedVM]
	if _, err := w.Poolwire(ctx, "vif", "lock", vm.VIF().UUID, "--ipv4", vm.IPv4().String(), "--ipv6", vm.IPv6().String()); err != nil {
		return "", err
	}
	var v jsonVif
	if err := w.read(ctx, &v, "vif", "show", vm.VIF().UUID); err != nil {
		return "", err
	}
	if v.Locking != "LOCKING_MODE_LOCKED" {
		return "", fmt.Errorf("effective locking mode is %q", v.Locking)
	}
	if err := w.pingAll(ctx, lockedVM, neighbour); err != nil {
		return "", err
	}
	c, err := w.vms[neighbour].Capture(ctx, "")
	if err != nil {
		return "", err
	}
	for name, f := range map[string][]byte{"DHCP": frame.DHCPDiscover(vm.MAC(), 77), "DHCPv6": frame.DHCPv6Solicit(vm.MAC(), 78)} {
		if _, err := vm.SendUntil(ctx, c, f, func(p lab.Packet) bool { return bytes.Equal(p.Bytes, f) }); err != nil {
			return "", fmt.Errorf("%s request did not pass: %w", name, err)
		}
	}
	return vm.IPv4().String() + ", " + vm.IPv6().String(), c.Stop(ctx)
}

// spoofs are frames a locked VM must not get out, by name. Every one is
// broadcast or multicast, so that the neighbour would see it.
func spoofs(vm *lab.VM) map[string][]byte {
	mac, own4, own6 := vm.MAC(), vm.IPv4(), vm.IPv6()
	other := frame.MustMAC("02:00:00:00:66:66")
	stolen4, stolen6 := netip.MustParseAddr("10.77.0.66"), netip.MustParseAddr("fd77::66")
	all4, all6 := netip.MustParseAddr("10.77.0.255"), netip.MustParseAddr("ff02::1")
	h := frame.Header{Src: mac, Dst: frame.Broadcast}
	group := frame.Header{Src: mac, Dst: frame.MulticastMAC(all6)}
	asOther := frame.Header{Src: other, Dst: frame.Broadcast}
	udp := frame.UDP{Src: 1000, Dst: 2000, Payload: []byte("spoofed")}
	return map[string][]byte{
		"another MAC":                  asOther.IPv4(frame.IPv4{Src: own4, Dst: all4}, udp),
		"another IPv4 address":         h.IPv4(frame.IPv4{Src: stolen4, Dst: all4}, udp),
		"another IPv6 address":         group.IPv6(frame.IPv6{Src: stolen6, Dst: all6}, udp),
		"ARP for another address":      h.ARP(frame.ARP{Op: frame.ARPReply, SHA: mac, SPA: stolen4, TPA: stolen4}),
		"ARP with another MAC inside":  h.ARP(frame.ARP{Op: frame.ARPReply, SHA: other, SPA: own4, TPA: own4}),
		"ARP from another MAC":         asOther.ARP(frame.ARP{Op: frame.ARPRequest, SHA: other, SPA: own4, TPA: all4}),
		"ND advertisement for another": group.IPv6(frame.IPv6{Src: own6, Dst: all6}, frame.Advertisement(stolen6, mac)),
		"ND with another MAC inside":   group.IPv6(frame.IPv6{Src: own6, Dst: all6}, frame.Advertisement(own6, other)),
		"ND solicitation from another": group.IPv6(frame.IPv6{Src: stolen6, Dst: all6}, frame.Solicitation(own6, mac)),
		"router advertisement":         group.IPv6(frame.IPv6{Src: frame.LinkLocal(mac), Dst: all6}, frame.RouterAdvertisement()),
		"a VLAN tag":                   frame.Header{Src: mac, Dst: frame.Broadcast, Tags: []uint16{7}}.IPv4(frame.IPv4{Src: own4, Dst: all4}, udp),
		"neither IP nor ARP":           h.Raw(frame.TypeTest, []byte("spoofed")),
		"DHCP server reply":            h.IPv4(frame.IPv4{Src: stolen4, Dst: all4}, frame.UDP{Src: 67, Dst: 68, Payload: []byte("offer")}),
		"router advertisement, stolen": group.IPv6(frame.IPv6{Src: stolen6, Dst: all6}, frame.RouterAdvertisement()),
		"DAD for another address":      group.IPv6(frame.IPv6{Src: netip.IPv6Unspecified(), Dst: all6}, frame.Solicitation(stolen6, frame.MAC{})),
	}
}

func lockedStopsSpoofing(ctx context.Context, w *World) (string, error) {
	vm := w.vms[lockedVM]
	c, err := w.vms[neighbour].Capture(ctx, "")
	if err != nil {
		return "", err
	}
	attempts := spoofs(vm)
	for _, f := range attempts {
		for range 3 {
			if err := vm.Send(f); err != nil {
				return "", err
			}
		}
	}
	// Everything before the marker has been judged once the marker has arrived.
	arrived, err := c.Before(ctx, vm.Send, marker(vm))
	if err != nil {
		return "", err
	}
	for _, p := range arrived {
		for name, f := range attempts {
			if bytes.Equal(p.Bytes, f) || (p.Src == vm.MAC() && bytes.Contains(p.Bytes, []byte("spoofed"))) {
				return "", fmt.Errorf("%w: %s", errLeak, name)
			}
		}
	}
	return fmt.Sprintf("%d kinds of frames", len(attempts)), c.Stop(ctx)
}
