package simhost

import (
	"context"
	"maps"
	"net"
	"slices"
	"strconv"
	"time"

	"poolwire/southbound/openflow"
	"poolwire/southbound/openflow/flow"
	"poolwire/southbound/openflow/openflowtest"
	"poolwire/southbound/ovsdb"
)

// maxMeters is how many meters a switch has, as Open vSwitch on Linux.
const maxMeters = 200_000

// ofportLocal is the OpenFlow 1.0 number of a bridge's own port.
const ofportLocal = 65534

// simSwitch is the switch of one bridge. Its methods are called by the host's follow only.
type simSwitch struct {
	*openflowtest.Switch
	flags *openflowtest.FlagSwitch
	host  *Host
	// dials ends the connections by target.
	dials map[string]context.CancelFunc
	ports map[uint32]openflow.Port
}

func newSwitch(h *Host, row *ovsdb.BridgeRow) *simSwitch {
	id, _ := strconv.ParseUint(row.DatapathID, 16, 64)
	return &simSwitch{
		Switch: openflowtest.New(openflowtest.Config{DatapathID: id, MaxMeters: maxMeters}),
		flags:  openflowtest.NewFlagSwitch(openflowtest.FlagConfig{DatapathID: id}),
		host:   h, dials: map[string]context.CancelFunc{}, ports: map[uint32]openflow.Port{},
	}
}

// follow makes the switch what the database says.
func (s *simSwitch) follow(db *ovsdb.Snapshot, row *ovsdb.BridgeRow) {
	s.plug(portsOf(db, row))
	targets := map[string]bool{}
	for _, uuid := range row.Controllers {
		if c := db.Controllers[uuid]; c != nil {
			targets[c.Target] = true
		}
	}
	s.controlledBy(targets)
}

// portsOf are the ports of a bridge that have numbers, by these.
func portsOf(db *ovsdb.Snapshot, row *ovsdb.BridgeRow) map[uint32]openflow.Port {
	out := map[uint32]openflow.Port{}
	for _, p := range row.Ports {
		if db.Ports[p] == nil {
			continue
		}
		for _, uuid := range db.Ports[p].Interfaces {
			i := db.Interfaces[uuid]
			if i == nil || !i.OFPort.Set {
				continue
			}
			number := uint32(i.OFPort.Value)
			if number == ofportLocal {
				number = openflow.PortLocal
			}
			port := openflow.Port{Number: number, Name: i.Name}
			if mac, err := net.ParseMAC(i.MACInUse); err == nil && len(mac) == len(flow.MAC{}) {
				port.MAC = flow.MAC(mac)
			}
			out[number] = port
		}
	}
	return out
}

// plug makes ports the ones of the switch.
func (s *simSwitch) plug(ports map[uint32]openflow.Port) {
	if maps.Equal(ports, s.ports) {
		return
	}
	for number := range s.ports {
		if _, stays := ports[number]; !stays {
			s.RemovePort(number)
		}
	}
	for number, p := range ports {
		if s.ports[number] != p {
			s.SetPort(p)
		}
	}
	s.ports = ports
	noFlood := map[uint16]bool{}
	for _, p := range s.flags.Ports() {
		noFlood[p.Number] = p.NoFlood
	}
	flags := make([]openflowtest.FlagPort, 0, len(ports))
	for _, number := range slices.Sorted(maps.Keys(ports)) {
		p := ports[number]
		flags = append(flags, openflowtest.FlagPort{Number: uint16(number), MAC: p.MAC, Name: p.Name, NoFlood: noFlood[uint16(number)]})
	}
	s.flags.SetPorts(flags...)
}

// controlledBy connects to targets, and to no others. A bridge that gets its first
// controller, or loses its last one, drops its flows.
func (s *simSwitch) controlledBy(targets map[string]bool) {
	had := len(s.dials) > 0
	for target, end := range s.dials {
		if !targets[target] {
			end()
			delete(s.dials, target)
		}
	}
	if had != (len(targets) > 0) {
		s.Restart()
	}
	for target := range targets {
		if s.dials[target] != nil {
			continue
		}
		ctx, end := context.WithCancel(s.host.ctx)
		s.dials[target] = end
		s.host.running.Go(func() {
			redial(ctx, func(patience time.Duration) bool { return s.attempt(ctx, target, patience) })
		})
	}
}

// attempt makes one connection and serves it. It tells whether the connection came up.
func (s *simSwitch) attempt(ctx context.Context, target string, patience time.Duration) (up bool) {
	c := s.host.counts
	c.dialling(1)
	limited, cancel := context.WithTimeout(ctx, patience)
	conn, err := s.host.dialOnce(limited, target)
	cancel()
	c.dialling(-1)
	if err != nil {
		c.failed.Add(1)
		return false
	}
	c.openflow.Add(1)
	// Two ports of a node follow each other, and the versions tell which is which: the
	// controller's hello comes unasked.
	first := &peeked{Conn: conn}
	version, err := first.version(patience)
	switch {
	case err != nil:
		_ = conn.Close()
		return false
	case version == versionOpenFlow10:
		_ = s.flags.Serve(ctx, first)
	default:
		_ = s.Serve(ctx, first)
	}
	return true
}

// versionOpenFlow10 is the version in the header of OpenFlow 1.0.
const versionOpenFlow10 = 1

// peeked is a connection of which the first byte was read ahead.
type peeked struct {
	net.Conn
	ahead []byte
}

// version reads the version of the peer's hello.
func (p *peeked) version(patience time.Duration) (byte, error) {
	if err := p.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	b := make([]byte, 1)
	if _, err := p.Conn.Read(b); err != nil {
		return 0, err
	}
	p.ahead = b
	return b[0], p.SetReadDeadline(time.Time{})
}

func (p *peeked) Read(b []byte) (int, error) {
	if len(p.ahead) == 0 || len(b) == 0 {
		return p.Conn.Read(b)
	}
	n := copy(b, p.ahead)
	p.ahead = p.ahead[n:]
	return n, nil
}
