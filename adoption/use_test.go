package adoption

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

func host(name string) *poolwirev1.Host { return &poolwirev1.Host{Uuid: name} }

// from is a tunnel between two hosts; to an address of nobody's when far begins with "@".
func from(name, far string) Tunnel {
	t := Tunnel{Host: host(name), Port: &storev1.Port{HostUuid: name, Name: name + "-" + far, TunnelRemote: far}}
	if far[0] != '@' {
		t.Far = host(far)
	}
	return t
}

// star has its centre at c, and a tunnel to an address that is nobody's.
func star() Network {
	return Network{UUID: "n", Tunnels: []Tunnel{
		from("a", "c"), from("b", "c"), from("c", "@x"), from("c", "a"), from("c", "b"), from("c", "d"), from("d", "c"),
	}}
}

func members(names ...string) func(string) bool {
	return func(uuid string) bool {
		for _, n := range names {
			if n == uuid {
				return true
			}
		}
		return false
	}
}

func TestUses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		members   []string
		encrypted bool
		want      map[string]Use // by host-far; all others are Closed
	}{
		"nobody":         {nil, false, nil},
		"centre":         {[]string{"c"}, false, map[string]Use{"c-a": Open, "c-b": Open, "c-d": Open, "c-@x": Open}},
		"centre, a leaf": {[]string{"a", "c"}, false, map[string]Use{"a-c": Relieved, "c-a": Relieved, "c-b": Open, "c-d": Open, "c-@x": Open}},
		"two leaves":     {[]string{"a", "b"}, false, map[string]Use{"a-c": Open}},
		"all":            {[]string{"a", "b", "c", "d"}, false, map[string]Use{"a-c": Relieved, "b-c": Relieved, "d-c": Relieved, "c-a": Relieved, "c-b": Relieved, "c-d": Relieved, "c-@x": Open}},
		"encrypted":      {[]string{"a", "c"}, true, map[string]Use{"a-c": Relieved, "c-a": Relieved}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := star()
			uses := n.Uses(members(c.members...), c.encrypted)
			for _, tunnel := range n.Tunnels {
				if got := uses.Of(tunnel.Host.GetUuid(), tunnel.Port.GetName()); got != c.want[tunnel.Port.GetName()] {
					t.Errorf("%s: %d, want %d", tunnel.Port.GetName(), got, c.want[tunnel.Port.GetName()])
				}
			}
		})
	}
	if got := star().Center(); got != "c" {
		t.Errorf("the centre is %s", got)
	}
}

// TestUsesAreATree: whatever tunnels there are, members, being as one, have exactly one open way to each group of others.
func TestUsesAreATree(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n, taken := Network{}, map[string]bool{}
		for i := range 6 {
			taken[fmt.Sprint(i)] = rapid.Bool().Draw(t, "member")
		}
		far := rapid.SampledFrom([]string{"0", "1", "2", "3", "4", "5", "@x", "@y"})
		for i := range rapid.IntRange(0, 12).Draw(t, "tunnels") {
			tunnel := from(rapid.SampledFrom([]string{"0", "1", "2", "3", "4", "5"}).Draw(t, "host"), far.Draw(t, "far"))
			tunnel.Port.Name = fmt.Sprint("i", i)
			n.Tunnels = append(n.Tunnels, tunnel)
		}
		member := func(uuid string) bool { return taken[uuid] }
		uses := n.Uses(member, false)
		// groups of others, by flooding along tunnels that no member has an end of.
		group := func(start string) map[string]bool {
			seen := map[string]bool{start: true}
			for grown := true; grown; {
				grown = false
				for _, tunnel := range n.Tunnels {
					a, b := tunnel.Host.GetUuid(), tunnel.place()
					if !member(a) && !member(b) && seen[a] != seen[b] {
						seen[a], seen[b], grown = true, true, true
					}
				}
			}
			return seen
		}
		for _, tunnel := range n.Tunnels {
			if !member(tunnel.Host.GetUuid()) || member(tunnel.place()) {
				continue
			}
			reached, open := group(tunnel.place()), map[string]bool{}
			for _, other := range n.Tunnels {
				if uses.Of(other.Host.GetUuid(), other.Port.GetName()) == Open && reached[other.place()] {
					open[other.Port.GetName()] = true
				}
			}
			if len(open) != 1 {
				t.Fatalf("%d open ways to %v", len(open), reached)
			}
		}
	})
}
