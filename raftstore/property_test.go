package raftstore

import (
	"bytes"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"pgregory.net/rapid"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// draw makes commands over a small world, so that they meet each other.
type draw struct{ *rapid.T }

func (d draw) of(label string, values ...string) string {
	return rapid.SampledFrom(values).Draw(d.T, label)
}

func (d draw) flip(label string) bool { return rapid.Bool().Draw(d.T, label) }

func (d draw) pool() string   { return d.of("pool", "p1", "p2", "") }
func (d draw) host() string   { return d.of("host", "h1", "h2", "h3", "h4") }
func (d draw) bridge() string { return d.of("bridge", "xenbr0", "xenbr1", "xapi1", "pw1") }
func (d draw) vif() string    { return d.of("vif", "v1", "v2", "v3", "v4", "") }
func (d draw) mac() string    { return d.of("mac", macA, macB, "") }
func (d draw) allowed() []string {
	switch where := d.of("allowed", "", "", "h1", "h2", "p1"); where {
	case "":
		return nil
	default:
		return []string{where}
	}
}
func (d draw) private() string {
	return d.of("private", "pn1", "pn2", "pn3")
}

func (d draw) etag(v *View, have string) string {
	switch rapid.IntRange(0, 5).Draw(d.T, "etag") {
	case 0:
		return have
	case 1:
		return "1"
	}
	return ""
}

func (d draw) command(v *View) *storev1.Command {
	c := d.body(v)
	c.Author = d.of("author", "alice", "bob", "")
	if rapid.IntRange(0, 3).Draw(d.T, "to be confirmed") == 0 {
		c.ConfirmWithin = durationpb.New(60e9)
	}
	if d.flip("request") {
		c.RequestId = fmt.Sprintf("q%d", rapid.IntRange(0, 30).Draw(d.T, "request_id"))
	}
	return c
}

func (d draw) body(v *View) *storev1.Command {
	switch rapid.IntRange(0, 35).Draw(d.T, "command") {
	case 0:
		p := &poolwirev1.Pool{Uuid: d.pool(), NameLabel: d.of("name", "a", "b"), ControllerGrace: durationpb.New(60e9)}
		p.Etag = d.etag(v, v.Pool(p.Uuid).GetEtag())
		return putPool(p, d.flip("create"))
	case 1:
		u := d.pool()
		return deletePool(u, d.etag(v, v.Pool(u).GetEtag()))
	case 2, 3:
		h := host(d.host(), d.pool())
		h.SystemId = d.of("system_id", "s1", "s2", "", "")
		h.Address = d.of("address", h.GetAddress(), "ssl:192.0.2.1:6640", "")
		h.CertificateSha256 = d.of("certificate", "aa", "", "", "")
		h.Trust = poolwirev1.TrustMode(rapid.IntRange(0, 3).Draw(d.T, "trust"))
		h.TransportGuard = poolwirev1.TransportGuard(rapid.IntRange(0, 3).Draw(d.T, "guard"))
		h.Ipsec = &poolwirev1.HostIpsec{Credential: poolwirev1.IpsecCredential(rapid.IntRange(0, 3).Draw(d.T, "credential"))}
		return putHost(h, d.flip("create"))
	case 4:
		return deleteHost(d.host(), "")
	case 5:
		c := putNetwork(&poolwirev1.Network{Uuid: d.anyNetwork(v), NameLabel: d.of("name", "", "DMZ"), RaGuard: d.flip("guard"),
			DefaultInboundAction: poolwirev1.DefaultAction(rapid.IntRange(0, 2).Draw(d.T, "action")),
			DefaultLockingMode:   poolwirev1.DefaultLockingMode(rapid.IntRange(0, 2).Draw(d.T, "mode"))})
		c.GetPutNetwork().Force = d.flip("force")
		return c
	case 6, 7:
		n := private(d.private())
		n.Vni = rapid.SampledFrom([]uint32{0, 0, 1, 2, 1 << 24}).Draw(d.T, "vni")
		for range rapid.IntRange(0, 3).Draw(d.T, "members") {
			m := hostMember(d.host())
			if d.flip("pool member") {
				m = poolMember(d.pool())
			}
			n.Members = append(n.Members, onBridge(m, d.of("carrier", "", "xapi1", "pw1", "xenbr1")))
		}
		n.NameLabel = d.of("name", n.NameLabel, n.NameLabel, "blue")
		d.overlay(n)
		c := putPrivate(n, d.flip("create"))
		c.GetPutPrivateNetwork().Force = d.flip("force")
		return c
	case 8:
		return deletePrivate(d.private(), "")
	case 9:
		return putVif(&poolwirev1.Vif{Uuid: d.vif(), NameLabel: d.of("name", "", "web"), Labels: d.labels(), AllowedHosts: d.allowed(),
			LockingMode: poolwirev1.LockingMode(rapid.IntRange(0, 4).Draw(d.T, "mode"))}, d.flip("create"))
	case 10:
		return deleteVif(d.vif(), "")
	case 11, 12:
		r := &poolwirev1.Rule{Uuid: d.of("rule", "r1", "r2", "r3", "r4"), Direction: poolwirev1.Direction_DIRECTION_TO,
			Protocol: poolwirev1.Protocol_PROTOCOL_IP, IpRange: d.of("range", "", "192.0.2.0/24"), Allow: d.flip("allow"),
			Cookie: d.of("cookie", "", "0", "f", "e")}
		if d.flip("of a VIF") {
			r.VifUuid = d.vif()
		} else {
			r.NetworkUuid, r.Mac = d.anyNetwork(v), d.mac()
		}
		r.Etag = d.etag(v, v.Rule(r.Uuid).GetEtag())
		return putRule(r, storev1.PutMode(rapid.IntRange(0, 3).Draw(d.T, "mode")))
	case 13:
		return deleteRules("", d.of("rule", "r1", "r2", "r3", "r4"), d.of("rule", "r1", "r2", "r3", "r4"))
	case 14:
		return &storev1.Command{Body: &storev1.Command_PutNode{PutNode: &storev1.PutNode{Node: &poolwirev1.Node{Id: d.host(), ApiAddress: d.mac()}}}}
	case 15, 16, 17, 18, 19, 20, 21:
		return d.policyBody(v)
	case 22, 23:
		return d.resolution(v)
	case 24, 25, 26, 27, 28, 29:
		return d.overlayBody(v)
	}
	return d.report()
}

// anyNetwork is a network that is known, a private one, or neither.
func (d draw) anyNetwork(v *View) string {
	known := []string{"unknown", d.private()}
	for _, n := range v.Networks() {
		known = append(known, n.GetUuid())
	}
	return d.of("network", known...)
}

func (d draw) report() *storev1.Command {
	o := &storev1.ObserveHost{HostUuid: d.host()}
	for range rapid.IntRange(0, 2).Draw(d.T, "bridges") {
		o.Bridges = append(o.Bridges, &storev1.Bridge{Name: d.bridge(), Mtu: rapid.SampledFrom([]uint32{0, 1500, 9000}).Draw(d.T, "mtu"),
			Overlay: rapid.IntRange(0, 9).Draw(d.T, "overlay") == 0, XapiNetworkUuid: d.of("xapi", "", "", xapiUUID)})
	}
	for range rapid.IntRange(0, 2).Draw(d.T, "bridges gone") {
		o.BridgesGone = append(o.BridgesGone, d.bridge())
	}
	for range rapid.IntRange(0, 3).Draw(d.T, "ports") {
		b := d.bridge()
		p := vifPort(d.of("port", "vif1.0", "vif2.0", "tap1.0"), b, d.vif(), d.mac())
		p.Labels = d.labels()
		o.Ports = append(o.Ports, p)
	}
	for range rapid.IntRange(0, 3).Draw(d.T, "ports gone") {
		o.PortsGone = append(o.PortsGone, d.of("port", "vif1.0", "vif2.0", "tap1.0"))
	}
	if d.flip("facts") {
		o.Facts = &storev1.HostFacts{SystemId: d.of("system_id", "s1", "s2"), CertificateSha256: d.of("certificate", "aa", "bb")}
	}
	return observe(o)
}

// Two machines fed the same log are the same to the byte; so is one that was
// restored from a snapshot on the way. What the change sets say, replayed, is
// the state. And the state always makes sense.
func TestDeterminism(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		a, b := newMachine(rt), newMachine(rt)
		mirror := map[changeKey]proto.Message{}
		var first []*storev1.Command
		if rapid.Bool().Draw(rt, "populated") {
			first = overlaid()
		}
		for i := range len(first) + rapid.IntRange(1, 80).Draw(rt, "length") {
			c := draw{rt}.command(a.view())
			if i < len(first) {
				c = first[i]
			}
			ra, ea := a.apply(c)
			rb, eb := b.apply(c)
			if fmt.Sprint(ra, ea) != fmt.Sprint(rb, eb) {
				rt.Fatalf("%v\n%v %v\n%v %v", c, ra, ea, rb, eb)
			}
			for _, change := range a.last().Changes {
				key := changeKey{change.Table, change.Key}
				if !proto.Equal(mirror[key], change.Before) {
					rt.Fatalf("%v %q: Before is %v, was %v", change.Table, change.Key, change.Before, mirror[key])
				}
				if change.After == nil {
					delete(mirror, key)
				} else {
					mirror[key] = change.After
				}
			}
			checkSense(rt, a.view())
			if rapid.IntRange(0, 19).Draw(rt, "restore") == 0 {
				b = b.restored()
			}
			if rapid.IntRange(0, 9).Draw(rt, "undo") == 0 {
				checkUndo(rt, a)
			}
		}
		if !bytes.Equal(a.snapshot(), b.snapshot()) {
			rt.Fatalf("snapshots differ")
		}
		if !reflect.DeepEqual(a.f.requests, b.f.requests) {
			rt.Fatalf("requests are counted as %v and %v", a.f.requests, b.f.requests)
		}
		checkMirror(rt, a.view(), mirror)
	})
}

