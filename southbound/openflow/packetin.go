package openflow

import (
	"bytes"
	"encoding/binary"

	"poolwire/southbound/openflow/flow"
)

// maxPacketIns bounds how many packets wait to be looked at. What is beyond is dropped: a
// switch sends samples, and its meters bound how many.
const maxPacketIns = 256

// maxPacketInData bounds how much of each is kept: more than an answer to it quotes, and
// less than the 64 KiB that a switch might send.
const maxPacketInData = 2048

// PacketIn is a packet that a flow sent to the controller.
type PacketIn struct {
	// Table and Cookie are those of the flow.
	Table  uint8
	Cookie uint64
	// InPort is the port the packet came in by.
	InPort uint32
	// Registers are what the flows before it had noted.
	Registers [flow.Registers]uint32
	// TotalLen is the length of the whole packet, of which Data is the beginning: at most
	// 2048 bytes.
	TotalLen uint16
	Data     []byte
}

// PacketIns receives the packets that flows send up, once EnablePacketIns was called. The
// newest are dropped while nobody reads.
func (s *Switch) PacketIns() <-chan PacketIn { return s.packetIns }

// EnablePacketIns asks the switch for packet-ins, in every role but slave. Without it none
// are sent, and any that comes is ignored: packets that flows of others send "to the
// controller" are not ours to look at.
func (s *Switch) EnablePacketIns() {
	s.wantPacketIns.Store(true)
	xid := s.conn.allocate(1)
	if err := s.conn.enqueue(setAsync(xid, actionPacketIns)); err != nil {
		s.conn.fail(err)
	}
}

// actionPacketIns are the packet-in reasons OFPR_ACTION and OFPR_NO_MATCH as bits of
// OFPT_SET_ASYNC: Open vSwitch gives the second where the flow that sends a packet up
// matches everything at priority 0.
const actionPacketIns uint32 = 1<<1 | 1<<0

// packetArrived looks at an OFPT_PACKET_IN; it runs on the reader and never waits.
func (s *Switch) packetArrived(body []byte) error {
	if !s.wantPacketIns.Load() {
		return nil
	}
	p, err := decodePacketIn(body)
	if err != nil {
		return err
	}
	select {
	case s.packetIns <- p:
	default:
	}
	return nil
}

// decodePacketIn reads the body of an OFPT_PACKET_IN (section 7.4.1):
//
//	buffer_id 32, total_len 16, reason 8, table 8, cookie 64, match (padded), 2 bytes, data
func decodePacketIn(body []byte) (PacketIn, error) {
	const fixed, matchHeader = 16, 4
	if len(body) < fixed+matchHeader {
		return PacketIn{}, protocolErrorf("packet-in of %d bytes", headerLen+len(body))
	}
	p := PacketIn{TotalLen: binary.BigEndian.Uint16(body[4:]), Table: body[7], Cookie: binary.BigEndian.Uint64(body[8:])}
	match := body[fixed:]
	length := int(binary.BigEndian.Uint16(match[2:]))
	padded := (length + 7) / 8 * 8
	if binary.BigEndian.Uint16(match) != 1 || length < matchHeader || padded+2 > len(match) {
		return PacketIn{}, protocolErrorf("packet-in with a match of length %d in %d bytes", length, len(match))
	}
	if err := p.readMatch(match[matchHeader:length]); err != nil {
		return PacketIn{}, err
	}
	data := match[padded+2:]
	p.Data = bytes.Clone(data[:min(len(data), maxPacketInData)])
	return p, nil
}

// readMatch takes the port and the registers from a packet-in's match; fields that are
// not known are passed over.
func (p *PacketIn) readMatch(oxm []byte) error {
	const tlvHeader = 4
	for len(oxm) > 0 {
		if len(oxm) < tlvHeader || len(oxm) < tlvHeader+int(oxm[3]) {
			return protocolErrorf("packet-in with a field cut short")
		}
		value := oxm[tlvHeader : tlvHeader+int(oxm[3])]
		field := flow.Field(binary.BigEndian.Uint32(oxm) >> 9)
		if len(value) == 4 {
			n := binary.BigEndian.Uint32(value)
			switch {
			case field == flow.FieldInPort:
				p.InPort = n
			case field >= flow.FieldReg0 && field < flow.FieldReg0+flow.Registers:
				p.Registers[field-flow.FieldReg0] = n
			}
		}
		oxm = oxm[tlvHeader+len(value):]
	}
	return nil
}
