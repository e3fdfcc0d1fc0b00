package frame

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"os"

	"poolwire/southbound/openflow/flow"
)

// build puts a frame together from its parts, in hexadecimal.
func build(t testing.TB, parts ...string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(strings.Join(parts, ""), " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const (
	macs   = "020000000002 020000000001"
	ip4tcp = "0800 4500 0028 0001 4000 40 06 0000 0a000001 0a000002"
	syn    = "9c40 0016 00000064 00000000 50 02 ffff 0000 0000"
	ack    = "9c40 0016 00000064 000000c8 50 10 ffff 0000 0000"
	ip4udp = "0800 4500 0020 0001 4000 40 11 26ca 0a000001 0a000002 9c40 0035 000c 0000 01020304"
)

func TestAFrameIsReadAsFarAsItMakesSense(t *testing.T) {
	t.Parallel()
	a, b := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	for name, c := range map[string]struct {
		frame string
		want  Frame
	}{
		"tcp":               {macs + ip4tcp + syn, Frame{EtherType: TypeIPv4, SourceIP: a, DestinationIP: b, Protocol: TCP, HasProtocol: true, SourcePort: 40000, DestinationPort: 22, HasPorts: true}},
		"tagged":            {macs + "8100 000a" + ip4udp, Frame{Tags: []byte{0x81, 0, 0, 10}, EtherType: TypeIPv4, SourceIP: a, DestinationIP: b, Protocol: UDP, HasProtocol: true, SourcePort: 40000, DestinationPort: 53, HasPorts: true}},
		"only a tag":        {macs + "8100 000a", Frame{EtherType: 0x8100}},
		"no IP header":      {macs + "0800 45", Frame{EtherType: TypeIPv4}},
		"header too short":  {macs + "0800 4400 0028 0001 4000 40 06 0000 0a000001 0a000002", Frame{EtherType: TypeIPv4}},
		"header beyond all": {macs + "0800 4f00 0040 0001 4000 40 06 0000 0a000001 0a000002", Frame{EtherType: TypeIPv4, SourceIP: a, DestinationIP: b, Protocol: TCP, HasProtocol: true}},
		"later fragment":    {macs + "0800 4500 0028 0001 0001 40 06 0000 0a000001 0a000002" + syn, Frame{EtherType: TypeIPv4, SourceIP: a, DestinationIP: b, Protocol: TCP, HasProtocol: true, Fragment: true, LaterFragment: true}},
		"arp":               {macs + "0806 0001 0800 06 04 0001 020000000001 0a000001 000000000000 0a000002", Frame{EtherType: TypeARP, SourceIP: a, DestinationIP: b}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := Parse(build(t, c.frame))
			if err != nil {
				t.Fatal(err)
			}
			c.want.Destination, c.want.Source = flow.MAC{2, 0, 0, 0, 0, 2}, flow.MAC{2, 0, 0, 0, 0, 1}
			got.packet, got.segment, got.total = nil, nil, 0
			if !bytes.Equal(got.Tags, c.want.Tags) {
				t.Errorf("tags %x, want %x", got.Tags, c.want.Tags)
			}
			got.Tags, c.want.Tags = nil, nil
			if !same(got, c.want) {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
		})
	}
}

func same(a, b Frame) bool {
	return a.Source == b.Source && a.Destination == b.Destination && a.EtherType == b.EtherType && a.SourceIP == b.SourceIP &&
		a.DestinationIP == b.DestinationIP && a.Protocol == b.Protocol && a.HasProtocol == b.HasProtocol && a.Fragment == b.Fragment &&
		a.LaterFragment == b.LaterFragment && a.SourcePort == b.SourcePort && a.DestinationPort == b.DestinationPort && a.HasPorts == b.HasPorts
}

func TestIPv6ExtensionHeadersAreLookedBehind(t *testing.T) {
	t.Parallel()
	v6 := func(next, length string) string {
		return macs + "86dd 60000000" + length + next + "40 20010db8000000000000000000000001 20010db8000000000000000000000002"
	}
	f, _ := Parse(build(t, v6("00", "0018"), "3c 00 000000000000", "11 00 000000000000", "9c40 0035 0008 0000"))
	if f.Protocol != UDP || f.DestinationPort != 53 || !f.HasPorts {
		t.Errorf("behind two headers: %+v", f)
	}
	f, _ = Parse(build(t, v6("2c", "0010"), "06 00 0008 00000001", "0000000000000000"))
	if f.Protocol != TCP || !f.LaterFragment || f.HasPorts {
		t.Errorf("a later fragment: %+v", f)
	}
	f, _ = Parse(build(t, v6("00", "0008"), "06 ff 000000000000"))
	if f.HasPorts || f.Protocol != hopByHop {
		t.Errorf("a header longer than the packet: %+v", f)
	}
}

func TestWhatIsAnswered(t *testing.T) {
	t.Parallel()
	icmp6 := func(kind string) string {
		return "86dd 60000000 0008 3a 40 20010db8000000000000000000000001 20010db8000000000000000000000002 " + kind + "00 0000 00000000"
	}
	icmp4 := func(kind string) string {
		return "0800 4500 001c 0001 4000 40 01 0000 0a000001 0a000002 " + kind + "00 0000 00000000"
	}
	for name, c := range map[string]struct {
		frame string
		want  bool
	}{
		"tcp syn":                  {macs + ip4tcp + syn, true},
		"tcp ack":                  {macs + ip4tcp + ack, true},
		"udp":                      {macs + ip4udp, true},
		"tagged udp":               {macs + "8100 000a" + ip4udp, true},
		"echo request":             {macs + icmp4("08"), true},
		"echo reply":               {macs + icmp4("00"), false},
		"icmp error":               {macs + icmp4("03"), false},
		"icmpv6 echo":              {macs + icmp6("80"), true},
		"icmpv6 error":             {macs + icmp6("01"), false},
		"neighbour solicitation":   {macs + icmp6("87"), false},
		"a reset":                  {macs + ip4tcp + "9c40 0016 00000064 00000000 50 04 ffff 0000 0000", false},
		"a short tcp header":       {macs + ip4tcp + "9c40 0016 00000064", false},
		"a lying data offset":      {macs + ip4tcp + "9c40 0016 00000064 00000000 f0 02 ffff 0000 0000", false},
		"to a group":               {"01005e000001 020000000001" + ip4udp, false},
		"to a group address":       {macs + "0800 4500 0020 0001 4000 40 11 0000 0a000001 e0000001 9c40 0035 000c 0000 01020304", false},
		"from nobody":              {macs + "0800 4500 0020 0001 4000 40 11 0000 00000000 0a000002 9c40 0035 000c 0000 01020304", false},
		"from a broadcast":         {macs + "0800 4500 0020 0001 4000 40 11 0000 ffffffff 0a000002 9c40 0035 000c 0000 01020304", false},
		"a later fragment":         {macs + "0800 4500 0020 0001 0001 40 11 0000 0a000001 0a000002 9c40 0035 000c 0000 01020304", false},
		"arp":                      {macs + "0806 0001 0800 06 04 0001 020000000001 0a000001 000000000000 0a000002", false},
		"icmpv6 in IPv4":           {macs + "0800 4500 001c 0001 4000 40 3a 0000 0a000001 0a000002 8000 0000 00000000", false},
		"cut short before 8 bytes": {macs + "0800 4500 0020 0001 4000 40 11 0000 0a000001 0a000002 9c40", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, err := Parse(build(t, c.frame))
			if err != nil {
				t.Fatal(err)
			}
			answer, ok := f.Answer()
			if ok != c.want {
				t.Fatalf("answered: %v, want %v", ok, c.want)
			}
			if ok {
				check(t, f, answer)
			}
		})
	}
}

