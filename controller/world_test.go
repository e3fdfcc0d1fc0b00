package controller

import (
	"fmt"
	"maps"
	"slices"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"poolwire/flowcompiler"
	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/secrets"
	"poolwire/southbound/openflow"
	"poolwire/southbound/openflow/flow"
	"poolwire/southbound/ovsdb"
)

// at names one bridge of one host.
type at struct{ host, bridge string }

// bench is one bridge's actor without its goroutine and its switch.
type bench struct {
	program *program
	marks   *marks
	ports   portNumbers
}

// world follows a store as the dispatcher and the actors do, and compares what
// they would have with what a fresh look gives.
type world struct {
	*state
	policies *policies
	bridges  map[at]*bench
	// rows is what was last planned for each host.
	rows map[string]ovsdb.Desired
}

func newWorld(s *state) *world {
	w := &world{state: s, policies: newPolicies(s.view()), bridges: map[at]*bench{}, rows: map[string]ovsdb.Desired{}}
	s.followed = s.view().Revision()
	return w
}

// dispatch gives out the marks of everything that was applied since the last call.
func (w *world) dispatch() (rows map[string]struct{}) {
	rows = setOf()
	for _, set := range w.changes() {
		k := newMarker(w.view(), set.Revision)
		flipped := false
		for _, c := range set.Changes {
			flipped = w.policies.change(c) || flipped
			k.change(c)
		}
		for place, b := range w.bridges {
			if flipped {
				b.marks.add(markSet{revision: set.Revision, base: true})
			}
			for _, name := range []string{"", place.bridge} {
				if s := k.bridges[place.host][name]; s != nil {
					b.marks.add(*s)
				}
			}
		}
		maps.Copy(rows, k.rows)
		maps.Copy(rows, k.hosts)
	}
	return rows
}

// follow starts and ends benches as hostActor.followBridges does.
func (w *world) follow() {
	wanted := map[at]bool{}
	for _, h := range w.view().Hosts() {
		for _, b := range managedBridges(w.view(), h.GetUuid()) {
			wanted[at{h.GetUuid(), b.GetName()}] = true
		}
	}
	for place := range w.bridges {
		if !wanted[place] {
			delete(w.bridges, place)
		}
	}
	for place := range wanted {
		if w.bridges[place] == nil {
			b := &bench{program: newProgram(), marks: newMarks()}
			b.marks.add(markSet{all: true})
			w.bridges[place] = b
		}
	}
}

// numbers is what the switch of a bridge tells of its ports.
func (w *world) numbers(place at) portNumbers {
	var ports []openflow.Port
	for _, row := range w.view().PortsByBridge(place.host, place.bridge) {
		if row.GetOfport() != 0 {
			ports = append(ports, openflow.Port{Name: row.GetName()[:min(len(row.GetName()), maxPortName)], Number: reportedNumber(row)})
		}
	}
	return numbersOf(ports)
}

// step lets every bench with marks do its work.
func (w *world) step() {
	for place, b := range w.bridges {
		now := w.numbers(place)
		if moved := now.moved(b.ports); len(moved) > 0 {
			b.marks.add(markSet{ports: withLongNames(moved, w.view().PortsByBridge(place.host, place.bridge))})
		}
		b.ports = now
		if b.marks.empty() {
			continue
		}
		if _, err := b.program.apply(w.model(place, b), b.marks.take()); err != nil {
			w.t.Fatalf("compiling %v: %v", place, err)
		}
		b.marks.settle()
	}
}

func (w *world) model(place at, b *bench) model {
	m := newModel(w.view(), w.view().Host(place.host), place.bridge, b.ports, w.policies.none())
	m.judged = w.policies.judge()
	return m
}

// plan plans anew for the hosts whose rows were marked.
func (w *world) plan(marked map[string]struct{}) {
	for uuid := range marked {
		w.rows[uuid] = w.desired(uuid)
	}
}

func (w *world) desired(uuid string) ovsdb.Desired {
	return desiredRows(w.view(), rowsInput{
		hostUUID: uuid, cluster: "c", epoch: 1, targets: []string{"ssl:192.0.2.99:6653"}, secrets: openSealer{},
	})
}

