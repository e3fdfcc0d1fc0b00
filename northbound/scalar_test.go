package northbound

import (
	"net/netip"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	storev1 "poolwire/proto/poolwire/store/v1"
	v1 "poolwire/proto/poolwire/v1"
)

// FuzzRule: whatever a client sends, checking a rule never panics; what is
// accepted is in canonical form, so that checking it again changes nothing.
func FuzzRule(f *testing.F) {
	add := func(r *v1.Rule) {
		b, err := proto.Marshal(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	add(&v1.Rule{NetworkUuid: strings.ToUpper(id('a', 1)), Mac: "6E-0B-9E-72-AB-01", IpRange: "192.0.2.7/24", Direction: 1, Protocol: 2, Port: proto.Uint32(22), Cookie: "0X1F"})
	add(&v1.Rule{VifUuid: "iface", IpRange: "2001:DB8::1/64", Direction: 3, Protocol: 5})
	add(&v1.Rule{IpRange: "::ffff:192.0.2.1", Cookie: "0x"})
	f.Fuzz(func(t *testing.T, raw []byte) {
		var r v1.Rule
		if proto.Unmarshal(raw, &r) != nil {
			return
		}
		check := func() error {
			var v violations
			validate(ruleFields(), &r, v.at("rule"))
			checkRule(&r, v.at("rule"))
			checkPlaceForm(&r, v.at("rule"))
			return v.err()
		}
		if check() != nil {
			return
		}
		once := proto.CloneOf(&r)
		if err := check(); err != nil || !proto.Equal(&r, once) {
			t.Fatalf("not canonical: %v, then %v (%v)", once, &r, err)
		}
		if r.GetIpRange() != "" {
			p, canonical, ok := parseRange(r.GetIpRange())
			if !ok || canonical != r.GetIpRange() || p != p.Masked() {
				t.Fatalf("ip_range %q", r.GetIpRange())
			}
		}
	})
}

// FuzzHost does the same for hosts; an accepted address can be dialled.
func FuzzHost(f *testing.F) {
	for _, address := range []string{"192.0.2.1", "ssl:[2001:db8::1]:6640", "[::1]", "ssl:", "192.0.2.1:0", "::ffff:192.0.2.1"} {
		f.Add(address, "AB:CD", "2001:db8::1")
	}
	f.Fuzz(func(t *testing.T, address, sum, transport string) {
		h := &v1.Host{NameLabel: "x", PoolUuid: id('a', 1), Mode: 1, Address: address, CertificateSha256: sum, TransportAddress: transport}
		var v violations
		validate(hostFields(), h, v.at("host"))
		if v.err() != nil {
			return
		}
		if h.GetAddress() != "" {
			if _, err := netip.ParseAddrPort(strings.TrimPrefix(h.GetAddress(), "ssl:")); err != nil {
				t.Fatalf("%q became %q: %v", address, h.GetAddress(), err)
			}
		}
		once := proto.CloneOf(h)
		validate(hostFields(), h, v.at("host"))
		if v.err() != nil || !proto.Equal(h, once) {
			t.Fatalf("not canonical: %v, then %v (%v)", once, h, v.err())
		}
	})
}

// FuzzPageToken: a token is a client's word.
func FuzzPageToken(f *testing.F) {
	f.Add(cursor{query: hashOf([]string{"x"})}.token("key"), uint32(3))
	f.Fuzz(func(_ *testing.T, token string, size uint32) {
		var v violations
		c := pageQuery{size: size, token: token, query: []string{"x"}}.cursor(&v)
		if v.err() == nil {
			pageAs(c, []string{"a", "b", "c"}, func(s string) string { return s }, wrapperspb.String)
		}
	})
}

// TestRuleInWords writes rules as a person would say them.
func TestRuleInWords(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	f.apply(putVif(&v1.Vif{Uuid: vif2, NameLabel: "web"}, false))
	network := f.network(paris, "xenbr0").GetUuid()
	for want, r := range map[string]*v1.Rule{
		"allow from/to any icmp on xenbr0":          {NetworkUuid: network, Direction: 3, Protocol: 4, Allow: true},
		"deny from 192.0.2.7 udp port 53 for web":   {VifUuid: vif2, Direction: 1, Protocol: 3, Port: proto.Uint32(53), IpRange: "192.0.2.7"},
		"deny to any ip for " + mac1 + " on xenbr0": {NetworkUuid: network, Mac: mac1, Direction: 2, Protocol: 1},
	} {
		f.apply(putRule(r, storev1.PutMode_PUT_MODE_REPLACE))
		if got := ruleInWords(f.store.View(), r); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