// check holds an answer against the packet it answers.
func check(t testing.TB, f Frame, answer []byte) {
	t.Helper()
	a, err := Parse(answer)
	if err != nil {
		t.Fatal(err)
	}
	if a.Source != f.Destination || a.Destination != f.Source || a.SourceIP != f.DestinationIP || a.DestinationIP != f.SourceIP || !bytes.Equal(a.Tags, f.Tags) {
		t.Errorf("not the way back: %x", answer)
	}
	if a.EtherType == TypeIPv4 && fold(sum(0, a.packet[:ipv4Header])) != 0 {
		t.Errorf("IPv4 checksum is wrong: %x", answer)
	}
	pseudo := a.pseudoHeader(a.Protocol, len(a.segment))
	if a.Protocol == ICMP {
		pseudo = 0
	}
	if fold(sum(pseudo, a.segment)) != 0 {
		t.Errorf("checksum is wrong: %x", answer)
	}
	if a.total != len(a.segment) {
		t.Errorf("length is wrong: %d, there are %d", a.total, len(a.segment))
	}
	if a.Protocol != TCP && !bytes.HasPrefix(f.packet, a.segment[icmpHeader:]) {
		t.Error("the packet is not quoted")
	}
}

func TestResetsHaveTheNumbersThatTheSenderBelieves(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		segment  string
		seq, ack uint32
		flags    byte
	}{
		"syn":             {syn, 0, 101, flagRST | flagACK},
		"ack":             {ack, 200, 0, flagRST},
		"syn, wrapping":   {"9c40 0016 ffffffff 00000000 50 02 ffff 0000 0000", 0, 0, flagRST | flagACK},
		"fin without ack": {"9c40 0016 00000064 00000000 50 01 ffff 0000 0000", 0, 101, flagRST | flagACK},
	} {
		f, _ := Parse(build(t, macs, ip4tcp, c.segment))
		answer, ok := f.Answer()
		if !ok {
			t.Fatalf("%s: no answer", name)
		}
		a, _ := Parse(answer)
		seq, acked, flags := binary.BigEndian.Uint32(a.segment[4:]), binary.BigEndian.Uint32(a.segment[8:]), a.segment[13]
		if seq != c.seq || acked != c.ack || flags != c.flags || a.SourcePort != 22 || a.DestinationPort != 40000 {
			t.Errorf("%s: seq %d ack %d flags %#x, want %d, %d, %#x", name, seq, acked, flags, c.seq, c.ack, c.flags)
		}
	}
}

