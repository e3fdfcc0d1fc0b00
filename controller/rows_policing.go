package controller

import (
	"math"

	storev1 "poolwire/proto/poolwire/store/v1"
	"poolwire/raftstore"
	"poolwire/southbound/ovsdb"
)

// policing limits what the VIFs of switches without meters send. It looks at what the
// interface receives, ARP and all, before any flow does.
func policing(v *raftstore.View, in rowsInput) map[string]ovsdb.Policing {
	const kilo = 1000
	var out map[string]ovsdb.Policing
	for bridge, so := range in.unmetered {
		if !so {
			continue
		}
		for _, p := range v.PortsByBridge(in.hostUUID, bridge) {
			if p.GetVifUuid() == "" || p.GetKind() != storev1.PortKind_PORT_KIND_VIF {
				continue
			}
			qos := v.Vif(p.GetVifUuid()).GetQos()
			l := limit(qos.GetOutboundBps(), qos.GetOutboundBurstBits())
			if l.BitsPerSecond == 0 {
				continue
			}
			if out == nil {
				out = map[string]ovsdb.Policing{}
			}
			out[p.GetName()] = ovsdb.Policing{
				Rate:  int64(min((l.BitsPerSecond+kilo-1)/kilo, math.MaxInt32)),
				Burst: int64(min((l.Burst+kilo-1)/kilo, math.MaxInt32)),
			}
		}
	}
	return out
}
