package controller

import (
	"fmt"
	"slices"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// noFlags is why a switch floods where it should not.
const noFlags = "the switch has not confirmed OFPPC_NO_FLOOD; it needs an OpenFlow 1.0 session (Bridge.protocols, listen.portflags)"

// VifWarnings says what keeps a VIF's policy from being kept on the hosts where it is
// plugged; nothing when all is well, or this node does not lead.
func (c *Controller) VifWarnings(vifUUID string) []string {
	l := c.current.Load()
	if l == nil {
		return nil
	}
	view := l.store.View()
	v := view.Vif(vifUUID)
	if v == nil {
		return nil
	}
	var out []string
	for _, p := range view.PortsByVif(vifUUID) {
		for _, w := range l.portWarnings(v, p) {
			out = append(out, fmt.Sprintf("host %s: %s", hostLabel(view.Host(p.GetHostUuid())), w))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// portWarnings is what one port of a VIF lacks.
func (l *leader) portWarnings(v *poolwirev1.Vif, p *storev1.Port) []string {
	var out []string
	if reason := l.policyObstacle(p.GetHostUuid()); reason != "" && restrains(v) {
		out = append(out, reason)
	}
	if p.GetZone() == 0 {
		out = append(out, "no conntrack zone is free: stateful rules let nothing pass, default actions drop answers, limits are not kept")
	}
	h := l.host(p.GetHostUuid())
	if h == nil {
		return out
	}
	out = append(out, h.state.Load().ignored[v.GetUuid()]...)
	for _, a := range h.bridgeActors() {
		st := a.state.Load()
		if a.name != p.GetBridge() {
			continue
		}
		if slices.Contains(st.flagless, p.GetName()[:min(len(p.GetName()), maxPortName)]) {
			out = append(out, fmt.Sprintf("what is flooded reaches %s past its rules: %s", p.GetName(), noFlags))
		}
		if a.snoops() && slices.Contains(st.copied, p.GetName()[:min(len(p.GetName()), maxPortName)]) {
			out = append(out, fmt.Sprintf("multicast reaches %s past its rules on bridge %s: %s", p.GetName(), a.name, snooped))
		}
		if warning := st.zoneWarning(v.GetUuid(), p.GetZone()); warning != "" {
			out = append(out, warning)
		}
		out = append(out, crowdReasons(l.store.View(), st.crowded[v.GetUuid()])...)
		if st.meters == metersMissing && v.GetQos().GetInboundBps() != 0 {
			out = append(out, "the switch has no meters: the limit on what is sent to the VM is not kept")
		}
	}
	return out
}

// PolicyObstacle says why a host cannot keep policies at all, empty when it can: its
// Open vSwitch is too old.
func (c *Controller) PolicyObstacle(hostUUID string) string {
	l := c.current.Load()
	if l == nil {
		return ""
	}
	return l.policyObstacle(hostUUID)
}

func (l *leader) policyObstacle(hostUUID string) string {
	version := l.store.View().HostFacts(hostUUID).GetOvsVersion()
	if !noPolicies(version) {
		return l.trackerObstacle(hostUUID)
	}
	return fmt.Sprintf("Open vSwitch %s is too old for policies, isolation and limits: 2.9 is the first that can keep them", version)
}
