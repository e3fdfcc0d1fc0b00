package scenario

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"poolwire/integration/lab"
	"poolwire/integration/lab/frame"
)

var errLeak = errors.New("a packet passed that must not")

func privateNetworkPings(ctx context.Context, w *World) (string, error) {
	if _, err := w.Poolwire(ctx, "private-network", "create", "blue", "--vni", "100", "--pool", "paris", "--pool", "lyon"); err != nil {
		return "", err
	}
	for i, host := range []string{"paris1", "paris2", "lyon1"} {
		if err := w.addVM(ctx, host, vmAt("blue-"+host, "pw100", 1+i)); err != nil {
			return "", err
		}
	}
	c, err := w.Lab.Capture(ctx, "udp port 4789")
	if err != nil {
		return "", err
	}
	if err := w.pingAll(ctx, "blue-paris1", "blue-paris2", "blue-lyon1"); err != nil {
		return "", err
	}
	// The pings crossed the fabric as VXLAN with this VNI, and in no other way.
	if _, err := c.WaitFor(ctx, func(p lab.Packet) bool {
		return p.VNI == 100 && p.Inner != nil && p.Inner.ICMPType == frame.ICMPEchoRequest
	}); err != nil {
		return "", err
	}
	return "12 pairs over IPv4 and IPv6", c.Stop(ctx)
}

func secondNetworkInvisible(ctx context.Context, w *World) (string, error) {
	if _, err := w.Poolwire(ctx, "private-network", "create", "green", "--vni", "200", "--encapsulation", "gre", "--pool", "paris", "--pool", "lyon"); err != nil {
		return "", err
	}
	for i, host := range []string{"paris1", "lyon1"} {
		if err := w.addVM(ctx, host, vmAt("green-"+host, "pw200", 1+i)); err != nil {
			return "", err
		}
	}
	// Only green has number 9, beside blue's VM on the same host.
	if err := w.addVM(ctx, "paris2", vmAt("green-paris2", "pw200", 9)); err != nil {
		return "", err
	}
	if err := w.pingAll(ctx, "green-paris1", "green-paris2", "green-lyon1"); err != nil {
		return "", err
	}
	c, err := w.vms["green-paris2"].Capture(ctx, "")
	if err != nil {
		return "", err
	}
	blue, mac := w.vms["blue-paris1"], w.vms["blue-paris1"].MAC()
	if r, err := blue.PingCount(ctx, w.vms["green-paris2"].IPv4(), lab.PingOptions{Count: 3, Interval: 10 * time.Millisecond, Wait: 200 * time.Millisecond}); err == nil && r.Received > 0 {
		return "", fmt.Errorf("%w: blue reaches green's 10.77.0.9", errLeak)
	}
	before, err := c.Before(ctx, w.vms["green-lyon1"].Send, marker(w.vms["green-lyon1"]))
	if err != nil {
		return "", err
	}
	for _, p := range before {
		if p.Src == mac {
			return "", fmt.Errorf("%w: green saw %v of blue", errLeak, p.Packet)
		}
	}
	return "blue and green both use 10.77.0.0/24 and fd77::/64", c.Stop(ctx)
}

// marker is a broadcast of a VM's own that locks let pass and nothing else sends.
func marker(vm *lab.VM) []byte {
	h := frame.Header{Src: vm.MAC(), Dst: frame.Broadcast}
	return h.IPv4(frame.IPv4{Src: vm.IPv4(), Dst: netip.MustParseAddr("255.255.255.255")},
		frame.UDP{Src: 9, Dst: 9, Payload: fmt.Appendf(nil, "marker %d", time.Now().UnixNano())})
}