func checkMirror(t tester, v *View, mirror map[changeKey]proto.Message) {
	n := 0
	for i := range resources {
		r := &resources[i]
		if r.silent {
			continue
		}
		for key, m := range rowsOf(v, r) {
			n++
			if !proto.Equal(mirror[changeKey{r.table, key}], m) {
				t.Fatalf("%s %q: change sets say %v, the state %v", r.name, key, mirror[changeKey{r.table, key}], m)
			}
		}
	}
	if n != len(mirror) {
		t.Fatalf("change sets say %d objects, the state has %d", len(mirror), n)
	}
}

// checkSense holds the derived and the redundant parts of a state against the
// rest of it.
func checkSense(t tester, v *View) {
	ids := map[uint32]string{}
	for i := range resources {
		r := &resources[i]
		if r.stamps == nil {
			continue
		}
		for key, m := range rowsOf(v, r) {
			s := r.stamps(m)
			if *s.id == 0 || ids[*s.id] != "" || *s.etag == "" {
				t.Fatalf("%s %q has object id %d (of %q), etag %q", r.name, key, *s.id, ids[*s.id], *s.etag)
			}
			ids[*s.id] = key
			if table, found := v.Object(*s.id); table != r.table || found != m {
				t.Fatalf("Object(%d) = %v %v", *s.id, table, found)
			}
		}
	}
	checkNetworks(t, v)
	checkVifs(t, v)
	checkClaims(t, v)
	identities, names := map[string]bool{}, map[string]bool{}
	for _, r := range v.Rules() {
		if identities[ruleIdentity(r)] {
			t.Fatalf("two rules like %v", r)
		}
		identities[ruleIdentity(r)] = true
		if v.Vif(r.GetVifUuid()) == nil && v.Network(r.GetNetworkUuid()) == nil && v.PrivateNetwork(r.GetNetworkUuid()) == nil {
			t.Fatalf("rule on nothing: %v", r)
		}
	}
	for _, h := range v.Hosts() {
		if v.Pool(h.GetPoolUuid()) == nil {
			t.Fatalf("host %v", h)
		}
		for field, value := range map[string]string{"name": h.GetNameLabel(), "system-id": h.GetSystemId(), "address": h.GetAddress(), "certificate": h.GetCertificateSha256()} {
			if value != "" && names[field+" "+value] {
				t.Fatalf("%s of two hosts: %v", field, h)
			}
			names[field+" "+value] = true
		}
	}
	checkPrivate(t, v)
	checkOverlay(t, v)
	checkPolicies(t, v)
	checkGroups(t, v)
	checkZones(t, v)
	checkPending(t, v)
}

