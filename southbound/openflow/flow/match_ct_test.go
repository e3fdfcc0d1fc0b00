package flow

import (
	"net/netip"
	"testing"
)

func TestMatchOfConnections(t *testing.T) {
	t.Parallel()
	v4, v6 := netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::7/128")
	tracked := func() *MatchBuilder { return NewMatch().CTState(CTTracked, CTTracked|CTInvalid) }
	for _, tc := range []struct {
		match *MatchBuilder
		want  string
	}{
		{tracked().CTIPv4Src(v4).CTProto(6).CTPortDst(80, 0xffff), "ct_state=-inv+trk,ct_nw_src=192.0.2.0/24,ct_nw_proto=6,ct_tp_dst=80,ip"},
		{tracked().CTIPv4Dst(v4).CTPortSrc(0, 0xfc00), "ct_state=-inv+trk,ct_nw_dst=192.0.2.0/24,ct_tp_src=0x0/0xfc00,ip"},
		{tracked().CTIPv6Src(v6).CTProto(58), "ct_state=-inv+trk,ct_ipv6_src=2001:db8::7,ct_nw_proto=58,ipv6"},
		{tracked().CTIPv6Dst(v6), "ct_state=-inv+trk,ct_ipv6_dst=2001:db8::7,ipv6"},
		{tracked().CTPortSrc(7, 0), "ct_state=-inv+trk"},
		{NewMatch().EthType(ethTypeIPv4).NotLaterFragment(), "ip,nw_frag=not_later"},
	} {
		f := Flow{Match: tc.match.Build(), Priority: 1}
		if got, want := f.String(), "priority=1,"+tc.want+" actions=drop"; got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
}
