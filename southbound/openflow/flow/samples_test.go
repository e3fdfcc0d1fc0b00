package flow

import "net/netip"

// sampleMatches holds a match for every method of MatchBuilder, with the text
// that ovs-ofctl gives it.
func sampleMatches() map[string]*MatchBuilder {
	mac := MAC{0x02, 0x11, 0x22, 0x33, 0x44, 0x55}
	oui := MAC{0xff, 0xff, 0xff}
	v4, v6 := netip.MustParsePrefix, netip.MustParsePrefix
	ip := func() *MatchBuilder { return NewMatch().EthType(0x0800) }
	ip6 := func() *MatchBuilder { return NewMatch().EthType(0x86dd) }
	tracked := func() *MatchBuilder { return NewMatch().CTState(CTTracked, CTTracked|CTInvalid) }
	ns := func() *MatchBuilder { return NewMatch().ICMPv6Type(135) }
	return map[string]*MatchBuilder{
		"":                       NewMatch(),
		"in_port=3":              NewMatch().InPort(3),
		"in_port=LOCAL":          NewMatch().InPort(PortLocal),
		"dl_src=" + mac.String(): NewMatch().EthSrc(mac),
		"dl_dst=" + mac.String(): NewMatch().EthDst(mac),
		"dl_src=02:11:22:00:00:00/ff:ff:ff:00:00:00": NewMatch().EthSrcMasked(mac, oui),
		"dl_dst=01:00:00:00:00:00/01:00:00:00:00:00": NewMatch().EthDstMasked(BroadcastMAC(), MAC{1}),
		"dl_type=0x88cc":         NewMatch().EthType(0x88cc),
		"dl_vlan=5":              NewMatch().VLAN(5),
		"dl_vlan=4095":           NewMatch().VLAN(4095),
		"dl_vlan=0":              NewMatch().VLAN(0),
		"vlan_tci=0x0000/0x1fff": NewMatch().VLANAbsent(),
		"vlan_tci=0x1000/0x1000": NewMatch().VLANPresent(),
		"tcp":                    ip().IPProto(6),
		"ip,nw_proto=47":         ip().IPProto(47),
		"ipv6,nw_proto=50":       ip6().IPProto(50),
		"ip,nw_src=10.0.0.0/8,nw_dst=192.168.1.7": NewMatch().IPv4Src(v4("10.0.0.0/8")).IPv4Dst(v4("192.168.1.7/32")),
		"ip,nw_src=10.9.0.0/16":                   NewMatch().IPv4Src(v4("10.9.9.9/16")),
		"ip":                                      NewMatch().IPv4Src(v4("0.0.0.0/0")),
		"ipv6,ipv6_src=fe80::/10,ipv6_dst=ff02::1:ff00:0/104": NewMatch().IPv6Src(v6("fe80::/10")).IPv6Dst(v6("ff02::1:ff00:0/104")),
		"ipv6,ipv6_src=::":                                        NewMatch().IPv6Src(v6("::/128")),
		"ipv6":                                                    NewMatch().IPv6Dst(v6("::/0")),
		"tcp,tp_src=1,tp_dst=22":                                  ip().TCPSrc(1).TCPDst(22),
		"tcp6,tp_src=1,tp_dst=0x1000/0xf000":                      ip6().TCPSrc(1).TCPDstMasked(0x1000, 0xf000),
		"tcp,tp_src=0x400/0xfc00":                                 ip().TCPSrcMasked(0x4ff, 0xfc00),
		"udp,tp_src=68,tp_dst=67":                                 ip().UDPSrc(68).UDPDst(67),
		"udp6,tp_src=0x222/0xfffe,tp_dst=0x222/0xfffe":            ip6().UDPSrcMasked(546, 0xfffe).UDPDstMasked(547, 0xfffe),
		"sctp,tp_src=1,tp_dst=2":                                  ip().SCTPSrc(1).SCTPDst(2),
		"sctp6,tp_src=0x0/0x8000,tp_dst=0x8000/0x8000":            ip6().SCTPSrcMasked(0, 0x8000).SCTPDstMasked(0x8000, 0x8000),
		"icmp,icmp_type=8,icmp_code=0":                            NewMatch().ICMPv4Type(8).ICMPv4Code(0),
		"icmp6,icmp_type=128,icmp_code=1":                         NewMatch().ICMPv6Type(128).ICMPv6Code(1),
		"arp,arp_spa=10.0.0.1,arp_tpa=10.0.0.0/24,arp_op=1":       NewMatch().ARPOp(1).ARPSPA(v4("10.0.0.1/32")).ARPTPA(v4("10.0.0.0/24")),
		"arp,arp_sha=02:11:22:33:44:55,arp_tha=00:00:00:00:00:00": NewMatch().ARPSHA(mac).ARPTHA(MAC{}),
		"icmp6,icmp_type=135,nd_target=fe80::1":                   ns().NDTarget(netip.MustParseAddr("fe80::1")),
		"icmp6,icmp_type=135,nd_target=fe80::/64":                 ns().NDTargetMasked(v6("fe80::1/64")),
		"icmp6,icmp_type=135,nd_sll=02:11:22:33:44:55":            NewMatch().NDSLL(mac),
		"icmp6,icmp_type=136,nd_tll=02:11:22:33:44:55":            NewMatch().NDTLL(mac),
		"reg0=0": NewMatch().Reg(0, 0, 0xffffffff),
		"reg0=0x5,reg1=0x30/0xf0,reg15=0xffffffff": NewMatch().Reg(15, 0xffffffff, 0xffffffff).Reg(1, 0x35, 0xf0).Reg(0, 5, 0xffffffff),
		"tun_id=0x64,in_port=4":                    NewMatch().TunnelID(100).InPort(4),
		"ct_state=+est+trk,ip":                     ip().CTState(CTEstablished|CTTracked, CTEstablished|CTTracked),
		"ct_state=-new+trk,ip":                     ip().CTState(CTTracked, CTTracked|CTNew),
		"ct_state=new|trk,ip":                      ip().CTState(CTTracked|CTNew, 0xffffffff),
		"ct_zone=500":                              NewMatch().CTZone(500),
		"ct_mark=0x5":                              NewMatch().CTMark(5, 0xffffffff),
		"ct_mark=0x5/0xf":                          NewMatch().CTMark(0xf5, 0xf),
		"ct_state=-inv+trk,ct_nw_src=192.0.2.0/24,ct_nw_proto=6,ct_tp_dst=80,ip":       tracked().CTIPv4Src(v4("192.0.2.0/24")).CTProto(6).CTPortDst(80, 0xffff),
		"ct_state=-inv+trk,ct_nw_dst=192.0.2.7,ct_nw_proto=17,ct_tp_src=0x0/0xfc00,ip": tracked().CTIPv4Dst(v4("192.0.2.7/32")).CTProto(17).CTPortSrc(0, 0xfc00),
		"ct_state=-inv+trk,ct_ipv6_src=2001:db8::/32,ct_nw_proto=58,ipv6":              tracked().CTIPv6Src(v6("2001:db8::/32")).CTProto(58),
		"ct_state=+rel+rpl+trk,ct_ipv6_dst=2001:db8::7,ipv6":                           NewMatch().CTState(CTRelated|CTReply|CTTracked, CTRelated|CTReply|CTTracked).CTIPv6Dst(v6("2001:db8::7/128")),
		"ip,nw_frag=not_later":                     ip().NotLaterFragment(),
		"tcp6,nw_frag=not_later,tp_dst=0x0/0xff00": ip6().TCPDstMasked(0, 0xff00).NotLaterFragment(),
		"conj_id=4294967295":                       NewMatch().ConjID(^uint32(0)),
		"metadata=0x12":                            NewMatch().Metadata(0x12, ^uint64(0)),
		"metadata=0x10/0xf0":                       NewMatch().Metadata(0x12, 0xf0),
		"tcp,reg2=0x9,metadata=0x1,in_port=1,dl_vlan=7,nw_dst=10.0.0.1,tp_dst=22": ip().TCPDst(22).IPv4Dst(v4("10.0.0.1/32")).VLAN(7).InPort(1).Metadata(1, ^uint64(0)).Reg(2, 9, 0xffffffff),
	}
}

