package flow

import of "github.com/contiv/libOpenflow/openflow13"

// fieldFormat is how ovs-ofctl prints the value of a field.
type fieldFormat uint8

const (
	formatDecimal fieldFormat = iota
	formatHex
	formatEthernet
	formatIPv4
	formatIPv6
	formatPort
	formatFrag
	formatTunnelFlags
	formatTCPFlags
	formatCTState
)

// fieldInfo is everything known about a field.
type fieldInfo struct {
	// field is the identity used in matches and in set_field actions.
	field Field
	// nxm is the identity used in load, move, learn and other Nicira actions:
	// the NXM one where there is one, else the OXM one.
	nxm Field
	// name is the one ovs-ofctl uses in set_field, nxmName the one it uses for subfields.
	name, nxmName string
	// bits is the width of the value; on the wire it fills whole bytes.
	bits   uint8
	format fieldFormat
}

// bytes returns the length of the value on the wire: 1, 2, 4, 6, 8 or 16.
func (i *fieldInfo) bytes() int {
	switch {
	case i.format == formatTunnelFlags:
		// One bit so far, in 16.
		return 2
	case i.bits > 16 && i.bits <= 32:
		return 4
	}
	return (int(i.bits) + 7) / 8
}

// significantBits returns how many low bits of the value in a match a switch looks at.
func (i *fieldInfo) significantBits() int {
	if i.field == FieldVLANVID {
		// The 12 bits of the VLAN id, and OFPVID_PRESENT.
		return 13
	}
	return int(i.bits)
}

// header returns the 32-bit NXM header with which Nicira actions name the field.
func (i *fieldInfo) header() uint32 {
	wire := i.bytes()
	return uint32(i.nxm)<<9 | uint32(wire)
}

const (
	nxm0 Field = of.OXM_CLASS_NXM_0 << 7
	nxm1 Field = of.OXM_CLASS_NXM_1 << 7
	// packetRegs is OFPXMC15_PACKET_REGS, the class of the 64-bit xreg0 to xreg7.
	packetRegs Field = 0x8001 << 7
	// ericsson is the class of two neighbour discovery fields.
	ericsson Field = 0x1000 << 7
)
