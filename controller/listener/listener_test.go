package listener

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// over4 wraps a message into IPv4, with the checksum it needs.
func over4(protocol byte, source string, message []byte) []byte {
	if protocol == protocolIGMP {
		binary.BigEndian.PutUint16(message[2:], checksum(message))
	}
	ip := make([]byte, 20)
	ip[0], ip[8], ip[9] = 0x45, 1, protocol
	binary.BigEndian.PutUint16(ip[2:], uint16(20+len(message)))
	copy(ip[12:], addr(source).AsSlice())
	copy(ip[16:], []byte{224, 0, 0, 22})
	return ethernet(GroupMAC(addr("224.0.0.22")), typeIPv4, ip, message)
}

// over6 does so into IPv6, behind a router alert.
func over6(source string, message []byte) []byte {
	to := addr("ff02::16")
	binary.BigEndian.PutUint16(message[2:], checksum(pseudoHeader(addr(source), to, len(message)), message))
	ip := make([]byte, 40)
	ip[0], ip[6], ip[7] = 0x60, protocolHopByHop, 1
	binary.BigEndian.PutUint16(ip[4:], uint16(8+len(message)))
	copy(ip[8:], addr(source).AsSlice())
	copy(ip[24:], to.AsSlice())
	return ethernet(GroupMAC(to), typeIPv6, ip, []byte{protocolICMPv6, 0, 5, 2, 0, 0, 1, 0}, message)
}

type record struct {
	kind    byte
	group   string
	sources int
}

func reportV3(kind byte, records ...record) []byte {
	b := make([]byte, 8)
	b[0] = kind
	binary.BigEndian.PutUint16(b[6:], uint16(len(records)))
	for _, r := range records {
		group := addr(r.group).AsSlice()
		b = append(b, r.kind, 0, 0, byte(r.sources))
		b = append(append(b, group...), make([]byte, r.sources*len(group))...)
	}
	return b
}

func igmp(kind byte, group string) []byte {
	return append([]byte{kind, 0, 0, 0}, addr(group).AsSlice()...)
}

func mld(kind byte, group string) []byte {
	return append([]byte{kind, 0, 0, 0, 0, 0, 0, 0}, addr(group).AsSlice()...)
}

