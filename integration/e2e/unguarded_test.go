package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"poolwire/integration/lab"
)

// Tunnels that leave by a NIC outside Open vSwitch cannot be guarded: such a host takes no part in an encrypted network, and the
// status says why, until its operator answers for its firewall.
func TestATransportOutsideTheSwitchIsRefused(t *testing.T) {
	t.Parallel()
	p := &pair{World: newWorld(t, "outside")}
	p.do(t, "pool", "create", "paris")
	ctx := within(t, 2*time.Minute)
	var hosts []*lab.Host
	for i, name := range []string{"paris1", "paris2"} {
		h, err := p.Join(ctx, "paris", false, lab.HostOptions{Name: name})
		if err != nil {
			t.Fatal(err)
		}
		hosts = append(hosts, h)
		addr := fmt.Sprintf("100.90.1.%d", i+1)
		for _, args := range [][]string{{"ip", "link", "add", "outside0", "type", "veth", "peer", "name", "beyond0"}, {"ip", "link", "set", "beyond0", "up"}, {"ip", "addr", "add", addr + "/24", "dev", "outside0"}, {"ip", "link", "set", "outside0", "up"}} {
			if out, err := h.Run(ctx, args...); err != nil {
				t.Fatal(out, err)
			}
		}
		p.do(t, "host", "set", name, "--transport-address", addr)
	}
	foresees := func(said, words string) {
		t.Helper()
		eventually(t, func(context.Context) error {
			out := p.do(t, "private-network", "create", "other", "--pool", "paris", "--encrypted", "--dry-run")
			for _, name := range []string{"paris1", "paris2"} {
				if _, line, _ := strings.Cut(out, "\n"+name+" "); !strings.HasPrefix(strings.TrimSpace(line), said) || !strings.Contains(strings.Split(line, "\n")[0], words) {
					return fmt.Errorf("%s is not said %q, %q:\n%s", name, said, words, out)
				}
			}
			return nil
		})
	}
	// A bridge that is no network's is not programmed, whatever address it has.
	foresees("no ", "carry no network of the pool")
	for _, h := range hosts {
		if out, err := h.Vsctl(ctx, "br-set-external-id", "xenbr0", "xs-network-uuids", p.Lab.UUID("network", "xenbr0")); err != nil {
			t.Fatal(out, err)
		}
	}
	// Before there is any tunnel nothing is promised; one in clear is enough to know.
	foresees("not known yet", "whether its transport address is on a bridge")
	p.do(t, "private-network", "create", "plain", "--vni", "30", "--pool", "paris")
	foresees("no ", "outside0 is on no bridge")
	p.do(t, "private-network", "delete", "plain")
	foresees("not known yet", "whether its transport address is on a bridge")
	p.do(t, "private-network", "create", "vault", "--vni", "31", "--pool", "paris", "--encrypted")
	said := func(words string, there bool) {
		t.Helper()
		eventually(t, func(context.Context) error {
			out := p.do(t, "private-network", "show", "vault")
			if strings.Contains(out, words) != there {
				return fmt.Errorf("%q: %v wanted in\n%s", words, there, out)
			}
			return nil
		})
	}
	said("outside0 is on no bridge", true)
	foresees("no ", "outside0 is on no bridge")
	for _, name := range []string{"paris1", "paris2"} {
		rules := p.do(t, "host", "guard", name)
		if !strings.Contains(rules, "rt ipsec missing drop") {
			t.Errorf("the rules for %s:\n%s", name, rules)
		}
		p.do(t, "host", "set", name, "--transport-guard", "host-firewall")
	}
	said("outside0 is on no bridge", false)
	said("nothing passes to or from", true) // there is no IPsec in this lab
}
