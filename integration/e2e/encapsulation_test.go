package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"poolwire/integration/lab"
)

// Every encapsulation carries traffic over IPv4 and IPv6, on the UDP port that was asked for; the wire is the judge. What cannot
// work is said of the hosts that it is about.
func TestEncapsulations(t *testing.T) {
	t.Parallel()
	p := &pair{World: newWorld(t, "kinds")}
	p.do(t, "pool", "create", "paris")
	ctx := within(t, 3*time.Minute)
	var hosts []*lab.Host
	for _, name := range []string{"paris1", "paris2"} {
		h, err := p.Join(ctx, "paris", false, lab.HostOptions{Name: name})
		if err != nil {
			t.Fatal(err)
		}
		hosts = append(hosts, h)
	}
	carried := func(vni int, filter string) {
		t.Helper()
		var vms []*lab.VM
		for i, h := range hosts {
			vm, err := h.AddVM(ctx, vmOptions(fmt.Sprintf("v%d%d", vni, i), fmt.Sprintf("pw%d", vni), 11+i))
			if err != nil {
				t.Fatal(err)
			}
			vms = append(vms, vm)
		}
		wire, err := p.Lab.Capture(ctx, filter)
		if err != nil {
			t.Fatal(err)
		}
		passes(t, vms[0], vms[1].IPv4())
		passes(t, vms[1], vms[0].IPv6())
		const both = 4 // a request and an answer each way
		n := 0
		err = wire.StopAfter(ctx, func(lab.Packet) bool {
			n++
			return n >= both
		})
		if err != nil {
			t.Errorf("VNI %d: %d packets of %q on the wire: %v", vni, n, filter, err)
		}
		for _, vm := range vms {
			if err := vm.Close(ctx); err != nil {
				t.Fatal(err)
			}
		}
	}
	for vni, kind := range map[int]struct{ flags, filter string }{
		11: {"--encapsulation vxlan", "ip and udp dst port 4789"},
		12: {"--encapsulation geneve", "ip and udp dst port 6081"},
		13: {"--encapsulation gre", "ip proto 47"},
		14: {"--encapsulation vxlan --udp-port 8472", "ip and udp dst port 8472"},
	} {
		p.do(t, strings.Fields(fmt.Sprintf("private-network create net%d --vni %d --pool paris %s", vni, vni, kind.flags))...)
		carried(vni, kind.filter)
	}
	if _, err := p.Poolwire(ctx, strings.Fields("private-network create leaky --pool paris --udp-port 8472 --encrypted")...); err == nil || !strings.Contains(err.Error(), "udp_port") {
		t.Errorf("another UDP port together with encryption: %v", err)
	}

	for i, h := range hosts {
		addr := fmt.Sprintf("fd00:64::%d", i+1)
		if out, err := h.Run(ctx, "ip", "addr", "add", addr+"/64", "dev", "xenbr0", "nodad"); err != nil {
			t.Fatal(out, err)
		}
		p.do(t, "host", "set", h.ShortName, "--transport-address", addr)
	}
	carried(11, "ip6 and udp dst port 4789")
	carried(12, "ip6 and udp dst port 6081")
	eventually(t, func(context.Context) error {
		if out := p.do(t, "private-network", "show", "net13"); !strings.Contains(out, "GRE has no tunnels over IPv6") {
			return fmt.Errorf("GRE over IPv6: %s", out)
		}
		return nil
	})
}
