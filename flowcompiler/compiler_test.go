package flowcompiler

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"poolwire/overlay"
	"poolwire/southbound/openflow/flow"
)

// world draws random objects from small ranges, so that they meet: the same MAC
// address twice, two VIFs on one port, networks that come and go.
type world struct{ t *rapid.T }

func (w world) id(label string, low, n uint32) uint32 {
	return low + rapid.Uint32Range(0, n-1).Draw(w.t, label)
}

func (w world) mac() flow.MAC {
	return rapid.SampledFrom([]flow.MAC{{}, macA, macB, macC, macD, hostMAC}).Draw(w.t, "mac")
}

func (w world) ports(least int) []uint32 {
	return rapid.SliceOfN(rapid.SampledFrom([]uint32{0, 1, 2, 3, 63, 64, 200, 65535}), least, 3).Draw(w.t, "ports")
}

var somePrefixes = append(prefixes("192.0.2.0/24", "192.0.2.7", "2001:db8::/64", "2001:db8::7", "0.0.0.0/0", "::/0", "::ffff:192.0.2.0/120"),
	netip.Prefix{}, netip.PrefixFrom(netip.IPv6Unspecified(), 200))

func (w world) prefixes(label string) []netip.Prefix {
	return rapid.SliceOfN(rapid.SampledFrom(somePrefixes), 0, 3).Draw(w.t, label)
}

func (w world) rules(low uint32) []Rule {
	rule := rapid.Custom(func(t *rapid.T) Rule {
		w := world{t}
		return Rule{
			ID:        w.id("rule", low, 4),
			Direction: rapid.SampledFrom([]Direction{To, From, Both}).Draw(t, "direction"),
			Prefix:    rapid.SampledFrom(somePrefixes).Draw(t, "prefix"),
			Protocol:  rapid.SampledFrom([]Protocol{IP, TCP, UDP, ICMP, ARP}).Draw(t, "protocol"),
			Port:      22, HasPort: rapid.Bool().Draw(t, "hasPort"),
			Allow:    rapid.Bool().Draw(t, "allow"),
			Priority: rapid.SampledFrom([]uint16{0, 1, 100, 101, 65535}).Draw(t, "priority"),
		}
	})
	return rapid.SliceOfN(rule, 0, 4).Draw(w.t, "rules")
}

func (w world) locking() LockingMode {
	return rapid.SampledFrom([]LockingMode{Unlocked, Locked, Disabled}).Draw(w.t, "locking")
}

func (w world) bridge() Bridge {
	return Bridge{
		Kind:              rapid.SampledFrom([]BridgeKind{NetworkBridge, NetworkBridge, OverlayBridge}).Draw(w.t, "kind"),
		LocalMAC:          w.mac(),
		AdmitUnclassified: rapid.Bool().Draw(w.t, "admit"),
		NoLearnLimit:      rapid.Bool().Draw(w.t, "noLimit"),
		NoPolicies:        rapid.IntRange(0, 3).Draw(w.t, "noPolicies") == 3,
		NoMeters:          rapid.IntRange(0, 3).Draw(w.t, "noMeters") == 3,
		NoAnswers:         rapid.IntRange(0, 3).Draw(w.t, "noAnswers") == 3,
	}
}

func (w world) network() Network {
	return Network{
		ID:             w.id("network", 1, 3),
		VLAN:           rapid.SampledFrom([]uint16{0, 10, 20}).Draw(w.t, "vlan"),
		Private:        rapid.Bool().Draw(w.t, "private"),
		DefaultLocking: rapid.SampledFrom([]LockingMode{Unlocked, Disabled}).Draw(w.t, "default"),
		VNI:            rapid.Uint32Range(1, 3).Draw(w.t, "vni"),
		DropInbound:    rapid.Bool().Draw(w.t, "dropIn"),
		DropOutbound:   rapid.Bool().Draw(w.t, "dropOut"),
		Snooping:       rapid.Bool().Draw(w.t, "snooping"),
		RelayVNI:       rapid.SampledFrom([]uint32{0, 7}).Draw(w.t, "relayVNI"),
		RAGuard:        rapid.Bool().Draw(w.t, "raGuard"),
		DHCPGuard:      rapid.Bool().Draw(w.t, "dhcpGuard"),
		Rules:          w.rules(40),
	}
}

