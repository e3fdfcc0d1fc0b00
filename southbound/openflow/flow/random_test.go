package flow

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestRandomFlowsOnSwitch pushes combinations of fields and actions that no
// table of samples has, and checks the round-trip law and the text.
func TestRandomFlowsOnSwitch(t *testing.T) {
	t.Parallel()
	s := startVswitch(t)
	p := s.dial()
	gen := rapid.Custom(randomFlow)
	desired := map[Key]Flow{}
	for seed := range 600 {
		f := gen.Example(seed)
		desired[f.Key()] = f
	}
	delta := Diff(nil, desired, nil)
	refused := p.apply(delta)
	for xid, reason := range refused {
		t.Errorf("%s: %s", reason, delta.Add[xid-100])
	}
	installed, _ := p.dump()
	if again := Diff(installed, desired, nil); !again.Empty() {
		t.Errorf("%d flows; second diff: %d missing, %d changed, %d not asked for: %v",
			len(desired), len(again.Add), len(again.Modify), len(again.Delete), again)
	}
	var text []string
	for _, f := range delta.Add {
		text = append(text, " "+f.String())
	}
	slices.Sort(text)
	if diff := cmp.Diff(s.dumpText("--no-stats"), text); diff != "" {
		t.Errorf("text (-ovs-ofctl +flow):\n%s", diff)
	}
}

func randomFlow(t *rapid.T) Flow {
	flip := func(name string) bool { return rapid.Bool().Draw(t, name) }
	m := NewMatch()
	if flip("in_port") {
		m.InPort(rapid.Uint32Range(1, 0xfeff).Draw(t, "port"))
	}
	randomEthernet(t, m, flip)
	for n := range 3 {
		if flip("reg") {
			m.Reg(n, rapid.Uint32().Draw(t, "value"), rapid.Uint32().Draw(t, "mask"))
		}
	}
	if flip("metadata") {
		m.Metadata(rapid.Uint64().Draw(t, "value"), rapid.Uint64().Draw(t, "mask"))
	}
	if flip("tun_id") {
		m.TunnelID(uint64(rapid.Uint32Range(0, 0xffffff).Draw(t, "vni")))
	}
	if flip("ct") {
		m.CTState(rapid.Uint32Range(0, 0xff).Draw(t, "state")|CTTracked, rapid.Uint32().Draw(t, "mask")|CTTracked)
		m.CTZone(rapid.Uint16().Draw(t, "zone")).CTMark(rapid.Uint32().Draw(t, "mark"), rapid.Uint32().Draw(t, "mask"))
	}
	switch rapid.IntRange(0, 4).Draw(t, "protocol") {
	case 0:
		randomIPv4(t, m, flip)
	case 1:
		randomIPv6(t, m, flip)
	case 2:
		m.ARPOp(rapid.Uint16Range(0, 255).Draw(t, "op")).ARPSPA(randomPrefix4(t)).ARPTPA(randomPrefix4(t)).ARPSHA(randomMAC(t)).ARPTHA(randomMAC(t))
	case 3:
		m.EthType(rapid.Uint16Range(0x9000, 0xffff).Draw(t, "eth_type"))
	}
	return Flow{
		Table:        rapid.Uint8Range(0, 4).Draw(t, "table"),
		Priority:     rapid.Uint16().Draw(t, "priority"),
		Cookie:       rapid.Uint64Range(0, 1<<63).Draw(t, "cookie"),
		IdleTimeout:  rapid.Uint16Range(1000, 2000).Draw(t, "idle"),
		Flags:        rapid.SampledFrom([]uint16{0, FlagSendFlowRemoved}).Draw(t, "flags"),
		Match:        m.Build(),
		Instructions: randomInstructions(t),
	}
}

func randomEthernet(t *rapid.T, m *MatchBuilder, flip func(string) bool) {
	switch rapid.IntRange(0, 4).Draw(t, "vlan") {
	case 0:
		m.VLAN(rapid.Uint16Range(0, 4095).Draw(t, "vid"))
	case 1:
		m.VLANAbsent()
	case 2:
		m.VLANPresent()
	}
	if flip("dl_src") {
		m.EthSrcMasked(randomMAC(t), randomMAC(t))
	}
	if flip("dl_dst") {
		m.EthDst(randomMAC(t))
	}
}

