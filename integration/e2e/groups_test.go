package e2e

import (
	"strings"
	"testing"
	"time"

	"poolwire/integration/lab"
)

// Rules of all levels, with mandatory ones from the outside in and default ones from
// the inside out, as operators of the XenServer vSwitch Controller know them.
func TestHierarchy(t *testing.T) {
	t.Parallel()
	p := newPair(t, "levels")
	p.do(t, "vif-group", "create", "web", "--vif", p.a.VIF().UUID)
	scopes := []struct{ level, flag string }{
		{"global", "--global"}, {"pool", "--pool=paris"}, {"network", "--network=xenbr0"}, {"vif-group", "--group=web"}, {"vif", "--vif=" + p.a.VIF().UUID},
	}
	ping := []string{"--outbound", "--protocol", "icmp"}
	passes(t, p.a, p.b.IPv4())
	// Each default rule is overruled by one further in, each mandatory one by one further out.
	for i, s := range scopes {
		action := []string{"--drop", "--allow"}[i%2]
		p.do(t, append([]string{"rule", "add", s.flag, action, "--name", "default-" + s.level}, ping...)...)
		if i%2 == 0 {
			blocked(t, p.a, p.b.IPv4())
		} else {
			passes(t, p.a, p.b.IPv4())
		}
	}
	for i := range scopes {
		s, action := scopes[len(scopes)-1-i], []string{"--allow", "--drop"}[i%2]
		p.do(t, append([]string{"rule", "add", s.flag, action, "--mandatory", "--name", "mandatory-" + s.level}, ping...)...)
		if i%2 == 0 {
			passes(t, p.a, p.b.IPv4())
		} else {
			blocked(t, p.a, p.b.IPv4())
		}
	}
	show := p.do(t, "policy", "show", "--vif", p.a.VIF().UUID)
	at := -1
	for _, name := range []string{"mandatory-global", "mandatory-pool", "mandatory-network", "mandatory-vif-group", "mandatory-vif",
		"default-vif", "default-vif-group", "default-network", "default-pool", "default-global"} {
		next := -1
		for i, line := range strings.Split(show, "\n") {
			for _, word := range strings.Fields(line) {
				if word == name {
					next = i
				}
			}
		}
		if next <= at {
			t.Fatalf("%s is not in its place:\n%s", name, show)
		}
		at = next
	}
}

// A change of a group is a change of what passes, at once and for the flows that
// depend on it only.
func TestGroupsChangeLive(t *testing.T) {
	t.Parallel()
	p := newPair(t, "groups")
	web := serve(t, p.a, 80)
	p.do(t, "network", "set", "xenbr0", "--default-inbound-action", "drop")
	p.do(t, "rule", "add", "--vif", p.b.VIF().UUID, "--allow", "--both", "--name", "b-all")
	p.do(t, "address-group", "create", "clients", "--address", "192.0.2.0/24")
	p.do(t, "vif-group", "create", "servers", "--selector", "app=web")
	p.do(t, "rule", "add", "--group", "servers", "--allow", "--inbound", "--protocol", "tcp", "--local-port", "80", "--from", "group:clients", "--name", "clients-in")
	connects(t, p.b, web, false)

	p.do(t, "vif", "update", p.a.VIF().UUID, "--label", "app=web")
	connects(t, p.b, web, false)
	before := flows(t, p.h1, "xenbr0")
	p.do(t, "address-group", "add", "clients", p.b.IPv4().String())
	connects(t, p.b, web, true)
	after := flows(t, p.h1, "xenbr0")
	if gone, added := lost(before, after), lost(after, before); len(gone) > 0 || len(added) > 2 {
		t.Errorf("one more member changed more than its own flows:\n- %s\n+ %s", strings.Join(gone, "\n- "), strings.Join(added, "\n+ "))
	}
	p.do(t, "address-group", "remove", "clients", p.b.IPv4().String())
	connects(t, p.b, web, false)

	// Labels that the host reports make members too, and a VIF group may be the other end.
	p.do(t, "vif-group", "create", "testers", "--selector", "role=test")
	p.do(t, "rule", "add", "--group", "servers", "--allow", "--inbound", "--from", "vif-group:testers", "--name", "testers-in")
	connects(t, p.b, web, false)
	vsctl(t, p.h2, "set", "Interface", p.b.VIF().Port(), "external_ids:poolwire-label-role=test")
	connects(t, p.b, web, true)
	vsctl(t, p.h2, "remove", "Interface", p.b.VIF().Port(), "external_ids", "poolwire-label-role")
	connects(t, p.b, web, false)
}

// lost lists the lines of a that are not in b.
func lost(a, b string) []string {
	have := map[string]bool{}
	for _, line := range strings.Split(b, "\n") {
		have[line] = true
	}
	var out []string
	for _, line := range strings.Split(a, "\n") {
		if !have[line] {
			out = append(out, line)
		}
	}
	return out
}

// A private VLAN across two hosts: isolated VIFs and those of different communities
// do not hear each other, everyone hears a promiscuous one.
func TestIsolationAcrossHosts(t *testing.T) {
	t.Parallel()
	m := newMatrix(t, "pvlan")
	ctx := within(t, 3*time.Minute)
	for i, bridge := range []string{"xenbr0", "xapi2", "pw7"} {
		t.Run(bridge, func(t *testing.T) {
			vms := map[string]*lab.VM{}
			for j, name := range []string{"iso1", "iso2", "red1", "red2", "blue", "router"} {
				vm, err := m.hosts[j%2].AddVM(ctx, vmOptions(name+"-"+bridge, bridge, 20*i+j+1))
				if err != nil {
					t.Fatal(err)
				}
				vms[name] = vm
			}
			near, err := m.hosts[0].AddVM(ctx, vmOptions("iso3-"+bridge, bridge, 20*i+9))
			if err != nil {
				t.Fatal(err)
			}
			vms["iso3"] = near // on the host of iso1
			for _, name := range []string{"iso1", "iso2", "iso3"} {
				m.do(t, "vif", "update", vms[name].VIF().UUID, "--isolation", "isolated")
			}
			for name, community := range map[string]string{"red1": "red", "red2": "red", "blue": "blue"} {
				m.do(t, "vif", "update", vms[name].VIF().UUID, "--isolation", "community", "--community", community)
			}
			for _, name := range []string{"iso1", "iso2", "iso3", "red1", "red2", "blue"} {
				passes(t, vms[name], vms["router"].IPv4())
				passes(t, vms["router"], vms[name].IPv6())
			}
			passes(t, vms["red1"], vms["red2"].IPv4())
			for _, pair := range [][2]string{{"iso1", "iso2"}, {"iso1", "iso3"}, {"iso1", "red1"}, {"red1", "blue"}, {"blue", "red2"}, {"red2", "iso2"}} {
				blocked(t, vms[pair[0]], vms[pair[1]].IPv4())
				blocked(t, vms[pair[1]], vms[pair[0]].IPv6())
			}
			nothingReaches(t, vms["iso1"], vms["iso2"], vms["router"])
			nothingReaches(t, vms["red1"], vms["blue"], vms["red2"])
		})
	}
}