func (w world) vif() VIF {
	return w.stations(VIF{
		ID: w.id("vif", 100, 5), Network: w.id("network", 1, 3), Ports: w.ports(0), MAC: w.mac(), Locking: w.locking(),
		IPv4: w.prefixes("ipv4"), IPv6: w.prefixes("ipv6"), Rules: w.rules(50),
		Groups: w.groups(), Zone: rapid.Uint16Range(0, 6).Draw(w.t, "zone"),
		Isolation:    rapid.SampledFrom([]Isolation{Promiscuous, Promiscuous, Isolated, Community}).Draw(w.t, "isolation"),
		Community:    rapid.Uint16Range(0, 2).Draw(w.t, "community"),
		Copies:       rapid.Bool().Draw(w.t, "copies"),
		Moving:       rapid.IntRange(0, 3).Draw(w.t, "moving") == 3,
		Inbound:      w.limit("inbound"),
		Outbound:     w.limit("outbound"),
		Trunks:       rapid.SampledFrom([][]uint16{nil, {10}, {10, 20}}).Draw(w.t, "trunks"),
		MayAdvertise: rapid.Bool().Draw(w.t, "mayAdvertise"),
	})
}

func (w world) tunnel() Tunnel {
	return Tunnel{
		Host: w.id("host", 70, 2), Encapsulation: rapid.SampledFrom([]overlay.Encapsulation{overlay.VXLAN, overlay.GRE}).Draw(w.t, "encapsulation"),
		UDPPort: rapid.SampledFrom([]uint16{0, 0, 8472}).Draw(w.t, "udpPort"),
	}
}

func (w world) hop() Hop {
	if rapid.IntRange(0, 3).Draw(w.t, "no hop") == 0 {
		return Hop{}
	}
	return Hop{w.tunnel(), rapid.Bool().Draw(w.t, "relay")}
}

func (w world) hops() []Hop {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Hop { return world{t}.hop() }), 0, 3).Draw(w.t, "hops")
}

func (w world) tunnels() []Tunnel {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Tunnel { return world{t}.tunnel() }), 0, 3).Draw(w.t, "tunnels")
}

// changeOverlay draws one call about the ways between hosts and makes it.
func (w world) changeOverlay(c *Compiler) {
	network := w.id("network", 1, 3)
	class := rapid.SampledFrom([]overlay.Class{overlay.FromMembers, overlay.FromSites}).Draw(w.t, "class")
	switch rapid.IntRange(0, 7).Draw(w.t, "overlay change") {
	case 0:
		c.SetLink(Link{network, w.tunnel(), rapid.Bool().Draw(w.t, "answers"), rapid.Bool().Draw(w.t, "far")})
	case 1:
		c.RemoveLink(network, w.tunnel())
	case 2:
		c.SetFlood(network, w.hops())
	case 3:
		c.SetPass(Pass{network, class, w.tunnels(), w.hops()})
	case 4:
		c.RemovePass(network, class)
	case 5:
		c.SetLocal(network, w.macs())
	case 6:
		c.SetGuard(Guard{Host: w.id("host", 70, 2), Peer: rapid.SampledFrom([]netip.Addr{{}, netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}).Draw(w.t, "peer")})
	case 7:
		c.RemoveGuard(w.id("host", 70, 2))
	}
}

func (w world) port() Port {
	return Port{
		OFPort:  rapid.SampledFrom([]uint32{0, 1, 2, 9, 12, 64, 65534, flow.PortLocal}).Draw(w.t, "ofport"),
		Kind:    rapid.SampledFrom([]PortKind{PortForeign, PortUplink, PortHost, PortPatch, PortTunnel}).Draw(w.t, "kind"),
		Network: w.id("network", 1, 3), MAC: w.mac(), Tunnel: w.tunnel(), Inactive: rapid.Bool().Draw(w.t, "inactive"),
	}
}

func (w world) remote() Remote {
	return Remote{
		Network: w.id("network", 1, 3), Host: w.id("host", 70, 2), Via: w.hop(), Pass: w.hop(), MACs: w.macs(),
	}
}

func (w world) macs() []flow.MAC {
	return rapid.SliceOfN(rapid.SampledFrom([]flow.MAC{{}, macA, macB, macC}), 0, 3).Draw(w.t, "macs")
}

