package openflowtest

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"

	"poolwire/southbound/openflow"
	"poolwire/southbound/openflow/flow"
)

// Message is one received message.
type Message struct {
	Type uint8
	XID  uint32
	// Raw is the whole message; Body is what follows the header.
	Raw, Body []byte
}

// Session is one connection of a fake switch.
type Session struct {
	sw *Switch
	nc net.Conn

	// writing keeps messages whole: port status comes from other goroutines.
	writing sync.Mutex
	// role is guarded by sw.mu: another session's claim can change it.
	role openflow.Role
	// bundles are the open ones.
	bundles map[uint32]*bundle
}

// Serve runs one connection until the peer closes it, it is closed, or ctx ends.
func (s *Switch) Serve(ctx context.Context, nc net.Conn) error {
	stop := context.AfterFunc(ctx, func() { _ = nc.Close() })
	defer stop()
	defer func() { _ = nc.Close() }()
	session := &Session{sw: s, nc: nc, role: openflow.RoleEqual, bundles: map[uint32]*bundle{}}
	s.mu.Lock()
	s.sessions[session] = struct{}{}
	s.counters.Connections++
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.sessions, session)
	}()
	return session.run()
}

// Close ends the connection.
func (c *Session) Close() { _ = c.nc.Close() }

// Write writes raw bytes between two messages.
func (c *Session) Write(b []byte) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	_, err := c.nc.Write(b)
	return err
}

func (c *Session) run() error {
	greeted := make(chan struct{})
	// A real switch writes its hello without waiting for ours, and so must this one:
	// over a pipe without buffer the two would otherwise wait for each other.
	go func() {
		defer close(greeted)
		_ = c.Write(helloMessage()) // if it fails, so does the next read
	}()
	defer func() { <-greeted }()
	defer c.Close()
	r := bufio.NewReader(c.nc)
	for {
		m, err := readMessage(r)
		if err != nil {
			return err
		}
		if c.sw.cfg.Intercept != nil && c.sw.cfg.Intercept(c, m) {
			continue
		}
		if err := c.handle(m); err != nil {
			return err
		}
	}
}

func readMessage(r io.Reader) (Message, error) {
	var h [8]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return Message{}, err
	}
	n := int(binary.BigEndian.Uint16(h[2:]))
	if n < len(h) {
		return Message{}, fmt.Errorf("openflowtest: message length %d", n)
	}
	raw := make([]byte, n)
	copy(raw, h[:])
	if _, err := io.ReadFull(r, raw[8:]); err != nil {
		return Message{}, err
	}
	return Message{Type: h[1], XID: binary.BigEndian.Uint32(h[4:]), Raw: raw, Body: raw[8:]}, nil
}

// handle answers one message as a switch does.
func (c *Session) handle(m Message) error {
	switch m.Type {
	case msgHello, msgEchoReply, msgError, msgSetAsync, msgSetConfig, msgPacketOut:
		return nil
	case msgEchoRequest:
		return c.Write(frame(msgEchoReply, m.XID, m.Body))
	case msgFeaturesRequest:
		return c.Write(featuresReply(m.XID, c.sw.cfg.DatapathID))
	case msgBarrierRequest:
		c.sw.count(func(n *Counters) { n.Barriers++ })
		return c.Write(frame(msgBarrierReply, m.XID, nil))
	case msgRoleRequest:
		return c.claim(m)
	case msgMultipartRequest:
		return c.multipart(m)
	case msgPortMod:
		return c.portMod(m)
	case msgMeterMod:
		return c.meterMod(m)
	case msgFlowMod:
		return c.flowMod(m)
	case msgExperimenter:
		return c.experimenter(m)
	}
	return c.refuse(m, badRequest, badRequestType)
}

// refuse answers m with an error that repeats its first bytes.
func (c *Session) refuse(m Message, kind, code uint16) error {
	return c.Write(errorMessage(m.XID, kind, code, m.Raw))
}

func (s *Switch) count(change func(*Counters)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.counters)
}

// claim answers an OFPT_ROLE_REQUEST.
func (c *Session) claim(m Message) error {
	if len(m.Body) != 16 {
		return c.refuse(m, badRequest, badRequestLen)
	}
	role := openflow.Role(binary.BigEndian.Uint32(m.Body))
	generation := binary.BigEndian.Uint64(m.Body[8:])
	s := c.sw
	s.mu.Lock()
	if role == openflow.RoleMaster || role == openflow.RoleSlave {
		if s.hasGeneration && int64(generation-s.generation) < 0 {
			s.mu.Unlock()
			return c.refuse(m, roleRequestFailed, roleStale)
		}
		s.generation, s.hasGeneration = generation, true
	}
	if role == openflow.RoleMaster {
		for other := range s.sessions {
			if other.role == openflow.RoleMaster {
				other.role = openflow.RoleSlave
			}
		}
	}
	c.role = role
	generation = s.generation
	s.mu.Unlock()
	return c.Write(roleReply(m.XID, role, generation))
}

func (c *Session) isSlave() bool {
	c.sw.mu.Lock()
	defer c.sw.mu.Unlock()
	return c.role == openflow.RoleSlave
}

// portMod executes an OFPT_PORT_MOD.
func (c *Session) portMod(m Message) error {
	if len(m.Body) != 32 {
		return c.refuse(m, badRequest, badRequestLen)
	}
	if c.isSlave() {
		return c.refuse(m, badRequest, badRequestSlave)
	}
	number := binary.BigEndian.Uint32(m.Body)
	config, mask := binary.BigEndian.Uint32(m.Body[16:]), binary.BigEndian.Uint32(m.Body[20:])
	c.sw.mu.Lock()
	p, there := c.sw.ports[number]
	if there && p.MAC == flow.MAC(m.Body[8:14]) {
		p.Config = p.Config&^mask | config&mask
		c.sw.ports[number] = p
		c.sw.counters.PortMods++
		c.sw.mu.Unlock()
		return nil
	}
	c.sw.mu.Unlock()
	if !there {
		return c.refuse(m, portModFailed, portModBadPort)
	}
	return c.refuse(m, portModFailed, portModBadMAC)
}
