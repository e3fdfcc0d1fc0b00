package walk

import (
	"net/netip"
	"slices"
	"testing"

	"poolwire/southbound/openflow/flow"
)

func TestPrefixesOfATable(t *testing.T) {
	t.Parallel()
	p := netip.MustParsePrefix
	flows := []flow.Flow{
		{Table: 7, Match: flow.NewMatch().EthType(EtherTypeIPv4).IPv4Src(p("10.0.0.0/8")).IPv4Dst(p("192.0.2.7/32")).Build()},
		{Table: 7, Match: flow.NewMatch().EthType(EtherTypeIPv6).IPv6Src(p("2001:db8::/32")).Build()},
		{Table: 7, Priority: 1, Match: flow.NewMatch().EthType(EtherTypeIPv6).IPv6Src(p("2001:db8::/32")).Build()},
		{Table: 7, Match: flow.NewMatch().EthType(EtherTypeIPv6).IPv6Dst(p("2001:db8::1/128")).Build()},
		{Table: 7, Match: flow.NewMatch().EthType(EtherTypeARP).ARPSPA(p("10.9.0.0/16")).Build()},
		{Table: 7, Match: flow.NewMatch().CTState(flow.CTTracked, flow.CTTracked).EthType(EtherTypeIPv4).CTIPv4Src(p("172.16.0.0/12")).Build()},
		{Table: 7, Match: flow.NewMatch().InPort(1).Build()},
		{Table: 8, Match: flow.NewMatch().EthType(EtherTypeIPv4).IPv4Src(p("10.1.0.0/16")).Build()},
	}
	tables, err := New(slices.Values(flows))
	if err != nil {
		t.Fatal(err)
	}
	got := tables.Prefixes(7)
	slices.SortFunc(got, func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) })
	want := []netip.Prefix{p("10.0.0.0/8"), p("10.9.0.0/16"), p("172.16.0.0/12"), p("192.0.2.7/32"), p("2001:db8::/32"), p("2001:db8::1/128")}
	if got = slices.Compact(got); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := tables.Prefixes(9); len(got) != 0 {
		t.Errorf("of an empty table: %v", got)
	}
}
