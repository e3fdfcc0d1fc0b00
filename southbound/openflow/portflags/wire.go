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
	typeStatsRequest    = 16
	typeStatsReply      = 17
	typeBarrierRequest  = 18
	typeBarrierReply    = 19
)

const (
	headerLen = 8
	portLen   = 48 // struct ofp_phy_port
	// noFlood is OFPPC_NO_FLOOD.
	noFlood = 1 << 4
	// maxMessage is the largest message that the 16-bit length of the header can announce.
	maxMessage = 65535
	// maxHello bounds the first message: a hello with a version bitmap is far smaller.
	maxHello = 256
	// maxPorts bounds the ports of a bridge: their numbers have 16 bits.
	maxPorts = 1 << 16
)

var (
	// ErrProtocol means that the peer does not speak OpenFlow 1.0 as it should.
	ErrProtocol = errors.New("portflags: protocol error")
	// ErrVersion means that the bridge does not offer OpenFlow 1.0: its Bridge.protocols
	// names other versions only.
	ErrVersion = errors.New("portflags: the bridge does not offer OpenFlow 1.0")
)

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

// checkHello tells whether a hello leaves OpenFlow 1.0 to agree on. A bitmap of versions
// (OpenFlow 1.3.1, section 7.5.1), if there is one, says so; without one a peer speaks
// all versions up to its own.
func checkHello(m message) error {
	const bitmap = 1 // OFPHET_VERSIONBITMAP
	if m.kind != typeHello || m.version < version10 {
		return fmt.Errorf("%w: message of type %d and version %d, want a hello", ErrProtocol, m.kind, m.version)
	}
	for body := m.body; len(body) >= 4; {
		kind, length := binary.BigEndian.Uint16(body), int(binary.BigEndian.Uint16(body[2:]))
		if length < 4 || length > len(body) {
			return fmt.Errorf("%w: hello element of %d bytes", ErrProtocol, length)
		}
		if kind == bitmap && length >= 8 && binary.BigEndian.Uint32(body[4:])&(1<<version10) == 0 {
			return ErrVersion
		}
		body = body[min((length+7)&^7, len(body)):]
	}
	return nil
}

// decodeFeatures reads the datapath id from the body of an OFPT_FEATURES_REPLY: datapath
// id 64, buffers 32, tables 8, padding 24, capabilities 32, actions 32, ports. The ports
// are not used: those that find no room in this one message are left out.
func decodeFeatures(body []byte) (datapathID uint64, err error) {
	const fixed = 24
	if len(body) < fixed || (len(body)-fixed)%portLen != 0 {
		return 0, fmt.Errorf("%w: features reply of %d bytes", ErrProtocol, headerLen+len(body))
	}
	return binary.BigEndian.Uint64(body), nil
}

// portDesc is OFPST_PORT_DESC of OpenFlow 1.3, which Open vSwitch knows in 1.0 too.
const portDesc = 13

// portRequest asks for the descriptions of all ports.
func portRequest(xid uint32) []byte {
	return encode(typeStatsRequest, xid, 0, portDesc, 0, 0)
}

// decodePorts reads one part of the answer: type 16, flags 16, ports. more says that
// another part follows.
func decodePorts(body []byte) (ports []Port, more bool, err error) {
	const fixed = 4
	if len(body) < fixed || (len(body)-fixed)%portLen != 0 || binary.BigEndian.Uint16(body) != portDesc {
		return nil, false, fmt.Errorf("%w: port descriptions of %d bytes", ErrProtocol, headerLen+len(body))
	}
	for rest := body[fixed:]; len(rest) > 0; rest = rest[portLen:] {
		name, _, _ := bytes.Cut(rest[8:24], []byte{0})
		ports = append(ports, Port{
			Number: binary.BigEndian.Uint16(rest), MAC: [6]byte(rest[2:8]), Name: strings.ToValidUTF8(string(name), "\uFFFD"),
			NoFlood: binary.BigEndian.Uint32(rest[24:])&noFlood != 0,
		})
	}
	return ports, binary.BigEndian.Uint16(body[2:])&1 != 0, nil
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