// TestTcpdumpReadsTheAnswers lets a program that nobody here wrote check them.
func TestTcpdumpReadsTheAnswers(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("tcpdump"); err != nil {
		t.Skip("tcpdump is not installed")
	}
	v6 := "86dd 60000000 0010 11 40 20010db8000000000000000000000001 20010db8000000000000000000000002 9c40 0035 0010 0000 0102030405060708"
	for frame, want := range map[string][]string{
		macs + ip4tcp + syn:               {"10.0.0.2.22 > 10.0.0.1.40000", "Flags [R.]", "seq 0, ack 101", "(correct)"},
		macs + ip4udp:                     {"10.0.0.2 > 10.0.0.1: ICMP host 10.0.0.2 unreachable - admin prohibited", "10.0.0.1.40000 > 10.0.0.2.53"},
		macs + "8100 000a" + ip4tcp + ack: {"vlan 10", "Flags [R]", "seq 200", "(correct)"},
		macs + v6:                         {"icmp6 sum ok", "unreachable prohibited"},
	} {
		f, _ := Parse(build(t, frame))
		answer, ok := f.Answer()
		if !ok {
			t.Fatalf("no answer to %s", frame)
		}
		text := tcpdump(t, answer)
		for _, w := range want {
			if !strings.Contains(text, w) {
				t.Errorf("tcpdump does not say %q:\n%s", w, text)
			}
		}
		if strings.Contains(text, "incorrect") || strings.Contains(text, "bad cksum") || strings.Contains(text, "wrong") {
			t.Errorf("tcpdump finds fault:\n%s", text)
		}
	}
}

// tcpdump prints a frame.
func tcpdump(t *testing.T, frame []byte) string {
	t.Helper()
	file := make([]byte, 40, 40+len(frame))
	binary.LittleEndian.PutUint32(file, 0xa1b2c3d4) // pcap, version 2.4
	binary.LittleEndian.PutUint16(file[4:], 2)
	binary.LittleEndian.PutUint16(file[6:], 4)
	binary.LittleEndian.PutUint32(file[16:], 65535)
	binary.LittleEndian.PutUint32(file[20:], 1) // Ethernet
	binary.LittleEndian.PutUint32(file[32:], uint32(len(frame)))
	binary.LittleEndian.PutUint32(file[36:], uint32(len(frame)))
	name := filepath.Join(t.TempDir(), "answer.pcap")
	if err := os.WriteFile(name, append(file, frame...), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("tcpdump", "-nnevvr", name).CombinedOutput()
	if err != nil {
		t.Fatalf("tcpdump: %v\n%s", err, out)
	}
	return string(out)
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{macs + ip4tcp + syn, macs + ip4udp, macs + "8100 000a" + ip4tcp + ack} {
		f.Add(build(f, s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := Parse(data)
		if err != nil {
			return
		}
		if answer, ok := got.Answer(); ok {
			check(t, got, answer)
			a, _ := Parse(answer)
			if again, ok := a.Answer(); ok {
				t.Fatalf("an answer is answered: %x -> %x", answer, again)
			}
		}
	})
}
