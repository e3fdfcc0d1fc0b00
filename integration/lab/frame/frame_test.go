package frame_test

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"os/exec"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"poolwire/integration/lab/frame"
)

var (
	mac1 = frame.MustMAC("02:00:00:00:00:01")
	mac2 = frame.MustMAC("02:00:00:00:00:02")
	v4a  = netip.MustParseAddr("10.0.0.1")
	v4b  = netip.MustParseAddr("10.0.0.2")
	v6a  = netip.MustParseAddr("fd00::1")
	v6b  = netip.MustParseAddr("fd00::2")
)

// told is what tcpdump says of a frame, with checksums checked.
func told(t *testing.T, f []byte) string {
	t.Helper()
	var file bytes.Buffer
	for _, word := range []uint32{0xa1b2c3d4, 4<<16 | 2, 0, 0, 1 << 16, 1, 0, 0, uint32(len(f)), uint32(len(f))} {
		_ = binary.Write(&file, binary.LittleEndian, word)
	}
	file.Write(f)
	cmd := exec.Command("tcpdump", "-e", "-nn", "-t", "-vv", "-r", "-")
	cmd.Stdin = &file
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("tcpdump (package tcpdump): %v", err)
	}
	return string(out)
}

func TestTcpdumpUnderstands(t *testing.T) {
	t.Parallel()
	link := frame.Header{Src: mac1, Dst: mac2}
	group := netip.MustParseAddr("ff02::1:ff00:1")
	cases := []struct {
		name  string
		frame []byte
		want  []string
	}{
		{"arp", link.ARP(frame.ARP{Op: frame.ARPRequest, SHA: mac1, SPA: v4a, TPA: v4b}),
			[]string{"02:00:00:00:00:01 > 02:00:00:00:00:02", "Request who-has 10.0.0.2 tell 10.0.0.1"}},
		{"arp reply", link.ARP(frame.ARP{Op: frame.ARPReply, SHA: mac1, SPA: v4a, THA: mac2, TPA: v4b}),
			[]string{"Reply 10.0.0.1 is-at 02:00:00:00:00:01"}},
		{"rarp", frame.RARP(mac1), []string{"Reverse Request who-is 02:00:00:00:00:01 tell 02:00:00:00:00:01"}},
		{"vlan", frame.Header{Src: mac1, Dst: mac2, Tags: []uint16{42}}.IPv4(frame.IPv4{Src: v4a, Dst: v4b}, frame.Echo(7, 1)),
			[]string{"vlan 42, p 0", "10.0.0.1 > 10.0.0.2: ICMP echo request, id 7, seq 1"}},
		{"double tag", frame.Header{Src: mac1, Dst: mac2, Tags: []uint16{5, 6}}.Raw(frame.TypeTest, nil), []string{"vlan 5", "vlan 6"}},
		{"udp", link.IPv4(frame.IPv4{Src: v4a, Dst: v4b, TTL: 3}, frame.UDP{Src: 1, Dst: 2, Payload: []byte("odd")}),
			[]string{"ttl 3", "10.0.0.1.1 > 10.0.0.2.2: [udp sum ok] UDP, length 3"}},
		{"tcp", link.IPv4(frame.IPv4{Src: v4a, Dst: v4b}, frame.TCP{Src: 9, Dst: 22, Seq: 5, Flags: frame.FlagSYN}),
			[]string{"10.0.0.1.9 > 10.0.0.2.22: Flags [S], cksum", "(correct), seq 5"}},
		{"tcp6", link.IPv6(frame.IPv6{Src: v6a, Dst: v6b}, frame.TCP{Src: 9, Dst: 22, Flags: frame.FlagACK, Payload: []byte("abc")}),
			[]string{"fd00::1.9 > fd00::2.22: Flags [.], cksum", "(correct)"}},
		{"udp6", link.IPv6(frame.IPv6{Src: v6a, Dst: v6b, HopLimit: 9}, frame.UDP{Src: 1, Dst: 2}),
			[]string{"hlim 9", "[udp sum ok]"}},
		{"echo6", link.IPv6(frame.IPv6{Src: v6a, Dst: v6b}, frame.Echo6(7, 2)), []string{"[icmp6 sum ok] ICMP6, echo request, id 7, seq 2"}},
		{"ns", link.IPv6(frame.IPv6{Src: v6a, Dst: frame.SolicitedNode(v6b)}, frame.Solicitation(v6b, mac1)),
			[]string{"fd00::1 > ff02::1:ff00:2: [icmp6 sum ok] ICMP6, neighbor solicitation", "who has fd00::2", "source link-address option (1), length 8 (1): 02:00:00:00:00:01"}},
		{"dad", link.IPv6(frame.IPv6{Src: netip.IPv6Unspecified(), Dst: group}, frame.Solicitation(v6a, frame.MAC{})),
			[]string{":: > ff02::1:ff00:1: [icmp6 sum ok] ICMP6, neighbor solicitation, length 24"}},
		{"na", frame.UnsolicitedNA(mac1, v6a),
			[]string{"> 33:33:00:00:00:01", "fd00::1 > ff02::1: [icmp6 sum ok] ICMP6, neighbor advertisement", "tgt is fd00::1, Flags [override]", "destination link-address option (2), length 8 (1): 02:00:00:00:00:01"}},
		{"ra", link.IPv6(frame.IPv6{Src: frame.LinkLocal(mac1), Dst: netip.MustParseAddr("ff02::1")}, frame.RouterAdvertisement()),
			[]string{"fe80::ff:fe00:1 > ff02::1: [icmp6 sum ok] ICMP6, router advertisement", "router lifetime 1800s"}},
		{"mld", link.IPv6(frame.IPv6{Src: v6a, Dst: netip.MustParseAddr("ff02::16"), HopLimit: 1, RouterAlert: true}, frame.MulticastReport(group)),
			[]string{"HBH (rtalert: 0x0000)", "[icmp6 sum ok] ICMP6, multicast listener report v2, 1 group record(s) [gaddr ff02::1:ff00:1"}},
		{"dhcp", frame.DHCPDiscover(mac1, 0xabc), []string{"0.0.0.0.68 > 255.255.255.255.67: [udp sum ok] BOOTP/DHCP, Request from 02:00:00:00:00:01", "xid 0xabc", "Discover"}},
		{"dhcp6", frame.DHCPv6Solicit(mac1, 0xabc), []string{".546 > ff02::1:2.547: [udp sum ok] dhcp6 solicit (xid=abc (client-ID hwaddr type 1 020000000001)"}},
		{"vrrp", link.IPv4(frame.IPv4{Src: v4a, Dst: v4b}, frame.Payload{Protocol: frame.ProtocolVRRP, Bytes: make([]byte, 20)}), []string{"VRRP"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := told(t, c.frame)
			for _, want := range c.want {
				if !strings.Contains(got, want) {
					t.Errorf("tcpdump does not say %q but:\n%s", want, got)
				}
			}
			for _, bad := range []string{"bad ", "incorrect", "truncated", "|"} {
				if strings.Contains(got, bad) {
					t.Errorf("tcpdump says %q:\n%s", bad, got)
				}
			}
		})
	}
}

