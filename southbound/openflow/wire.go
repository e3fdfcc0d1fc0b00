package openflow

import "encoding/binary"

// version13 is the wire number of OpenFlow 1.3, the only version spoken here.
const version13 uint8 = 0x04

// headerLen is the size of ofp_header: version, type, length (16 bits), xid (section 7.1).
const headerLen = 8

// maxMessageLen is the largest message the 16-bit length of the header can announce.
const maxMessageLen = 65535

// Message types (enum ofp_type, section A.1).
const (
	typeHello            uint8 = 0
	typeError            uint8 = 1
	typeEchoRequest      uint8 = 2
	typeEchoReply        uint8 = 3
	typeExperimenter     uint8 = 4
	typeFeaturesRequest  uint8 = 5
	typeFeaturesReply    uint8 = 6
	typeSetConfig        uint8 = 9
	typePacketIn         uint8 = 10
	typeFlowRemoved      uint8 = 11
	typePortStatus       uint8 = 12
	typePacketOut        uint8 = 13
	typePortMod          uint8 = 16
	typeMultipartRequest uint8 = 18
	typeMultipartReply   uint8 = 19
	typeBarrierRequest   uint8 = 20
	typeBarrierReply     uint8 = 21
	typeRoleRequest      uint8 = 24
	typeRoleReply        uint8 = 25
	typeSetAsync         uint8 = 28
	typeMeterMod         uint8 = 29
)

// message is one received message. body aliases the reader's buffer: it is valid
// only until the handler it was given to returns.
type message struct {
	version uint8
	kind    uint8
	xid     uint32
	body    []byte
}

// appendHeader appends an ofp_header of a message that will be length bytes in all.
func appendHeader(b []byte, kind uint8, length int, xid uint32) []byte {
	b = append(b, version13, kind)
	b = binary.BigEndian.AppendUint16(b, uint16(length))
	return binary.BigEndian.AppendUint32(b, xid)
}

// bare returns a message that is only a header.
func bare(kind uint8, xid uint32) []byte {
	return appendHeader(make([]byte, 0, headerLen), kind, headerLen, xid)
}

// withBody returns a message of a header and body. The body must fit a message.
func withBody(kind uint8, xid uint32, body []byte) []byte {
	b := appendHeader(make([]byte, 0, headerLen+len(body)), kind, headerLen+len(body), xid)
	return append(b, body...)
}
