package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"poolwire/integration/lab"
)

// xoUUID is a private network of Xen Orchestra's plugin, xoOther another one.
const (
	xoUUID  = "5f1c6a0e-3f43-4a35-9d43-6c1ac0ffee01"
	xoOther = "5f1c6a0e-3f43-4a35-9d43-6c1ac0ffee02"
)

// plugged is a private network as the plugin makes it: a star of tunnels, with its centre at lyon1.
type plugged struct {
	*relayed
	encapsulation string
}

// newPlugged makes three pools of one host each, with a VM on each host.
func newPlugged(t *testing.T, name, encapsulation string) *plugged {
	t.Helper()
	s := &plugged{&relayed{pair: &pair{World: newWorld(t, name)}, hosts: map[string]*lab.Host{}, vms: map[string]*lab.VM{}}, encapsulation}
	ctx := within(t, 2*time.Minute)
	for i, pool := range []string{"lyon", "paris", "nice"} {
		s.do(t, "pool", "create", pool)
		h, err := s.Join(ctx, pool, false, lab.HostOptions{Name: pool + "1"})
		if err != nil {
			t.Fatal(err)
		}
		s.hosts[pool+"1"] = h
		if err := h.AddBridge(ctx, lab.BridgeOptions{Name: s.bridge(pool + "1"), NetworkUUID: fmt.Sprintf("5f1c6a0e-3f43-4a35-9d43-0000000000%02d", i)}); err != nil {
			t.Fatal(err)
		}
		options := vmOptions("vm"+pool+"1", s.bridge(pool+"1"), 11+i)
		options.MTU = 1400
		vm, err := h.AddVM(ctx, options)
		if err != nil {
			t.Fatal(err)
		}
		s.vms[pool+"1"] = vm
	}
	for i, leaf := range []string{"paris1", "nice1"} {
		s.tunnel(t, "lyon1", leaf, i, xoUUID, 4711)
		s.tunnel(t, leaf, "lyon1", 0, xoUUID, 4711)
	}
	// Not to be touched: another network's, a tunnel without a mark, and one to an address that is nobody's.
	s.tunnel(t, "lyon1", "paris1", 0, xoOther, 4712)
	vsctl(t, s.hosts["lyon1"], "add-port", "xapi5", "plain0", "--", "set", "Interface", "plain0", "type="+encapsulation,
		"options:remote_ip="+s.hosts["paris1"].Addr.String(), "options:key=4713")
	s.tunnelTo(t, "lyon1", "192.0.2.77", 7, xoUUID, 4711)
	s.settled(t)
	return s
}

// bridge is not called the same on every host.
func (s *plugged) bridge(host string) string {
	if host == "nice1" {
		return "xapi9"
	}
	return "xapi5"
}

// tunnel makes one as the plugin does.
func (s *plugged) tunnel(t *testing.T, from, to string, n int, network string, vni int) {
	t.Helper()
	s.tunnelTo(t, from, s.hosts[to].Addr.String(), n, network, vni)
}

func (s *plugged) tunnelTo(t *testing.T, from, address string, n int, network string, vni int) {
	t.Helper()
	br := s.bridge(from)
	port, iface := fmt.Sprintf("%s_port%d_%d", br, n, vni), fmt.Sprintf("%s_i%d_%d", br, n, vni)
	vsctl(t, s.hosts[from], "--", "--id=@i", "create", "Interface", "name="+iface, "type="+s.encapsulation,
		"options:remote_ip="+address, fmt.Sprintf("options:key=%d", vni),
		"--", "--id=@p", "create", "Port", "name="+port, "interfaces=@i", "other_config:xo\\:sdn-controller\\:private-network-uuid="+network,
		"--", "add", "Bridge", br, "ports", "@p")
}

func (s *plugged) marked(t *testing.T, host, network string) string {
	t.Helper()
	return vsctl(t, s.hosts[host], "--bare", "--columns=name", "find", "Port", "other_config:xo\\:sdn-controller\\:private-network-uuid="+network)
}