// checkNetworks computes the networks from scratch.
func checkNetworks(t tester, v *View) {
	type place struct{ pool, bridge string }
	hosts := map[place][]string{}
	for _, b := range all[*storev1.Bridge](v, TableBridges) {
		h := v.Host(b.GetHostUuid())
		if h == nil {
			t.Fatalf("bridge of no host: %v", b)
		}
		if !b.GetOverlay() {
			at := place{h.GetPoolUuid(), b.GetName()}
			hosts[at] = append(hosts[at], h.GetUuid())
		}
	}
	for _, n := range v.Networks() {
		at := place{n.GetPoolUuid(), n.GetBridge()}
		slices.Sort(hosts[at])
		if !slices.Equal(hosts[at], n.GetHostUuids()) {
			t.Fatalf("network %v: hosts are %v", n, hosts[at])
		}
		want := proto.CloneOf(n)
		(&tx{View: *v}).measureNetwork(want)
		if !proto.Equal(want, n) {
			t.Fatalf("network is %v, measured %v", n, want)
		}
		if v.NetworkByPoolBridge(at.pool, at.bridge) != n || v.Pool(at.pool) == nil {
			t.Fatalf("two networks for %v, or no pool", at)
		}
		if len(hosts[at]) == 0 && !(&tx{View: *v}).networkIntent(n) {
			t.Fatalf("nobody has or wants %v", n)
		}
		delete(hosts, at)
	}
	if len(hosts) > 0 {
		t.Fatalf("no network for %v", slices.Collect(maps.Keys(hosts)))
	}
}