// change draws one call and makes it.
func (w world) change(c *Compiler) {
	switch rapid.IntRange(0, 18).Draw(w.t, "change") {
	case 0:
		c.SetNetwork(w.network())
	case 1:
		c.RemoveNetwork(w.id("network", 1, 3))
	case 2, 3:
		c.SetVIF(w.vif())
	case 4:
		c.RemoveVIF(w.id("vif", 100, 5))
	case 5:
		c.SetPort(w.port())
	case 6:
		c.RemovePort(w.port().OFPort)
	case 7:
		c.SetRemote(w.remote())
	case 8:
		c.RemoveRemote(w.id("network", 1, 3), w.id("host", 70, 2))
	case 10, 11:
		w.changeOverlay(c)
	case 15:
		w.changeNeighbor(c)
	case 16, 17:
		c.SetGroup(w.group())
	case 18:
		c.RemoveGroup(w.id("network", 1, 3), w.groupMAC())
	case 9:
		if rapid.IntRange(0, 3).Draw(w.t, "seldom") == 0 {
			c.SetBridge(w.bridge())
		}
	default:
		w.changePolicy(c)
	}
}

// input returns everything that a compiler was told, in an order of its own.
func (w world) input(c *Compiler) Input {
	in := Input{
		Bridge: c.bridge, Policies: maps.Clone(c.policies), Peers: maps.Clone(c.peers),
		Floods: maps.Clone(c.floods), Locals: maps.Clone(c.locals),
	}
	for _, l := range c.links {
		in.Links = append(in.Links, *l)
	}
	for _, p := range c.passes {
		in.Passes = append(in.Passes, *p)
	}
	for _, g := range c.guards {
		in.Guards = append(in.Guards, *g)
	}
	for _, n := range c.neighbors {
		in.Neighbors = append(in.Neighbors, *n)
	}
	for _, g := range c.groups {
		in.Groups = append(in.Groups, *g)
	}
	for _, n := range c.networks {
		in.Networks = append(in.Networks, *n)
	}
	for _, v := range c.vifs {
		in.VIFs = append(in.VIFs, *v)
	}
	for _, p := range c.ports {
		in.Ports = append(in.Ports, *p)
	}
	for _, r := range c.remotes {
		in.Remotes = append(in.Remotes, *r)
	}
	return in
}

// held is what a switch holds that was given every Delta.
type held struct {
	flows  map[flow.Key]flow.Flow
	ports  map[uint32]PortConfig
	meters map[uint32]Meter
}

// apply applies a Delta as strictly as a switch that refuses nonsense would.
func (h *held) apply(t *rapid.T, d Delta) {
	for _, f := range d.Flows.Delete {
		if have, ok := h.flows[f.Key()]; !ok || have != f {
			t.Fatalf("delete of a flow that is not there: %v", f)
		}
		delete(h.flows, f.Key())
	}
	for _, f := range d.Flows.Modify {
		if have, ok := h.flows[f.Key()]; !ok || have.Cookie != f.Cookie || have == f {
			t.Fatalf("modify of a flow that is not there, has another cookie or is the same: %v", f)
		}
		h.flows[f.Key()] = f
	}
	for _, f := range d.Flows.Add {
		if have, ok := h.flows[f.Key()]; ok && have.Cookie == f.Cookie {
			t.Fatalf("add of a flow that is there: %v", f)
		}
		h.flows[f.Key()] = f
	}
	for ofport, config := range d.Ports {
		if h.ports[ofport] == config {
			t.Fatalf("port %d: configuration %+v is what it has", ofport, config)
		}
		h.ports[ofport] = config
	}
	for id, meter := range d.Meters {
		if have, ok := h.meters[id]; ok && have == meter {
			t.Fatalf("meter %d: %+v is what it has", id, meter)
		}
		h.meters[id] = meter
	}
	for _, id := range d.MetersGone {
		if _, ok := h.meters[id]; !ok {
			t.Fatalf("meter %d is not there", id)
		}
		delete(h.meters, id)
	}
}

