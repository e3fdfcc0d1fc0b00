package controller

import (
	"poolwire/flowcompiler"
	"poolwire/southbound/openflow/flow"
)

// remote describes the far end of a private network at one peer, but for the way there.
func (m model) remote(networkUUID, peerUUID string) (r flowcompiler.Remote, ok bool) {
	pn, peer := m.view.PrivateNetwork(networkUUID), m.view.Host(peerUUID)
	if pn == nil || peer == nil || !peer.GetManaged() {
		return r, false
	}
	far, isMember := carrierOn(pn, peer)
	here, amMember := carrierOn(pn, m.host)
	if !isMember || !amMember || peerUUID == m.host.GetUuid() {
		return r, false
	}
	if !m.isOverlay() && (here != m.bridge || m.networkOn(here).ID != pn.GetObjectId()) {
		return r, false
	}
	r = flowcompiler.Remote{Network: pn.GetObjectId(), Host: peer.GetObjectId()}
	r.MACs, r.Moving = m.macsOn(peerUUID, far)
	return r, true
}

// macsOn lists the MAC addresses plugged into a private network at one host: those that are plugged nowhere
// else, and those that are. A VIF that is plugged twice is migrating, and only its traffic tells where it lives.
func (m model) macsOn(hostUUID, bridge string) (macs, moving []flow.MAC) {
	seen := map[flow.MAC]bool{}
	for _, p := range m.view.PortsByBridge(hostUUID, bridge) {
		mac, err := flow.ParseMAC(p.GetAttachedMac())
		if err != nil || p.GetVifUuid() == "" || p.GetNetworkBridge() != bridge || seen[mac] {
			continue
		}
		seen[mac] = true
		if len(vifHosts(m.view, p.GetVifUuid())) > 1 {
			moving = append(moving, mac)
		} else {
			macs = append(macs, mac)
		}
	}
	return macs, moving
}