func checkVifs(t tester, v *View) {
	for _, p := range all[*storev1.Port](v, TablePorts) {
		if v.Host(p.GetHostUuid()) == nil {
			t.Fatalf("port of no host: %v", p)
		}
		if u := p.GetVifUuid(); u != "" && v.Vif(u) == nil {
			t.Fatalf("no VIF for %v", p)
		}
	}
	for _, vif := range v.Vifs() {
		ports := v.PortsByVif(vif.GetUuid())
		if len(ports) == 0 && !(&tx{View: *v}).vifIntent(vif) {
			t.Fatalf("nobody has or wants %v", vif)
		}
		if has := vif.GetHostUuid(); has != "" && len(ports) > 0 {
			if ports = portsOn(has, ports); len(ports) == 0 {
				t.Fatalf("%v is not on the host that it is said to be on", vif)
			}
		}
		on := len(ports) == 0
		known := false
		for _, p := range ports {
			n := (&tx{View: *v}).networkOfPort(p)
			known = known || n != nil
			on = on || (n != nil && n.GetUuid() == vif.GetNetworkUuid())
		}
		if known && !on {
			t.Fatalf("%v is on none of the networks of %v", vif, ports)
		}
	}
}

func checkPrivate(t tester, v *View) {
	vnis, carriers := map[uint32]bool{}, map[string]string{}
	for _, n := range v.PrivateNetworks() {
		if vnis[n.GetVni()] || n.GetVni() == 0 || n.GetVni() > maxVNI {
			t.Fatalf("VNI of %v", n)
		}
		vnis[n.GetVni()] = true
		if vnis[n.GetRelayVni()] && n.GetRelayVni() != 0 {
			t.Fatalf("relay VNI of %v", n)
		}
		vnis[n.GetRelayVni()] = true
		seen := map[string]bool{}
		for _, m := range v.PrivateNetworkMembers(n) {
			at := m.Host.GetUuid() + "/" + m.Bridge
			if seen[m.Host.GetUuid()] || carriers[at] != "" {
				t.Fatalf("%s is a member twice of %v, or carries %s", at, n, carriers[at])
			}
			seen[m.Host.GetUuid()], carriers[at] = true, n.GetUuid()
			if v.PrivateNetworkOfBridge(m.Host.GetUuid(), m.Bridge) != n {
				t.Fatalf("PrivateNetworkOfBridge(%s) is not %v", at, n)
			}
		}
	}
}

