package controller

import (
	"maps"
	"sync"
	"time"

	"poolwire/southbound/ovsdb"
)

// linkEnd is one end of a tunnel as its host reports it now.
type linkEnd struct {
	// host has the end, peer is at the other one.
	host, peer string
	conduit    conduit
	// name is the interface, ofport its OpenFlow number, 0 while there is none.
	name   string
	ofport uint32
	ends   tunnelAddresses
	// bfd is Interface.bfd_status:state, empty while BFD does not run; diagnostic says why it is not up.
	bfd, diagnostic string
	// egress is the interface that the packets leave by, egressUp whether it has a carrier.
	egress   string
	egressUp bool
	err      string
	// protected: the tunnel has credentials for IPsec.
	protected bool
	// heardOnce: the end has heard the other one before. Until then silence is no news.
	heardOnce bool
	// since is when bfd last changed, ready when the end was first seen as it is: with its number, addresses and credentials.
	since, ready time.Time
}

// tunnelAddresses are those between which a tunnel is: the one that it leads to, and the host's own; that is empty where
// the host's routes say by which address a packet leaves.
type tunnelAddresses struct{ remote, local string }

// hears tells whether the end hears the other one; known is false while nothing is said about it.
func (e linkEnd) hears() (up, known bool) { return e.bfd == "up", e.bfd != "" }

// links is what all hosts say of the tunnels between them. It is kept in the leader's memory only: what
// follows from it and has to outlive the leader is stored.
type links struct {
	mu sync.Mutex
	// ends has the ends of each host by the names of their interfaces. Guarded by mu, and so is changed; the maps in
	// it are never written to again.
	ends    map[string]map[string]linkEnd
	changed chan struct{} // closed and replaced when anything changes
}

func newLinks() *links {
	return &links{ends: map[string]map[string]linkEnd{}, changed: make(chan struct{})}
}

// next returns a channel that is closed when anything changes from now on.
func (l *links) next() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changed
}

// of returns the ends of one host, by the names of their interfaces; not to be written to.
func (l *links) of(host string) map[string]linkEnd {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ends[host]
}

// all returns the ends of every host; not to be written to.
func (l *links) all() map[string]map[string]linkEnd {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.ends)
}

// report takes over what a host says of its ends; nil when it says nothing any more.
func (l *links) report(host string, ends map[string]linkEnd) {
	l.mu.Lock()
	defer l.mu.Unlock()
	was := l.ends[host]
	for name, e := range ends {
		before, had := was[name]
		if had && before.bfd == e.bfd {
			e.since = before.since
		}
		if had && before.ofport == e.ofport && before.protected == e.protected && before.ends == e.ends {
			e.ready = before.ready
		}
		e.heardOnce = e.bfd == "up" || had && before.heardOnce
		ends[name] = e
	}
	if maps.Equal(was, ends) {
		return
	}
	if ends == nil {
		delete(l.ends, host)
	} else {
		l.ends[host] = ends
	}
	close(l.changed)
	l.changed = make(chan struct{})
}

// linkEnds reads the ends of a host's own tunnels from what it reports.
func linkEnds(host string, t ovsdb.Topology, now time.Time) map[string]linkEnd {
	ends := map[string]linkEnd{}
	for _, p := range t.Ports {
		kind, peer, ok := parseTunnelObject(p.ExternalIDs[ovsdb.KeyObject])
		if !ok || !p.Owned || p.Kind != ovsdb.PortTunnel || p.Bridge != overlayBridge {
			continue
		}
		ends[p.Name] = linkEnd{
			host: host, peer: peer, conduit: kind, name: p.Name, ofport: p.OFPort,
			ends: tunnelAddresses{clipped(p.RemoteIP, maxNameLength), clipped(p.LocalIP, maxNameLength)},
			bfd:  clipped(p.Tunnel.BFD, maxNameLength), diagnostic: clipped(p.Tunnel.BFDDiagnostic, maxNameLength),
			egress: clipped(p.Tunnel.Egress, maxNameLength), egressUp: p.Tunnel.EgressUp,
			err: clipped(p.Error, maxNameLength), protected: p.Tunnel.Protected, since: now, ready: now,
		}
	}
	return ends
}

// silence is how long an end that has never heard the other one may take before that counts.
const silence = 3 * time.Second
