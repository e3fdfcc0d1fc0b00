package controller

import (
	"net"
	"strconv"
	"time"

	"poolwire/raftstore"
	"poolwire/southbound/ovsdb"
)

// rowsInput is what the desired rows of a host depend on besides the store.
type rowsInput struct {
	hostUUID string
	cluster  string
	epoch    uint64
	// targets are the Controller.target values of all nodes, sorted.
	targets []string
	// unmetered are the bridges whose switches have no meters.
	unmetered map[string]bool
	// guarded tells whether the host's guard against a peer stands where a tunnel to it leaves; live are the tunnel
	// interfaces on which BFD runs already. secrets opens the keys of pairs.
	guarded func(peerUUID string, c conduit) bool
	live    map[string]bool
	// bare are the tunnel interfaces that have no credentials yet.
	bare map[string]bool
	// leads has the addresses that tunnels have now, by their names; stands tells whether the guard against the address that a
	// peer has now stands where a tunnel to it leaves.
	leads  map[string]tunnelAddresses
	stands func(peerUUID string, c conduit) bool
	// withdrawn tells whether the host's overlay bridge has confirmed all that follows from a state; nil when it has.
	withdrawn func(*raftstore.View) bool
	secrets   Sealer
	// peers are those that the host is guarded against; overlayRows finds them.
	peers map[string]struct{}
}

func (s *hostSession) rowsInput(view *raftstore.View) rowsInput {
	// A node without an advertised address is known to the host by the address
	// this session uses.
	fallback := ""
	if own := addrOf(s.db.LocalAddr()); own.IsValid() {
		fallback = net.JoinHostPort(own.String(), strconv.Itoa(s.lead.cfg.OpenFlowPort))
	}
	self := ownNode{id: s.lead.cfg.NodeID, openflow: s.lead.cfg.OpenFlowPort, flags: s.lead.cfg.PortFlagsPort}
	return rowsInput{
		hostUUID: s.uuid, cluster: s.lead.cluster, epoch: s.lead.epoch,
		targets:   self.targets(view.Nodes(), fallback),
		unmetered: s.unmetered(ovsdb.Discover(s.db.Snapshot())),
		guarded:   s.guarded, live: s.liveTunnels(), bare: s.bareTunnels(), leads: s.tunnelAddresses(), stands: s.stands, withdrawn: s.withdrawn, secrets: s.lead.cfg.Secrets,
	}
}

// guarded tells whether the guard against a peer stands where a tunnel to it leaves.
func (s *hostSession) guarded(peerUUID string, c conduit) bool {
	end, there := s.end(peerUUID, c)
	return there && s.lead.mayNegotiate(end, time.Now()) == ""
}

// stands tells whether the guard against a peer's address stands where a tunnel to it leaves.
func (s *hostSession) stands(peerUUID string, c conduit) bool {
	end, there := s.end(peerUUID, c)
	return there && s.lead.guardOf(end).stands
}

// end is the host's end of a tunnel to a peer.
func (s *hostSession) end(peerUUID string, c conduit) (linkEnd, bool) {
	peer := s.lead.store.View().Host(peerUUID)
	if peer == nil {
		return linkEnd{}, false
	}
	end, there := s.lead.links.of(s.uuid)[c.tunnelName(peer)]
	return end, there
}

// bareTunnels names the tunnels that have no credentials.
func (s *hostSession) bareTunnels() map[string]bool {
	out := map[string]bool{}
	for name, end := range s.lead.links.of(s.uuid) {
		out[name] = !end.protected
	}
	return out
}

// withdrawn tells whether the switch has confirmed everything on the overlay bridge that follows from a state.
func (s *hostSession) withdrawn(view *raftstore.View) bool {
	if s.lead.processed.Load() < view.Revision() {
		return false // the bridge has not been told yet
	}
	for _, a := range s.bridgeActors() {
		if a.name == overlayBridge {
			return a.state.Load().connected && a.pendingRevision() == 0
		}
	}
	return true
}

// tunnelAddresses are those that the host's tunnels have now, by the tunnels' names.
func (s *hostSession) tunnelAddresses() map[string]tunnelAddresses {
	out := map[string]tunnelAddresses{}
	for name, end := range s.lead.links.of(s.uuid) {
		out[name] = end.ends
	}
	return out
}

// liveTunnels names the tunnels on which BFD runs, and may.
func (s *hostSession) liveTunnels() map[string]bool {
	out := map[string]bool{}
	for name, end := range s.lead.links.of(s.uuid) {
		_, speaks := end.hears()
		out[name] = speaks && !s.lead.guardOf(end).never
	}
	return out
}
