package flow

import (
	"encoding/hex"
	"net"
	"strings"
	"testing"

	of "github.com/contiv/libOpenflow/openflow13"
	"github.com/contiv/libOpenflow/util"
	"github.com/google/go-cmp/cmp"
)

// TestFlowModsEqualOfpPrint has ovs-ofctl decode every message that the
// encoders make, and compares its reading with ours.
func TestFlowModsEqualOfpPrint(t *testing.T) {
	t.Parallel()
	s := &vswitch{t: t, dir: t.TempDir()}
	metered := []Flow{{Priority: 1, Instructions: Meter(7) + Goto(9)}, {Priority: 2, Instructions: Meter(7) + ApplyGoto(9, Output(1))}}
	for _, f := range append(sampleFlows(), metered...) { // a switch takes no flow whose meter it does not have
		wire := f.AppendFlowMod(nil, 0x1234, Add)
		got := strings.TrimSpace(s.run("ovs-ofctl", "ofp-print", hex.EncodeToString(wire)))
		if want := "OFPT_FLOW_MOD (OF1.3) (xid=0x1234): ADD" + flowModText(f); got != want {
			t.Errorf("ovs-ofctl reads\n%s, want\n%s", got, want)
		}
	}
	f := Flow{Table: 9, Priority: 5, Cookie: 0x50, Match: NewMatch().InPort(1).Build(), Instructions: Goto(10)}
	for cmd, want := range map[Command]string{
		Modify:       "MOD table:9 priority=5,in_port=1 cookie:0x50/0xffffffffffffffff actions=goto_table:10",
		ModifyStrict: "MOD_STRICT table:9 priority=5,in_port=1 cookie:0x50/0xffffffffffffffff actions=goto_table:10",
		Delete:       "DEL table:9 priority=5,in_port=1 cookie:0x50/0xffffffffffffffff actions=drop",
		DeleteStrict: "DEL_STRICT table:9 priority=5,in_port=1 cookie:0x50/0xffffffffffffffff actions=drop",
	} {
		got := strings.TrimSpace(s.run("ovs-ofctl", "ofp-print", hex.EncodeToString(f.AppendFlowMod(nil, 1, cmd))))
		if want := "OFPT_FLOW_MOD (OF1.3) (xid=0x1): " + want; got != want {
			t.Errorf("command %d: ovs-ofctl reads\n%s, want\n%s", cmd, got, want)
		}
	}
}

// flowModText rearranges our text in the way ofp-print presents a flow mod:
// the table in front, and cookie, timeouts and flags between match and actions.
func flowModText(f Flow) string {
	var head, tail printer
	if f.Table != 0 {
		head.str(" table:").dec(uint64(f.Table))
	}
	if f.Cookie != 0 {
		tail.str(" cookie:").hex(f.Cookie)
	}
	if f.IdleTimeout != 0 {
		tail.str(" idle:").dec(uint64(f.IdleTimeout))
	}
	if f.HardTimeout != 0 {
		tail.str(" hard:").dec(uint64(f.HardTimeout))
	}
	if f.Flags != 0 {
		tail.str(" send_flow_rem no_packet_counts no_byte_counts")
	}
	bare := Flow{Priority: f.Priority, Match: f.Match, Instructions: f.Instructions}.String()
	match, actions, _ := strings.Cut(bare, "actions=")
	if match = strings.TrimSpace(match); match != "" {
		match = " " + match
	}
	return string(head.b) + match + string(tail.b) + " actions=" + actions
}

// TestFlowModEqualsLibOpenflow builds the same flow mod from libOpenflow's own
// message and fields, and expects the same bytes.
func TestFlowModEqualsLibOpenflow(t *testing.T) {
	t.Parallel()
	mac := MAC{0x02, 0x11, 0x22, 0x33, 0x44, 0x55}
	f := Flow{
		Table: 7, Priority: 99, Cookie: 0x5001, IdleTimeout: 3, HardTimeout: 4, Flags: FlagSendFlowRemoved,
		Match: NewMatch().InPort(3).EthSrc(mac).EthType(0x0800).TCPDst(22).Reg(2, 9, 0xffffffff).
			CTState(CTTracked, CTTracked).Metadata(1, 0xff).VLAN(5).TunnelID(100).Build(),
		Instructions: ApplyGoto(20, LoadReg(1, 5, 0xff), Resubmit(30), SetTunnelID(6), MoveField(Whole(FieldEthSrc), Whole(FieldEthDst)), OutputReg(5), PushVLAN(), PopVLAN()),
	}

	mod := of.NewFlowMod()
	mod.Xid = 77
	mod.TableId, mod.Priority, mod.Cookie = f.Table, f.Priority, f.Cookie
	mod.IdleTimeout, mod.HardTimeout, mod.Flags = f.IdleTimeout, f.HardTimeout, f.Flags
	// libOpenflow gives a match field the length of its value as it was made, and no Length beside it where it is masked.
	metadataMask := uint64(0xff)
	states := of.NewCTStates()
	states.SetTrk()
	for _, field := range []*of.MatchField{
		of.NewInPortField(3),
		of.NewMetadataField(1, &metadataMask),
		of.NewEthSrcField(net.HardwareAddr(mac[:]), nil),
		of.NewEthTypeField(0x0800),
		of.NewVlanIdField(5, nil),
		of.NewIpProtoField(6),
		of.NewTcpDstField(22),
		of.NewTunnelIdField(100),
		of.NewRegMatchField(2, 9, nil),
		of.NewCTStateMatchField(states),
	} {
		mod.Match.AddField(*field)
	}
	apply := of.NewInstrApplyActions()
	reg := func(n uint8, name string) *of.MatchField {
		header, err := of.FindFieldHeaderByName(name, false)
		if err != nil {
			t.Fatal(err)
		}
		return header
	}
	setTunnel := of.NewActionSetField(*of.NewTunnelIdField(6))
	for _, action := range []of.Action{
		of.NewNXActionRegLoad(of.NewNXRange(0, 7).ToOfsBits(), reg(1, "NXM_NX_REG1"), 5),
		of.NewNXActionResubmitTableAction(0xfff8, 30),
		setTunnel,
		of.NewNXActionRegMove(48, 0, 0, reg(0, "NXM_OF_ETH_SRC"), reg(0, "NXM_OF_ETH_DST")),
		of.NewOutputFromField(reg(5, "NXM_NX_REG5"), of.NewNXRange(0, 31).ToOfsBits()),
		of.NewActionPushVlan(0x8100),
		of.NewActionPopVlan(),
	} {
		if err := apply.AddAction(action, false); err != nil {
			t.Fatal(err)
		}
	}
	mod.AddInstruction(apply)
	mod.AddInstruction(of.NewInstrGotoTable(20))
	want, err := mod.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	// It writes the port twice where port and group belong; both are "any" here, which is the same number.
	if diff := cmp.Diff(hex.Dump(want), hex.Dump(f.AppendFlowMod(nil, 77, Add))); diff != "" {
		t.Errorf("(-libOpenflow +flow):\n%s", diff)
	}
}