func TestParseReadsWhatIsBuilt(t *testing.T) {
	t.Parallel()
	link := frame.Header{Src: mac1, Dst: mac2, Tags: []uint16{42}}
	p := frame.Parse(link.IPv4(frame.IPv4{Src: v4a, Dst: v4b}, frame.UDP{Src: 5, Dst: 6, Payload: []byte("hello")}))
	want := frame.Packet{Src: mac1, Dst: mac2, Tags: []uint16{42}, Type: frame.TypeIPv4, IPSrc: v4a, IPDst: v4b,
		Protocol: frame.ProtocolUDP, SrcPort: 5, DstPort: 6, Payload: []byte("hello")}
	if !reflect.DeepEqual(p, want) {
		t.Errorf("got %+v, want %+v", p, want)
	}
	p = frame.Parse(link.ARP(frame.ARP{Op: frame.ARPReply, SHA: mac1, SPA: v4a, THA: mac2, TPA: v4b}))
	if want := (frame.ARP{Op: frame.ARPReply, SHA: mac1, SPA: v4a, THA: mac2, TPA: v4b}); p.ARP == nil || *p.ARP != want {
		t.Errorf("got %+v, want %+v", p.ARP, want)
	}
	p = frame.Parse(frame.UnsolicitedNA(mac1, v6a))
	if p.ICMPType != frame.NeighborAdvert || p.Target != v6a || p.IPSrc != v6a {
		t.Errorf("got %+v", p)
	}
	inner := frame.Header{Src: mac2, Dst: mac1}.IPv6(frame.IPv6{Src: v6a, Dst: v6b, RouterAlert: true}, frame.Echo6(1, 2))
	p = frame.Parse(link.IPv4(frame.IPv4{Src: v4a, Dst: v4b},
		frame.UDP{Src: 1, Dst: 4789, Payload: append([]byte{8, 0, 0, 0, 0x01, 0x02, 0x03, 0}, inner...)}))
	if p.VNI != 0x010203 || p.Inner == nil || p.Inner.ICMPType != frame.ICMPv6EchoRequest || p.Inner.IPDst != v6b {
		t.Errorf("vxlan: got %+v", p)
	}
	p = frame.Parse(link.IPv4(frame.IPv4{Src: v4a, Dst: v4b},
		frame.Payload{Protocol: 47, Bytes: append([]byte{0x20, 0, 0x65, 0x58, 0, 1, 2, 3}, inner...)}))
	if p.VNI != 0x010203 || p.Inner == nil || p.Inner.Src != mac2 {
		t.Errorf("gre: got %+v", p)
	}
}

func TestParseTakesAnything(t *testing.T) {
	t.Parallel()
	base := frame.Header{Src: mac1, Dst: mac2}.IPv4(frame.IPv4{Src: v4a, Dst: v4b},
		frame.UDP{Src: 1, Dst: 4789, Payload: append(make([]byte, 8), frame.UnsolicitedNA(mac1, v6a)...)})
	rapid.Check(t, func(t *rapid.T) {
		b := bytes.Clone(base)
		for range rapid.IntRange(0, 8).Draw(t, "changes") {
			b[rapid.IntRange(0, len(b)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
		}
		frame.Parse(b[:rapid.IntRange(0, len(b)).Draw(t, "length")])
	})
}

func FuzzParse(f *testing.F) {
	f.Add(frame.UnsolicitedNA(mac1, v6a))
	f.Add(frame.DHCPDiscover(mac1, 1))
	f.Fuzz(func(_ *testing.T, b []byte) { frame.Parse(b) })
}

func TestMAC(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "02:00:00:00:00", "02:00:00:00:00:01:02:03", "zz:00:00:00:00:01"} {
		if _, err := frame.ParseMAC(bad); err == nil {
			t.Errorf("%q was read as an address", bad)
		}
	}
	if got := mac1.String(); got != "02:00:00:00:00:01" {
		t.Error(got)
	}
	if got := frame.LinkLocal(mac1).String(); got != "fe80::ff:fe00:1" {
		t.Error(got)
	}
}
