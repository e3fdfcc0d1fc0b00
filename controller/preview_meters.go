package controller

import (
	"fmt"
	"maps"
	"slices"

	"poolwire/flowcompiler"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// previewMeters compares the meters that a bridge would hold.
func previewMeters(diff *poolwirev1.BridgeDiff, was, will map[uint32]flowcompiler.Meter, owners map[uint32]string) {
	add := func(texts *[]string, text string) {
		if len(*texts) < maxPreviewFlows {
			*texts = append(*texts, text)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(will)) {
		old, there := was[id]
		switch text := meterText(id, will[id]) + owners[id]; {
		case !there:
			add(&diff.MetersAdded, text)
		case old != will[id]:
			add(&diff.MetersModified, fmt.Sprintf("%s, now %s", text, bandText(old)))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(was)) {
		if _, stays := will[id]; !stays {
			add(&diff.MetersDeleted, meterText(id, was[id])+owners[id])
		}
	}
}

// meterText writes a meter in the syntax of ovs-ofctl(8).
func meterText(id uint32, m flowcompiler.Meter) string {
	unit := "kbps"
	if m.Packets {
		unit = "pktps"
	}
	return fmt.Sprintf("meter=%d,%s,burst,bands=%s", id, unit, bandText(m))
}

func bandText(m flowcompiler.Meter) string {
	return fmt.Sprintf("type=drop,rate=%d,burst_size=%d", m.Rate, m.Burst)
}

// meterOwners says, by their numbers, what the meters of a bridge's VIFs are for.
func meterOwners(view *raftstore.View, at bridgeAt) map[uint32]string {
	out := map[uint32]string{}
	for _, p := range view.PortsByBridge(at.host, at.bridge) {
		if v := view.Vif(p.GetVifUuid()); v != nil && p.GetZone() != 0 {
			outbound, inbound := flowcompiler.MetersOfZone(uint16(p.GetZone()))
			out[outbound], out[inbound] = " (what "+vifLabel(v)+" sends)", " (what is sent to "+vifLabel(v)+")"
		}
	}
	return out
}

// metersOf are the meters of a bridge; none when there is no bridge.
func metersOf(c *flowcompiler.Compiler) map[uint32]flowcompiler.Meter {
	if c == nil {
		return nil
	}
	return c.Meters()
}

func changesMeters(d *poolwirev1.BridgeDiff) bool {
	return len(d.GetMetersAdded())+len(d.GetMetersModified())+len(d.GetMetersDeleted()) > 0
}

// lacksMeters says whether the switch of a bridge is known to have no meters.
func (c *Controller) lacksMeters(at bridgeAt) bool {
	l := c.current.Load()
	if l == nil {
		return false
	}
	h := l.host(at.host)
	return h != nil && slices.ContainsFunc(h.bridgeActors(), func(a *bridgeActor) bool {
		return a.name == at.bridge && a.state.Load().meters == metersMissing
	})
}