func randomIPv4(t *rapid.T, m *MatchBuilder, flip func(string) bool) {
	m.EthType(0x0800)
	if flip("nw_src") {
		m.IPv4Src(randomPrefix4(t))
	}
	if flip("nw_dst") {
		m.IPv4Dst(randomPrefix4(t))
	}
	if flip("icmp") {
		m.ICMPv4Type(rapid.Uint8().Draw(t, "type")).ICMPv4Code(rapid.Uint8().Draw(t, "code"))
		return
	}
	randomPorts(t, m)
}

func randomIPv6(t *rapid.T, m *MatchBuilder, flip func(string) bool) {
	m.EthType(0x86dd)
	if flip("ipv6_src") {
		m.IPv6Src(randomPrefix6(t))
	}
	if flip("ipv6_dst") {
		m.IPv6Dst(randomPrefix6(t))
	}
	switch rapid.IntRange(0, 3).Draw(t, "icmp6") {
	case 0:
		m.ICMPv6Type(135).NDTargetMasked(randomPrefix6(t)).NDSLL(randomMAC(t))
	case 1:
		m.NDTLL(randomMAC(t)).NDTargetMasked(randomPrefix6(t))
	case 2:
		m.ICMPv6Type(rapid.Uint8().Draw(t, "type"))
	default:
		randomPorts(t, m)
	}
}

func randomPorts(t *rapid.T, m *MatchBuilder) {
	src, dst := rapid.Uint16().Draw(t, "tp_src"), rapid.Uint16().Draw(t, "tp_dst")
	srcMask, dstMask := rapid.Uint16().Draw(t, "mask"), rapid.Uint16().Draw(t, "mask")
	switch rapid.IntRange(0, 3).Draw(t, "transport") {
	case 0:
		m.TCPSrcMasked(src, srcMask).TCPDstMasked(dst, dstMask)
	case 1:
		m.UDPSrcMasked(src, srcMask).UDPDst(dst)
	case 2:
		m.SCTPSrc(src).SCTPDstMasked(dst, dstMask)
	default:
		m.IPProto(rapid.Uint8().Draw(t, "proto"))
	}
}

func randomMAC(t *rapid.T) MAC {
	return MAC(rapid.SliceOfN(rapid.Byte(), 6, 6).Draw(t, "mac"))
}

func randomPrefix4(t *rapid.T) netip.Prefix {
	addr := netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "address")))
	return netip.PrefixFrom(addr, rapid.IntRange(0, 32).Draw(t, "length"))
}

func randomPrefix6(t *rapid.T) netip.Prefix {
	addr := netip.AddrFrom16([16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "address")))
	return netip.PrefixFrom(addr, rapid.IntRange(0, 128).Draw(t, "length"))
}

func randomInstructions(t *rapid.T) Instructions {
	actions := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Action {
		switch rapid.IntRange(0, 7).Draw(t, "action") {
		case 0:
			return Output(rapid.Uint32Range(1, 0xfeff).Draw(t, "port"))
		case 1:
			return LoadReg(rapid.IntRange(0, 15).Draw(t, "reg"), rapid.Uint32().Draw(t, "value"), rapid.Uint32().Draw(t, "mask"))
		case 2:
			return Resubmit(rapid.Uint8Range(5, 100).Draw(t, "table"))
		case 3:
			return SetTunnelID(rapid.Uint64().Draw(t, "vni"))
		case 4:
			return OutputReg(rapid.IntRange(0, 15).Draw(t, "reg"))
		case 5:
			return Actions(SetEthDst(randomMAC(t)), SetEthSrc(randomMAC(t)))
		case 6:
			return MoveField(BitRange(Register(1), 3, 7), BitRange(Register(9), 4, 7))
		}
		return Normal()
	}), 0, 5).Draw(t, "actions")
	if rapid.Bool().Draw(t, "goto") {
		return ApplyGoto(rapid.Uint8Range(5, 100).Draw(t, "next"), actions...)
	}
	return Apply(actions...)
}
