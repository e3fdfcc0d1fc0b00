package controller

import (
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
	"poolwire/southbound/ovsdb"
)

// When the address of a host changes that has protected tunnels, these are set up anew, as if they had just been made:
//
//  1. What was proved of the tunnel is withdrawn (protection.examine), so that no network sends by it.
//  2. Once the host's overlay bridge has confirmed that, and the host is guarded against the peer's new address, the tunnel gets its new addresses, and BFD is
//     taken from it: IKE does not know the new ones yet. Until then it leads where it did, and the guard against the address
//     before stands too (model.guards).
//  3. When both ends have had time, BFD is switched on, and the tunnel is proved.
//
// Were anything sent in between, IKE would be asked for associations that the peer's does not know of, and Linux would
// not ask again for net.core.xfrm_acq_expires seconds.

// addressesOf are the addresses of a tunnel as it is wanted.
func addressesOf(p ovsdb.DesiredPort) tunnelAddresses {
	return tunnelAddresses{p.Options["remote_ip"], p.Options["local_ip"]}
}

// wantedAddresses are those that a host's tunnel to a peer should have. The host's own is said where the operator has chosen
// one, and wherever IPsec protects the tunnel: ovs-monitor-ipsec then notices when it changes, and IKE which one it is to use.
func wantedAddresses(v *raftstore.View, hostUUID, peerUUID string, protected bool) tunnelAddresses {
	want := tunnelAddresses{endpoint(v, peerUUID), v.Host(hostUUID).GetTransportAddress()}
	if protected {
		want.local = endpoint(v, hostUUID)
	}
	return want
}

// addresses are those that a host's tunnel to a peer is to have now: the wanted ones, but for a tunnel that must not be in clear the
// ones that it has, for as long as networks may send by it or nothing guards the way to the new address. That way may be another
// than the one before, by a bridge or an interface that is not guarded yet, which only shows when the tunnel leads there: so nothing
// may be sent by it then, and nothing is until mayNegotiate has looked.
func (in rowsInput) addresses(v *raftstore.View, c conduit, peer *poolwirev1.Host) tunnelAddresses {
	uuid := peer.GetUuid()
	_, guarded := in.peers[uuid]
	guarded = guarded && c.port == 0
	want := wantedAddresses(v, in.hostUUID, uuid, guarded)
	had, there := in.leads[c.tunnelName(peer)]
	if !guarded || !there || had.remote == "" || had == want {
		return want
	}
	proved := v.Protection(in.hostUUID, uuid, c.encapsulation.InterfaceType()) != nil
	if proved || in.withdrawn != nil && !in.withdrawn(v) || had.remote != want.remote && in.stands != nil && !in.stands(uuid, c) {
		return had
	}
	return want
}

// readdressed tells of a protected tunnel's end that it does not have the addresses that it should have.
func (e linkEnd) readdressed(v *raftstore.View) bool {
	return e.ends != wantedAddresses(v, e.host, e.peer, true)
}