// compare holds everything against a fresh look.
func (w *world) compare() {
	w.t.Helper()
	if fresh := newPolicies(w.view()); fresh.none() != w.policies.none() || fresh.arp != w.policies.arp {
		w.t.Fatalf("policies: counted %d, there are %d", w.policies.count, fresh.count)
	}
	for place, b := range w.bridges {
		fresh := newProgram()
		if _, err := fresh.apply(w.model(place, b), markSet{all: true}); err != nil {
			w.t.Fatalf("compiling %v: %v", place, err)
		}
		if diff := cmp.Diff(lines(fresh.compiler), lines(b.program.compiler)); diff != "" {
			w.t.Fatalf("flows of %v (-fresh +followed):\n%s", place, diff)
		}
		if diff := cmp.Diff(fresh.compiler.Meters(), b.program.compiler.Meters()); diff != "" {
			w.t.Fatalf("meters of %v (-fresh +followed):\n%s", place, diff)
		}
		if diff := cmp.Diff(fresh.compiler.PortConfigs(), b.program.compiler.PortConfigs()); diff != "" {
			w.t.Fatalf("ports of %v (-fresh +followed):\n%s", place, diff)
		}
		if diff := cmp.Diff(kept(fresh), kept(b.program)); diff != "" {
			w.t.Fatalf("what is kept of %v (-fresh +followed):\n%s", place, diff)
		}
	}
	for _, h := range w.view().Hosts() {
		if diff := cmp.Diff(w.desired(h.GetUuid()), w.rows[h.GetUuid()]); diff != "" {
			w.t.Fatalf("rows of %s (-fresh +followed):\n%s", h.GetNameLabel(), diff)
		}
	}
}

func lines(c *flowcompiler.Compiler) []string {
	var out []string
	for f := range c.Flows() {
		out = append(out, flow.Flow.String(f))
	}
	return out
}

// kept is what a program remembers, to see that nothing stays behind.
func kept(p *program) map[string][]string {
	out := map[string][]string{
		"vifs": slices.Sorted(maps.Keys(p.vifs)), "networks": slices.Sorted(maps.Keys(p.networks)), "remotes": slices.Sorted(maps.Keys(p.remotes)),
		"paths": slices.Sorted(maps.Keys(p.paths)), "guards": slices.Sorted(maps.Keys(p.guards)),
	}
	for uuid, n := range p.neighborhoods {
		for addr, who := range n.said {
			out["neighbors"] = append(out["neighbors"], fmt.Sprint(uuid, " ", addr, " ", who))
		}
		for host, claims := range n.hosts {
			out["claims"] = append(out["claims"], fmt.Sprint(uuid, " ", host, " ", claims))
		}
		out["counted"] = append(out["counted"], fmt.Sprint(uuid, n.network, n.single, n.wide))
	}
	for uuid, a := range p.audiences {
		for mac := range a.told {
			out["audiences"] = append(out["audiences"], fmt.Sprint(uuid, " ", a.network, " ", mac))
		}
	}
	for _, list := range out {
		slices.Sort(list)
	}
	for name, number := range p.ports {
		out["ports"] = append(out["ports"], fmt.Sprint(name, "=", number))
	}
	for id, n := range p.groups.members {
		out["groups"] = append(out["groups"], fmt.Sprint(id, " ", p.groups.uuid[id], " ", p.groups.id[p.groups.uuid[id]], " ", n))
	}
	for vif, groups := range p.groups.of {
		out["groups"] = append(out["groups"], fmt.Sprint(vif, groups))
	}
	slices.Sort(out["groups"])
	slices.Sort(out["ports"])
	return out
}

// pick draws one of a list by its place, which a failure prints better than a message.
func pick[M any](t *rapid.T, what string, of []M) M {
	return of[rapid.IntRange(0, len(of)-1).Draw(t, what)]
}

// worldHosts are the hosts of random worlds: two in one pool, one in another.
const worldHosts = 3

// randomReport reports things of a host at random, with few names so that they collide.
func (w *world) randomReport(t *rapid.T) {
	host := pick(t, "host", w.view().Hosts()).GetUuid()
	o := &storev1.ObserveHost{HostUuid: host}
	bridge := func(label string) string {
		return rapid.SampledFrom([]string{"xenbr0", "xapi1", "pw1", "pw2", overlayBridge}).Draw(t, label)
	}
	switch name := bridge("bridge"); rapid.IntRange(0, 9).Draw(t, "report") {
	case 0:
		o.BridgesGone = append(o.BridgesGone, name)
	case 1, 2:
		o.Bridges = append(o.Bridges, w.randomBridge(t, name))
	case 3:
		if ports := w.view().Ports(host); len(ports) > 0 {
			o.PortsGone = append(o.PortsGone, pick(t, "gone", ports).GetName())
		}
	case 4:
		o.Facts = &storev1.HostFacts{
			OvsVersion:       rapid.SampledFrom([]string{"2.5.3", "3.1.0"}).Draw(t, "version"),
			TransportAddress: fmt.Sprintf("10.1.0.%d", rapid.IntRange(1, 3).Draw(t, "address")),
			SystemId:         "system", TransportMtu: 1600,
		}
	default:
		o.Ports = append(o.Ports, w.randomPort(t, name))
	}
	w.do(observe(o))
}

