package controller

import "sync"

// marks is what one actor has been told to look at and has not yet confirmed.
// It is the actor's mailbox: the dispatcher adds, the actor takes, and until
// the actor settles what it took, oldest still counts it as unconfirmed.
type marks struct {
	mu sync.Mutex
	// queued has not been taken yet; inFlight has been taken and not settled.
	queued, inFlight markSet
	wake             chan struct{}
}

// markSet says which objects of a bridge or host must be read again.
type markSet struct {
	// revision is the oldest change behind the set; 0 when the set is empty.
	revision uint64
	// all asks for a look at everything.
	all bool
	// base asks for a look at facts that concern the whole bridge.
	base bool
	// vifs and networks hold UUIDs, ports holds interface names.
	vifs, networks, ports map[string]struct{}
	// remotes holds the keys (remoteKey) of far ends of private networks.
	remotes map[string]struct{}
	// peers holds the UUIDs of networks whose restricted VIFs, or their communities, are
	// others than before.
	peers map[string]struct{}
	// scopes are those whose policy rules are others than before, or resolve otherwise.
	scopes map[scopeKey]struct{}
	// groups are multicast groups that others listen to than before.
	groups map[groupKey]struct{}
	// zones holds conntrack zones that were given to another VIF, by number.
	zones map[uint16]struct{}
}

// named is how many objects the set names.
func (s *markSet) named() int {
	return len(s.vifs) + len(s.networks) + len(s.ports) + len(s.remotes) + len(s.peers) + len(s.scopes) + len(s.groups) + len(s.zones)
}

// maxNamed is how many objects a set names one by one. Above that it asks for a
// look at everything: a host that is away collects marks for as long as it is,
// and a hostile one may invent names without end.
const maxNamed = 4096

func newMarks() *marks { return &marks{wake: make(chan struct{}, 1)} }

// C receives a value when marks are waiting to be taken.
func (m *marks) C() <-chan struct{} { return m.wake }

// add merges a set into the queue. revision 0 adds work that no change of
// intent asked for, a repair for example.
func (m *marks) add(s markSet) {
	m.mu.Lock()
	m.queued.merge(s)
	m.mu.Unlock()
	m.nudge()
}

// nudge wakes the actor without adding work.
func (m *marks) nudge() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// take moves the queue into flight and returns everything in flight, so that
// work which failed earlier is offered again together with what came since.
func (m *marks) take() markSet {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.inFlight.merge(m.queued)
	m.queued = markSet{}
	return m.inFlight.clone()
}

// settle confirms everything in flight.
func (m *marks) settle() {
	m.mu.Lock()
	m.inFlight = markSet{}
	m.mu.Unlock()
}

// oldest is the revision of the oldest unconfirmed change, 0 when there is none.
func (m *marks) oldest() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return older(m.queued.revision, m.inFlight.revision)
}

// empty reports whether nothing at all is waiting or in flight.
func (m *marks) empty() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.queued.isEmpty() && m.inFlight.isEmpty()
}

func older(a, b uint64) uint64 {
	if a == 0 || (b != 0 && b < a) {
		return b
	}
	return a
}

func (s *markSet) isEmpty() bool {
	return !s.all && !s.base && s.revision == 0 && s.named() == 0
}

func (s *markSet) merge(o markSet) {
	s.revision = older(s.revision, o.revision)
	s.all = s.all || o.all
	s.base = s.base || o.base
	s.vifs = union(s.vifs, o.vifs)
	s.networks = union(s.networks, o.networks)
	s.ports = union(s.ports, o.ports)
	s.remotes = union(s.remotes, o.remotes)
	s.peers = union(s.peers, o.peers)
	s.scopes = union(s.scopes, o.scopes)
	s.groups = union(s.groups, o.groups)
	s.zones = union(s.zones, o.zones) // never more than there are numbers
	if s.named()-len(s.zones) > maxNamed {
		*s = markSet{revision: s.revision, all: true, zones: s.zones}
	}
}

func (s *markSet) clone() markSet {
	var c markSet
	c.merge(*s)
	return c
}

func union[K comparable](dst, src map[K]struct{}) map[K]struct{} {
	if len(src) == 0 {
		return dst
	}
	if dst == nil {
		dst = make(map[K]struct{}, len(src))
	}
	for k := range src {
		dst[k] = struct{}{}
	}
	return dst
}

func setOf(keys ...string) map[string]struct{} {
	s := make(map[string]struct{}, len(keys))
	for _, k := range keys {
		s[k] = struct{}{}
	}
	return s
}