// stream is a ping that runs beside what is done, both ways at 100 packets a second.
func (s *plugged) stream(t *testing.T, from, to string) (stop func() lab.PingResult) {
	t.Helper()
	passes(t, s.vms[from], s.vms[to].IPv4())
	p, err := s.vms[from].StartPing(within(t, 2*time.Minute), s.vms[to].IPv4(), lab.PingOptions{Interval: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return func() lab.PingResult {
		if err := p.WaitReceived(within(t, 30*time.Second), 100); err != nil {
			t.Error(err)
		}
		r, err := p.Stop(within(t, time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
}

// during runs f while pings go between all pairs of hosts, and returns the longest gap of each.
func (s *plugged) during(t *testing.T, what string, f func()) time.Duration {
	t.Helper()
	pairs := [][2]string{{"lyon1", "paris1"}, {"paris1", "nice1"}, {"nice1", "lyon1"}}
	var stops []func() lab.PingResult
	for _, p := range pairs {
		stops = append(stops, s.stream(t, p[0], p[1]))
	}
	f()
	var longest time.Duration
	for i, stop := range stops {
		r := stop()
		t.Logf("%s: %s to %s: %d of %d lost, gap %v", what, pairs[i][0], pairs[i][1], r.Lost(), r.Sent, r.Outage())
		longest = max(longest, r.Outage())
	}
	return longest
}

func (s *plugged) everyone() []string { return []string{"lyon1", "paris1", "nice1"} }

// A private network of Xen Orchestra's plugin is taken over pool by pool, while those that are not yet go on reaching the others.
func TestAdoption(t *testing.T) {
	t.Parallel()
	for _, encapsulation := range []string{"vxlan", "gre"} {
		t.Run(encapsulation, func(t *testing.T) {
			t.Parallel()
			s := newPlugged(t, "adopt"+encapsulation, encapsulation)
			s.everyoneHears(t, s.everyone()...)
			s.showsPlan(t)
			for _, step := range []struct{ pool, taken string }{{"lyon", "lyon1"}, {"paris", "lyon1 paris1"}, {"nice", "lyon1 paris1 nice1"}} {
				gap := s.during(t, "pool "+step.pool, func() {
					s.do(t, "private-network", "adopt", xoUUID, "--name", "green", "--pool", step.pool)
					s.retired(t, strings.Fields(step.taken))
				})
				if gap > time.Second {
					t.Errorf("taking over pool %s interrupted traffic for %v", step.pool, gap)
				}
				s.everyoneHears(t, s.everyone()...)
			}
			s.isOurs(t)
		})
	}
}

// showsPlan looks at what is found, and at what would be done, which changes nothing.
func (s *plugged) showsPlan(t *testing.T) {
	t.Helper()
	list := s.do(t, "private-network", "adopt", "--list")
	for _, want := range []string{xoUUID, "4711", "lyon1", "xapi9", s.hosts["paris1"].Addr.String()} {
		if !strings.Contains(list, want) {
			t.Errorf("the list lacks %q:\n%s", want, list)
		}
	}
	before := map[string]string{}
	for _, host := range s.everyone() {
		before[host] = s.state(t, host)
	}
	plan := s.do(t, "private-network", "adopt", xoUUID, "--dry-run")
	t.Log(plan)
	for _, want := range []string{"take over pool lyon", "take over pool nice", "host nice1: bridge xapi9 becomes part", "remove"} {
		if !strings.Contains(plan, want) {
			t.Errorf("the plan lacks %q:\n%s", want, plan)
		}
	}
	if strings.Index(plan, "pool lyon") > strings.Index(plan, "pool nice") {
		t.Errorf("the centre's pool does not come first:\n%s", plan)
	}
	for _, host := range s.everyone() {
		if now := s.state(t, host); now != before[host] {
			t.Errorf("a dry run changed %s:\n%s\nwas\n%s", host, now, before[host])
		}
	}
}

// state is what a change would change.
func (s *plugged) state(t *testing.T, host string) string {
	t.Helper()
	return vsctl(t, s.hosts[host], "--", "--columns=name,controller,ports,fail_mode", "list", "Bridge", "--", "--columns=name,type,options", "list", "Interface") +
		flows(t, s.hosts[host], s.bridge(host))
}

// retired waits until hosts that are taken over have no tunnels of the plugin's to each other, and those to others.
func (s *plugged) retired(t *testing.T, taken []string) {
	t.Helper()
	want := map[string]int{"lyon1": 1 + 3 - len(taken)} // one leads to nobody
	for _, leaf := range []string{"paris1", "nice1"} {
		want[leaf] = 1
	}
	for _, host := range taken[1:] {
		want[host] = 0
	}
	for _, host := range s.everyone() {
		eventually(t, func(context.Context) error {
			if got := len(strings.Fields(s.marked(t, host, xoUUID))); got != want[host] {
				return fmt.Errorf("%s has %d tunnels of the plugin's, want %d", host, got, want[host])
			}
			return nil
		})
	}
}

// isOurs checks that traffic is Poolwire's, that nothing else was touched, and that bridges stay when the network goes.
func (s *plugged) isOurs(t *testing.T) {
	t.Helper()
	for _, host := range s.everyone() {
		if got := vsctl(t, s.hosts[host], "--bare", "--columns=name", "find", "Interface", "type="+s.encapsulation, "options:key=flow"); len(strings.Fields(got)) != 2 {
			t.Errorf("%s has the tunnels %q, want two of Poolwire's", host, got)
		}
	}
	for _, port := range []string{"xapi5_port0_4712", "plain0", "xapi5_port7_4711"} {
		if got := vsctl(t, s.hosts["lyon1"], "port-to-br", port); got != "xapi5" {
			t.Errorf("port %s is on bridge %q", port, got)
		}
	}
	before := s.do(t, "private-network", "show", "green")
	s.do(t, "private-network", "adopt", xoUUID)
	if now := s.do(t, "private-network", "show", "green"); now != before {
		t.Errorf("taking over again changed\n%s\nto\n%s", before, now)
	}
	s.do(t, "private-network", "delete", "green")
	for _, host := range s.everyone() {
		if err := s.hosts[host].Settle(within(t, 20*time.Second)); err != nil {
			t.Fatal(err)
		}
		vsctl(t, s.hosts[host], "br-exists", s.bridge(host))
	}
}