func (w *world) randomBridge(t *rapid.T, name string) *storev1.Bridge {
	b := &storev1.Bridge{Name: name, DatapathId: 1, Mac: macOf(rapid.IntRange(100, 101).Draw(t, "local"))}
	switch name {
	case "xapi1":
		b.DatapathId, b.Parent, b.Vlan = 0, "xenbr0", uint32(rapid.IntRange(10, 11).Draw(t, "vlan"))
	case "xenbr0":
		b.XapiNetworkUuid = rapid.SampledFrom([]string{"", uuidOf("eeee", 1)}).Draw(t, "xapi")
	case overlayBridge:
		b.Owned, b.Overlay = true, true
	default:
		b.Owned = rapid.Bool().Draw(t, "owned")
	}
	return b
}

func (w *world) randomPort(t *rapid.T, bridge string) *storev1.Port {
	parent := bridge
	if bridge == "xapi1" {
		parent = "xenbr0"
	}
	p := &storev1.Port{Bridge: parent, NetworkBridge: bridge, Ofport: uint32(rapid.IntRange(0, 9).Draw(t, "number"))}
	switch rapid.IntRange(0, 9).Draw(t, "kind") {
	case 0:
		p.BondInactive = rapid.Bool().Draw(t, "inactive")
		p.Name, p.Kind = "eth0", rapid.SampledFrom([]storev1.PortKind{storev1.PortKind_PORT_KIND_PHYSICAL, storev1.PortKind_PORT_KIND_BOND_MEMBER}).Draw(t, "nic")
	case 1:
		p.Name, p.Kind, p.Ofport, p.Mac = bridge, storev1.PortKind_PORT_KIND_LOCAL, ovsdbLocal, macOf(100)
	case 2:
		p.Name, p.Kind = "a-patch-with-a-long-name", storev1.PortKind_PORT_KIND_PATCH
	case 3:
		n := rapid.IntRange(1, 2).Draw(t, "of")
		p.Name, p.Kind, p.Owned, p.Object = fmt.Sprintf("pwp%d", n), storev1.PortKind_PORT_KIND_PATCH, true, objectPatch+uuidOf("cccc", n)
	case 4:
		n := rapid.IntRange(1, worldHosts).Draw(t, "peer")
		encap := poolwirev1.Encapsulation(rapid.IntRange(1, 2).Draw(t, "encapsulation"))
		kind := conduitOf(&poolwirev1.PrivateNetwork{Encapsulation: encap})
		p.Kind, p.Owned, p.Object = storev1.PortKind_PORT_KIND_TUNNEL, true, kind.tunnelObject(uuidOf("bbbb", n))
		p.Name = kind.tunnelName(w.view().Host(uuidOf("bbbb", n)))
	case 5:
		p.Name, p.Kind = "mystery", storev1.PortKind_PORT_KIND_OTHER
	default:
		n := rapid.IntRange(1, 4).Draw(t, "vif")
		p.Name, p.Kind, p.VifUuid = fmt.Sprintf("vif%d.0", n), storev1.PortKind_PORT_KIND_VIF, uuidOf("dddd", n)
		p.AttachedMac = macOf(rapid.IntRange(1, 3).Draw(t, "mac"))
		p.Labels = rapid.SampledFrom([]map[string]string{nil, {"app": "web"}}).Draw(t, "observed labels")
	}
	return p
}

