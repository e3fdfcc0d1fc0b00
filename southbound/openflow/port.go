package openflow

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"strings"

	"poolwire/southbound/openflow/flow"
)

// Port configuration bits (enum ofp_port_config, section 7.2.1).
const (
	// PortDown: administratively down.
	PortDown uint32 = 1 << 0
	// PortNoReceive: drop what arrives from the port.
	PortNoReceive uint32 = 1 << 2
	// PortNoForward: send nothing out of the port, whatever flows or NORMAL say (OFPPC_NO_FWD).
	PortNoForward uint32 = 1 << 5
	// PortNoPacketIn: send no packet-in for what arrives from the port.
	PortNoPacketIn uint32 = 1 << 6
)

// Port state bits (enum ofp_port_state).
const (
	// PortLinkDown: no carrier.
	PortLinkDown uint32 = 1 << 0
	// PortBlocked: a protocol outside OpenFlow blocks the port.
	PortBlocked uint32 = 1 << 1
	// PortLive: usable as a target of fast failover.
	PortLive uint32 = 1 << 2
)

// PortLocal is the number of the port with the bridge's own name (OFPP_LOCAL).
const PortLocal uint32 = 0xfffffffe

// Port is one port of a switch (struct ofp_port).
type Port struct {
	Number uint32
	// Name is at most 15 bytes and may be cut short by the switch.
	Name string
	MAC  flow.MAC
	// Config holds Port* configuration bits, State the state bits.
	Config, State uint32
	// CurrentSpeed and MaxSpeed are in kbit/s; 0 is unknown.
	CurrentSpeed, MaxSpeed uint32
}

// portLen is the size of ofp_port.
const portLen = 64

// decodePort reads one ofp_port of exactly portLen bytes.
func decodePort(b []byte) Port {
	name, _, _ := bytes.Cut(b[16:32], []byte{0})
	return Port{
		Number:       binary.BigEndian.Uint32(b),
		Name:         strings.ToValidUTF8(string(name), "\uFFFD"),
		MAC:          flow.MAC(b[8:14]),
		Config:       binary.BigEndian.Uint32(b[32:]),
		State:        binary.BigEndian.Uint32(b[36:]),
		CurrentSpeed: binary.BigEndian.Uint32(b[56:]),
		MaxSpeed:     binary.BigEndian.Uint32(b[60:]),
	}
}

// decodePorts reads the body of an OFPMP_PORT_DESC reply part (section 7.3.5.7).
func decodePorts(body []byte) ([]Port, error) {
	if len(body)%portLen != 0 {
		return nil, protocolErrorf("port descriptions of %d bytes", len(body))
	}
	ports := make([]Port, 0, len(body)/portLen)
	for ; len(body) > 0; body = body[portLen:] {
		ports = append(ports, decodePort(body))
	}
	return ports, nil
}

// checkPortStatus checks the length of an OFPT_PORT_STATUS (section 7.4.3). What it
// tells is not used: ports are read as a whole.
func checkPortStatus(body []byte) error {
	if len(body) != 8+portLen {
		return protocolErrorf("port status of %d bytes, want %d", headerLen+len(body), headerLen+8+portLen)
	}
	return nil
}

// Ports reads all ports, the bridge's own one included.
func (s *Switch) Ports(ctx context.Context) ([]Port, error) {
	var all []Port
	err := s.conn.multipart(ctx, multipartPortDesc, nil, func(part []byte) error {
		ports, err := decodePorts(part)
		all = append(all, ports...)
		return err
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// portMod is an OFPT_PORT_MOD (section 7.3.4.3).
func portMod(xid uint32, p Port, config, mask uint32) []byte {
	b := appendHeader(make([]byte, 0, 40), typePortMod, 40, xid)
	b = binary.BigEndian.AppendUint32(b, p.Number)
	b = append(b, 0, 0, 0, 0)
	b = append(b, p.MAC[:]...)
	b = append(b, 0, 0)
	b = binary.BigEndian.AppendUint32(b, config)
	b = binary.BigEndian.AppendUint32(b, mask)
	return append(b, 0, 0, 0, 0, 0, 0, 0, 0) // advertise: unchanged
}

// SetPortConfig gives the configuration bits of p that mask selects the values
// in config, and returns when the switch has accepted them. Open vSwitch applies
// them to packets in the next turn of its main loop, a moment after its answer.
//
// The switch checks the number and MAC of p against its own, so a port that was
// replaced meanwhile is refused (a *SwitchError of type OFPPMFC) instead of being
// mistaken.
func (s *Switch) SetPortConfig(ctx context.Context, p Port, config, mask uint32) error {
	err := s.conn.batch(ctx, func(xid uint32) []byte { return portMod(xid, p, config, mask) })
	if err != nil {
		return fmt.Errorf("configuring port %d: %w", p.Number, err)
	}
	return nil
}

// batch sends one message that has no reply of its own, and a barrier behind it.
// An error in answer to the message arrives before the barrier's reply.
func (c *conn) batch(ctx context.Context, build func(xid uint32) []byte) error {
	if err := c.acquire(ctx); err != nil {
		return err
	}
	defer c.release()
	xid := c.allocate(2)
	barrier := xid + 1
	var refused error
	e := newExchange(xid, barrier, func(m message) (bool, error) {
		switch m.kind {
		case typeError:
			_, refused = refusal(m)
			return m.xid == barrier, refused
		case typeBarrierReply:
			return true, refused
		default:
			return true, protocolErrorf("reply of type %d, want a barrier reply", m.kind)
		}
	})
	if err := c.register(e); err != nil {
		return err
	}
	if err := c.send(ctx, append(build(xid), bare(typeBarrierRequest, barrier)...)); err != nil {
		e.end(err)
	}
	return c.wait(ctx, e)
}