// Whatever bytes are in the log and whatever a snapshot holds, the state
// machine answers or stops; it does not panic.
func FuzzApply(f *testing.F) {
	for _, c := range []*storev1.Command{createPool("p1"), createHost("h1", "p1"), putRule(ssh("r1"), replace),
		putPrivate(private("pn1", poolMember("p1"), &poolwirev1.PrivateNetworkMember{}), true), deleteRules("1", ""),
		putPolicy(policy("pr2", fromAddresses("ag1")), true), modifyGroup("ag1", []string{"::/0", "x"}, []string{"192.0.2.0/24"}), rollback("19"), confirm("19"),
		putPrivate(shaped("pn2", hub, of(poolMember("p1")), hubs("h1")), false), putRelays([]string{"pn2", ""}, relay("pn2", "p1", "h1", "h2")), putKey(key("h1", "h2", 1)), forgetKey(key("h1", "h2", 3)),
		proved(protection("h1", "h2", "gre"), nil), lost(protection("h1", "h2", "geneve")), multicast([]*storev1.Subscription{subscription("v1", "pn2", "ff02::1"), nil}, []*storev1.Subscription{subscription("v1", "pn2", "::")}),
		within(1, putVifGroup(&poolwirev1.VifGroup{Uuid: "vg2", NameLabel: "b", Groups: []string{"vg1", "vg2"}}, true)), deletePolicy("pr1", ""), expire("pr1", ""),
		observe(&storev1.ObserveHost{HostUuid: "h1", Bridges: []*storev1.Bridge{{Name: "b\x00"}, {}}, Ports: []*storev1.Port{vifPort("a", "b\x00", "v", macA), {}},
			BridgesGone: []string{""}, PortsGone: []string{"", "a"}, Facts: &storev1.HostFacts{}})} {
		data, err := proto.Marshal(c)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	bodies := (&storev1.Command{}).ProtoReflect().Descriptor().Oneofs().ByName("body").Fields()
	for i := range bodies.Len() { // one of each kind, with nothing in it
		c := &storev1.Command{Meaning: meaningNow}
		c.ProtoReflect().Mutable(bodies.Get(i))
		data, err := proto.Marshal(c)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m := full(t)
		_, _ = m.applyBytes(data)
		if m.f.err() == nil {
			checkSense(t, m.view())
			_, _ = m.apply(deleteHost("h1", ""))
			checkSense(t, m.view())
			m.restored()
		}
	})
}

func FuzzRestore(f *testing.F) {
	f.Add(full(panicker{}).snapshot())
	f.Fuzz(func(t *testing.T, data []byte) {
		_ = newMachine(t).f.Restore(newReader(data))
	})
}

// panicker reports the failures of a fuzz test's preparation.
type panicker struct{}

func (panicker) Helper()                           {}
func (panicker) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
