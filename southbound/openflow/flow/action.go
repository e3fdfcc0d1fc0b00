package flow

import (
	"encoding/binary"
	"math/bits"
	"strings"

	of "github.com/contiv/libOpenflow/openflow13"
	"github.com/contiv/libOpenflow/util"
)

// Action is one encoded OpenFlow 1.3 action, or several in a row. The zero
// Action does nothing.
type Action string

// Reserved port numbers (ofp_port_no, OpenFlow 1.3 section 7.2.1).
const (
	// PortMax is the highest number of an ordinary port in OpenFlow; Open vSwitch itself stops at 0xfeff.
	PortMax        uint32 = of.P_MAX
	PortInPort     uint32 = of.P_IN_PORT
	PortTable      uint32 = of.P_TABLE
	PortNormal     uint32 = of.P_NORMAL
	PortFlood      uint32 = of.P_FLOOD
	PortAll        uint32 = of.P_ALL
	PortController uint32 = of.P_CONTROLLER
	PortLocal      uint32 = of.P_LOCAL
	PortAny        uint32 = of.P_ANY
)

// portInPort16 is OFPP_IN_PORT as 16-bit fields of Nicira actions have it.
const portInPort16 = 0xfff8

const ethTypeVLAN = 0x8100

// marshal returns the encoding of one of libOpenflow's messages, or of ours
// with the same interface. These cannot fail: their errors come from writing
// values that the constructors here do not produce.
func marshal(m util.Message) Action {
	wire, err := m.MarshalBinary()
	if err != nil {
		panic("flow: encoding an action: " + err.Error())
	}
	return Action(wire)
}

// Actions joins actions into one value that runs them in order.
func Actions(actions ...Action) Action {
	if len(actions) == 1 {
		return actions[0]
	}
	var joined strings.Builder
	for _, a := range actions {
		joined.WriteString(string(a))
	}
	return Action(joined.String())
}

// Output sends the packet to a port. Open vSwitch never sends it back to the
// port it came in by; [InPort] does.
func Output(port uint32) Action {
	output := of.NewActionOutput(port)
	// Meaningful for PortController only: there, the whole packet. Open vSwitch itself writes 0 for all other ports.
	output.MaxLen = 0
	if port == PortController {
		output.MaxLen = 0xffff
	}
	return marshal(output)
}

// Normal hands the packet to the bridge's own L2 switching.
func Normal() Action { return Output(PortNormal) }

// InPort sends the packet back to the port it came in by.
func InPort() Action { return Output(PortInPort) }

// Resubmit looks the packet up in another table, runs the actions found
// there, and returns.
func Resubmit(table uint8) Action {
	return marshal(of.NewNXActionResubmitTableAction(portInPort16, table))
}

// LoadReg sets the bits of register n, 0 to 15, that mask selects to those of
// value. A mask with gaps takes one load for each run of bits.
func LoadReg(n int, value, mask uint32) Action {
	var loads []Action
	for mask != 0 {
		offset := bits.TrailingZeros32(mask)
		width := bits.TrailingZeros32(^(mask >> offset))
		run := uint32(1<<width - 1)
		loads = append(loads, LoadField(BitRange(Register(n), uint16(offset), uint16(width)), uint64(value>>offset&run)))
		mask &^= run << offset
	}
	return Actions(loads...)
}

// LoadField sets a subfield of at most 64 bits to the low bits of value.
func LoadField(dst Subfield, value uint64) Action {
	if dst.Bits < 64 {
		value &= 1<<dst.Bits - 1
	}
	return marshal(of.NewNXActionRegLoad(dst.ofsNbits(), dst.header(), value))
}

// MoveField copies src to dst. It panics when they do not have the same number of bits.
func MoveField(src, dst Subfield) Action {
	if src.Bits != dst.Bits {
		panic("flow: move between subfields of different width")
	}
	return marshal(of.NewNXActionRegMove(src.Bits, src.Offset, dst.Offset, src.header(), dst.header()))
}