func TestParse(t *testing.T) {
	t.Parallel()
	g := []netip.Addr{addr("239.1.2.3")}
	g6 := []netip.Addr{addr("ff15::42")}
	badSum := over4(protocolIGMP, "192.0.2.1", igmp(igmpReportV2, "239.1.2.3"))
	badSum[14+20+7]++
	fragment := over4(protocolIGMP, "192.0.2.1", igmp(igmpReportV2, "239.1.2.3"))
	fragment[14+6] = 0x20
	cut := over4(protocolIGMP, "192.0.2.1", reportV3(igmpReportV3, record{toExclude, "239.1.2.3", 0}, record{toExclude, "239.1.2.4", 0}))
	lying := reportV3(igmpReportV3, record{toExclude, "239.1.2.3", 0})
	lying[7] = 200
	for _, tt := range []struct {
		name         string
		frame        []byte
		joined, left []netip.Addr
		router       string
	}{
		{"IGMPv1 report", over4(protocolIGMP, "192.0.2.1", igmp(igmpReportV1, "239.1.2.3")), g, nil, ""},
		{"IGMPv2 report", over4(protocolIGMP, "0.0.0.0", igmp(igmpReportV2, "239.1.2.3")), g, nil, ""},
		{"IGMPv2 leave", over4(protocolIGMP, "192.0.2.1", igmp(igmpLeave, "239.1.2.3")), nil, g, ""},
		{"IGMPv3 joins", over4(protocolIGMP, "192.0.2.1", reportV3(igmpReportV3, record{toExclude, "239.1.2.3", 2})), g, nil, ""},
		{"IGMPv3 some sources", over4(protocolIGMP, "192.0.2.1", reportV3(igmpReportV3, record{isInclude, "239.1.2.3", 1}, record{blockSources, "239.1.2.9", 1})), g, nil, ""},
		{"IGMPv3 leaves", over4(protocolIGMP, "192.0.2.1", reportV3(igmpReportV3, record{blockSources, "239.1.2.9", 1}, record{toInclude, "239.1.2.3", 0})), nil, g, ""},
		{"IGMP query of a router", over4(protocolIGMP, "192.0.2.1", igmp(igmpQuery, "0.0.0.0")), nil, nil, "0.0.0.0"},
		{"IGMP query of a switch", over4(protocolIGMP, "0.0.0.0", igmp(igmpQuery, "0.0.0.0")), nil, nil, "none"},
		{"PIM hello", over4(protocolPIM, "192.0.2.1", []byte{pimHello, 0, 0, 0}), nil, nil, "0.0.0.0"},
		{"PIM, no hello", over4(protocolPIM, "192.0.2.1", []byte{0x23, 0, 0, 0}), nil, nil, "none"},
		{"MLDv1 report", over6("fe80::1", mld(mldReport, "ff15::42")), g6, nil, ""},
		{"MLDv1 done", over6("fe80::1", mld(mldDone, "ff15::42")), nil, g6, ""},
		{"MLDv2 joins", over6("::", reportV3(mldReportV2, record{isExclude, "ff15::42", 1})), g6, nil, ""},
		{"MLDv2 leaves", over6("fe80::1", reportV3(mldReportV2, record{toInclude, "ff15::42", 0})), nil, g6, ""},
		{"MLD query", over6("fe80::1", mld(mldQuery, "::")), nil, nil, "::"},
		{"MLD from elsewhere", over6("2001:db8::1", mld(mldReport, "ff15::42")), nil, nil, "none"},
		{"no group", over4(protocolIGMP, "192.0.2.1", igmp(igmpReportV2, "192.0.2.9")), nil, nil, "none"},
		{"wrong checksum", badSum, nil, nil, "none"},
		{"fragment", fragment, nil, nil, "none"},
		{"cut short", cut[:len(cut)-12], nil, nil, "none"},
		{"more records than there are", over4(protocolIGMP, "192.0.2.1", lying), nil, nil, "none"},
		{"nothing", nil, nil, nil, "none"},
	} {
		r, ok := Parse(tt.frame)
		if ok != (tt.router != "none") || !slices.Equal(r.Joined, tt.joined) && ok || !slices.Equal(r.Left, tt.left) && ok {
			t.Errorf("%s: %+v, %v", tt.name, r, ok)
		}
		if ok && r.Router != (tt.router != "") || r.Router && ok && r.RouterOf != addr(tt.router) {
			t.Errorf("%s: router %v of %v", tt.name, r.Router, r.RouterOf)
		}
	}
}

// TestOwnQueriesAreNoRouters: what Poolwire asks makes nobody a router where it comes back, and is well formed.
func TestOwnQueriesAreWellFormed(t *testing.T) {
	t.Parallel()
	for _, group := range []string{"0.0.0.0", "239.1.2.3", "::", "ff15::42"} {
		q := Query(addr(group))
		r, ok := Parse(q)
		if addr(group).Is6() != (ok && r.Router) {
			t.Errorf("%s: %+v, %v", group, r, ok)
		}
		if len(q) < 60 || q[0]&1 == 0 {
			t.Errorf("%s: %x", group, q)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(over4(protocolIGMP, "192.0.2.1", reportV3(igmpReportV3, record{toExclude, "239.1.2.3", 2})))
	f.Add(over6("fe80::1", reportV3(mldReportV2, record{toInclude, "ff15::42", 0})))
	f.Add(Query(addr("::")))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, ok := Parse(b)
		if len(r.Joined)+len(r.Left) > MaxGroups || ok && len(r.Joined)+len(r.Left) == 0 && !r.Router {
			t.Errorf("%+v, %v", r, ok)
		}
	})
}
