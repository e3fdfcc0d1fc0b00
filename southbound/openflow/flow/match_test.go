package flow

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

func mustPrefix(text string) netip.Prefix { return netip.MustParsePrefix(text) }

func TestMatchBuilderReplacesAndDrops(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ got, want *MatchBuilder }{
		"the last call counts":       {NewMatch().InPort(1).InPort(2), NewMatch().InPort(2)},
		"order does not matter":      {NewMatch().Reg(1, 1, 1).InPort(2).VLAN(3), NewMatch().VLAN(3).InPort(2).Reg(1, 1, 1)},
		"masked to exact":            {NewMatch().Reg(0, 5, 0xf).Reg(0, 5, 0xffffffff), NewMatch().Reg(0, 5, 0xffffffff)},
		"registers add up":           {NewMatch().Reg(0, 0x11, 0xf).Reg(0, 0x10, 0x10), NewMatch().Reg(0, 0x11, 0x1f)},
		"register bits are replaced": {NewMatch().Reg(0, 5, 0xf).Reg(0, 0xa, 6), NewMatch().Reg(0, 3, 0xf)},
		"register exact, then bits":  {NewMatch().Reg(0, 5, 0xffffffff).Reg(0, 2, 3), NewMatch().Reg(0, 6, 0xffffffff)},
		"register zero mask keeps":   {NewMatch().Reg(0, 5, 0xf).Reg(0, 5, 0), NewMatch().Reg(0, 5, 0xf)},
		"zero mask":                  {NewMatch().Reg(0, 5, 0), NewMatch()},
		"zero mask drops":            {NewMatch().Metadata(1, 1).Metadata(1, 0), NewMatch()},
		"zero prefix":                {NewMatch().IPv4Src(netip.Prefix{}).IPv6Dst(netip.Prefix{}), NewMatch()},
		"zero prefix drops":          {NewMatch().EthType(0x800).IPv4Src(mustPrefix("10.0.0.0/8")).IPv4Src(netip.Prefix{}), NewMatch().EthType(0x800)},
		"explicit prerequisites":     {NewMatch().EthType(0x0800).IPProto(1).ICMPv4Type(8), NewMatch().ICMPv4Type(8)},
		"VLAN keeps 12 bits":         {NewMatch().VLAN(0xf005), NewMatch().VLAN(5)},
		"MAC mask of ones":           {NewMatch().EthSrcMasked(MAC{1}, BroadcastMAC()), NewMatch().EthSrc(MAC{1})},
		"MAC mask of zeroes":         {NewMatch().EthDstMasked(MAC{1}, MAC{}), NewMatch()},
		"meaningless ct_state bits":  {NewMatch().CTState(0xffffffff, 0xffffff00), NewMatch()},
		"port mask of zeroes":        {NewMatch().EthType(0x800).TCPDstMasked(5, 0), NewMatch().EthType(0x800).IPProto(6)},
	} {
		if got, want := c.got.Build(), c.want.Build(); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	b := NewMatch().InPort(1)
	first := b.Build()
	if b.Build() != first {
		t.Error("a second Build differs from the first")
	}
	if many := b.EthSrc(MAC{}).EthDst(MAC{}).VLAN(1).EthType(0x800).TCPDst(1).Reg(0, 0, 1).Reg(1, 0, 1).Reg(2, 0, 1).Reg(3, 0, 1).Metadata(0, 1).TunnelID(1); len(many.Build()) == len(first) {
		t.Error("fields beyond the builder's first room are lost")
	}
}

