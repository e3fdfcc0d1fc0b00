package controller

import (
	"context"
	"slices"
	"testing"
	"time"

	"poolwire/flowcompiler"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/southbound/openflow"
	"poolwire/southbound/openflow/flow"
)

// registersWith sets fields of the registers.
func registersWith(values map[flowcompiler.Field]uint32) (out [16]uint32) {
	for f, v := range values {
		row := flowcompiler.Fields()[f]
		out[row.Register] |= v << row.Low
	}
	return out
}

func TestTheNumbersThatDenialsAreReadByAreTheCompilers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		field flowcompiler.Field
		value uint32
		means string
	}{
		{flowcompiler.FieldVerdict, verdictReject, "reject"}, {flowcompiler.FieldSource, fromVIF, "a VIF"},
	} {
		row := flowcompiler.Fields()[c.field]
		if row.Field != c.field || !slices.Contains(row.Values, flowcompiler.FieldValue{Value: c.value, Means: c.means}) {
			t.Errorf("%s = %d does not mean %q: %v", row.Name, c.value, c.means, row.Values)
		}
	}
}

func TestOnlyDenialsAreRead(t *testing.T) {
	t.Parallel()
	frame := slices.Concat(make([]byte, 12), []byte{8, 0})
	ours := flowcompiler.Cookie{Kind: flowcompiler.KindBase}.Encode()
	for name, c := range map[string]struct {
		in   openflow.PacketIn
		want bool
	}{
		"a denial":           {openflow.PacketIn{Table: uint8(flowcompiler.TableDenied), Cookie: ours, Data: frame}, true},
		"of another table":   {openflow.PacketIn{Table: 3, Cookie: ours, Data: frame}, false},
		"by a foreign flow":  {openflow.PacketIn{Table: uint8(flowcompiler.TableDenied), Cookie: 7, Data: frame}, false},
		"without a frame":    {openflow.PacketIn{Table: uint8(flowcompiler.TableDenied), Cookie: ours}, false},
		"with half a header": {openflow.PacketIn{Table: uint8(flowcompiler.TableDenied), Cookie: ours, Data: frame[:13]}, false},
	} {
		if _, ok := packetIn(c.in); ok != c.want {
			t.Errorf("%s: %v", name, ok)
		}
	}
}

func TestTheSubjectOfADenial(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fields map[flowcompiler.Field]uint32
		want   uint32
	}{
		"with a policy": {map[flowcompiler.Field]uint32{flowcompiler.FieldSubject: 7, flowcompiler.FieldSourceVIF: 8}, 7},
		"sender":        {map[flowcompiler.Field]uint32{flowcompiler.FieldSourceVIF: 8, flowcompiler.FieldDestination: 9}, 8},
		"receiver":      {map[flowcompiler.Field]uint32{flowcompiler.FieldInbound: 1, flowcompiler.FieldSourceVIF: 8, flowcompiler.FieldDestination: 9}, 9},
	} {
		if got := (deniedPacket{registers: registersWith(c.fields)}).subject(); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

func TestTheWayBackToASender(t *testing.T) {
	t.Parallel()
	inbound := map[flowcompiler.Field]uint32{flowcompiler.FieldInbound: 1, flowcompiler.FieldSource: 2}
	fromVM := map[flowcompiler.Field]uint32{flowcompiler.FieldInbound: 1, flowcompiler.FieldSource: fromVIF}
	var none flow.Action
	external, private := bridgeNetwork{}, bridgeNetwork{Network: flowcompiler.Network{Private: true}}
	for name, c := range map[string]struct {
		fields map[flowcompiler.Field]uint32
		inPort uint32
		net    bridgeNetwork
		want   uint32
		action flow.Action
		ok     bool
	}{
		"the VIF itself":             {nil, 5, external, flow.PortController, flow.Output(5), true},
		"a port that is not its own": {nil, 6, external, 0, none, false},
		"behind an uplink":           {inbound, 1, external, 5, flow.Normal(), true},
		"another VIF":                {fromVM, 6, external, flow.PortController, flow.Output(6), true},
		"on another host":            {inbound, 9, private, flow.PortController, flow.Output(9), true},
		"a port that cannot be":      {inbound, flow.PortNormal, private, 0, none, false},
		"no port":                    {inbound, 0, external, 0, none, false},
	} {
		way, ok := wayBack(deniedPacket{inPort: c.inPort, registers: registersWith(c.fields)}, []uint32{5}, c.net)
		if ok != c.ok || ok && (way.inPort != c.want || len(way.actions) != 1 || way.actions[0] != c.action) {
			t.Errorf("%s: %+v, %v", name, way, ok)
		}
	}
}

func TestWhoeverReadsTooSlowlyIsToldWhatWasLost(t *testing.T) {
	t.Parallel()
	h := newDeniedHub()
	ctx, cancel := context.WithCancel(context.Background())
	slow, quick := h.watch(ctx, context.Background()), h.watch(context.Background(), ctx)
	for i := range deniedBuffer + 10 {
		h.publish(&poolwirev1.WatchDeniedResponse{SourcePort: uint32(i)})
		if m := <-quick; m.GetSourcePort() != uint32(i) || m.GetLost() != 0 {
			t.Fatalf("the quick one got %v", m)
		}
	}
	for i := range deniedBuffer {
		if m := <-slow; m.GetSourcePort() != uint32(i) || m.GetLost() != 0 {
			t.Fatalf("the slow one got %v", m)
		}
	}
	h.publish(&poolwirev1.WatchDeniedResponse{})
	if m := <-slow; m.GetLost() != 10 {
		t.Errorf("%d are said to be lost, 10 were", m.GetLost())
	}
	cancel()
	for m := range slow {
		t.Errorf("got %v of an ended subscription", m)
	}
	<-quick
	for m := range quick { // either context ends a subscription
		t.Errorf("got %v of an ended subscription", m)
	}
	if h.watched() {
		t.Error("somebody is still watching")
	}
}

func TestABoundGivesBackWhatTimeBrings(t *testing.T) {
	t.Parallel()
	b, now := perSecond(10), time.Unix(1000, 0)
	count := func() (n int) {
		for range 100 {
			if b.AllowN(now, 1) {
				n++
			}
		}
		return n
	}
	if n := count(); n != 10 {
		t.Errorf("%d at once, want 10", n)
	}
	now = now.Add(500 * time.Millisecond)
	if n := count(); n != 5 {
		t.Errorf("%d after half a second, want 5", n)
	}
	now = now.Add(time.Hour)
	if n := count(); n != 10 {
		t.Errorf("%d after an hour, want 10", n)
	}
}