// Push puts a subfield aside on a stack of the packet's own, from which Pop takes it.
func Push(src Subfield) Action { return stackAction(of.NXAST_STACK_PUSH, src) }

// Pop sets a subfield to what was put aside last. What is put aside is gone at the
// latest when the packet leaves the tables.
func Pop(dst Subfield) Action { return stackAction(of.NXAST_STACK_POP, dst) }

// stackAction encodes struct nx_action_stack (lib/ofp-actions.c), which libOpenflow
// only has the numbers of.
func stackAction(subtype uint16, s Subfield) Action {
	info := lookupField(s.Field)
	if info == nil {
		panic("flow: unknown field")
	}
	const length = 24
	wire := make([]byte, 0, length)
	wire = binary.BigEndian.AppendUint16(wire, of.ActionType_Experimenter)
	wire = binary.BigEndian.AppendUint16(wire, length)
	wire = binary.BigEndian.AppendUint32(wire, of.NxExperimenterID)
	wire = binary.BigEndian.AppendUint16(wire, subtype)
	wire = binary.BigEndian.AppendUint16(wire, s.Offset)
	wire = binary.BigEndian.AppendUint32(wire, info.header())
	wire = binary.BigEndian.AppendUint16(wire, s.Bits)
	return Action(wire[:length])
}

// OutputReg sends the packet to the port whose number is in register n, 0 to 15.
func OutputReg(n int) Action { return OutputField(Whole(Register(n))) }

// OutputField sends the packet to the port whose number is in a subfield.
func OutputField(src Subfield) Action {
	return marshal(of.NewOutputFromFieldWithMaxLen(src.header(), src.ofsNbits(), 0xffff))
}

// SetTunnelID sets the tunnel key (VNI) for output to a tunnel port with key=flow.
func SetTunnelID(id uint64) Action {
	return setField(FieldTunnelID, id)
}

// SetVLAN sets the VLAN id of a packet that has a tag: the flow's match, or a
// [PushVLAN] before, must say that there is one. Only the low 12 bits of vid
// count.
func SetVLAN(vid uint16) Action {
	return setField(FieldVLANVID, uint64(vid&0x0fff|vlanPresent))
}

// PushVLAN adds an 802.1Q tag with VLAN id 0.
func PushVLAN() Action { return marshal(of.NewActionPushVlan(ethTypeVLAN)) }

// PopVLAN takes the outermost tag off. In OpenFlow 1.3 the flow's match must
// say that there is one.
func PopVLAN() Action { return marshal(of.NewActionPopVlan()) }

// SetEthSrc sets the Ethernet source address.
func SetEthSrc(mac MAC) Action { return setFieldBytes(FieldEthSrc, mac[:]) }

// SetEthDst sets the Ethernet destination address.
func SetEthDst(mac MAC) Action { return setFieldBytes(FieldEthDst, mac[:]) }

// setField sets a field of at most 8 bytes.
func setField(f Field, value uint64) Action {
	wire := make([]byte, lookupField(f).bytes())
	putUint(wire, value)
	return setFieldBytes(f, wire)
}

func setFieldBytes(f Field, value []byte) Action {
	return marshal(of.NewActionSetField(of.MatchField{
		Class:  f.class(),
		Field:  f.number(),
		Length: uint8(len(value)),
		Value:  util.NewBuffer(value),
	}))
}

// ofsNbits packs the position of the bits as Nicira actions do: offset in the high 10 bits, width less one in the low 6.
func (s Subfield) ofsNbits() uint16 { return s.Offset<<6 | (s.Bits - 1) }

// header returns the field as libOpenflow's Nicira actions name it.
func (s Subfield) header() *of.MatchField {
	info := lookupField(s.Field)
	if info == nil {
		panic("flow: unknown field")
	}
	return &of.MatchField{
		Class:  info.nxm.class(),
		Field:  info.nxm.number(),
		Length: uint8(info.bytes()),
	}
}
