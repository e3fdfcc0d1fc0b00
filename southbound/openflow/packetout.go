package openflow

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"poolwire/southbound/openflow/flow"
)

// ErrUnsupported means that the switch does not know a message of Open vSwitch's own.
var ErrUnsupported = errors.New("openflow: the switch does not support this")

// PacketOut has the switch carry out actions on a packet as if it had come in by a port
// (flow.PortController for none), and returns when the switch has taken it. The data must
// be a whole Ethernet frame.
func (s *Switch) PacketOut(ctx context.Context, inPort uint32, actions []flow.Action, data []byte) error {
	var list []byte
	for _, a := range actions {
		list = append(list, a...)
	}
	const fixed = headerLen + 16
	length := fixed + len(list) + len(data)
	if length > maxMessageLen {
		return fmt.Errorf("packet-out of %d bytes: %w", length, ErrFlowTooLarge)
	}
	err := s.conn.batch(ctx, func(xid uint32) []byte { return packetOut(xid, inPort, list, data) })
	if err != nil {
		return fmt.Errorf("packet-out: %w", err)
	}
	return nil
}

// packetOut is an OFPT_PACKET_OUT (section 7.3.7) that carries the packet itself.
func packetOut(xid, inPort uint32, actions, data []byte) []byte {
	length := headerLen + 16 + len(actions) + len(data)
	b := appendHeader(make([]byte, 0, length+headerLen), typePacketOut, length, xid) // a barrier will follow
	b = binary.BigEndian.AppendUint32(b, 0xffffffff)                                 // OFP_NO_BUFFER
	b = binary.BigEndian.AppendUint32(b, inPort)
	b = binary.BigEndian.AppendUint16(b, uint16(len(actions)))
	b = append(b, 0, 0, 0, 0, 0, 0)
	b = append(b, actions...)
	return append(b, data...)
}

// Messages of Open vSwitch's own (include/openflow/nicira-ext.h).
const (
	niciraExperimenter uint32 = 0x2320
	flushZone          uint32 = 29 // NXT_CT_FLUSH_ZONE
)

// FlushConntrackZone forgets all connections of a zone. ErrUnsupported when the switch
// does not know how.
func (s *Switch) FlushConntrackZone(ctx context.Context, zone uint16) error {
	err := s.conn.batch(ctx, func(xid uint32) []byte { return zoneFlush(xid, zone) })
	var refused *SwitchError
	switch {
	case errors.As(err, &refused) && refused.unknownMessage():
		return fmt.Errorf("%w: flushing a conntrack zone: %w", ErrUnsupported, err)
	case err != nil:
		return fmt.Errorf("flushing conntrack zone %d: %w", zone, err)
	}
	return nil
}

func zoneFlush(xid uint32, zone uint16) []byte {
	body := binary.BigEndian.AppendUint32(nil, niciraExperimenter)
	body = binary.BigEndian.AppendUint32(body, flushZone)
	body = append(body, 0, 0, 0, 0, 0, 0)
	return withBody(typeExperimenter, xid, binary.BigEndian.AppendUint16(body, zone))
}

// Fragments is how a switch matches fragments of IP packets (OFPC_FRAG_*, section 7.3.2).
type Fragments uint16

// The ways.
const (
	// FragmentsNormal hides the ports of every fragment, the first one too: a rule about a
	// port is passed by whoever fragments.
	FragmentsNormal Fragments = 0
	// FragmentsMatch shows flows the ports of the first fragment (OFPC_FRAG_NX_MATCH).
	FragmentsMatch Fragments = 3
)

// SetFragments sets how the bridge matches fragments.
func (s *Switch) SetFragments(ctx context.Context, f Fragments) error {
	err := s.conn.batch(ctx, func(xid uint32) []byte { return setConfig(xid, f) })
	if err != nil {
		return fmt.Errorf("setting how fragments are matched: %w", err)
	}
	return nil
}

// setConfig is an OFPT_SET_CONFIG (section 7.3.2).
func setConfig(xid uint32, f Fragments) []byte {
	const missSendLen = 128 // what the protocol starts with; nothing here misses to a controller
	body := binary.BigEndian.AppendUint16(nil, uint16(f))
	return withBody(typeSetConfig, xid, binary.BigEndian.AppendUint16(body, missSendLen))
}
