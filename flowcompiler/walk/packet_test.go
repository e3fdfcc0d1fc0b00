package walk

import (
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"poolwire/southbound/openflow/flow"
)

// TestPacketComesBack: nothing of a packet is lost in a key.
func TestPacketComesBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := randomPacket(t)
		k := p.key()
		if got := k.packet(); got != p {
			t.Fatalf("%+v\ncame back as\n%+v", p, got)
		}
	})
}

func randomPacket(t *rapid.T) Packet {
	mac := func(name string) flow.MAC { return flow.MAC(rapid.SliceOfN(rapid.Byte(), 6, 6).Draw(t, name)) }
	v4 := func(name string) netip.Addr {
		return netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, name)))
	}
	v6 := func(name string) netip.Addr {
		return netip.AddrFrom16([16]byte(append([]byte{0x20, 1}, rapid.SliceOfN(rapid.Byte(), 14, 14).Draw(t, name)...)))
	}
	p := Packet{InPort: rapid.Uint32().Draw(t, "in_port"), TunnelID: rapid.Uint64().Draw(t, "tunnel"), EthSrc: mac("src"), EthDst: mac("dst")}
	p.Registers[rapid.IntRange(0, 15).Draw(t, "register")] = rapid.Uint32().Draw(t, "value")
	p.EtherType = rapid.SampledFrom([]uint16{EtherTypeIPv4, EtherTypeIPv6, EtherTypeARP, 0x88cc}).Draw(t, "type")
	switch p.EtherType {
	case EtherTypeARP:
		p.Src, p.Dst, p.ARPOp, p.ARPSender, p.ARPTarget = v4("spa"), v4("tpa"), 2, mac("sha"), mac("tha")
		return p
	case EtherTypeIPv4:
		p.Src, p.Dst = v4("nw_src"), v4("nw_dst")
	case EtherTypeIPv6:
		p.Src, p.Dst = v6("ipv6_src"), v6("ipv6_dst")
	default:
		return p
	}
	p.Proto = rapid.SampledFrom([]uint8{ProtoTCP, ProtoUDP, ProtoSCTP, ProtoICMP, ProtoICMPv6, 47}).Draw(t, "proto")
	p.Fragment = Fragment(rapid.IntRange(0, 2).Draw(t, "fragment"))
	if p.hasPorts() {
		p.SrcPort, p.DstPort = rapid.Uint16().Draw(t, "sport"), rapid.Uint16().Draw(t, "dport")
	}
	if p.IsNeighbor() {
		p.NDTarget, p.NDSource, p.NDTargetMAC = v6("target"), mac("sll"), mac("tll")
		p.NDReserved, p.NDOption = rapid.Uint32().Draw(t, "reserved"), rapid.Uint8().Draw(t, "option")
	}
	if rapid.Bool().Draw(t, "tracked") {
		p.Connection = p.OwnTuple(CTTracked | CTEstablished)
		p.Connection.Zone = 7
	}
	return p
}

func TestText(t *testing.T) {
	t.Parallel()
	tcp := packetTo("198.51.100.1", 22)
	tcp.EthSrc, tcp.VLAN, tcp.PCP = flow.MAC{2, 0, 0, 0, 0, 1}, VLANPresent|10, 5
	reply := packetTo("198.51.100.1", 22)
	reply.Connection = reply.OwnTuple(CTTracked | CTEstablished | CTReply)
	nd := Packet{
		InPort: 2, EtherType: EtherTypeIPv6, Proto: ProtoICMPv6, TTL: 255, SrcPort: 135, Src: netip.MustParseAddr("fe80::1"),
		Dst: netip.MustParseAddr("ff02::1"), NDTarget: netip.MustParseAddr("2001:db8::1"),
	}
	for want, p := range map[string]Packet{
		"in_port=1,dl_src=02:00:00:00:00:01,dl_dst=00:00:00:00:00:00,vlan_tci=0xb00a,dl_type=0x0800,nw_proto=6,nw_ttl=64," +
			"nw_src=192.0.2.1,nw_dst=198.51.100.1,tcp_src=1000,tcp_dst=22": tcp,
		"in_port=1,dl_src=00:00:00:00:00:00,dl_dst=00:00:00:00:00:00,dl_type=0x0800,nw_proto=6,nw_ttl=64," +
			"nw_src=192.0.2.1,nw_dst=198.51.100.1,tcp_src=1000,tcp_dst=22,ct_state=est|rpl|trk,ct_nw_src=192.0.2.1,ct_nw_dst=198.51.100.1," +
			"ct_nw_proto=6,ct_tp_src=1000,ct_tp_dst=22": reply,
		"in_port=2,dl_src=00:00:00:00:00:00,dl_dst=00:00:00:00:00:00,dl_type=0x86dd,nw_proto=58,nw_ttl=255,ipv6_src=fe80::1,ipv6_dst=ff02::1," +
			"icmpv6_type=135,icmpv6_code=0,nd_target=2001:db8::1,nd_sll=00:00:00:00:00:00": nd,
		"in_port=0,reg3=0x7,dl_src=00:00:00:00:00:00,dl_dst=00:00:00:00:00:00,dl_type=0x0806,arp_op=1,arp_sha=00:00:00:00:00:00," +
			"arp_tha=00:00:00:00:00:00,arp_spa=192.0.2.1": {EtherType: EtherTypeARP, ARPOp: 1, Src: netip.MustParseAddr("192.0.2.1"), Registers: [flow.Registers]uint32{3: 7}},
	} {
		if got := p.Text(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// FuzzNew feeds what no switch should have.
func FuzzNew(f *testing.F) {
	f.Add([]byte(flow.NewMatch().EthType(EtherTypeIPv4).TCPDst(22).Build()), []byte(flow.Apply(flow.Output(2), flow.Resubmit(3))))
	f.Add([]byte{}, []byte(flow.Apply(conjunctionOf(1, 0, 2))))
	f.Add([]byte{}, []byte(flow.ApplyGoto(1, trackIn(3, 1), flow.Push(flow.Whole(flow.FieldEthDst)), flow.LoadReg(1, 1, 1))))
	f.Fuzz(func(t *testing.T, match, instructions []byte) {
		made, err := New(slices.Values([]flow.Flow{{Match: flow.Match(match), Instructions: flow.Instructions(instructions)}}))
		if err == nil {
			made.Run(packetTo("198.51.100.1", 22), Options{})
		}
	})
}

// BenchmarkRun walks one packet through a table of 10,000 flows.
func BenchmarkRun(b *testing.B) {
	var flows []flow.Flow
	for i := range 10000 {
		address := netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)})
		flows = append(flows, entryOf(0, uint16(i), flow.NewMatch().IPv4Dst(netip.PrefixFrom(address, 32)), flow.Apply(flow.Output(2))))
	}
	made := tables(b, flows...)
	p := packetTo("198.51.3.9", 22)
	for b.Loop() {
		made.Run(p, Options{})
	}
}
