package e2e

import (
	"context"
	"encoding/json"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"poolwire/integration/lab"
	"poolwire/integration/scenario"
)

// doomed is a world whose cluster is to be lost: a lock, a rule and a private network, and pings over both kinds of network.
type doomed struct {
	*pair
	uuid  string             // of the cluster
	x, y  *lab.VM            // of the private network
	pings []*lab.RunningPing // between a and b, and between x and y
}

func newDoomed(t *testing.T, name string, nodes func(*pair)) *doomed {
	t.Helper()
	l := &doomed{pair: &pair{World: newWorld(t, name, scenario.ClusterFlags(scenario.FirstController)...)}}
	nodes(l.pair)
	l.do(t, "pool", "create", "paris")
	l.h1, l.h2 = l.join(t, "paris1"), l.join(t, "paris2")
	l.a, l.b = l.vm(t, l.h1, "a", 1), l.vm(t, l.h2, "b", 2)
	l.do(t, "private-network", "create", "blue", "--vni", "7", "--pool", "paris")
	for vm, at := range map[**lab.VM]struct {
		host *lab.Host
		name string
		n    int
	}{&l.x: {l.h1, "x", 11}, &l.y: {l.h2, "y", 12}} {
		var err error
		if *vm, err = at.host.AddVM(within(t, time.Minute), vmOptions(at.name, "pw7", at.n)); err != nil {
			t.Fatal(err)
		}
	}
	l.ask(t)
	l.settled(t)
	passes(t, l.x, l.y.IPv4())
	l.uuid = l.clusterUUID(t)
	for _, ends := range [][2]*lab.VM{{l.a, l.b}, {l.x, l.y}} {
		ping, err := ends[0].StartPing(within(t, 5*time.Minute), ends[1].IPv4(), lab.PingOptions{Interval: 10 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		l.pings = append(l.pings, ping)
	}
	return l
}

// ask asks for the lock and the rule.
func (l *doomed) ask(t *testing.T, flags ...string) {
	t.Helper()
	l.do(t, append([]string{"vif", "lock", l.a.VIF().UUID, "--ipv4", l.a.IPv4().String()}, flags...)...)
	l.do(t, append([]string{"add-rule", "bridge=xenbr0", "direction=to", "protocol=tcp", "port=7", "ipRange=10.66.0.0/24", "allow=false"}, flags...)...)
}

func (p *pair) clusterUUID(t *testing.T) string {
	t.Helper()
	var status struct {
		UUID string `json:"cluster_uuid"`
	}
	out := p.do(t, "cluster", "status", "-o", "json")
	if err := json.Unmarshal([]byte(out), &status); err != nil || status.UUID == "" {
		t.Fatalf("cluster status: %v\n%s", err, out)
	}
	return status.UUID
}

// allFlows are the flows of both hosts, by host and bridge.
func (l *doomed) allFlows(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, h := range []*lab.Host{l.h1, l.h2} {
		for _, bridge := range strings.Fields(vsctl(t, h, "list-br")) {
			out[h.ShortName+"/"+bridge] = flows(t, h, bridge)
		}
	}
	return out
}

// lostPings stops the pings and returns how many were lost between a and b, and between x and y.
func (l *doomed) lostPings(t *testing.T) (outside, inside int) {
	t.Helper()
	var missing []int
	for _, ping := range l.pings {
		r, err := ping.Stop(within(t, 20*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%d pings, %d lost", r.Sent, r.Lost())
		missing = append(missing, r.Lost())
	}
	return missing[0], missing[1]
}

// A cluster whose nodes are all lost is brought back from a backup, which was saved through a node that does not lead: the
// same intent, under the same identity, with the flows that the hosts have, and no packet lost.
func TestLostClusterIsRestored(t *testing.T) {
	t.Parallel()
	l := newDoomed(t, "restore", func(p *pair) { p.cluster(t) })
	file := filepath.Join(t.TempDir(), "paris.backup")
	if _, err := l.Through(within(t, time.Minute), "n2", "backup", "save", file); err != nil {
		t.Fatal(err)
	}
	before, rules := l.allFlows(t), l.do(t, "rule", "list")
	// What comes after the backup is gone with the cluster.
	l.do(t, "add-rule", "bridge=xenbr0", "direction=to", "protocol=tcp", "port=9", "ipRange=10.66.0.0/24", "allow=false")
	if err := l.LoseCluster(); err != nil {
		t.Fatal(err)
	}
	if err := l.StartDaemon(within(t, time.Minute)); err != nil {
		t.Fatal(err)
	}
	l.do(t, "backup", "restore", file)
	for _, host := range []string{"paris1", "paris2"} {
		if err := l.AwaitHost(within(t, time.Minute), host); err != nil {
			t.Fatal(err)
		}
	}
	l.settled(t)
	if outside, inside := l.lostPings(t); outside+inside > 0 {
		t.Errorf("pings were lost: %d between a and b, %d in the private network", outside, inside)
	}
	if uuid := l.clusterUUID(t); uuid != l.uuid {
		t.Errorf("cluster %s was restored as %s", l.uuid, uuid)
	}
	if now := l.do(t, "rule", "list"); now != rules {
		t.Errorf("rules before:\n%s\nrestored:\n%s", rules, now)
	}
	// Sessions with nodes that are no more are taken from bridges, and their flows with them.
	eventually(t, wants(scenario.FirstController).of(l.h1, "get-controller", "xenbr0"))
	for at, now := range l.allFlows(t) {
		if now != before[at] {
			t.Errorf("%s before:\n%s\nrestored:\n%s", at, before[at], now)
		}
	}
}

// A cluster that is lost without a backup is rebuilt: the hosts tell what they have, and what of it nobody asks for now is
// named. Nothing is lost until the new cluster, which has been told everything, takes its place, and then next to nothing.
func TestLostClusterIsRebuilt(t *testing.T) {
	t.Parallel()
	l := newDoomed(t, "rebuild", func(*pair) {})
	uuids := map[string]string{"blue": l.uuidOf(t, "private-network", "blue"), "paris1": l.uuidOf(t, "host", "paris1"), "paris2": l.uuidOf(t, "host", "paris2")}
	before := l.allFlows(t)
	if err := l.LoseCluster(); err != nil {
		t.Fatal(err)
	}
	if err := l.StartDaemon(within(t, time.Minute)); err != nil {
		t.Fatal(err)
	}
	l.do(t, "pool", "create", "paris")
	for _, h := range []*lab.Host{l.h1, l.h2} {
		add := []string{"host", "add", h.ShortName, "--pool", "paris", "--address", h.Addr.String(), "--wait", "none"}
		// The host's certificate names what it was.
		l.do(t, add...)
		eventually(t, l.shows("poolwire://host/"+uuids[h.ShortName], "host", "show", h.ShortName))
		l.do(t, "host", "remove", h.ShortName, "--wait", "none")
		l.do(t, append(add, "--uuid", uuids[h.ShortName])...)
		eventually(t, l.shows(`claimed by another cluster: "`+l.uuid, "host", "show", h.ShortName))
	}
	eventually(t, l.shows(uuids["blue"], "backup", "missing"))
	l.do(t, "private-network", "create", "blue", "--uuid", uuids["blue"], "--vni", "7", "--pool", "paris", "--wait", "none")
	l.ask(t, "--wait", "none")
	eventually(t, l.shows("nothing", "backup", "missing"))
	l.do(t, "cluster", "take-over", l.uuid)
	for _, host := range []string{"paris1", "paris2"} {
		if err := l.AwaitHost(within(t, time.Minute), host); err != nil {
			t.Fatal(err)
		}
	}
	l.settled(t)
	// Its tunnels are made anew: a host has another number in the new cluster.
	eventually(t, func(ctx context.Context) error { return l.x.Ping(ctx, l.y.IPv4()) })
	l.settled(t)
	if outside, inside := l.lostPings(t); outside > 0 || inside > 100 {
		t.Errorf("pings were lost: %d between a and b, %d in the private network", outside, inside)
	}
	now := l.allFlows(t)
	if len(now) != len(before) {
		t.Errorf("bridges before: %v, rebuilt: %v", slices.Sorted(maps.Keys(before)), slices.Sorted(maps.Keys(now)))
	}
	for at := range before {
		if was, is := strings.Count(before[at], "\n"), strings.Count(now[at], "\n"); was != is {
			t.Errorf("%s: %d flows before, rebuilt %d\n%s", at, was+1, is+1, now[at])
		}
	}
}

func (p *pair) uuidOf(t *testing.T, kind, name string) string {
	t.Helper()
	var found struct{ UUID string }
	out := p.do(t, kind, "show", name, "-o", "json")
	if err := json.Unmarshal([]byte(out), &found); err != nil || found.UUID == "" {
		t.Fatalf("%s %s: %v\n%s", kind, name, err, out)
	}
	return found.UUID
}
