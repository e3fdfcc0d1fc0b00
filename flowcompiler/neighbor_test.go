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
		Addr: rapid.SampledFrom([]netip.Addr{{}, netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("192.0.2.8"), netip.MustParseAddr("2001:db8::7"), netip.MustParseAddr("2001:db8:0:1::7"), netip.IPv6Unspecified()}).Draw(w.t, "addr"),
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

	addr6A, addr6B = netip.MustParseAddr("2001:db8::10"), netip.MustParseAddr("2001:db8::11")
	addr6Remote    = netip.MustParseAddr("2001:db8::21")
)

const vifRemote = 120

// neighborInput is red with neighbours. VIF A is locked, B is locked and has one of them.
func neighborInput() Input {
	in := redInput()
	in.VIFs[0].Locking, in.VIFs[0].IPv4 = Locked, []netip.Prefix{netip.PrefixFrom(addrA, 32)}
	in.VIFs[1].Locking, in.VIFs[1].IPv4 = Locked, []netip.Prefix{netip.PrefixFrom(addrB, 32)}
	in.VIFs[0].IPv6, in.VIFs[1].IPv6 = []netip.Prefix{netip.PrefixFrom(addr6A, 128)}, []netip.Prefix{netip.PrefixFrom(addr6B, 128)}
	in.Remotes = []Remote{{Network: netRed, Host: hostTwo, MACs: []flow.MAC{remoteMAC}}}
	in.Neighbors = []Neighbor{
		{Network: netRed, Addr: addrB, MAC: macB, VIF: 101},
		{Network: netRed, Addr: addrRemote, MAC: remoteMAC, VIF: vifRemote},
		{Network: netRed, Addr: addr6B, MAC: macB, VIF: 101},
		{Network: netRed, Addr: addr6Remote, MAC: remoteMAC, VIF: vifRemote},
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
	old := neighborInput()
	old.Bridge.NoAdverts = true
	golden(t, TableNeighbor, "no_adverts", old)
	golden(t, TableAdvertise, "base", redInput())
	golden(t, TableAdvertise, "base_no_adverts", old)
}

// TestNeighborTouchesOnlyItself: a neighbour that comes, moves or goes changes its own flows alone.
func TestNeighborTouchesOnlyItself(t *testing.T) {
	t.Parallel()
	c := mustCompile(t, neighborInput())
	for _, text := range []string{"192.0.2.30", "2001:db8::30"} {
		touchesOnlyItself(t, c, Neighbor{Network: netRed, Addr: netip.MustParseAddr(text), MAC: remoteMAC3, VIF: 130})
	}
}

func touchesOnlyItself(t *testing.T, c *Compiler, one Neighbor) {
	t.Helper()
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

// TestAdvertsInTheEvaluator: the same of a solicitation, and that nobody makes one up for an address that is looked for
// before it is used.
func TestAdvertsInTheEvaluator(t *testing.T) {
	t.Parallel()
	tables, err := evaluator.New(mustCompile(t, neighborInput()).Flows())
	if err != nil {
		t.Fatal(err)
	}
	ask := evaluator.Packet{
		InPort: 1, EthSrc: macA, EthDst: remoteMAC, EtherType: evaluator.EtherTypeIPv6, Proto: evaluator.ProtoICMPv6, TTL: 255,
		SrcPort: neighborSolicitation, Src: addr6A, Dst: addr6Remote, NDTarget: addr6Remote, NDSource: macA, NDOption: 1,
	}
	out := tables.Run(ask, evaluator.Options{}).Outputs
	if len(out) != 1 || out[0].Port != ask.InPort {
		t.Fatalf("outputs: %+v", out)
	}
	got := out[0].Packet
	if got.EthSrc != remoteMAC || got.EthDst != macA || got.Src != addr6Remote || got.Dst != addr6A || got.TTL != 255 ||
		got.SrcPort != neighborAdvertisement || got.DstPort != 0 || got.NDTarget != addr6Remote || got.NDTargetMAC != remoteMAC ||
		got.NDReserved != advertFlags || got.NDOption != targetLinkLayer {
		t.Errorf("the answer is %+v", got)
	}
	for name, change := range map[string]func(*evaluator.Packet){
		"of nobody known": func(p *evaluator.Packet) { p.NDTarget = netip.MustParseAddr("2001:db8::99") },
		"before it is used": func(p *evaluator.Packet) {
			p.InPort, p.EthSrc, p.Src, p.NDSource = 200, macC, netip.IPv6Unspecified(), flow.MAC{}
		},
		"without the sender's address":    func(p *evaluator.Packet) { p.NDSource, p.NDOption = flow.MAC{}, 0 },
		"from beyond the link":            func(p *evaluator.Packet) { p.InPort, p.EthSrc, p.NDSource, p.TTL = 200, macC, macC, 254 },
		"of another code, and so no such": func(p *evaluator.Packet) { p.InPort, p.EthSrc, p.NDSource, p.DstPort = 200, macC, macC, 1 },
	} {
		p := ask
		change(&p)
		outputs := tables.Run(p, evaluator.Options{}).Outputs
		if len(outputs) == 0 {
			t.Errorf("a solicitation %s is dropped", name)
		}
		for _, o := range outputs {
			if o.Port == p.InPort || o.Packet.SrcPort != neighborSolicitation {
				t.Errorf("a solicitation %s leaves as %+v", name, o)
			}
		}
	}
}
