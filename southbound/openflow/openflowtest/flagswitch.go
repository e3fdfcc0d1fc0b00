package openflowtest

import (
	"bufio"
	"context"
	"encoding/binary"
	"net"
	"slices"
	"sync"

	"poolwire/southbound/openflow/flow"
)

// FlagPort is a port of a FlagSwitch.
type FlagPort struct {
	Number  uint16
	MAC     flow.MAC
	Name    string
	NoFlood bool
}

// FlagConfig describes a FlagSwitch.
type FlagConfig struct {
	// DatapathID is what the switch calls itself.
	DatapathID uint64
	// Ports it starts with.
	Ports []FlagPort
	// PartPorts is how many ports go into one reply part. Default 1000.
	PartPorts int
	// Deaf makes the switch take port mods without doing what they say.
	Deaf bool
	// Intercept sees each message before the switch does, may write to the connection or
	// end it, and returns true to keep the message from the switch.
	Intercept func(net.Conn, Message) bool
}

// FlagSwitch is a fake switch that speaks OpenFlow 1.0, as far as it takes to read ports
// and to set OFPPC_NO_FLOOD. All methods may be called at any time.
type FlagSwitch struct {
	cfg FlagConfig

	mu    sync.Mutex
	ports []FlagPort
}

// NewFlagSwitch returns a switch with its ports.
func NewFlagSwitch(cfg FlagConfig) *FlagSwitch {
	if cfg.PartPorts <= 0 {
		cfg.PartPorts = 1000
	}
	return &FlagSwitch{cfg: cfg, ports: slices.Clone(cfg.Ports)}
}

// Ports returns the ports as they are.
func (s *FlagSwitch) Ports() []FlagPort {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.ports)
}

// SetPorts replaces the ports.
func (s *FlagSwitch) SetPorts(ports ...FlagPort) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ports = slices.Clone(ports)
}

// Dial connects to a controller and serves the connection until it or ctx ends.
func (s *FlagSwitch) Dial(ctx context.Context, network, address string) error {
	var d net.Dialer
	nc, err := d.DialContext(ctx, network, address)
	if err != nil {
		return err
	}
	return s.Serve(ctx, nc)
}

// Message types, errors and lengths of OpenFlow 1.0 that differ from those of 1.3.
const (
	msg10PortMod        = 15
	msg10StatsRequest   = 16
	msg10StatsReply     = 17
	msg10BarrierRequest = 18
	msg10BarrierReply   = 19

	portModFailed10 = 4
	port10Len       = 48
	portMod10Len    = 24
	noFlood10       = 1 << 4
	statsPortDesc10 = 13
	featuresFixed10 = 24
	statsMore10     = 1
	maxBody10       = 65535 - 8
)

// Serve runs one connection until the peer closes it, it is closed, or ctx ends.
func (s *FlagSwitch) Serve(ctx context.Context, nc net.Conn) error {
	stop := context.AfterFunc(ctx, func() { _ = nc.Close() })
	defer stop()
	greeted := make(chan struct{})
	go func() { // as Session.run: a switch does not wait for our hello
		defer close(greeted)
		_, _ = nc.Write(frame10(msgHello, 1, nil))
	}()
	defer func() { <-greeted }()
	defer func() { _ = nc.Close() }()
	r := bufio.NewReader(nc)
	for {
		m, err := readMessage(r)
		if err != nil {
			return err
		}
		if s.cfg.Intercept != nil && s.cfg.Intercept(nc, m) {
			continue
		}
		<-greeted
		for _, answer := range s.answers(m) {
			if _, err := nc.Write(answer); err != nil {
				return err
			}
		}
	}
}

// answers is what the switch says to a message.
func (s *FlagSwitch) answers(m Message) [][]byte {
	switch m.Type {
	case msgHello, msgEchoReply, msgError, msgExperimenter:
		return nil
	case msgEchoRequest:
		return [][]byte{frame10(msgEchoReply, m.XID, m.Body)}
	case msgFeaturesRequest:
		return [][]byte{s.features(m.XID)}
	case msg10BarrierRequest:
		return [][]byte{frame10(msg10BarrierReply, m.XID, nil)}
	case msg10StatsRequest:
		return s.descriptions(m)
	case msg10PortMod:
		return s.portMod(m)
	}
	return [][]byte{refusal10(m, badRequest, badRequestType)}
}

func (s *FlagSwitch) features(xid uint32) []byte {
	body := binary.BigEndian.AppendUint64(nil, s.cfg.DatapathID)
	body = append(body, make([]byte, featuresFixed10-len(body))...)
	for _, p := range s.Ports() {
		if len(body)+port10Len > maxBody10 {
			break // as Open vSwitch: what does not fit is left out
		}
		body = append(body, p.wire()...)
	}
	return frame10(msgFeaturesReply, xid, body)
}

func (s *FlagSwitch) descriptions(m Message) [][]byte {
	if len(m.Body) != 4 || binary.BigEndian.Uint16(m.Body) != statsPortDesc10 {
		return [][]byte{refusal10(m, badRequest, badRequestType)}
	}
	var parts [][]byte
	for ports := s.Ports(); ; {
		n := min(len(ports), s.cfg.PartPorts)
		var flags byte
		if n < len(ports) {
			flags = statsMore10
		}
		body := []byte{0, statsPortDesc10, 0, flags}
		for _, p := range ports[:n] {
			body = append(body, p.wire()...)
		}
		parts = append(parts, frame10(msg10StatsReply, m.XID, body))
		if ports = ports[n:]; len(ports) == 0 {
			return parts
		}
	}
}

// wire is the port as a struct ofp_phy_port.
func (p FlagPort) wire() []byte {
	b := make([]byte, port10Len)
	binary.BigEndian.PutUint16(b, p.Number)
	copy(b[2:8], p.MAC[:])
	copy(b[8:23], p.Name)
	if p.NoFlood {
		b[27] = noFlood10
	}
	return b
}

// portMod executes an OFPT_PORT_MOD; only what is wrong is answered.
func (s *FlagSwitch) portMod(m Message) [][]byte {
	if len(m.Body) != portMod10Len {
		return [][]byte{refusal10(m, badRequest, badRequestLen)}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	number := binary.BigEndian.Uint16(m.Body)
	at := slices.IndexFunc(s.ports, func(p FlagPort) bool { return p.Number == number })
	switch config, mask := binary.BigEndian.Uint32(m.Body[8:]), binary.BigEndian.Uint32(m.Body[12:]); {
	case at < 0:
		return [][]byte{refusal10(m, portModFailed10, 0)} // OFPPMFC_BAD_PORT
	case s.ports[at].MAC != flow.MAC(m.Body[2:8]):
		return [][]byte{refusal10(m, portModFailed10, 1)} // OFPPMFC_BAD_HW_ADDR
	case mask&noFlood10 != 0 && !s.cfg.Deaf:
		s.ports[at].NoFlood = config&noFlood10 != 0
	}
	return nil
}

// frame10 is a message of OpenFlow 1.0.
func frame10(kind uint8, xid uint32, body []byte) []byte {
	b := append(make([]byte, 0, 8+len(body)), 1, kind)
	b = binary.BigEndian.AppendUint16(b, uint16(8+len(body)))
	b = binary.BigEndian.AppendUint32(b, xid)
	return append(b, body...)
}

// refusal10 is an error about m that repeats its first bytes.
func refusal10(m Message, kind, code uint16) []byte {
	body := binary.BigEndian.AppendUint16(nil, kind)
	body = binary.BigEndian.AppendUint16(body, code)
	return frame10(msgError, m.XID, append(body, m.Raw[:min(len(m.Raw), 64)]...))
}
