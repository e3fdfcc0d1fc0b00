package controller

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// maxContested bounds how many ports of a host are told of one by one.
const maxContested = 16

// impostor reports a port that is not taken for the VIF that it says it is. The store decides
// that (raftstore.View.ClaimStands); here such a port is one of no network.
func impostor(p *storev1.Port) bool {
	return p.GetRefusal() != storev1.ClaimRefusal_CLAIM_REFUSAL_UNSPECIFIED
}

// contested says which ports of a host are refused, and why, and which of its VIFs other hosts
// have too.
func contested(v *raftstore.View, host *poolwirev1.Host) []string {
	var out []string
	more := 0
	for _, p := range v.Ports(host.GetUuid()) {
		text := ""
		if impostor(p) {
			text = fmt.Sprintf("port %s says it is VIF %s and is refused: %s", p.GetName(), p.GetClaimedVifUuid(), v.RefusalReason(p))
		} else if others := otherHosts(v, p); others != "" {
			text = fmt.Sprintf("port %s is VIF %s, which is on %s too: a migration, or a claim without right", p.GetName(), p.GetVifUuid(), others)
		}
		switch {
		case text == "":
		case len(out) == maxContested:
			more++
		default:
			out = append(out, text)
		}
	}
	if more > 0 {
		out = append(out, fmt.Sprintf("%d more ports are VIFs of other hosts, or say so", more))
	}
	return out
}

// otherHosts names the other hosts that have the VIF of a port, empty when there are none.
func otherHosts(v *raftstore.View, p *storev1.Port) string {
	if p.GetVifUuid() == "" {
		return ""
	}
	var names []string
	for uuid := range vifHosts(v, p.GetVifUuid()) {
		if uuid != p.GetHostUuid() {
			names = append(names, hostLabel(v.Host(uuid)))
		}
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// claims tells the log and the counters of VIFs that hosts came by, and of those that they were
// refused.
func (l *leader) claims(view *raftstore.View, c raftstore.Change) {
	switch c.Table {
	case raftstore.TableVifs:
		before, _ := c.Before.(*poolwirev1.Vif)
		after, _ := c.After.(*poolwirev1.Vif)
		if n := len(after.GetMoves()); n > 0 && (len(before.GetMoves()) == 0 || !proto.Equal(after.GetMoves()[n-1], before.GetMoves()[len(before.GetMoves())-1])) {
			l.moved(view, after)
		}
	case raftstore.TablePorts:
		before, _ := c.Before.(*storev1.Port)
		after, _ := c.After.(*storev1.Port)
		if impostor(after) && before.GetRefusal() != after.GetRefusal() {
			reason := strings.ToLower(strings.TrimPrefix(after.GetRefusal().String(), "CLAIM_REFUSAL_"))
			l.metrics.refusals.WithLabelValues(reason).Inc()
			l.cfg.Log.Warn("a port is not taken for the VIF that its host says it is", "host", hostLabel(view.Host(after.GetHostUuid())),
				"port", after.GetName(), "vif", after.GetClaimedVifUuid(), "reason", view.RefusalReason(after))
		}
	}
}

// moved tells of a VIF that a host came by while another one had it.
func (l *leader) moved(view *raftstore.View, vif *poolwirev1.Vif) {
	move := vif.GetMoves()[len(vif.GetMoves())-1]
	if move.GetRefusedUntil() != nil {
		return // told of with the port
	}
	l.metrics.moves.Inc()
	l.cfg.Log.Info("a host has a VIF that another one had", "vif", vif.GetUuid(),
		"host", hostLabel(view.Host(move.GetHostUuid())), "before", hostLabel(view.Host(move.GetFromHostUuid())))
}