// sampleInstructions holds instructions for every action builder, with the text that
// ovs-ofctl gives them. The flows have a match on a VLAN tag, which some need.
func sampleInstructions() map[string]Instructions {
	mac := MAC{0x02, 0x11, 0x22, 0x33, 0x44, 0x55}
	return map[string]Instructions{
		"drop":                  Apply(),
		"CONTROLLER:128":        Apply(Controller(128)),
		"ct_clear,output:2":     Apply(CTClear(), Output(2)),
		"conjunction(4660,1/2)": Apply(Conjunction(0x1234, 1, 2)),
		"conjunction(7,3/3)":    Apply(Conjunction(7, 3, 3)),
		"clone(load:0x7->NXM_NX_REG4[],resubmit(,38)),output:2":     Apply(Clone(LoadReg(4, 7, 0xffffffff), Resubmit(38)), Output(2)),
		"clone(push_vlan:0x8100,set_field:4101->vlan_vid,output:1)": Apply(Clone(PushVLAN(), SetVLAN(5), Output(1))),
		"clone(clone(ct_clear,pop_vlan),output:1),goto_table:30":    ApplyGoto(30, Clone(Clone(CTClear(), PopVLAN()), Output(1))),
		"goto_table:20":                   Goto(20),
		"output:1,output:2,goto_table:30": ApplyGoto(30, Output(1), Output(2)),
		"output:65279":                    Apply(Output(0xfeff)),
		"NORMAL":                          Apply(Normal()),
		"IN_PORT":                         Apply(InPort()),
		"LOCAL":                           Apply(Output(PortLocal)),
		"FLOOD,ALL":                       Apply(Output(PortFlood), Output(PortAll)),
		"CONTROLLER:65535":                Apply(Output(PortController)),
		"resubmit(,7)":                    Apply(Resubmit(7)),
		"load:0x5->NXM_NX_REG0[]":         Apply(LoadReg(0, 5, 0xffffffff)),
		"load:0->NXM_NX_REG15[]":          Apply(LoadReg(15, 0, 0xffffffff)),
		"load:0x3->NXM_NX_REG1[4..7]":     Apply(LoadReg(1, 0x35, 0xf0)),
		"load:0x1->NXM_NX_REG1[31]":       Apply(LoadReg(1, 0xffffffff, 1<<31)),
		"load:0x5->NXM_NX_REG2[0..3],load:0x1->NXM_NX_REG2[8],load:0xa->NXM_NX_REG2[28..31]": Apply(LoadReg(2, 0xa0000105, 0xf000010f)),
		"load:0x12->OXM_OF_METADATA[0..7]":                                                   Apply(LoadField(BitRange(FieldMetadata, 0, 8), 0x12)),
		"set_field:0x64->tun_id":                                                             Apply(SetTunnelID(100)),
		"set_field:4196->vlan_vid":                                                           Apply(SetVLAN(100)),
		"push_vlan:0x8100,set_field:4101->vlan_vid":                                          Apply(PushVLAN(), SetVLAN(5)),
		"pop_vlan":                                Apply(PopVLAN()),
		"output:NXM_NX_REG5[]":                    Apply(OutputReg(5)),
		"output:NXM_NX_REG5[0..15]":               Apply(OutputField(BitRange(Register(5), 0, 16))),
		"set_field:02:11:22:33:44:55->eth_src":    Apply(SetEthSrc(mac)),
		"set_field:02:11:22:33:44:55->eth_dst":    Apply(SetEthDst(mac)),
		"move:NXM_NX_REG0[]->NXM_NX_REG1[]":       Apply(MoveField(Whole(Register(0)), Whole(Register(1)))),
		"move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[]": Apply(MoveField(Whole(FieldEthSrc), Whole(FieldEthDst))),
		"move:NXM_OF_IN_PORT[]->NXM_NX_REG3[16..31],move:NXM_NX_TUN_ID[0..23]->NXM_NX_REG4[0..23]": Apply(
			MoveField(Whole(FieldInPort16), BitRange(Register(3), 16, 16)),
			MoveField(BitRange(FieldTunnelID, 0, 24), BitRange(Register(4), 0, 24))),
		"push:NXM_OF_ETH_DST[],push:NXM_NX_REG3[4..7],pop:NXM_NX_REG4[0..3],pop:NXM_OF_ETH_SRC[]": Apply(
			Push(Whole(FieldEthDst)), Push(BitRange(Register(3), 4, 4)), Pop(BitRange(Register(4), 0, 4)), Pop(Whole(FieldEthSrc))),
		"learn(table=35,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],output:NXM_OF_IN_PORT[])": Apply(Learn(LearnSpec{Table: 35, Priority: defaultPriority, Steps: []LearnStep{
			LearnMatch(Whole(FieldEthDst), Whole(FieldEthSrc)), LearnOutput(Whole(FieldInPort16))}})),
		"learn(table=35,NXM_NX_REG2[],NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[])": Apply(Learn(LearnSpec{Table: 35, Priority: defaultPriority, Steps: []LearnStep{
			LearnMatch(Whole(Register(2)), Whole(Register(2))), LearnMatch(Whole(FieldEthDst), Whole(FieldEthSrc))}})),
		"learn(table=35,limit=1000,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],output:NXM_NX_REG1[0..15])": Apply(Learn(LearnSpec{Table: 35, Priority: defaultPriority, Limit: 1000, Steps: []LearnStep{
			LearnMatch(Whole(FieldEthDst), Whole(FieldEthSrc)), LearnOutput(BitRange(Register(1), 0, 16))}})),
		"learn(table=35,idle_timeout=10,hard_timeout=300,fin_idle_timeout=2,fin_hard_timeout=3,priority=100,send_flow_rem,delete_learned,cookie=0x5005000000000007," +
			"NXM_NX_REG2[],eth_type=0x800,NXM_NX_REG3[0..3]=0x2,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[]," +
			"load:NXM_NX_REG1[]->NXM_NX_REG4[],load:0x5->NXM_NX_REG0[8..11],load:0xffffffffffff->NXM_OF_ETH_SRC[]),goto_table:40": ApplyGoto(40, Learn(LearnSpec{
			Table: 35, Priority: 100, Cookie: 0x5005000000000007, IdleTimeout: 10, HardTimeout: 300, FinIdleTimeout: 2, FinHardTimeout: 3,
			Flags: LearnSendFlowRemoved | LearnDeleteLearned,
			Steps: []LearnStep{
				LearnMatch(Whole(Register(2)), Whole(Register(2))),
				LearnMatchValue(Whole(FieldEthType), 0x0800),
				LearnMatchValue(BitRange(Register(3), 0, 4), 0xf2),
				LearnMatch(Whole(FieldEthDst), Whole(FieldEthSrc)),
				LearnLoad(Whole(Register(4)), Whole(Register(1))),
				LearnLoadValue(BitRange(Register(0), 8, 4), 5),
				LearnLoadValue(Whole(FieldEthSrc), ^uint64(0)),
			}})),
	}
}

