package controller

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"poolwire/flowcompiler"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// crowd is a list of policy rules that a switch has no room for. The VIFs that it reaches
// pass nothing.
type crowd struct {
	level poolwirev1.PolicyLevel
	// scopes are the UUIDs of those whose rules are in the list.
	scopes []string
	// mandatory and inbound say which of their rules.
	mandatory, inbound bool
	ranks, room        int
}

func (c crowd) equal(d crowd) bool {
	return c.level == d.level && c.mandatory == d.mandatory && c.inbound == d.inbound && c.ranks == d.ranks && c.room == d.room &&
		slices.Equal(c.scopes, d.scopes)
}

// crowded are the VIFs that the compiler has shut for having too many rules, by UUID.
func (p *program) crowded(m model) map[string][]crowd {
	byID := p.compiler.Crowded()
	if len(byID) == 0 {
		return nil
	}
	out := map[string][]crowd{}
	for uuid, id := range p.vifs {
		for _, x := range byID[id] {
			out[uuid] = append(out[uuid], p.crowd(m, uuid, x))
		}
	}
	return out
}

// crowd translates a list that reaches a VIF.
func (p *program) crowd(m model, vif string, x flowcompiler.Excess) crowd {
	out := crowd{mandatory: x.Section == flowcompiler.Mandatory, inbound: x.Inbound, ranks: x.Ranks, room: x.Room}
	switch x.Level {
	case flowcompiler.OfGroup:
		out.level = poolwirev1.PolicyLevel_POLICY_LEVEL_VIF_GROUP
		for _, id := range x.Objects {
			out.scopes = append(out.scopes, p.groups.uuid[id])
		}
	case flowcompiler.OfNetwork:
		out.level = poolwirev1.PolicyLevel_POLICY_LEVEL_NETWORK
		if _, n, ok := m.plugs(vif); ok {
			out.scopes = slices.DeleteFunc(slices.Clone(n.uuids), func(uuid string) bool { return len(m.view.PolicyRulesByScope(out.level, uuid)) == 0 })
		}
	default:
		out.level = poolwirev1.PolicyLevel_POLICY_LEVEL_VIF
		out.scopes = []string{vif}
	}
	return out
}

// reason says what there is too much of.
func (c crowd) reason(v *raftstore.View) string {
	way, section := "outbound", "not mandatory"
	if c.inbound {
		way = "inbound"
	}
	if c.mandatory {
		section = "mandatory"
	}
	var of []string
	for _, uuid := range c.scopes {
		of = append(of, c.scopeLabel(v, uuid))
	}
	return fmt.Sprintf("passes nothing: the %s rules of %s that are %s take %d flow priorities, and there is room for %d: delete or disable some, or give more of them the same priority",
		way, strings.Join(of, " and "), section, c.ranks, c.room)
}

// scopeLabel names whose rules they are.
func (c crowd) scopeLabel(v *raftstore.View, uuid string) string {
	var kind, label string
	switch {
	case c.level == poolwirev1.PolicyLevel_POLICY_LEVEL_VIF:
		return "the VIF"
	case c.level == poolwirev1.PolicyLevel_POLICY_LEVEL_VIF_GROUP:
		kind, label = "VIF group", v.VifGroup(uuid).GetNameLabel()
	case v.PrivateNetwork(uuid) != nil:
		kind, label = "private network", v.PrivateNetwork(uuid).GetNameLabel()
	default:
		kind, label = "network", v.Network(uuid).GetNameLabel()
	}
	if label == "" {
		label = uuid
	}
	return kind + " " + strconv.Quote(label)
}

// crowdReasons says why a VIF passes nothing on a bridge.
func crowdReasons(v *raftstore.View, crowds []crowd) []string {
	var out []string
	for _, c := range crowds {
		out = append(out, c.reason(v))
	}
	return out
}

// noteCrowded publishes which VIFs have too many rules, and logs it when that changes.
func (s *session) noteCrowded(st *bridgeState, now map[string][]crowd) {
	before := st.crowded
	if maps.EqualFunc(before, now, func(a, b []crowd) bool { return slices.EqualFunc(a, b, crowd.equal) }) {
		return
	}
	st.crowded = now
	if len(now) > 0 {
		s.log.Error("VIFs pass nothing: more rules than there is room for", "vifs", len(now))
	} else {
		s.log.Info("all rules of VIFs have room again")
	}
}

// VifObstacles says why the policy of a VIF is not in place although its host has taken
// everything, by the UUID of the host: it has more rules than a switch has room for, and
// passes nothing. Nothing when all is well, or this node does not lead.
func (c *Controller) VifObstacles(vifUUID string) map[string]string {
	l := c.current.Load()
	if l == nil {
		return nil
	}
	var out map[string]string
	view := l.store.View()
	for _, p := range view.PortsByVif(vifUUID) {
		h := l.host(p.GetHostUuid())
		if h == nil {
			continue
		}
		for _, a := range h.bridgeActors() {
			if crowds := a.state.Load().crowded[vifUUID]; a.name == p.GetBridge() && len(crowds) > 0 {
				if out == nil {
					out = map[string]string{}
				}
				out[p.GetHostUuid()] = "the VIF " + strings.Join(crowdReasons(view, crowds), "; it ")
			}
		}
	}
	return out
}
