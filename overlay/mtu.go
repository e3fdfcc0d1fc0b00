package overlay

// IPsec is how the packets of a tunnel are protected.
type IPsec struct {
	// On: ESP in transport mode, AES-GCM with a 16-byte check value (RFC 4106).
	On bool
	// NAT: ESP in UDP (RFC 3948).
	NAT bool
}

// Sizes in bytes.
const (
	innerEthernet = 14
	outerIPv4     = 20
	outerIPv6     = 40
	udpHeader     = 8
	vxlanHeader   = 8
	geneveHeader  = 8 // without options
	greHeader     = 8 // RFC 2784 and the key of RFC 2890

	espHeader  = 8  // RFC 4303: SPI and sequence number
	espIV      = 8  // RFC 4106
	espTrailer = 2  // pad length and next header
	espICV     = 16 // RFC 4106
	espAlign   = 4  // RFC 4303: what is encrypted ends on a multiple of it
)

// Overhead is what a tunnel adds to the payload of an inner Ethernet frame, in bytes, without
// encryption: the inner Ethernet header, the tunnel's, and the outer IP header. An inner VLAN tag takes four more.
func Overhead(e Encapsulation, outerIs6 bool) int {
	ip := outerIPv4
	if outerIs6 {
		ip = outerIPv6
	}
	return ip + innerEthernet + tunnelHeaders(e)
}

func tunnelHeaders(e Encapsulation) int {
	switch e {
	case GRE:
		return greHeader
	case Geneve:
		return udpHeader + geneveHeader
	}
	return udpHeader + vxlanHeader
}

// InnerMTU is the largest MTU of VMs whose packets pass a tunnel over an underlay of the given
// MTU unfragmented, both in bytes; 0 when nothing fits.
func InnerMTU(underlay int, e Encapsulation, outerIs6 bool, sec IPsec) int {
	ip := outerIPv4
	if outerIs6 {
		ip = outerIPv6
	}
	payload := underlay - ip
	if sec.On {
		payload = espPayload(payload, sec.NAT)
	}
	return max(payload-tunnelHeaders(e)-innerEthernet, 0)
}

// espPayload is how much of an IP payload is left when it is an ESP packet: the padding rounds
// what is encrypted, trailer included, up to a multiple of four.
func espPayload(payload int, nat bool) int {
	if nat {
		payload -= udpHeader
	}
	encrypted := payload - espHeader - espIV - espICV
	return encrypted - encrypted%espAlign - espTrailer
}
