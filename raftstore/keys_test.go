package raftstore

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	storev1 "poolwire/proto/poolwire/store/v1"
)

// No key is a prefix of another and different values have different keys:
// lookups are by prefix, and values come from hosts.
func TestIndexKey(t *testing.T) {
	t.Parallel()
	value := rapid.StringOf(rapid.SampledFrom([]rune{0, 1, 'a', 'b', 0xff}))
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.SliceOfN(value, 1, 3).Draw(t, "a"), rapid.SliceOfN(value, 1, 3).Draw(t, "b")
		if len(a) != len(b) {
			return
		}
		same := strings.Join(a, "\x00\x00|") == strings.Join(b, "\x00\x00|") && len(a) == len(b)
		for i := range a {
			same = same && a[i] == b[i]
		}
		if strings.HasPrefix(indexKey(a...), indexKey(b...)) != same {
			t.Fatalf("%q and %q: keys %q and %q", a, b, indexKey(a...), indexKey(b...))
		}
	})
}

func TestNumberKeyKeepsOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.Uint64().Draw(t, "a"), rapid.Uint64().Draw(t, "b")
		if (numberKey(a) < numberKey(b)) != (a < b) {
			t.Fatalf("%d and %d", a, b)
		}
	})
}

// A host cannot make its ports appear on another host or bridge by their
// names.
func TestHostileNames(t *testing.T) {
	t.Parallel()
	m := plugged(t)
	for _, name := range []string{"a", "a\x00\x01h1", "a/b", "\x00", "\x00\x01", "é"} {
		m.plug("h1", vifPort(name, "xenbr0", "v1", macA), vifPort("on "+name, name, "v2", macB))
	}
	v := m.view()
	if n := len(v.Ports("h1")); n != 12 {
		t.Errorf("%d ports on h1", n)
	}
	if len(v.Ports("h2")) != 0 || len(v.PortsByBridge("h1", "xenbr0")) != 6 || len(v.PortsByBridge("h1", "a")) != 1 || len(v.PortsByVif("v1")) != 6 {
		t.Error("ports are found where they are not")
	}
	if v.Port("h1", "a\x00\x01h1").GetName() != "a\x00\x01h1" || v.Port("h1", "never") != nil {
		t.Error("Port finds the wrong one")
	}
	m.must(observe(&storev1.ObserveHost{HostUuid: "h1", Ports: []*storev1.Port{{Name: "x", VifUuid: strings.Repeat("v", 200)}, {}}, Bridges: []*storev1.Bridge{{}}}))
	if m.view().Port("h1", "x").GetVifUuid() != "" || m.view().Bridge("h1", "") != nil || m.view().Port("h1", "") != nil {
		t.Error("nameless rows or an overlong VIF UUID were stored")
	}
	m.restored()
}
