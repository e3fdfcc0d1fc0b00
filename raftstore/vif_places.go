package raftstore

import (
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// A host says of its ports whose they are, and nothing but the store's own memory tells
// whether that can be. A VIF that is bound to hosts is nobody else's. Of any other one a host
// is believed, since so it looks when a VM migrates (vif_moves.go).

// maxAllowedHosts bounds Vif.allowed_hosts.
const maxAllowedHosts = 256

// verdict is what the store makes of a port that says it is a VIF's. The zero verdict
// accepts it.
type verdict struct {
	refusal storev1.ClaimRefusal
	// other is the VIF whose address the port has.
	other string
	// move is to be written down, nil when nothing is.
	move *poolwirev1.VifMove
}

// PortsByClaim returns the interfaces that say they are a VIF and are not taken for it, over
// all hosts.
func (v *View) PortsByClaim(vifUUID string) []*storev1.Port {
	return list[*storev1.Port](v, TablePorts, indexClaim, indexKey(vifUUID))
}

// ClaimStands tells whether a port of a host, as it is stored, would be judged now as it was.
func (v *View) ClaimStands(host *poolwirev1.Host, p *storev1.Port, now time.Time) bool {
	claim := claimOf(p)
	if claim == "" {
		return true
	}
	found := v.judge(host, p, now)
	return found.refusal == p.GetRefusal() && found.other == p.GetRefusedFor()
}

// RefusalReason says why a port is not taken for the VIF that it says it is, and who has that one.
func (v *View) RefusalReason(p *storev1.Port) string {
	why := "the VIF may not be on this host (allowed_hosts)"
	switch p.GetRefusal() {
	case storev1.ClaimRefusal_CLAIM_REFUSAL_ADDRESS:
		why = fmt.Sprintf("its MAC address %s is that of VIF %s, which may not be on this host (allowed_hosts)", p.GetAttachedMac(), p.GetRefusedFor())
	case storev1.ClaimRefusal_CLAIM_REFUSAL_MOVES:
		why = "the host has claimed it too often lately"
	}
	if has := v.PortsByVif(p.GetClaimedVifUuid()); len(has) > 0 {
		why += "; it stays on host " + v.hostName(has[0].GetHostUuid())
	}
	return why
}

// hostName is what people call a host, also one that is gone.
func (v *View) hostName(uuid string) string {
	if name := v.Host(uuid).GetNameLabel(); name != "" {
		return name
	}
	return uuid
}

// claimOf is the VIF that a stored port says it is.
func claimOf(p *storev1.Port) string {
	if claim := p.GetClaimedVifUuid(); claim != "" {
		return claim
	}
	return p.GetVifUuid()
}

// judge decides whether a port of a host is the VIF that it says it is.
func (v *View) judge(host *poolwirev1.Host, p *storev1.Port, now time.Time) verdict {
	claim := claimOf(p)
	vif := v.Vif(claim)
	if !vifAllows(vif, host) {
		return verdict{refusal: storev1.ClaimRefusal_CLAIM_REFUSAL_HOSTS}
	}
	if other := v.boundElsewhere(host, p); other != "" {
		return verdict{refusal: storev1.ClaimRefusal_CLAIM_REFUSAL_ADDRESS, other: other}
	}
	ports := v.PortsByVif(claim)
	from := holder(vif, ports)
	if from == "" || from == host.GetUuid() || len(portsOn(host.GetUuid(), ports)) > 0 {
		return verdict{} // it is here already, by another port or by this one, or was nowhere else
	}
	move := &poolwirev1.VifMove{HostUuid: host.GetUuid(), FromHostUuid: from, Time: timestamppb.New(now)}
	if len(ports) == 0 {
		return verdict{move: move} // nobody has it now: written down, and never refused
	}
	return judgeMove(vif, move)
}

// vifAllows tells whether a VIF may be plugged on a host.
func vifAllows(vif *poolwirev1.Vif, host *poolwirev1.Host) bool {
	allowed := vif.GetAllowedHosts()
	return len(allowed) == 0 || slices.Contains(allowed, host.GetUuid()) || slices.Contains(allowed, host.GetPoolUuid())
}

// boundElsewhere is another VIF that has the port's MAC address on the port's network, and
// may not be on this host; empty when there is none.
func (v *View) boundElsewhere(host *poolwirev1.Host, p *storev1.Port) string {
	if p.GetAttachedMac() == "" {
		return ""
	}
	for _, other := range list[*poolwirev1.Vif](v, TableVifs, indexBound, indexKey(p.GetAttachedMac())) {
		if other.GetUuid() != claimOf(p) && !vifAllows(other, host) && v.sameNetwork(host, p, other.GetNetworkUuid()) {
			return other.GetUuid()
		}
	}
	return ""
}

// sameNetwork tells whether a port is on a network, or on another one that carries the same
// private network.
func (v *View) sameNetwork(host *poolwirev1.Host, p *storev1.Port, networkUUID string) bool {
	here, there := v.NetworkByPoolBridge(host.GetPoolUuid(), p.GetNetworkBridge()), v.Network(networkUUID)
	if here == nil || there == nil {
		return false
	}
	return here.GetUuid() == there.GetUuid() ||
		here.GetPrivateNetworkUuid() != "" && here.GetPrivateNetworkUuid() == there.GetPrivateNetworkUuid()
}

// boundKeys index VIFs that are bound to hosts by their MAC address.
func boundKeys(v *poolwirev1.Vif) []string {
	if len(v.GetAllowedHosts()) == 0 || v.GetMac() == "" {
		return nil
	}
	return []string{indexKey(v.GetMac())}
}

// addressKeys index the ports of VIFs by the MAC address that the VM has.
func addressKeys(p *storev1.Port) []string {
	if claimOf(p) == "" || p.GetAttachedMac() == "" {
		return nil
	}
	return []string{indexKey(p.GetAttachedMac())}
}

// settleClaim judges a port, which is the caller's own copy, and writes into it what it is
// taken for.
func (t *tx) settleClaim(host *poolwirev1.Host, p *storev1.Port) {
	claim := claimOf(p)
	if claim == "" {
		return
	}
	found := t.judge(host, p, t.time.AsTime())
	p.VifUuid, p.ClaimedVifUuid, p.Refusal, p.RefusedFor = claim, "", found.refusal, found.other
	if found.refusal != storev1.ClaimRefusal_CLAIM_REFUSAL_UNSPECIFIED {
		p.VifUuid, p.ClaimedVifUuid, p.Zone = "", claim, 0
	}
	if vif := t.Vif(claim); vif != nil && found.move != nil {
		vif = proto.CloneOf(vif)
		vif.HostUuid = found.move.GetFromHostUuid() // as a version has not that knew no such field
		vif.Moves = append(vif.Moves, found.move)
		if over := len(vif.Moves) - maxMoves; over > 0 {
			vif.Moves = slices.Delete(vif.Moves, 0, over)
		}
		t.put(TableVifs, vif)
	}
}

// followVif judges ports anew after a VIF was bound to other hosts than before, or, being
// bound, got another address or network.
func (t *tx) followVif(before, after *poolwirev1.Vif) {
	bound := len(before.GetAllowedHosts())+len(after.GetAllowedHosts()) > 0
	if t.meaning < meaningSecured || !bound || slices.Equal(before.GetAllowedHosts(), after.GetAllowedHosts()) &&
		before.GetMac() == after.GetMac() && before.GetNetworkUuid() == after.GetNetworkUuid() {
		return
	}
	uuid := before.GetUuid()
	if after != nil {
		uuid = after.GetUuid()
	}
	ports := append(t.PortsByVif(uuid), t.PortsByClaim(uuid)...)
	macs := slices.Compact([]string{before.GetMac(), after.GetMac()})
	for _, mac := range macs {
		if mac != "" {
			ports = append(ports, list[*storev1.Port](&t.View, TablePorts, indexMAC, indexKey(mac))...)
		}
	}
	var vifs, hosts touched
	for _, p := range ports {
		host := t.Host(p.GetHostUuid())
		if p = t.Port(p.GetHostUuid(), p.GetName()); p == nil || host == nil {
			continue
		}
		p = proto.CloneOf(p)
		t.settleClaim(host, p)
		t.put(TablePorts, p)
		vifs.add(claimOf(p))
		hosts.add(p.GetHostUuid())
	}
	for _, host := range hosts.names {
		t.giveZones(host)
	}
	for _, vif := range vifs.names {
		t.refreshVif(vif)
		t.keepSubscriptions(t.SubscriptionsOfVif(vif)) // it may be plugged in elsewhere now
	}
}

// takeClaims lets a host have a VIF that it was refused because another host had it, now that
// none has (a VM that was moved to and fro may have come to rest there), and tells whether one has it then.
func (t *tx) takeClaims(vifUUID string) bool {
	if t.meaning < meaningSecured {
		return false
	}
	for _, p := range t.PortsByClaim(vifUUID) {
		host := t.Host(p.GetHostUuid())
		if host == nil || p.GetRefusal() != storev1.ClaimRefusal_CLAIM_REFUSAL_MOVES {
			continue
		}
		p = proto.CloneOf(p)
		t.settleClaim(host, p)
		t.put(TablePorts, p)
		t.giveZones(p.GetHostUuid())
	}
	return t.has(TablePorts, indexVif, indexKey(vifUUID))
}
