package raftstore

import (
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// A host that says it has a VIF which another one has is believed. One that does so again and
// again is not, for a while, as long as another one has it; and what it says of a VIF counts
// for nothing as long as the host that had it before still does.
const (
	// movesWindow is how far back moves are counted.
	movesWindow = time.Minute
	// maxHostMoves is how often one host may come by a VIF of others within the window, returns apart.
	maxHostMoves = 4
	// maxMoves is how many moves of a VIF are kept, and how often all hosts together may come
	// by it within the window.
	maxMoves = 16
	// moveHold is how long a host is refused after it came by a VIF too often.
	moveHold = 5 * time.Minute
)

// VifMovesWithin is how often hosts have come by a VIF of others since a time.
func VifMovesWithin(vif *poolwirev1.Vif, since time.Time) int {
	n := 0
	for _, m := range vif.GetMoves() {
		if m.GetTime().AsTime().After(since) {
			n++
		}
	}
	return n
}

// holder is the host that has a VIF of which these are the ports, or had it last; empty when
// none ever did. While several have it, it is the one that had it before the others. Of those
// that are left when that one is gone, it is the one that came last: so it is when a VM has
// migrated, whoever else has been claiming it all the time.
func holder(vif *poolwirev1.Vif, ports []*storev1.Port) string {
	if len(ports) == 0 || len(portsOn(vif.GetHostUuid(), ports)) > 0 {
		return vif.GetHostUuid()
	}
	for _, m := range slices.Backward(vif.GetMoves()) {
		if m.GetRefusedUntil() == nil && len(portsOn(m.GetHostUuid(), ports)) > 0 {
			return m.GetHostUuid()
		}
	}
	return ports[0].GetHostUuid()
}

// portsOn are the ports that are on a host, in their order.
func portsOn(host string, ports []*storev1.Port) []*storev1.Port {
	var out []*storev1.Port
	for _, p := range ports {
		if p.GetHostUuid() == host {
			out = append(out, p)
		}
	}
	return out
}

// judgeMove decides over a move by those before.
func judgeMove(vif *poolwirev1.Vif, move *poolwirev1.VifMove) verdict {
	now := move.GetTime().AsTime()
	refused := verdict{refusal: storev1.ClaimRefusal_CLAIM_REFUSAL_MOVES}
	own := 0
	for _, m := range vif.GetMoves() {
		if m.GetHostUuid() != move.GetHostUuid() {
			continue
		}
		if m.GetRefusedUntil().AsTime().After(now) {
			return refused
		}
		if m.GetTime().AsTime().After(now.Add(-movesWindow)) && !m.GetReturned() {
			own++
		}
	}
	if returns(vif, move) {
		move.Returned = true
		return verdict{move: move}
	}
	if own >= maxHostMoves {
		move.RefusedUntil = timestamppb.New(now.Add(moveHold))
		refused.move = move
		return refused
	}
	if VifMovesWithin(vif, now.Add(-movesWindow)) >= maxMoves {
		return refused
	}
	return verdict{move: move}
}

// returns tells whether a move undoes the last one: a VM that was started again while its VIF was
// claimed elsewhere comes back to a host that did not bring the move about. A return gives no
// right to another one, or two hosts could take turns for ever.
func returns(vif *poolwirev1.Vif, move *poolwirev1.VifMove) bool {
	for _, m := range slices.Backward(vif.GetMoves()) {
		if m.GetRefusedUntil() == nil {
			return m.GetFromHostUuid() == move.GetHostUuid() && m.GetHostUuid() == move.GetFromHostUuid() && !m.GetReturned()
		}
	}
	return false
}