func TestBuildersPanicRatherThanWiden(t *testing.T) {
	t.Parallel()
	for name, build := range map[string]func(){
		"IPv4Src of IPv6":        func() { NewMatch().IPv4Src(mustPrefix("fe80::/10")) },
		"IPv6Dst of IPv4":        func() { NewMatch().IPv6Dst(mustPrefix("10.0.0.0/8")) },
		"ARPSPA of IPv6":         func() { NewMatch().ARPSPA(mustPrefix("fe80::/10")) },
		"NDTarget of IPv4":       func() { NewMatch().NDTarget(netip.MustParseAddr("10.0.0.1")) },
		"NDTarget of nothing":    func() { NewMatch().NDTarget(netip.Addr{}) },
		"register 16":            func() { NewMatch().Reg(16, 0, 1) },
		"register -1":            func() { LoadReg(-1, 0, 1) },
		"bits outside the field": func() { BitRange(Register(0), 30, 3) },
		"no bits":                func() { BitRange(Register(0), 3, 0) },
		"unknown field":          func() { Whole(Field(0x7777777)) },
		"move of other width":    func() { MoveField(Whole(FieldEthSrc), Whole(Register(0))) },
		"push of unknown field":  func() { Push(Subfield{Field: 0x7777777, Bits: 1}) },
		"learn of other width":   func() { LearnMatch(Whole(FieldEthSrc), Whole(Register(0))) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			build()
		}()
	}
}

func TestParseMAC(t *testing.T) {
	t.Parallel()
	mac, err := ParseMAC("02-AA-bb-00-00-01")
	if err != nil || mac.String() != "02:aa:bb:00:00:01" {
		t.Errorf("%v, %v", mac, err)
	}
	for _, bad := range []string{"", "02:aa", "02:aa:bb:00:00:0g", "02:aa:bb:00:00:01:02:03", "xenbr0"} {
		if mac, err := ParseMAC(bad); !errors.Is(err, ErrBadMAC) || !strings.Contains(err.Error(), bad) {
			t.Errorf("%q gives %v, %v", bad, mac, err)
		}
	}
	if !BroadcastMAC().IsMulticast() || (MAC{2}).IsMulticast() || !(MAC{}).IsZero() || mac.IsZero() {
		t.Error("address kinds are wrong")
	}
}

func TestTextNames(t *testing.T) {
	t.Parallel()
	names := TextOptions{
		TableName: func(table uint8) string { return map[uint8]string{1: "classify", 9: "forward"}[table] },
		PortName:  func(port uint32) string { return map[uint32]string{3: "vif1.0"}[port] },
	}
	f := Flow{Table: 1, Priority: 5, Match: NewMatch().InPort(3).Build(), Instructions: ApplyGoto(9, Output(3), Output(4), Resubmit(9), Resubmit(8))}
	const want = "table=classify, priority=5,in_port=vif1.0 actions=output:vif1.0,output:4,resubmit(,forward),resubmit(,8),goto_table:forward"
	if got := f.Text(names); got != want {
		t.Errorf("prints\n%s, want\n%s", got, want)
	}
	const full = "cookie=0x0, duration=0s, table=classify, n_packets=0, n_bytes=0, priority=5,in_port=vif1.0 "
	if got := (Stats{Flow: f}).Text(names); !strings.HasPrefix(got, full) {
		t.Errorf("prints\n%s, want the start\n%s", got, full)
	}
}

func TestOversizedFlowIsNotEncoded(t *testing.T) {
	t.Parallel()
	outputs := make([]Action, 4100)
	for i := range outputs {
		outputs[i] = Output(uint32(i + 1))
	}
	fits := Flow{Instructions: Apply(outputs[:4080]...)}
	if n := len(fits.AppendFlowMod(nil, 1, Add)); !fits.Encodable() || n != 48+8+8+4080*16 {
		t.Errorf("4080 outputs take %d bytes, encodable %v", n, fits.Encodable())
	}
	tooLong := Flow{Instructions: Apply(outputs...)}
	if got := tooLong.AppendFlowMod([]byte("before"), 1, Add); tooLong.Encodable() || string(got) != "before" {
		t.Errorf("4100 outputs are encodable %v, %d bytes", tooLong.Encodable(), len(got))
	}
	if got := tooLong.AppendFlowMod(nil, 1, DeleteStrict); len(got) != 56 {
		t.Errorf("deleting it takes %d bytes", len(got))
	}
}
