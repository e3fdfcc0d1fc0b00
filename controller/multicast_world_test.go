package controller

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"poolwire/flowcompiler"
	storev1 "poolwire/proto/poolwire/store/v1"
	"poolwire/raftstore"
)

// randomMulticast has a VIF join a group, or leave it. Two of the groups share a MAC address.
func randomMulticast(t *rapid.T, vif string, private int) *storev1.Command {
	s := []*storev1.Subscription{subscribed(vif, uuidOf("cccc", private),
		rapid.SampledFrom([]string{"239.1.2.3", "238.129.2.3", "ff05::1:3", "0.0.0.0", "::"}).Draw(t, "group"))}
	if rapid.IntRange(0, 3).Draw(t, "left") == 0 {
		return multicast(nil, s)
	}
	return multicast(s, nil)
}

func subscribed(vif, network, group string) *storev1.Subscription {
	return &storev1.Subscription{VifUuid: vif, PrivateNetworkUuid: network, Group: group}
}

func multicast(joined, left []*storev1.Subscription) *storev1.Command {
	return &storev1.Command{Body: &storev1.Command_ObserveMulticast{ObserveMulticast: &storev1.ObserveMulticast{Joined: joined, Left: left}}}
}

// toGroup is what a bridge does with frames to 239.1.2.3 on the only private network.
func (w *world) toGroup(host, bridge string) string {
	for _, line := range lines(w.bridges[at{host, bridge}].program.compiler) {
		if _, does, is := strings.Cut(line, "dl_dst=01:00:5e:01:02:03 actions="); is && strings.Contains(line, "priority=200,") {
			return does
		}
	}
	return "nothing"
}

// TestMulticastFollows: where a group goes after each change, on both hosts; only the marks that a change has made lead
// there (settle compares with a look at everything).
func TestMulticastFollows(t *testing.T) {
	t.Parallel()
	w := newWorld(newState(t))
	pool := w.pool(1)
	h1, h2 := w.host(pool, 1), w.host(pool, 2)
	w.do(putPrivate(blue(poolMember(pool)), true))
	one, two := uuidOf("dddd", 1), uuidOf("dddd", 2)
	for i, host := range []string{h1, h2} {
		w.do(seen(host, &storev1.Bridge{Name: "pw100", DatapathId: 2}, onBlue(host, fmt.Sprintf("vif%d.0", i+1), uuidOf("dddd", i+1), i+1)))
	}
	w.do(seen(h2, onBlue(h2, "vif3.0", uuidOf("dddd", 3), 3)))
	w.settle()
	network := w.view().PrivateNetworks()[0].GetUuid()
	s := func(vif, group string) []*storev1.Subscription {
		return []*storev1.Subscription{subscribed(vif, network, group)}
	}
	flooded := blue(poolMember(pool))
	flooded.FloodMulticast = true
	moved := onBlue(h1, "vif9.0", two, 9)
	moved.AttachedMac = macOf(2)
	for _, step := range []struct {
		name   string
		change *storev1.Command
		h1, h2 string
	}{
		{"nobody listens", multicast(nil, s(one, "239.1.2.3")), "nothing", "nothing"},
		{"the second", multicast(s(two, "239.1.2.3"), nil), "drop", "output:2"},
		{"the first, to a group with the same address", multicast(s(one, "238.1.2.3"), nil), "output:1", "output:2"},
		{"the third gets all", multicast(s(uuidOf("dddd", 3), "0.0.0.0"), nil), "output:1", "output:2,output:3"},
		{"and no longer", multicast(nil, s(uuidOf("dddd", 3), "0.0.0.0")), "output:1", "output:2"},
		{"the first leaves", multicast(nil, s(one, "238.1.2.3")), "drop", "output:2"},
		{"the second is plugged twice", seen(h1, moved), "output:9", "output:2"},
		{"it has moved", observe(&storev1.ObserveHost{HostUuid: h2, PortsGone: []string{"vif2.0"}}), "output:9", "drop"},
		{"all is flooded", putPrivate(flooded, false), "nothing", "nothing"},
		{"not any more", putPrivate(blue(poolMember(pool)), false), "output:9", "drop"},
		{"it is gone", observe(&storev1.ObserveHost{HostUuid: h1, PortsGone: []string{"vif9.0"}}), "nothing", "nothing"},
	} {
		if _, err := w.try(step.change); err != nil {
			t.Fatal(step.name, err)
		}
		w.settle()
		if got1, got2 := w.toGroup(h1, "pw100"), w.toGroup(h2, "pw100"); got1 != step.h1 || got2 != step.h2 {
			t.Fatalf("%s: %q and %q, want %q and %q", step.name, got1, got2, step.h1, step.h2)
		}
	}
}

// TestTooManyListenersAreFlooded: where the store is full nobody knows who else listens.
func TestTooManyListenersAreFlooded(t *testing.T) {
	t.Parallel()
	w := newWorld(newState(t))
	pool := w.pool(1)
	h1 := w.host(pool, 1)
	w.do(putPrivate(blue(poolMember(pool)), true))
	rows := []any{&storev1.Bridge{Name: "pw100", DatapathId: 2}}
	var joined []*storev1.Subscription
	network := w.view().PrivateNetworks()[0].GetUuid()
	for i := range raftstore.MaxSubscriptions / raftstore.MaxVifGroups {
		rows = append(rows, onBlue(h1, fmt.Sprintf("vif%d.0", i+1), uuidOf("dddd", i+1), i+1))
		for j := range raftstore.MaxVifGroups {
			joined = append(joined, subscribed(uuidOf("dddd", i+1), network, fmt.Sprintf("239.1.2.%d", j)))
		}
	}
	w.do(seen(h1, rows...))
	last := len(joined) - 1
	w.do(multicast(joined[:last], nil))
	w.settle()
	everyone := func(want bool) {
		t.Helper()
		if got := strings.Contains(w.toGroup(h1, "pw100"), fmt.Sprintf("goto_table:%d", flowcompiler.TableDeliver)); got != want {
			t.Errorf("the group goes to everyone: %v", got)
		}
	}
	everyone(false)
	w.do(multicast(joined[last:], nil))
	w.settle()
	everyone(true)
	w.do(multicast(nil, joined[:1]))
	w.settle()
	everyone(false)
}
