package kernel

import (
	"encoding/binary"
	"testing"

	"poolwire/integration/lab"
)

// ipv4 is a frame with a packet of a protocol; offset is that of a fragment.
func ipv4(protocol byte, offset uint16, payload ...byte) []byte {
	f := make([]byte, 14+20)
	binary.BigEndian.PutUint16(f[12:], 0x0800)
	f[14], f[23] = 0x45, protocol
	binary.BigEndian.PutUint16(f[20:], offset/8)
	return append(f, payload...)
}

// ipv6 is a frame with a packet whose headers follow the fixed one.
func ipv6(next byte, rest ...byte) []byte {
	f := make([]byte, 14+40)
	binary.BigEndian.PutUint16(f[12:], 0x86dd)
	f[14], f[20] = 0x60, next
	return append(f, rest...)
}

// ports are a UDP header and four bytes.
func ports(src, dst uint16, spi uint32) []byte {
	b := binary.BigEndian.AppendUint16(nil, src)
	b = binary.BigEndian.AppendUint16(b, dst)
	return binary.BigEndian.AppendUint32(append(b, 0, 12, 0, 0), spi)
}

func TestJudging(t *testing.T) {
	t.Parallel()
	fragment := func(next byte, offset byte) []byte { return []byte{next, 0, 0, offset << 3, 0, 0, 0, 1} }
	tagged := ipv4(protocolUDP, 0, ports(1234, portVXLAN, 0)...)
	tagged = append(append(append([]byte{}, tagged[:12]...), 0x81, 0, 0, 5), tagged[12:]...)
	for name, c := range map[string]struct {
		frame      []byte
		clear, esp bool
	}{
		"vxlan":               {ipv4(protocolUDP, 0, ports(1234, portVXLAN, 0)...), true, false},
		"vxlan from its port": {ipv4(protocolUDP, 0, ports(portVXLAN, 1234, 0)...), true, false},
		"vxlan in a vlan":     {tagged, true, false},
		"geneve":              {ipv4(protocolUDP, 0, ports(1234, portGeneve, 0)...), true, false},
		"gre":                 {ipv4(protocolGRE, 0, 0x20, 0), true, false},
		"gre's fragment":      {ipv4(protocolGRE, 1480, 1), true, false},
		"udp's fragment":      {ipv4(protocolUDP, 1480, 1, 2), true, false},
		"dns":                 {ipv4(protocolUDP, 0, ports(1234, 53, 0)...), false, false},
		"esp":                 {ipv4(protocolESP, 0, 1, 2, 3, 4), false, true},
		"esp's fragment":      {ipv4(protocolESP, 1480, 1), false, true},
		"esp in udp":          {ipv4(protocolUDP, 0, ports(portNATT, portNATT, 77)...), false, true},
		"ike":                 {ipv4(protocolUDP, 0, ports(portNATT, portNATT, 0)...), false, false},
		"vxlan over v6":       {ipv6(protocolUDP, ports(1234, portVXLAN, 0)...), true, false},
		"gre behind options":  {ipv6(60, append([]byte{protocolGRE, 0, 0, 0, 0, 0, 0, 0}, make([]byte, 8)...)...), true, false},
		"v6 later fragment":   {ipv6(44, append(fragment(protocolUDP, 3), make([]byte, 8)...)...), true, false},
		"v6 first fragment":   {ipv6(44, append(fragment(protocolUDP, 0), ports(1, 53, 0)...)...), false, false},
		"esp over v6":         {ipv6(protocolESP, make([]byte, 16)...), false, true},
		"arp":                 {append(make([]byte, 12), 8, 6, 0, 1), false, false},
		"short":               {[]byte{1, 2, 3}, false, false},
		"cut":                 {ipv4(protocolUDP, 0, 1, 2), false, false},
	} {
		p := lab.Packet{Bytes: c.frame}
		if Clear(p) != c.clear || ESP(p) != c.esp {
			t.Errorf("%s: clear %v, esp %v", name, Clear(p), ESP(p))
		}
	}
}

func FuzzJudge(f *testing.F) {
	f.Add(ipv4(protocolUDP, 0, ports(1, portVXLAN, 0)...))
	f.Add(ipv6(44, make([]byte, 24)...))
	f.Fuzz(func(t *testing.T, frame []byte) {
		p := lab.Packet{Bytes: frame}
		if Clear(p) && ESP(p) {
			t.Error("both in clear and ESP")
		}
	})
}

func TestKeepalives(t *testing.T) {
	t.Parallel()
	inside := func(vni uint32, size int) []byte {
		return ipv4(protocolUDP, 0, append(binary.BigEndian.AppendUint32(ports(1234, portVXLAN, 8<<24), vni<<8), make([]byte, size)...)...)
	}
	const bfd = 14 + 20 + 8 + 24
	for name, c := range map[string]struct {
		frame []byte
		want  bool
	}{
		"BFD":              {inside(0, bfd), true},
		"of a network":     {inside(200, bfd), false},
		"of another size":  {inside(0, bfd+1), false},
		"not even a frame": {[]byte{1}, false},
	} {
		if got := Keepalive(lab.Packet{Bytes: c.frame}); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