// TestIncrementalEqualsFromScratch is the compiler's main promise. After any
// sequence of calls and Commits the flows are those that compiling the same
// objects from scratch gives, in whatever order they are told; and a switch that
// was only ever given the Deltas holds exactly these.
func TestIncrementalEqualsFromScratch(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := world{t}
		c := New()
		c.SetBridge(w.bridge())
		sw := held{make(map[flow.Key]flow.Flow), make(map[uint32]PortConfig), make(map[uint32]Meter)}
		for range rapid.IntRange(1, 25).Draw(t, "changes") {
			w.change(c)
			if rapid.Bool().Draw(t, "commit") {
				d, err := c.Commit()
				if err != nil {
					t.Fatal(err)
				}
				sw.apply(t, d)
			}
		}
		d, err := c.Commit()
		if err != nil {
			t.Fatal(err)
		}
		sw.apply(t, d)
		scratch, err := Compile(w.input(c))
		if err != nil {
			t.Fatal(err)
		}
		compareWith(t, "incremental", c, scratch)
		if got := slices.SortedFunc(maps.Values(sw.flows), flow.Compare); !slices.Equal(got, slices.Collect(scratch.Flows())) {
			t.Fatalf("applied deltas differ:\n%s", diffFlows(slices.Collect(scratch.Flows()), got))
		}
		for ofport, config := range sw.ports {
			if config != scratch.PortConfigs()[ofport] {
				t.Fatalf("port %d was left at %+v", ofport, config)
			}
		}
		if !maps.Equal(sw.meters, scratch.Meters()) {
			t.Fatalf("meters %v, from scratch %v", sw.meters, scratch.Meters())
		}
		if d, err := c.Commit(); err != nil || !d.Empty() {
			t.Fatalf("a second Commit: %v, %v", d, err)
		}
	})
}

// compareWith compares two compilers that were told the same.
func compareWith(t *rapid.T, what string, got, want *Compiler) {
	a, b := slices.Collect(got.Flows()), slices.Collect(want.Flows())
	if !slices.Equal(a, b) {
		t.Fatalf("%s differs from scratch:\n%s", what, diffFlows(b, a))
	}
	if got.Len() != len(b) || !maps.Equal(got.PortConfigs(), want.PortConfigs()) {
		t.Fatalf("%s: %d flows, ports %v; from scratch %d, %v", what, got.Len(), got.PortConfigs(), len(b), want.PortConfigs())
	}
}

// diffFlows lists what one sorted list has and the other has not.
func diffFlows(want, got []flow.Flow) string {
	var text string
	for _, f := range want {
		if !slices.Contains(got, f) {
			text += fmt.Sprintln("-", f)
		}
	}
	for _, f := range got {
		if !slices.Contains(want, f) {
			text += fmt.Sprintln("+", f)
		}
	}
	return text
}

// TestChangeAndRevert: taking a change back restores every flow, through Deltas
// that undo each other.
func TestChangeAndRevert(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := world{t}
		c := New()
		for range 12 {
			w.change(c)
		}
		if _, err := c.Commit(); err != nil {
			t.Fatal(err)
		}
		before, ports := slices.Collect(c.Flows()), c.PortConfigs()
		sw := held{make(map[flow.Key]flow.Flow), maps.Clone(ports), c.Meters()}
		for _, f := range before {
			sw.flows[f.Key()] = f
		}
		undo := w.reversible(c)
		there, err := c.Commit()
		if err != nil {
			t.Fatal(err)
		}
		sw.apply(t, there)
		undo()
		back, err := c.Commit()
		if err != nil {
			t.Fatal(err)
		}
		sw.apply(t, back)
		if after := slices.Collect(c.Flows()); !slices.Equal(before, after) || !maps.Equal(ports, c.PortConfigs()) {
			t.Fatalf("not restored:\n%s", diffFlows(before, after))
		}
		// What was learned is no part of it: it is forgotten once.
		there.Flows.Forget, back.Flows.Forget = nil, nil
		if len(there.Flows.Add) < len(back.Flows.Delete) || there.Flows.Len() != back.Flows.Len() {
			t.Fatalf("there %d changes, back %d", there.Flows.Len(), back.Flows.Len())
		}
	})
}

