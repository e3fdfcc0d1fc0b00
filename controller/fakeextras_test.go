package controller

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sync"

	"poolwire/flowcompiler"
	"poolwire/southbound/openflow/flow"
	"poolwire/southbound/openflow/openflowtest"
)

// extras is what a switch does besides flows and ports: meters, conntrack zones, and
// packets to and from the controller.
type extras struct {
	mu sync.Mutex
	// unmetered makes it a switch without meters.
	unmetered bool
	// unflushable makes it one that flushes no conntrack zones; noted all the same.
	unflushable bool
	// stuck makes it one that confirms no packet-out: the barriers behind them are kept.
	stuck   bool
	sentXID uint32
	meters  map[uint32][]byte // by id: flags and bands
	notes   []string
	sent    []sentPacket
	session *openflowtest.Session
}

// sentPacket is a packet-out.
type sentPacket struct {
	inPort, output uint32
	data           []byte
}

// Message types and multipart types (OpenFlow 1.3, appendix A).
const (
	ofError, ofExperimenter, ofSetConfig, ofPacketIn = 1, 4, 9, 10
	ofPacketOut, ofMultipart, ofMultipartReply       = 13, 18, 19
	ofBarrierRequest, ofSetAsync, ofMeterMod         = 20, 28, 29
	ofMeterConfig, ofMeterFeatures                   = 10, 11
)

func reply(kind uint8, xid uint32, body []byte) []byte {
	b := binary.BigEndian.AppendUint16([]byte{4, kind}, uint16(8+len(body)))
	return append(binary.BigEndian.AppendUint32(b, xid), body...)
}

func (e *extras) note(format string, args ...any) {
	e.notes = append(e.notes, fmt.Sprintf(format, args...))
}

// intercept takes what the fake switch does not know.
func (e *extras) intercept(s *openflowtest.Session, m openflowtest.Message) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch m.Type {
	case ofSetConfig:
		e.note("fragments %d", binary.BigEndian.Uint16(m.Body))
	case ofSetAsync:
		e.session = s
	case ofMeterMod:
		id, command := binary.BigEndian.Uint32(m.Body[4:]), binary.BigEndian.Uint16(m.Body)
		if command == 2 {
			delete(e.meters, id)
			e.note("meter %d gone", id)
			return true
		}
		if e.meters == nil {
			e.meters = map[uint32][]byte{}
		}
		e.meters[id] = slices.Clone(m.Body)
		e.note("meter %d", id)
	case ofExperimenter:
		if binary.BigEndian.Uint32(m.Body) != 0x2320 || binary.BigEndian.Uint32(m.Body[4:]) != 29 {
			return false
		}
		e.note("flush %d", binary.BigEndian.Uint16(m.Body[14:]))
		if e.unflushable {
			_ = s.Write(reply(ofError, m.XID, append([]byte{0, 1, 0, 4}, m.Raw...))) // OFPBRC_BAD_EXPERIMENTER, bad type
		}
	case ofPacketOut:
		actions := int(binary.BigEndian.Uint16(m.Body[8:]))
		e.sentXID = m.XID
		e.sent = append(e.sent, sentPacket{binary.BigEndian.Uint32(m.Body[4:]), binary.BigEndian.Uint32(m.Body[20:]), slices.Clone(m.Body[16+actions:])})
	case ofBarrierRequest:
		return e.stuck && m.XID == e.sentXID+1
	case ofMultipart:
		return e.multipart(s, m)
	default:
		return false
	}
	return true
}

// multipart answers about meters; the lock is held.
func (e *extras) multipart(s *openflowtest.Session, m openflowtest.Message) bool {
	var body []byte
	switch binary.BigEndian.Uint16(m.Body) {
	case ofMeterFeatures:
		body = make([]byte, 16)
		if !e.unmetered {
			binary.BigEndian.PutUint32(body, 1<<18)
		}
	case ofMeterConfig:
		for _, mod := range e.meters {
			config := slices.Clone(mod)
			binary.BigEndian.PutUint16(config, uint16(len(config))) // where the command was
			body = append(body, config...)
		}
	default:
		return false
	}
	_ = s.Write(reply(ofMultipartReply, m.XID, slices.Concat(m.Body[:2], make([]byte, 6), body)))
	return true
}

// noted counts the notes of a text.
func (e *extras) noted(text string) (n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, note := range e.notes {
		if note == text {
			n++
		}
	}
	return n
}

func (e *extras) packets() []sentPacket {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.sent)
}

// deny tells the controller of a denied packet.
func (e *extras) deny(inPort uint32, fields map[flowcompiler.Field]uint32, data []byte) error {
	cookie := flowcompiler.Cookie{Kind: flowcompiler.KindBase}.Encode()
	oxm := binary.BigEndian.AppendUint32(nil, uint32(flow.FieldInPort)<<9|4)
	oxm = binary.BigEndian.AppendUint32(oxm, inPort)
	for n, value := range registersWith(fields) {
		oxm = binary.BigEndian.AppendUint32(oxm, (uint32(flow.FieldReg0)+uint32(n))<<9|4)
		oxm = binary.BigEndian.AppendUint32(oxm, value)
	}
	body := binary.BigEndian.AppendUint32(nil, 0xffffffff)
	body = binary.BigEndian.AppendUint16(body, uint16(len(data)))
	body = append(body, 1, uint8(flowcompiler.TableDenied))
	body = binary.BigEndian.AppendUint64(body, cookie)
	body = binary.BigEndian.AppendUint16(body, 1)
	body = binary.BigEndian.AppendUint16(body, uint16(4+len(oxm)))
	body = append(body, oxm...)
	body = append(body, make([]byte, (8-(4+len(oxm))%8)%8+2)...)
	e.mu.Lock()
	s := e.session
	e.mu.Unlock()
	return s.Write(reply(ofPacketIn, 0, append(body, data...)))
}
