package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"poolwire/integration/lab"
	"poolwire/integration/lab/frame"
)

// The ports of the frames that a test tells apart.
const (
	deniedPort  = 4000
	allowedPort = 4001
)

// ways are the ways by which a frame may reach a VM: its destination addresses.
func ways(to *lab.VM) map[string]struct {
	mac frame.MAC
	ip  netip.Addr
} {
	type way = struct {
		mac frame.MAC
		ip  netip.Addr
	}
	mdns6 := netip.MustParseAddr("ff02::fb")
	return map[string]way{
		"unicast IPv4":   {to.MAC(), to.IPv4()},
		"unicast IPv6":   {to.MAC(), to.IPv6()},
		"broadcast":      {frame.Broadcast, netip.MustParseAddr("255.255.255.255")},
		"multicast IPv4": {frame.MustMAC("01:00:5e:00:00:fb"), netip.MustParseAddr("224.0.0.251")},
		"multicast IPv6": {frame.MulticastMAC(mdns6), mdns6},
	}
}

// datagram is a UDP frame of a VM.
func datagram(from *lab.VM, mac frame.MAC, to netip.Addr, port uint16, text string) []byte {
	h, udp := frame.Header{Src: from.MAC(), Dst: mac}, frame.UDP{Src: 1000, Dst: port, Payload: []byte(text)}
	if to.Is4() {
		return h.IPv4(frame.IPv4{Src: from.IPv4(), Dst: to}, udp)
	}
	return h.IPv6(frame.IPv6{Src: from.IPv6(), Dst: to}, udp)
}

// copies sends a frame of the denied and then one of the allowed port, and returns
// how often the receiver saw each. The second is repeated until it comes: it is what
// the first would have come before.
func copies(t *testing.T, from, to *lab.VM, mac frame.MAC, ip netip.Addr) (denied, allowed int) {
	t.Helper()
	ctx := within(t, 20*time.Second)
	c, err := to.Capture(ctx, fmt.Sprintf("udp and (dst port %d or dst port %d)", deniedPort, allowedPort))
	if err != nil {
		t.Fatal(err)
	}
	warm := datagram(from, mac, ip, allowedPort, "warm")
	if _, err := from.SendUntil(ctx, c, warm, func(p lab.Packet) bool { return p.DstPort == allowedPort }); err != nil {
		t.Fatalf("what no rule denies does not arrive: %v", err)
	}
	if err := from.Send(datagram(from, mac, ip, deniedPort, "one"), datagram(from, mac, ip, allowedPort, "one")); err != nil {
		t.Fatal(err)
	}
	last := datagram(from, mac, ip, allowedPort, "last")
	if _, err := from.SendUntil(ctx, c, last, func(p lab.Packet) bool { return strings.Contains(string(p.Payload), "last") }); err != nil {
		t.Fatal(err)
	}
	if err := c.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	for _, p := range c.Packets() {
		switch {
		case !strings.Contains(string(p.Payload), "one"):
		case p.DstPort == deniedPort:
			denied++
		default:
			allowed++
		}
	}
	return denied, allowed
}

// matrix is two hosts with every kind of network.
type matrix struct {
	*pair
	hosts []*lab.Host
}

func newMatrix(t *testing.T, name string) *matrix {
	t.Helper()
	m := &matrix{pair: &pair{World: newWorld(t, name)}}
	m.do(t, "pool", "create", "paris")
	ctx := within(t, 2*time.Minute)
	for i := range 2 {
		h, err := m.Join(ctx, "paris", false, lab.HostOptions{Name: fmt.Sprintf("paris%d", i+1), Bridges: []lab.BridgeOptions{
			{Name: "xenbr0", Uplink: true, VLANs: map[string]uint16{"xapi1": 7}},
			{Name: "xenbr1", Uplink: true, Bond: true, BondMode: "active-backup", Segment: "second", VLANs: map[string]uint16{"xapi2": 8}},
		}})
		if err != nil {
			t.Fatal(err)
		}
		m.hosts = append(m.hosts, h)
	}
	m.do(t, "private-network", "create", "blue", "--vni", "7", "--pool", "paris")
	return m
}

