package e2e

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"poolwire/integration/lab"
)

// inClear are packets that a guarded host must neither send nor take, and passing such that it may: ports of UDP, and protocols.
// The last of the first kind is sent in fragments.
var (
	inClear = []datagramOf{{"udp", 4789, 64}, {"udp", 6081, 64}, {"ip", 47, 64}, {"udp", 4789, 4000}}
	passing = []datagramOf{{"udp", 500, 64}, {"udp", 4500, 64}, {"udp", 8472, 64}, {"ip", 50, 64}}
)

// datagramOf is a packet of a UDP port, or of a protocol above IP, with so many bytes of payload.
type datagramOf struct {
	network string
	number  int
	size    int
}

// send sends packets from a namespace by ordinary sockets. One that the host's own firewall drops is refused, which is no error.
func send(t *testing.T, from *lab.Namespace, to netip.Addr, all []datagramOf) {
	t.Helper()
	err := from.Do(func() error {
		for _, d := range all {
			network, address := d.network, netip.AddrPortFrom(to, uint16(d.number)).String()
			if network == "ip" {
				network, address = fmt.Sprintf("ip%d:%d", map[bool]int{true: 4, false: 6}[to.Is4()], d.number), to.String()
			}
			conn, err := net.Dial(network, address)
			if err != nil {
				return err
			}
			_, _ = conn.Write(make([]byte, d.size))
			if err := conn.Close(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// The rules that 'host guard' prints, loaded by nft, or by either kind of iptables, let no tunnel packet in clear out of a
// host, nor into it, over IPv4 and IPv6; IKE, ESP and all else pass. Without them everything does.
func TestHostGuardRules(t *testing.T) {
	t.Parallel()
	p := &pair{World: newWorld(t, "hostguard")}
	p.do(t, "pool", "create", "paris")
	p.join(t, "paris1")
	older := p.do(t, "host", "guard", "paris1", "--iptables")
	for i, by := range []struct{ name, needs, script string }{
		{"nft", "nft", "nft -f - <<'END'\n" + p.do(t, "host", "guard", "paris1") + "\nEND\n"},
		{"iptables-nft", "ip6tables-nft", aliased("nft") + older},
		{"iptables-legacy", "ip6tables-legacy", aliased("legacy") + older},
	} {
		t.Run(by.name, func(t *testing.T) {
			if _, err := exec.LookPath(by.needs); err != nil {
				t.Skip(by.needs, "is not here: Debian's package iptables")
			}
			p.guardedBy(t, i, by.script)
		})
	}
}

// aliased has a script use one of the kinds of iptables that a system may have.
func aliased(kind string) string {
	return fmt.Sprintf("iptables() { iptables-%[1]s \"$@\"; }\nip6tables() { ip6tables-%[1]s \"$@\"; }\n", kind)
}

// guardedBy looks at two places before and after a script has guarded the first of them.
func (p *pair) guardedBy(t *testing.T, number int, script string) {
	t.Helper()
	ctx := within(t, 2*time.Minute)
	var places []*lab.Node
	for i, name := range []string{"guarded", "peer"} {
		n, err := p.Lab.AddNode(ctx, fmt.Sprint(name, number))
		if err != nil {
			t.Fatal(err)
		}
		if out, err := n.Run(ctx, "ip", "addr", "add", fmt.Sprintf("fd00:64:%d::%d/64", number, i+1), "dev", "eth0", "nodad"); err != nil {
			t.Fatal(out, err)
		}
		places = append(places, n)
	}
	g := &guardedPlace{guarded: places[0].Namespace, peer: places[1].Namespace}
	g.able(t, script)
	// What has come as far as a socket has passed this, which comes after the guard.
	g.nft(t, places[0].Namespace, seenRules)
	g.nft(t, places[1].Namespace, seenRules)
	sixes := [2]netip.Addr{netip.MustParseAddr(fmt.Sprintf("fd00:64:%d::1", number)), netip.MustParseAddr(fmt.Sprintf("fd00:64:%d::2", number))}
	for _, loaded := range []bool{false, true} {
		for range map[bool]int{true: 2}[loaded] { // the second time changes nothing
			if out, err := g.guarded.Run(ctx, "sh", "-c", script); err != nil {
				t.Fatal(out, err)
			}
		}
		for _, a := range [][2]netip.Addr{{places[0].Addr, places[1].Addr}, sixes} {
			g.judge(t, loaded, "out", g.guarded, g.peer, a[1])
			g.judge(t, loaded, "in", g.peer, g.guarded, a[0])
		}
	}
	g.once(t, script)
}

// able skips a test of iptables where the kernel has no policy match: dom0 has one, other kernels need not.
func (g *guardedPlace) able(t *testing.T, script string) {
	t.Helper()
	aliases, _, is := strings.Cut(script, "#")
	if !is || !strings.HasPrefix(script, "iptables()") {
		return
	}
	for _, tables := range []string{"iptables", "ip6tables"} {
		try := fmt.Sprintf("%s\n%[2]s -N able\n%[2]s -A able -m policy --dir out --pol none -j DROP\n%[2]s -F able && %[2]s -X able\n", aliases, tables)
		if _, err := g.guarded.Run(within(t, 20*time.Second), "sh", "-ec", try); err != nil {
			t.Skip("the kernel here has no policy match for", tables, err)
		}
	}
}

// once checks that a script of iptables which has run twice has left each of its four rules once.
func (g *guardedPlace) once(t *testing.T, script string) {
	t.Helper()
	aliases, _, _ := strings.Cut(script, "#")
	if !strings.HasPrefix(script, "iptables()") {
		return
	}
	for _, tables := range []string{"iptables", "ip6tables"} {
		out, err := g.guarded.Run(within(t, 20*time.Second), "sh", "-c", aliases+"\n"+tables+" -S\n")
		if n := strings.Count(out, "-j DROP"); err != nil || n != 4 || strings.Count(out, "--pol none") != 4 {
			t.Errorf("%d rules: %v\n%s", n, err, out)
		}
	}
}

// seenRules count what arrives at a host, behind all that filters.
const seenRules = `table inet seen {
	counter inclear { }
	counter passing { }
	chain input {
		type filter hook input priority 100; policy accept;
		udp dport { 4789, 6081 } counter name inclear
		meta l4proto gre counter name inclear
		udp dport { 500, 4500, 8472 } counter name passing
		meta l4proto esp counter name passing
	}
}`

type guardedPlace struct{ guarded, peer *lab.Namespace }

func (g *guardedPlace) nft(t *testing.T, at *lab.Namespace, rules string) {
	t.Helper()
	if out, err := at.Run(within(t, 20*time.Second), "sh", "-c", "nft -f - <<'END'\n"+rules+"\nEND\n"); err != nil {
		t.Fatal(out, err)
	}
}

// judge sends everything one way, and counts what has arrived.
func (g *guardedPlace) judge(t *testing.T, loaded bool, way string, from, to *lab.Namespace, addr netip.Addr) {
	t.Helper()
	eventually(t, func(ctx context.Context) error { return from.Ping(ctx, addr) }) // the neighbour is known
	if _, err := to.Run(within(t, 20*time.Second), "nft", "reset", "counters"); err != nil {
		t.Fatal(err)
	}
	want := len(inClear)
	if loaded {
		want = 0
	}
	send(t, from, addr, inClear)
	send(t, from, addr, passing)
	// Packets do not overtake each other here: those in clear were sent first.
	eventually(t, func(ctx context.Context) error {
		out, err := to.Run(ctx, "nft", "list", "counters")
		if got := counted(out, "passing"); err == nil && got != len(passing) {
			err = fmt.Errorf("%s, to %v, rules loaded: %v: %d of %d packets passed that should", way, addr, loaded, got, len(passing))
		}
		if got := counted(out, "inclear"); err == nil && got != want {
			t.Errorf("%s, to %v, rules loaded: %v: %d tunnel packets in clear passed, want %d", way, addr, loaded, got, want)
		}
		return err
	})
}

// counted reads a named counter from what nft lists.
func counted(list, name string) int {
	_, rest, _ := strings.Cut(list, "counter "+name+" {")
	_, rest, _ = strings.Cut(rest, "packets ")
	n := -1
	_, _ = fmt.Sscan(rest, &n)
	return n
}