// sampleFlows spreads the samples over distinct flows.
func sampleFlows() []Flow {
	var flows []Flow
	for _, b := range sampleMatches() {
		flows = append(flows, Flow{Table: 1, Priority: 100, Cookie: 0x5001000000000001, Match: b.Build(), Instructions: Goto(10)})
	}
	priority := uint16(0)
	for _, instructions := range sampleInstructions() {
		priority++
		flows = append(flows, Flow{Table: 3, Priority: priority, Match: NewMatch().VLANPresent().Build(), Instructions: instructions})
	}
	ip, tracked := NewMatch().EthType(0x0800), uint8(5)
	return append(flows,
		Flow{Table: 4, Priority: 1, Match: ip.Build(), Instructions: Apply(CT(CTSpec{Commit: true, ZoneReg: BitRange(Register(11), 0, 16)}))},
		Flow{Table: 4, Priority: 2, Match: ip.Build(), Instructions: Apply(CT(CTSpec{ZoneReg: BitRange(Register(11), 0, 16), Table: &tracked}))},
		Flow{Table: 4, Priority: 4, Match: NewMatch().EthType(0x0800).TCPDst(80).Build(), Instructions: Apply(
			Push(Whole(FieldIPv4Src)), Push(Whole(FieldTCPSrc)), MoveField(Whole(FieldIPv4Dst), Whole(FieldIPv4Src)), MoveField(Whole(FieldTCPDst), Whole(FieldTCPSrc)),
			Pop(Whole(FieldTCPDst)), Pop(Whole(FieldIPv4Dst)), MoveField(Whole(FieldIPv4Src), Whole(Register(9))), Resubmit(70))},
		Flow{Table: 4, Priority: 5, Match: NewMatch().EthType(0x86dd).SCTPDst(80).Build(), Instructions: Apply(
			Push(Whole(FieldIPv6Src)), MoveField(Whole(FieldIPv6Dst), Whole(FieldIPv6Src)), Pop(Whole(FieldIPv6Dst)), MoveField(Whole(FieldSCTPSrc), BitRange(Register(9), 16, 16)))},
		Flow{Table: 4, Priority: 6, Match: NewMatch().EthType(0x0800).UDPSrcMasked(0x4000, 0xc000).Build(), Instructions: ApplyGoto(9, MoveField(Whole(FieldUDPSrc), Whole(FieldUDPDst)))},
		Flow{Table: 4, Priority: 7, Match: NewMatch().ARPOp(1).Build(), Instructions: Apply(
			LoadField(Whole(FieldEthSrc), 0x020000000001), LoadField(Whole(FieldARPOp), 2), MoveField(Whole(FieldARPSHA), Whole(FieldARPTHA)),
			MoveField(Whole(FieldARPSPA), Whole(FieldARPTPA)), LoadField(Whole(FieldARPSHA), 0x020000000001), LoadField(Whole(FieldARPSPA), 0x0a000001), InPort())},
		Flow{Table: 4, Priority: 3, Match: NewMatch().ConjID(7).Build(), Instructions: Goto(9)},
		Flow{Priority: 0},
		Flow{Priority: defaultPriority},
		Flow{Table: 253, Priority: 0xffff, Cookie: 0xfffffffffffffffe, IdleTimeout: 300, HardTimeout: 0xffff, Flags: FlagSendFlowRemoved | FlagNoPacketCounts | FlagNoByteCounts},
	)
}
