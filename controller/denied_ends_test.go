package controller

import (
	"testing"

	"poolwire/controller/frame"
	"poolwire/flowcompiler"
	storev1 "poolwire/proto/poolwire/store/v1"
	"poolwire/southbound/openflow/flow"
)

func TestTheEndsOfADeniedPacket(t *testing.T) {
	t.Parallel()
	s := newState(t)
	host, other, foreign := s.host(s.pool(1), 1), s.host(uuidOf("aaaa", 1), 2), s.host(s.pool(2), 3)
	vif := func(n int) string { return uuidOf("dddd", n) }
	port := func(host string, n int, mac string) *storev1.Port {
		p := vifPort(host, "vif"+mac[len(mac)-1:]+".0", vif(n), 0)
		p.AttachedMac, p.Ofport = mac, uint32(n)
		return p
	}
	bridge := &storev1.Bridge{Name: "xenbr0", DatapathId: 1}
	s.do(seen(host, bridge, port(host, 1, macOf(1)), port(host, 2, macOf(2))))
	s.do(seen(other, &storev1.Bridge{Name: "xenbr0", DatapathId: 2}, port(other, 3, macOf(3))))
	s.do(seen(foreign, &storev1.Bridge{Name: "xenbr0", DatapathId: 3}, port(foreign, 4, macOf(4)), port(foreign, 5, macOf(3))))
	view := s.view()
	m := newModel(view, view.Host(host), "xenbr0", portNumbers{byName: map[string]uint32{"vif1.0": 1, "vif2.0": 2}}, false)
	id := func(n int) uint32 { return view.Vif(vif(n)).GetObjectId() }
	mac := func(n int) flow.MAC {
		out, err := flow.ParseMAC(macOf(n))
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	_, network, ok := m.plugs(vif(1))
	if !ok {
		t.Fatal("the VIF is not plugged")
	}
	in := func(source uint32) map[flowcompiler.Field]uint32 {
		return map[flowcompiler.Field]uint32{flowcompiler.FieldInbound: 1, flowcompiler.FieldSourceVIF: source, flowcompiler.FieldDestination: id(1)}
	}
	for name, c := range map[string]struct {
		fields              map[flowcompiler.Field]uint32
		from, to            int
		source, destination string
	}{
		"between VIFs of a bridge":             {in(id(2)), 2, 1, vif(2), vif(1)},
		"whatever MAC address the sender uses": {in(id(2)), 9, 1, vif(2), vif(1)},
		"from another host":                    {in(0), 3, 1, vif(3), vif(1)},
		"from elsewhere":                       {in(0), 9, 1, "", vif(1)},
		"from another pool's VIF":              {in(0), 4, 1, "", vif(1)},
		"a VIF that is not on the bridge":      {in(id(4)), 9, 1, "", vif(1)},
		"the VIF's own":                        {nil, 1, 2, vif(1), vif(2)},
		"to another host":                      {nil, 1, 3, vif(1), vif(3)},
		"to elsewhere":                         {nil, 1, 9, vif(1), ""},
	} {
		d := denial{vif: view.Vif(vif(1)), network: network, deniedPacket: deniedPacket{
			registers: registersWith(c.fields), frame: frame.Frame{Source: mac(c.from), Destination: mac(c.to)},
		}}
		if source, destination := d.ends(m); source != c.source || destination != c.destination {
			t.Errorf("%s: from %q to %q, want from %q to %q", name, source, destination, c.source, c.destination)
		}
	}
}

func TestASampleTellsBothEnds(t *testing.T) {
	t.Parallel()
	k, h, fields := rejecting(t)
	ch, err := k.c.WatchDenied(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	second := uuidOf("dddd", 2)
	k.plugged(h, "vif2.0", "xenbr0", second, macOf(2))
	port := k.view().Port(uuidOf("bbbb", 1), "vif1.0").GetOfport()
	if err := h.extras.deny(port, with(fields, flowcompiler.FieldDestination, k.view().Vif(second).GetObjectId()), aSYN(t)); err != nil {
		t.Fatal(err)
	}
	if m := <-ch; m.GetVifUuid() != vif1 || m.GetSourceVifUuid() != vif1 || m.GetDestinationVifUuid() != second {
		t.Errorf("sample: %v", m)
	}
}