// TestFieldsEqualLibOpenflow compares single match fields with libOpenflow's, where it has them right.
func TestFieldsEqualLibOpenflow(t *testing.T) {
	t.Parallel()
	mac := MAC{0x02, 0x11, 0x22, 0x33, 0x44, 0x55}
	mask := net.HardwareAddr{0xff, 0xff, 0xff, 0, 0, 0}
	vlanMask := uint16(0x1000)
	ip, ipMask := net.IPv4(10, 0, 0, 0).To4(), net.IP{255, 0, 0, 0}
	mark := uint32(0xf)
	samples := sampleMatches()
	for name, c := range map[string]struct {
		ours   Match
		theirs *of.MatchField
	}{
		"in_port":     {samples["in_port=3"].Build(), of.NewInPortField(3)},
		"dl_dst":      {samples["dl_dst="+mac.String()].Build(), of.NewEthDstField(mac[:], nil)},
		"dl_src mask": {samples["dl_src=02:11:22:00:00:00/ff:ff:ff:00:00:00"].Build(), of.NewEthSrcField(net.HardwareAddr{2, 0x11, 0x22, 0, 0, 0}, &mask)},
		"dl_type":     {samples["dl_type=0x88cc"].Build(), of.NewEthTypeField(0x88cc)},
		"dl_vlan":     {samples["dl_vlan=5"].Build(), of.NewVlanIdField(5, nil)},
		"vlan":        {samples["vlan_tci=0x1000/0x1000"].Build(), of.NewVlanIdField(0, &vlanMask)},
		"tun_id":      {NewMatch().TunnelID(100).Build(), of.NewTunnelIdField(100)},
		"reg":         {NewMatch().Reg(15, 7, 0xffffffff).Build(), of.NewRegMatchField(15, 7, nil)},
		"ct_zone":     {NewMatch().CTZone(500).Build(), of.NewCTZoneMatchField(500)},
		"ct_mark":     {NewMatch().CTMark(5, 15).Build(), of.NewCTMarkMatchField(5, &mark)},
		"nw_src":      {withoutField(samples["ip,nw_src=10.0.0.0/8,nw_dst=192.168.1.7"].Build(), FieldEthType, FieldIPv4Dst), of.NewIpv4SrcField(ip, &ipMask)},
	} {
		theirs, err := c.theirs.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		if string(c.ours) != string(theirs) {
			t.Errorf("%s: % x, libOpenflow has % x", name, c.ours, theirs)
		}
	}
	// What libOpenflow has no value type for is made from its generic one.
	generic := &of.MatchField{Class: of.OXM_CLASS_OPENFLOW_BASIC, Field: of.OXM_FIELD_IPV6_ND_SLL, Length: 6, Value: util.NewBuffer(mac[:])}
	theirs, _ := generic.MarshalBinary()
	if ours := withoutField(NewMatch().NDSLL(mac).Build(), FieldEthType, FieldIPProto, FieldICMP6Type); string(ours) != string(theirs) {
		t.Errorf("nd_sll: % x, libOpenflow has % x", ours, theirs)
	}
}

// withoutField takes fields out of a match.
func withoutField(m Match, out ...Field) Match {
	var kept []byte
	for wire := []byte(m); len(wire) > 0; {
		n := oxmHeaderLen + int(wire[3])
		drop := false
		for _, f := range out {
			drop = drop || tlv(wire).field() == f
		}
		if !drop {
			kept = append(kept, wire[:n]...)
		}
		wire = wire[n:]
	}
	return Match(kept)
}
