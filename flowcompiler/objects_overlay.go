package flowcompiler

import (
	"net/netip"
	"slices"

	"poolwire/overlay"
	"poolwire/southbound/openflow/flow"
)

// Tunnel names one of the tunnels to another host.
type Tunnel struct {
	// Host is the object id of the host at the other end.
	Host uint32
	// Encapsulation is the tunnel protocol.
	Encapsulation overlay.Encapsulation
	// UDPPort is its port on the underlay where it is not the protocol's own; else 0.
	UDPPort uint16
}

// Hop is where a packet of a private network is sent next.
type Hop struct {
	Tunnel Tunnel
	// Relay sends it under the relay VNI, to be passed on from there.
	Relay bool
}

// Link is a tunnel that carries a private network: only on the overlay bridge. What comes by it
// under the network's VNI is for VIFs of this host.
type Link struct {
	Network uint32
	Tunnel  Tunnel
	// Answers: what is sent to an address that was learned from this tunnel goes under the relay
	// VNI, because the other end passes on what comes from farther away.
	Answers bool
	// Far: the other end is in another site, and passes on what is sent to it.
	Far bool
}

// Remote is another host's membership in a private network.
type Remote struct {
	Network uint32
	// Host is the object id of the host.
	Host uint32
	// Via is the next hop to it, from the VIFs of this host; Pass the one for what this host
	// passes on for others. The zero Hop is none: then it cannot be reached that way. Neither matters on a network bridge.
	Via, Pass Hop
	// MACs are the addresses of the host's VIFs on the network.
	MACs []flow.MAC
	// Moving are those of VIFs that are plugged on another host as well: only their traffic
	// tells where they are.
	Moving []flow.MAC
}

// Pass makes this host a relay of a private network: what comes by some tunnels under the relay VNI
// goes to the VIFs of this host, and on to others.
type Pass struct {
	Network uint32
	// Class tells by where a packet comes from what is done with it.
	Class overlay.Class
	// From are the tunnels it comes by.
	From []Tunnel
	// To are the hops of a broadcast.
	To []Hop
}

// Guard keeps tunnel packets in clear from passing between the host and a peer, on the bridge
// that has the host's transport address.
type Guard struct {
	// Host is the object id of the peer.
	Host uint32
	// Peer is its transport address.
	Peer netip.Addr
	// Former are other addresses of its that tunnels still lead to, sorted.
	Former []netip.Addr
}

func (g Guard) equal(h Guard) bool {
	return g.Host == h.Host && g.Peer == h.Peer && slices.Equal(g.Former, h.Former)
}
