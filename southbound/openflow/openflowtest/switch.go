package openflowtest

import (
	"context"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"poolwire/southbound/openflow"
	"poolwire/southbound/openflow/flow"
)

// Config describes a fake switch. It must not be changed while connections are served.
type Config struct {
	// DatapathID is what the switch calls itself.
	DatapathID uint64
	// Ports it starts with.
	Ports []openflow.Port
	// MaxMeters is how many meters it has room for; 0 for a switch without meters.
	MaxMeters uint32
	// NoBundles makes it answer bundle messages as ovs-vswitchd before 2.6 does on OpenFlow 1.3.
	NoBundles bool
	// PartBytes is how many bytes of flow statistics go into one reply part. Default 60000.
	PartBytes int
	// Refuse decides about each flow mod when it is executed; nil accepts all. It
	// runs with the switch locked and must not call it.
	Refuse func(flow.Flow, flow.Command) *Refusal
	// Intercept sees each message before the switch does, may write to the
	// connection or end it, and returns true to keep the message from the switch.
	Intercept func(*Session, Message) bool
}

// Refusal is the OFPT_ERROR for a flow mod.
type Refusal struct {
	Type, Code uint16
	// WhenAdded refuses the message when it is put into the bundle, as a switch does
	// with what it cannot decode, instead of when the bundle is committed.
	WhenAdded bool
}

// Counters counts what the switch was asked to do, over all connections.
type Counters struct {
	// FlowMods counts those executed or refused, in bundles or not.
	FlowMods int
	// Commits counts bundle commits that were applied.
	Commits int
	// Dumps counts requests for flow statistics.
	Dumps int
	// Barriers counts barrier requests.
	Barriers int
	// PortMods counts port mods that were executed.
	PortMods int
	// Connections counts connections served, past ones included.
	Connections int
}

// entry is an installed flow.
type entry struct {
	flow  flow.Flow
	since time.Time
	// packets and bytes are what it has matched.
	packets, bytes uint64
}

// Switch is a fake switch. All methods may be called at any time.
type Switch struct {
	cfg Config

	mu       sync.Mutex
	flows    map[flow.Key]entry
	ports    map[uint32]openflow.Port
	meters   map[uint32][]byte // ofp_meter_mod by id
	counters Counters
	sessions map[*Session]struct{}
	// generation is the highest seen, hasGeneration whether any was.
	generation    uint64
	hasGeneration bool
}

// New returns a switch with its ports and no flows.
func New(cfg Config) *Switch {
	if cfg.PartBytes <= 0 {
		cfg.PartBytes = 60000
	}
	s := &Switch{cfg: cfg, flows: map[flow.Key]entry{}, ports: map[uint32]openflow.Port{}, meters: map[uint32][]byte{}, sessions: map[*Session]struct{}{}}
	for _, p := range cfg.Ports {
		s.ports[p.Number] = p
	}
	return s
}

// Install puts flows into the table directly, as another controller would.
func (s *Switch) Install(flows ...flow.Flow) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range flows {
		s.flows[f.Key()] = entry{flow: f, since: time.Now()}
	}
}

// Hit counts a packet of some bytes for each flow that which reports, and returns how many
// there are.
func (s *Switch) Hit(bytes uint64, which func(flow.Flow) bool) (hit int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, e := range s.flows {
		if which(e.flow) {
			e.packets++
			e.bytes += bytes
			s.flows[k] = e
			hit++
		}
	}
	return hit
}

// Remove takes flows out of the table directly.
func (s *Switch) Remove(keys ...flow.Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range keys {
		delete(s.flows, k)
	}
}

// Restart does what a restart of ovs-vswitchd does: flows and generation are
// forgotten, and every connection ends.
func (s *Switch) Restart() {
	s.mu.Lock()
	clear(s.flows)
	clear(s.meters)
	s.hasGeneration = false
	s.mu.Unlock()
	s.Disconnect()
}

// Disconnect ends every connection.
func (s *Switch) Disconnect() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for session := range s.sessions {
		session.Close()
	}
}

// Flows returns the installed flows, ordered by flow.Compare.
func (s *Switch) Flows() []flow.Flow {
	s.mu.Lock()
	defer s.mu.Unlock()
	flows := make([]flow.Flow, 0, len(s.flows))
	for _, e := range s.flows {
		flows = append(flows, e.flow)
	}
	slices.SortFunc(flows, flow.Compare)
	return flows
}

// Len is how many flows are installed.
func (s *Switch) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.flows)
}

// Ports returns the ports by number.
func (s *Switch) Ports() map[uint32]openflow.Port {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.ports)
}

// Master tells whether one of the connections is the switch's master, and with which generation.
func (s *Switch) Master() (generation uint64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for session := range s.sessions {
		if session.role == openflow.RoleMaster {
			return s.generation, true
		}
	}
	return 0, false
}

// Counters returns what was counted so far.
func (s *Switch) Counters() Counters {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counters
}

// SetPort adds or changes a port and tells all connections.
func (s *Switch) SetPort(p openflow.Port) {
	s.mu.Lock()
	reason := portAdded
	if _, there := s.ports[p.Number]; there {
		reason = portModified
	}
	s.ports[p.Number] = p
	s.mu.Unlock()
	s.announce(reason, p)
}

// RemovePort removes a port and tells all connections.
func (s *Switch) RemovePort(number uint32) {
	s.mu.Lock()
	p, there := s.ports[number]
	delete(s.ports, number)
	s.mu.Unlock()
	if there {
		s.announce(portDeleted, p)
	}
}

func (s *Switch) announce(reason uint8, p openflow.Port) {
	s.mu.Lock()
	sessions := slices.Collect(maps.Keys(s.sessions))
	s.mu.Unlock()
	for _, session := range sessions {
		_ = session.Write(portStatus(reason, p)) // a connection that ends meanwhile misses nothing
	}
}

// Dial connects to a controller and serves the connection until it or ctx ends.
func (s *Switch) Dial(ctx context.Context, network, address string) error {
	var d net.Dialer
	nc, err := d.DialContext(ctx, network, address)
	if err != nil {
		return err
	}
	return s.Serve(ctx, nc)
}
