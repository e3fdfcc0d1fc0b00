package walk

import (
	"fmt"
	"net/netip"
	"strings"
)

// Text returns the packet in the notation of ovs-fields(7), as ofproto/trace takes it:
// "in_port=1,dl_src=...". Registers and metadata are left out when they are zero, the
// connection when it has no State.
//
// ofproto/trace takes a connection's tuple from the packet it starts with, and keeps it
// through all ct actions.
func (p *Packet) Text() string {
	var t text
	t.add("in_port=%d", p.InPort)
	if p.TunnelID != 0 {
		t.add("tun_id=%#x", p.TunnelID)
	}
	for n, value := range p.Registers {
		if value != 0 {
			t.add("reg%d=%#x", n, value)
		}
	}
	if p.Metadata != 0 {
		t.add("metadata=%#x", p.Metadata)
	}
	t.add("dl_src=%v,dl_dst=%v", p.EthSrc, p.EthDst)
	if p.VLAN != 0 {
		t.add("vlan_tci=%#04x", uint32(p.PCP)<<13|uint32(p.VLAN))
	}
	t.add("dl_type=%#04x", p.EtherType)
	switch {
	case p.IsIP():
		t.ip(p)
	case p.EtherType == EtherTypeARP || p.EtherType == EtherTypeRARP:
		t.arp(p)
	}
	t.connection(p)
	return strings.Join(t, ",")
}

// text collects the parts of a flow in ovs-fields' notation.
type text []string

func (t *text) add(format string, args ...any) { *t = append(*t, fmt.Sprintf(format, args...)) }

func (t *text) address(v4, v6 string, a netip.Addr) {
	switch {
	case a.Unmap().Is4():
		t.add("%s=%v", v4, a.Unmap())
	case a.Is6():
		t.add("%s=%v", v6, a)
	}
}

func (t *text) arp(p *Packet) {
	t.add("arp_op=%d,arp_sha=%v,arp_tha=%v", p.ARPOp, p.ARPSender, p.ARPTarget)
	t.address("arp_spa", "arp_spa", p.Src)
	t.address("arp_tpa", "arp_tpa", p.Dst)
}

func (t *text) ip(p *Packet) {
	t.add("nw_proto=%d,nw_ttl=%d", p.Proto, p.TTL)
	t.address("nw_src", "ipv6_src", p.Src)
	t.address("nw_dst", "ipv6_dst", p.Dst)
	switch p.Fragment {
	case FirstFragment:
		t.add("nw_frag=first")
	case LaterFragment:
		t.add("nw_frag=later")
	case NotFragmented:
	}
	if !p.hasPorts() {
		return
	}
	names := map[uint8][2]string{
		ProtoTCP: {"tcp_src", "tcp_dst"}, ProtoUDP: {"udp_src", "udp_dst"}, ProtoSCTP: {"sctp_src", "sctp_dst"},
		ProtoICMP: {"icmp_type", "icmp_code"}, ProtoICMPv6: {"icmpv6_type", "icmpv6_code"},
	}[p.Proto]
	t.add("%s=%d,%s=%d", names[0], p.SrcPort, names[1], p.DstPort)
	if p.IsNeighbor() {
		t.neighbor(p)
	}
}

func (t *text) neighbor(p *Packet) {
	if p.NDTarget.Is6() {
		t.add("nd_target=%v", p.NDTarget)
	}
	if p.SrcPort == 135 {
		t.add("nd_sll=%v", p.NDSource)
	} else {
		t.add("nd_tll=%v", p.NDTargetMAC)
	}
	if p.NDReserved != 0 {
		t.add("nd_reserved=%d", p.NDReserved)
	}
	if p.NDOption != 0 {
		t.add("nd_options_type=%d", p.NDOption)
	}
}

func (t *text) connection(p *Packet) {
	c := &p.Connection
	if c.State == 0 {
		return
	}
	t.add("ct_state=%s", StateText(c.State))
	if c.Zone != 0 {
		t.add("ct_zone=%d", c.Zone)
	}
	if c.Mark != 0 {
		t.add("ct_mark=%#x", c.Mark)
	}
	if !p.IsIP() || !c.Src.IsValid() || c.State&CTTracked == 0 || c.State&CTInvalid != 0 {
		return
	}
	t.address("ct_nw_src", "ct_ipv6_src", c.Src)
	t.address("ct_nw_dst", "ct_ipv6_dst", c.Dst)
	t.add("ct_nw_proto=%d,ct_tp_src=%d,ct_tp_dst=%d", c.Proto, c.SrcPort, c.DstPort)
}

// StateText returns ct_state in ovs-fields' notation: "trk|est|rpl".
func StateText(state uint32) string {
	names := [...]string{"new", "est", "rel", "rpl", "inv", "trk", "snat", "dnat"}
	var set []string
	for bit, name := range names {
		if state&(1<<bit) != 0 {
			set = append(set, name)
		}
	}
	if len(set) == 0 {
		return "0"
	}
	return strings.Join(set, "|")
}
