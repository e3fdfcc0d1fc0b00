package openflowtest

import (
	"encoding/binary"

	"poolwire/southbound/openflow"
)

// Message types, error types and codes of OpenFlow 1.3.5 section A.
const (
	msgHello            uint8 = 0
	msgError            uint8 = 1
	msgEchoRequest      uint8 = 2
	msgEchoReply        uint8 = 3
	msgExperimenter     uint8 = 4
	msgFeaturesRequest  uint8 = 5
	msgFeaturesReply    uint8 = 6
	msgSetConfig        uint8 = 9
	msgPortStatus       uint8 = 12
	msgPacketOut        uint8 = 13
	msgFlowMod          uint8 = 14
	msgPortMod          uint8 = 16
	msgMultipartRequest uint8 = 18
	msgMultipartReply   uint8 = 19
	msgBarrierRequest   uint8 = 20
	msgBarrierReply     uint8 = 21
	msgRoleRequest      uint8 = 24
	msgRoleReply        uint8 = 25
	msgSetAsync         uint8 = 28
	msgMeterMod         uint8 = 29

	badRequest             uint16 = 1
	badRequestType         uint16 = 1
	badRequestMultipart    uint16 = 2
	badRequestExperimenter uint16 = 3
	badRequestLen          uint16 = 6
	badRequestSlave        uint16 = 10
	flowModFailed          uint16 = 5
	flowModBadCommand      uint16 = 6
	portModFailed          uint16 = 7
	portModBadPort         uint16 = 0
	portModBadMAC          uint16 = 1
	roleRequestFailed      uint16 = 11
	roleStale              uint16 = 0

	portAdded    uint8 = 0
	portDeleted  uint8 = 1
	portModified uint8 = 2
)

// frame makes a message of OpenFlow 1.3.
func frame(kind uint8, xid uint32, body []byte) []byte {
	b := make([]byte, 8, 8+len(body))
	b[0], b[1] = 4, kind
	binary.BigEndian.PutUint16(b[2:], uint16(8+len(body)))
	binary.BigEndian.PutUint32(b[4:], xid)
	return append(b, body...)
}

// helloMessage offers 1.0 and 1.3, in the header as its highest version.
func helloMessage() []byte {
	return frame(msgHello, 0, []byte{0, 1, 0, 8, 0, 0, 0, 1<<1 | 1<<4})
}

func featuresReply(xid uint32, datapathID uint64) []byte {
	body := make([]byte, 24)
	binary.BigEndian.PutUint64(body, datapathID)
	body[12] = 254
	binary.BigEndian.PutUint32(body[16:], 0x4f)
	return frame(msgFeaturesReply, xid, body)
}

func roleReply(xid uint32, role openflow.Role, generation uint64) []byte {
	body := make([]byte, 16)
	binary.BigEndian.PutUint32(body, uint32(role))
	binary.BigEndian.PutUint64(body[8:], generation)
	return frame(msgRoleReply, xid, body)
}

// errorMessage repeats at most 64 bytes of what it is about.
func errorMessage(xid uint32, kind, code uint16, about []byte) []byte {
	body := make([]byte, 4, 4+64)
	binary.BigEndian.PutUint16(body, kind)
	binary.BigEndian.PutUint16(body[2:], code)
	return frame(msgError, xid, append(body, about[:min(len(about), 64)]...))
}

// bundleError is an ONF bundle error as OpenFlow 1.3 carries it.
func bundleError(xid uint32, code uint16, about []byte) []byte {
	body := make([]byte, 8, 8+64)
	binary.BigEndian.PutUint16(body, 0xffff)
	binary.BigEndian.PutUint16(body[2:], code)
	binary.BigEndian.PutUint32(body[4:], onf)
	return frame(msgError, xid, append(body, about[:min(len(about), 64)]...))
}

func portBytes(p openflow.Port) []byte {
	b := make([]byte, 64)
	binary.BigEndian.PutUint32(b, p.Number)
	copy(b[8:14], p.MAC[:])
	copy(b[16:31], p.Name)
	binary.BigEndian.PutUint32(b[32:], p.Config)
	binary.BigEndian.PutUint32(b[36:], p.State)
	binary.BigEndian.PutUint32(b[56:], p.CurrentSpeed)
	binary.BigEndian.PutUint32(b[60:], p.MaxSpeed)
	return b
}

func portStatus(reason uint8, p openflow.Port) []byte {
	return frame(msgPortStatus, 0, append([]byte{reason, 0, 0, 0, 0, 0, 0, 0}, portBytes(p)...))
}
