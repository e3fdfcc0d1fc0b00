package flowcompiler

import (
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	evaluator "poolwire/flowcompiler/walk"
	"poolwire/southbound/openflow/flow"
)

// changeNeighbor draws one call about neighbours and makes it.
func (w world) changeNeighbor(c *Compiler) {
	n := Neighbor{
		Network: w.id("network", 1, 3), MAC: w.mac(), VIF: w.id("vif", 100, 3),
		Addr: rapid.SampledFrom([]netip.Addr{{}, netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("192.0.2.8"), netip.MustParseAddr("2001:db8::7")}).Draw(w.t, "addr"),
	}
	if rapid.IntRange(0, 2).Draw(w.t, "remove") == 0 {
		c.RemoveNeighbor(n.Network, n.Addr)
		return
	}
	c.SetNeighbor(n)
}

// The neighbours of the tests: VIF B of this host, and one of host 2.
var (
	addrA, addrB = netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("192.0.2.11")
	addrRemote   = netip.MustParseAddr("192.0.2.21")
)

const vifRemote = 120

// neighborInput is red with neighbours. VIF A is locked, B is locked and has one of them.
func neighborInput() Input {
	in := redInput()
	in.VIFs[0].Locking, in.VIFs[0].IPv4 = Locked, []netip.Prefix{netip.PrefixFrom(addrA, 32)}
	in.VIFs[1].Locking, in.VIFs[1].IPv4 = Locked, []netip.Prefix{netip.PrefixFrom(addrB, 32)}
	in.Remotes = []Remote{{Network: netRed, Host: hostTwo, MACs: []flow.MAC{remoteMAC}}}
	in.Neighbors = []Neighbor{
		{Network: netRed, Addr: addrB, MAC: macB, VIF: 101},
		{Network: netRed, Addr: addrRemote, MAC: remoteMAC, VIF: vifRemote},
	}
	return in
}

func TestGoldenNeighbor(t *testing.T) {
	t.Parallel()
	golden(t, TableNeighbor, "base", redInput())
	golden(t, TableNeighbor, "private", neighborInput())
	external := externalInput()
	external.Neighbors = []Neighbor{{Network: external.Networks[0].ID, Addr: addrB, MAC: macB, VIF: 101}}
	golden(t, TableNeighbor, "external", external)
	silent := neighborInput()
	silent.Bridge.NoAnswers = true
	golden(t, TableNeighbor, "no_answers", silent)
}

// TestNeighborTouchesOnlyItself: a neighbour that comes, moves or goes changes its own flows alone.
func TestNeighborTouchesOnlyItself(t *testing.T) {
	t.Parallel()
	c := mustCompile(t, neighborInput())
	one := Neighbor{Network: netRed, Addr: netip.MustParseAddr("192.0.2.30"), MAC: remoteMAC3, VIF: 130}
	c.SetNeighbor(one)
	if d := mustCommit(t, c); len(d.Flows.Add) != 3 || d.Flows.Len() != 3 {
		t.Errorf("a new neighbour: %v", d.Flows)
	}
	one.MAC = macX
	c.SetNeighbor(one)
	if d := mustCommit(t, c); len(d.Flows.Modify) != 1 || d.Flows.Len() != 1 {
		t.Errorf("another MAC address: %v", d.Flows)
	}
	c.SetNeighbor(one)
	if d := mustCommit(t, c); !d.Empty() {
		t.Errorf("the same again: %v", d.Flows)
	}
	c.RemoveNeighbor(one.Network, one.Addr)
	if d := mustCommit(t, c); len(d.Flows.Delete) != 3 || d.Flows.Len() != 3 {
		t.Errorf("gone: %v", d.Flows)
	}
}

// TestNeighborsInTheEvaluator: what the evaluator makes of an answer is a whole one, back to the asker alone.
func TestNeighborsInTheEvaluator(t *testing.T) {
	t.Parallel()
	tables, err := evaluator.New(mustCompile(t, neighborInput()).Flows())
	if err != nil {
		t.Fatal(err)
	}
	ask := evaluator.Packet{
		InPort: 1, EthSrc: macA, EthDst: flow.BroadcastMAC(), EtherType: evaluator.EtherTypeARP, ARPOp: arpRequest,
		Src: addrA, Dst: addrRemote, ARPSender: macA,
	}
	out := tables.Run(ask, evaluator.Options{}).Outputs
	if len(out) != 1 || out[0].Port != ask.InPort {
		t.Fatalf("outputs: %+v", out)
	}
	got := out[0].Packet
	if got.EthSrc != remoteMAC || got.EthDst != macA || got.ARPOp != arpReply || got.ARPSender != remoteMAC || got.ARPTarget != macA ||
		got.Src != addrRemote || got.Dst != addrA {
		t.Errorf("the answer is %+v", got)
	}
	ask.Dst = netip.MustParseAddr("192.0.2.99")
	for _, o := range tables.Run(ask, evaluator.Options{}).Outputs {
		if o.Port == ask.InPort || o.Packet.ARPOp != arpRequest {
			t.Errorf("a request that nobody answers leaves as %+v", o)
		}
	}
}