// networks are the kinds of networks, by bridge.
var networks = []string{"xenbr0", "xapi1", "xenbr1", "xapi2", "pw7"}

// An inbound rule covers whatever reaches the VM, by whatever way, from its own host
// and from another, on every kind of network; and what it lets pass arrives once.
func TestInboundCoversEverything(t *testing.T) {
	t.Parallel()
	m := newMatrix(t, "inbound")
	ctx := within(t, 4*time.Minute)
	for i, bridge := range networks {
		t.Run(bridge, func(t *testing.T) {
			add := func(h *lab.Host, name string, n int) *lab.VM {
				vm, err := h.AddVM(ctx, vmOptions(name+"-"+bridge, bridge, 10*i+n))
				if err != nil {
					t.Fatal(err)
				}
				return vm
			}
			target := add(m.hosts[0], "t", 1)
			senders := map[string]*lab.VM{"from its own host": add(m.hosts[0], "near", 2), "from another host": add(m.hosts[1], "far", 3)}
			for _, s := range senders {
				passes(t, s, target.IPv4())
				passes(t, s, target.IPv6())
			}
			m.do(t, "rule", "add", "--vif", target.VIF().UUID, "--drop", "--inbound", "--protocol", "udp", "--local-port", fmt.Sprint(deniedPort), "--name", "no-"+bridge)
			for who, s := range senders {
				for how, way := range ways(target) {
					if denied, allowed := copies(t, s, target, way.mac, way.ip); denied != 0 || allowed != 1 {
						t.Errorf("%s %s: %d copies of what is denied, %d of what is not", how, who, denied, allowed)
					}
				}
			}
			unknownUnicast(t, senders["from another host"], target, senders["from its own host"])
			m.do(t, "rule", "delete", "no-"+bridge)
			for who, s := range senders {
				for how, way := range ways(target) {
					if denied, allowed := copies(t, s, target, way.mac, way.ip); denied != 1 || allowed != 1 {
						t.Errorf("without the rule, %s %s: %d and %d copies", how, who, denied, allowed)
					}
				}
			}
		})
	}
}