// randomIntent asks for something at random.
func (w *world) randomIntent(t *rapid.T) {
	var cmd *storev1.Command
	vif := uuidOf("dddd", rapid.IntRange(1, 4).Draw(t, "vif"))
	private := rapid.IntRange(1, 2).Draw(t, "private")
	switch rapid.IntRange(0, 25).Draw(t, "intent") {
	case 0:
		cmd = putVif(w.randomVif(t, vif), w.view().Vif(vif) == nil)
	case 12, 13, 14:
		cmd = w.randomPolicyRule(t, vif)
	case 15, 16:
		cmd = w.randomGroup(t, vif)
	case 17:
		cmd = w.randomRemoval(t)
	case 18, 19, 20, 21:
		cmd = w.randomWays(t, private)
	case 22, 23, 24, 25:
		cmd = randomMulticast(t, vif, private)
	case 1:
		cmd = deleteVif(vif)
	case 2, 3, 4:
		cmd = putRule(w.randomRule(t, vif, private))
	case 5:
		if rules := w.view().Rules(); len(rules) > 0 {
			cmd = deleteRules(pick(t, "rule", rules).GetUuid())
		}
	case 6, 7:
		cmd = w.randomPrivate(t, private)
	case 8:
		cmd = deletePrivate(uuidOf("cccc", private))
	case 9:
		if networks := w.view().Networks(); len(networks) > 0 {
			cmd = putNetwork(&poolwirev1.Network{
				Uuid:               pick(t, "network", networks).GetUuid(),
				NameLabel:          rapid.SampledFrom([]string{"", "lan"}).Draw(t, "name"),
				DefaultLockingMode: poolwirev1.DefaultLockingMode(rapid.IntRange(1, 2).Draw(t, "default")),

				DefaultInboundAction:  poolwirev1.DefaultAction(rapid.IntRange(1, 2).Draw(t, "inbound")),
				DefaultOutboundAction: poolwirev1.DefaultAction(rapid.IntRange(1, 2).Draw(t, "outbound")),
				RaGuard:               rapid.Bool().Draw(t, "ra guard"), DhcpGuard: rapid.Bool().Draw(t, "dhcp guard"),
			})
		}
	case 10:
		cmd = w.randomHost(t)
	case 11:
		cmd = putPool(&poolwirev1.Pool{Uuid: uuidOf("aaaa", 1), NameLabel: "pool1", FailMode: poolwirev1.FailMode(rapid.IntRange(1, 2).Draw(t, "fail mode"))}, false)
	}
	if cmd != nil {
		_, _ = w.try(cmd) // the state may refuse what is drawn
	}
}

// randomWays says at random who passes traffic on, which pairs of hosts have keys and what is proved of their tunnels.
func (w *world) randomWays(t *rapid.T, private int) *storev1.Command {
	host := func(label string) string { return uuidOf("bbbb", rapid.IntRange(1, worldHosts).Draw(t, label)) }
	a, b := host("a"), host("b")
	a, b = min(a, b), max(a, b)
	switch rapid.IntRange(0, 4).Draw(t, "ways") {
	case 0, 1:
		c := &storev1.PutRelays{PrivateNetworkUuids: []string{uuidOf("cccc", private)}}
		for _, place := range rapid.SampledFrom([][]string{nil, {""}, {uuidOf("aaaa", 1)}, {uuidOf("aaaa", 1), uuidOf("aaaa", 2)}}).Draw(t, "places") {
			c.Relays = append(c.Relays, &storev1.Relay{PrivateNetworkUuid: uuidOf("cccc", private), PoolUuid: place, Active: host("active"), Standby: host("standby")})
		}
		return &storev1.Command{Body: &storev1.Command_PutRelays{PutRelays: c}}
	case 2:
		key := &storev1.PairKey{HostA: a, HostB: b, Generation: 1, SealedPsk: []byte("sealed")}
		return &storev1.Command{Body: &storev1.Command_PutPairKeys{PutPairKeys: &storev1.PutPairKeys{Put: []*storev1.PairKey{key}}}}
	case 3:
		key := &storev1.PairKey{HostA: a, HostB: b, Generation: 1}
		return &storev1.Command{Body: &storev1.Command_PutPairKeys{PutPairKeys: &storev1.PutPairKeys{Forget: []*storev1.PairKey{key}}}}
	default:
		p := []*storev1.Protection{{HostA: a, HostB: b, Encapsulation: rapid.SampledFrom([]string{"vxlan", "gre"}).Draw(t, "encapsulation")}}
		c := &storev1.ObserveProtection{Proved: p}
		if rapid.Bool().Draw(t, "lost") {
			c = &storev1.ObserveProtection{Lost: p}
		}
		return &storev1.Command{Body: &storev1.Command_ObserveProtection{ObserveProtection: c}}
	}
}

// openSealer opens whatever is sealed.
type openSealer struct{}

func (openSealer) Seal(s secrets.Secret, _ string) []byte { return []byte(s.Reveal()) }