// reversible makes one change and returns what takes it back.
func (w world) reversible(c *Compiler) (undo func()) {
	switch rapid.IntRange(0, 4).Draw(w.t, "kind of change") {
	case 0:
		n := w.network()
		old := c.networks[n.ID]
		c.SetNetwork(n)
		if old == nil {
			return func() { c.RemoveNetwork(n.ID) }
		}
		return func() { c.SetNetwork(*old) }
	case 1:
		v := w.vif()
		old := c.vifs[v.ID]
		c.SetVIF(v)
		if old == nil {
			return func() { c.RemoveVIF(v.ID) }
		}
		return func() { c.SetVIF(*old) }
	case 2:
		p := w.port()
		old := c.ports[portNumber(p.OFPort)]
		c.SetPort(p)
		if old == nil {
			return func() { c.RemovePort(p.OFPort) }
		}
		return func() { c.SetPort(*old) }
	case 3:
		s := w.scope()
		old := c.policies[s]
		c.SetPolicy(s, w.policyRules())
		return func() { c.SetPolicy(s, old) }
	default:
		r := w.remote()
		old := c.remotes[remoteKey{r.Network, r.Host}]
		c.SetRemote(r)
		if old == nil {
			return func() { c.RemoveRemote(r.Network, r.Host) }
		}
		return func() { c.SetRemote(*old) }
	}
}

// TestCompilerKeepsNothingOfItsCaller: what a caller does to a slice after a Set
// does not matter.
func TestCompilerKeepsNothingOfItsCaller(t *testing.T) {
	t.Parallel()
	in := redInput()
	in.VIFs[0].Rules = []Rule{{ID: 11, Direction: To, Protocol: IP}}
	in.VIFs[0].Locking, in.VIFs[0].IPv4 = Locked, prefixes("192.0.2.1")
	in.Networks[0].Rules = []Rule{{ID: 12, Direction: To, Protocol: IP}}
	in.Remotes = []Remote{{Network: netRed, MACs: []flow.MAC{remoteMAC}}}
	want := slices.Collect(mustCompile(t, in).Flows())
	c := New()
	c.SetBridge(in.Bridge)
	for _, n := range in.Networks {
		c.SetNetwork(n)
	}
	for _, v := range in.VIFs {
		c.SetVIF(v)
	}
	for _, p := range in.Ports {
		c.SetPort(p)
	}
	c.SetRemote(in.Remotes[0])
	in.VIFs[0].Rules[0].Allow = true
	in.VIFs[0].IPv4[0] = prefix("192.0.2.2")
	in.VIFs[0].Ports[0] = 77
	in.Networks[0].Rules[0].Allow = true
	in.Remotes[0].MACs[0] = macX
	mustCommit(t, c)
	if got := slices.Collect(c.Flows()); !slices.Equal(want, got) {
		t.Errorf("the caller's changes came through:\n%s", diffFlows(want, got))
	}
}

// TestSameKeyGoesToTheLowestID: of two VIFs on one port the one with the lowest
// id has it, whoever came first; the other takes over when it goes.
func TestSameKeyGoesToTheLowestID(t *testing.T) {
	t.Parallel()
	vif := func(id uint32) VIF { return VIF{ID: id, Network: 1, Ports: []uint32{5}, MAC: macA} }
	owner := func(c *Compiler) uint32 {
		t.Helper()
		mustCommit(t, c)
		for f := range c.Flows() {
			if f.Table == uint8(TableClassify) && f.Match == flow.NewMatch().InPort(5).Build() {
				cookie, _ := ParseCookie(f.Cookie)
				return cookie.Object
			}
		}
		return 0
	}
	c := New()
	c.SetNetwork(Network{ID: 1})
	for _, step := range []struct {
		change func()
		want   uint32
	}{
		{func() { c.SetVIF(vif(102)) }, 102},
		{func() { c.SetVIF(vif(101)) }, 101},
		{func() { c.SetVIF(vif(103)) }, 101},
		{func() { c.RemoveVIF(101) }, 102},
		{func() { c.SetVIF(vif(100)) }, 100},
		{func() { c.RemoveVIF(102) }, 100},
		{func() { c.RemoveVIF(100) }, 103},
		{func() { c.RemoveVIF(103) }, 0},
	} {
		step.change()
		if got := owner(c); got != step.want {
			t.Fatalf("the port is VIF %d's, want %d's", got, step.want)
		}
	}
}