// unknownUnicast checks that what is flooded because nobody knows its address is
// denied too. The witness has no rules, and sees it.
func unknownUnicast(t *testing.T, from, to, witness *lab.VM) {
	t.Helper()
	ctx := within(t, 20*time.Second)
	var captures []*lab.Capture
	for _, vm := range []*lab.VM{to, witness} {
		c, err := vm.Capture(ctx, fmt.Sprintf("udp and dst port %d", deniedPort))
		if err != nil {
			t.Fatal(err)
		}
		captures = append(captures, c)
	}
	f := datagram(from, frame.MustMAC("02:00:00:00:0f:0f"), to.IPv4(), deniedPort, "flooded")
	if _, err := from.SendUntil(ctx, captures[1], f, func(lab.Packet) bool { return true }); err != nil {
		t.Fatalf("an unknown address is not flooded: %v", err)
	}
	for _, c := range captures {
		if err := c.Stop(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(captures[0].Packets()); n != 0 {
		t.Errorf("%d flooded frames got around the rule", n)
	}
}

// kind is a kind of rule, with a way to see whether it denies.
type kind struct {
	name string
	// rule are the words of the rule on VM a, denying what a and b say to each other.
	rule func(a, b *lab.VM) []string
	// denied says by which protocols a ping from a to b fails.
	v4, v6 bool
}

var kinds = []kind{
	{"outbound", func(_, _ *lab.VM) []string { return []string{"--drop", "--outbound", "--protocol", "icmp"} }, true, false},
	{"inbound", func(_, _ *lab.VM) []string { return []string{"--drop", "--inbound", "--protocol", "icmpv6"} }, false, false},
	{"both ways, stateless", func(_, _ *lab.VM) []string {
		return []string{"--drop", "--both", "--protocol", "icmpv6", "--icmp-type", "128", "--stateless"}
	}, false, true},
	{"remote prefix", func(_, b *lab.VM) []string {
		return []string{"--drop", "--outbound", "--to", b.IPv4().String() + "/32"}
	}, true, false},
	{"remote MAC", func(_, b *lab.VM) []string {
		return []string{"--drop", "--both", "--remote", "mac:" + b.MAC().String()}
	}, true, true},
	{"mandatory any", func(_, _ *lab.VM) []string { return []string{"--drop", "--both", "--mandatory"} }, true, true},
}

// Every kind of rule holds on every kind of network, over real uplinks and tunnels.
func TestRuleKindsOnEveryNetwork(t *testing.T) {
	t.Parallel()
	m := newMatrix(t, "kinds")
	ctx := within(t, 4*time.Minute)
	for i, bridge := range networks {
		t.Run(bridge, func(t *testing.T) {
			var vms []*lab.VM
			for j, h := range m.hosts {
				vm, err := h.AddVM(ctx, vmOptions(fmt.Sprintf("k%d-%s", j, bridge), bridge, 10*i+j+1))
				if err != nil {
					t.Fatal(err)
				}
				vms = append(vms, vm)
			}
			a, b := vms[0], vms[1]
			for _, k := range kinds {
				passes(t, a, b.IPv4())
				passes(t, a, b.IPv6())
				name := strings.ReplaceAll(k.name, " ", "-") + "-" + bridge
				m.do(t, append([]string{"rule", "add", "--vif", a.VIF().UUID, "--name", name}, k.rule(a, b)...)...)
				for _, look := range []struct {
					denied bool
					to     netip.Addr
				}{{k.v4, b.IPv4()}, {k.v6, b.IPv6()}} {
					if look.denied {
						blocked(t, a, look.to)
					} else {
						passes(t, a, look.to)
					}
				}
				m.do(t, "rule", "delete", name)
				if t.Failed() {
					t.Fatalf("with the rule %s", k.name)
				}
			}
		})
	}
}

// What a VIF denies of what is flooded is in the log too, and nobody else misses a copy.
func TestDeniedCopiesAreLogged(t *testing.T) {
	t.Parallel()
	p := newPair(t, "copies")
	c := p.vm(t, p.h1, "c", 3)
	for i, vm := range []*lab.VM{p.a, c} {
		p.do(t, "rule", "add", "--vif", vm.VIF().UUID, "--drop", "--inbound", "--stateless", "--protocol", "udp", "--local-port", fmt.Sprint(deniedPort+i), "--name", fmt.Sprintf("no-%d", i))
	}
	out := p.watchDenied(t, p.a.VIF().UUID)
	seen, err := c.Capture(within(t, time.Minute), fmt.Sprintf("udp and dst port %d", deniedPort))
	if err != nil {
		t.Fatal(err)
	}
	f := datagram(p.b, frame.Broadcast, netip.MustParseAddr("255.255.255.255"), deniedPort, "to all")
	const storm = 200 // far more than are logged in a second
	sent := 0
	eventually(t, func(context.Context) error {
		for range storm {
			if err := p.b.Send(f); err != nil {
				return err
			}
			sent++
		}
		for _, word := range []string{"no-0", p.b.IPv4().String(), "255.255.255.255", fmt.Sprint(deniedPort)} {
			if !strings.Contains(out.String(), word) {
				return fmt.Errorf("the log of what was denied lacks %q:\n%s", word, out)
			}
		}
		return nil
	})
	eventually(t, func(context.Context) error {
		if n := len(seen.Packets()); n != sent {
			return fmt.Errorf("of %d frames %d arrived at a VIF that does not deny them", sent, n)
		}
		return nil
	})
}

// watchDenied follows the log of what was denied about a VIF until the test ends.
func (p *pair) watchDenied(t *testing.T, vif string) *lines {
	t.Helper()
	out := &lines{}
	stop, err := p.StartPoolwire(within(t, time.Minute), out, "denied", "--vif", vif)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return out
}