func (openSealer) Open(sealed []byte, _ string) (secrets.Secret, error) {
	return secrets.New(string(sealed)), nil
}

func (openSealer) Stale([]byte) bool { return false }
func (openSealer) IDs() []string     { return nil }
func (openSealer) Use(string) bool   { return false }

func (w *world) randomRule(t *rapid.T, vif string, private int) *poolwirev1.Rule {
	r := &poolwirev1.Rule{
		Uuid: uuidOf("ffff", rapid.IntRange(1, 1_000_000).Draw(t, "rule")), Direction: poolwirev1.Direction(rapid.IntRange(1, 3).Draw(t, "direction")),
		Protocol: rapid.SampledFrom([]poolwirev1.Protocol{poolwirev1.Protocol_PROTOCOL_IP, poolwirev1.Protocol_PROTOCOL_IP, poolwirev1.Protocol_PROTOCOL_ARP}).Draw(t, "protocol"), Allow: rapid.Bool().Draw(t, "allow"), IpRange: rapid.SampledFrom([]string{"", "10.0.0.0/8"}).Draw(t, "range"),
	}
	if networks := w.view().Networks(); len(networks) > 0 && rapid.Bool().Draw(t, "on a network") {
		r.NetworkUuid = pick(t, "network", networks).GetUuid()
	} else if rapid.Bool().Draw(t, "on a private network") {
		r.NetworkUuid = uuidOf("cccc", private)
	} else {
		r.VifUuid = vif
	}
	if r.VifUuid == "" && rapid.Bool().Draw(t, "for an address") {
		r.Mac = macOf(rapid.IntRange(1, 3).Draw(t, "mac"))
	}
	return r
}

func (w *world) randomPrivate(t *rapid.T, n int) *storev1.Command {
	pn := &poolwirev1.PrivateNetwork{
		Uuid: uuidOf("cccc", n), NameLabel: fmt.Sprintf("private%d", n), Vni: uint32(n), Bridge: fmt.Sprintf("pw%d", n), Mtu: 1500,
		Encapsulation:      poolwirev1.Encapsulation(n),
		DefaultLockingMode: poolwirev1.DefaultLockingMode(rapid.IntRange(1, 2).Draw(t, "default")),

		DefaultInboundAction: poolwirev1.DefaultAction(rapid.IntRange(1, 2).Draw(t, "inbound")),

		Topology:  poolwirev1.Topology(rapid.IntRange(1, 3).Draw(t, "topology")),
		Encrypted: rapid.Bool().Draw(t, "encrypted"),

		FloodMulticast: rapid.IntRange(0, 3).Draw(t, "flood multicast") == 0,
	}
	for _, m := range []*poolwirev1.PrivateNetworkMember{
		poolMember(uuidOf("aaaa", 1)), poolMember(uuidOf("aaaa", 2)),
		hostMember(uuidOf("bbbb", 1)), hostMember(uuidOf("bbbb", 2)), hostMember(uuidOf("bbbb", 3)),
	} {
		if rapid.Bool().Draw(t, "member") {
			if rapid.IntRange(0, 4).Draw(t, "bridge") == 0 {
				m.Bridge = rapid.SampledFrom([]string{"xenbr0", "pw1", "pw2"}).Draw(t, "own bridge")
			}
			pn.Members = append(pn.Members, m)
		}
	}
	return putPrivate(pn, w.view().PrivateNetwork(pn.Uuid) == nil)
}

// randomHost changes a host, or forgets it, or brings a forgotten one back.
func (w *world) randomHost(t *rapid.T) *storev1.Command {
	n := rapid.IntRange(1, worldHosts).Draw(t, "host")
	if rapid.IntRange(0, 3).Draw(t, "forget") == 0 && len(w.view().Hosts()) > 1 {
		return deleteHost(uuidOf("bbbb", n))
	}
	h := hostIntent(uuidOf("aaaa", 1+n/worldHosts), n)
	h.Managed = rapid.IntRange(0, 2).Draw(t, "managed") > 0
	h.TransportAddress = rapid.SampledFrom([]string{"", "10.0.0.1", "10.0.0.7"}).Draw(t, "address")
	h.Ipsec = &poolwirev1.HostIpsec{Credential: poolwirev1.IpsecCredential(rapid.IntRange(1, 2).Draw(t, "credential"))}
	return putHost(h, w.view().Host(h.Uuid) == nil)
}
