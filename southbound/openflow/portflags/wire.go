package portflags

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

// version10 is the wire number of OpenFlow 1.0.
const version10 = 0x01

// Message types of OpenFlow 1.0 (enum ofp_type).
const (
	typeHello           = 0
	typeError           = 1
	typeEchoRequest     = 2
	typeEchoReply       = 3
	typeVendor          = 4
	typeFeaturesRequest = 5
	typeFeaturesReply   = 6
	typePortMod         = 15
	typeBarrierRequest  = 18
	typeBarrierReply    = 19
)

const (
	headerLen = 8
	portLen   = 48 // struct ofp_phy_port
	// noFlood is OFPPC_NO_FLOOD.
	noFlood = 1 << 4
	// maxHello bounds the first message: a hello with a version bitmap is far smaller.
	maxHello = 256
)

// ErrProtocol says that the peer does not speak OpenFlow 1.0 as it should.
var ErrProtocol = errors.New("portflags: protocol error")

// message is one received message.
type message struct {
	version, kind uint8
	xid           uint32
	body          []byte
}

// readMessage reads one message of at most limit bytes.
func readMessage(r io.Reader, limit int) (message, error) {
	var header [headerLen]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return message{}, fmt.Errorf("portflags: receiving: %w", err)
	}
	length := int(binary.BigEndian.Uint16(header[2:]))
	if length < headerLen || length > limit {
		return message{}, fmt.Errorf("%w: message of %d bytes", ErrProtocol, length)
	}
	m := message{version: header[0], kind: header[1], xid: binary.BigEndian.Uint32(header[4:]), body: make([]byte, length-headerLen)}
	if _, err := io.ReadFull(r, m.body); err != nil {
		return message{}, fmt.Errorf("portflags: receiving: %w", err)
	}
	return m, nil
}

// encode returns a message.
func encode(kind uint8, xid uint32, body ...byte) []byte {
	b := append(make([]byte, 0, headerLen+len(body)), version10, kind)
	b = binary.BigEndian.AppendUint16(b, uint16(headerLen+len(body)))
	b = binary.BigEndian.AppendUint32(b, xid)
	return append(b, body...)
}

// silence is the NXT_SET_ASYNC_CONFIG (Nicira vendor message 19) that asks for no message
// of the switch's own accord: two masks each for packet-ins, port status and removed flows.
func silence(xid uint32) []byte {
	const vendor, subtype, masks = 0x2320, 19, 6
	body := binary.BigEndian.AppendUint32(nil, vendor)
	body = binary.BigEndian.AppendUint32(body, subtype)
	return encode(typeVendor, xid, append(body, make([]byte, 4*masks)...)...)
}

// portMod is an OFPT_PORT_MOD that sets or clears the flag.
func portMod(xid uint32, p Port, set bool) []byte {
	body := binary.BigEndian.AppendUint16(nil, p.Number)
	body = append(body, p.MAC[:]...)
	var config uint32
	if set {
		config = noFlood
	}
	body = binary.BigEndian.AppendUint32(body, config)
	body = binary.BigEndian.AppendUint32(body, noFlood)
	return encode(typePortMod, xid, append(body, make([]byte, 8)...)...) // advertise: unchanged
}

// decodeFeatures reads the body of an OFPT_FEATURES_REPLY: datapath id 64, buffers 32,
// tables 8, padding 24, capabilities 32, actions 32, ports.
func decodeFeatures(body []byte) (datapathID uint64, ports []Port, err error) {
	const fixed = 24
	if len(body) < fixed || (len(body)-fixed)%portLen != 0 {
		return 0, nil, fmt.Errorf("%w: features reply of %d bytes", ErrProtocol, headerLen+len(body))
	}
	for rest := body[fixed:]; len(rest) > 0; rest = rest[portLen:] {
		name, _, _ := bytes.Cut(rest[8:24], []byte{0})
		ports = append(ports, Port{
			Number: binary.BigEndian.Uint16(rest), MAC: [6]byte(rest[2:8]), Name: strings.ToValidUTF8(string(name), "\uFFFD"),
			NoFlood: binary.BigEndian.Uint32(rest[24:])&noFlood != 0,
		})
	}
	return binary.BigEndian.Uint64(body), ports, nil
}

// SwitchError is an error that the switch answered with (OFPT_ERROR).
type SwitchError struct{ Type, Code uint16 }

// Error implements error.
func (e *SwitchError) Error() string {
	return fmt.Sprintf("portflags: the switch refuses: error type %d, code %d", e.Type, e.Code)
}

func decodeError(body []byte) error {
	if len(body) < 4 {
		return fmt.Errorf("%w: error of %d bytes", ErrProtocol, headerLen+len(body))
	}
	return &SwitchError{Type: binary.BigEndian.Uint16(body), Code: binary.BigEndian.Uint16(body[2:])}
}
