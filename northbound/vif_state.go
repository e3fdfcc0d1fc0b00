package northbound

import (
	"google.golang.org/protobuf/proto"

	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// placedVif is a VIF with what follows from the state: where it is plugged and
// which locking is in force.
func placedVif(v *raftstore.View, vif *v1.Vif) *v1.Vif {
	out := proto.CloneOf(vif)
	out.Locations = locationsOf(v, vif.GetUuid())
	out.EffectiveLockingMode = effectiveLocking(v, vif)
	out.Warnings = vifWarnings(v, vif)
	if out.Isolation == v1.Isolation_ISOLATION_UNSPECIFIED {
		out.Isolation = v1.Isolation_ISOLATION_PROMISCUOUS // nobody has set it
	}
	return out
}

// vifState is placedVif with how far the intent has become fact.
func vifState(r *realizer, vif *v1.Vif) *v1.Vif {
	out := placedVif(r.view, vif)
	out.Warnings = append(out.Warnings, r.live.VifWarnings(vif.GetUuid())...)
	out.Realization = r.vif(vif)
	return out
}

// locationsOf lists where a VIF is plugged, one entry per host and bridge.
func locationsOf(v *raftstore.View, vifUUID string) []*v1.VifLocation {
	var out []*v1.VifLocation
	for _, p := range v.PortsByVif(vifUUID) {
		last := len(out) - 1
		if last < 0 || out[last].GetHostUuid() != p.GetHostUuid() || out[last].GetBridge() != p.GetNetworkBridge() {
			out = append(out, &v1.VifLocation{
				HostUuid: p.GetHostUuid(), HostNameLabel: v.Host(p.GetHostUuid()).GetNameLabel(), Bridge: p.GetNetworkBridge(),
			})
			last++
		}
		out[last].Interfaces = append(out[last].Interfaces, p.GetName())
		out[last].Ofports = append(out[last].Ofports, p.GetOfport())
	}
	return out
}

// effectiveLocking is a VIF's locking_mode after its network's default. A
// private network has its own default, whatever bridge carries it.
func effectiveLocking(v *raftstore.View, vif *v1.Vif) v1.LockingMode {
	switch vif.GetLockingMode() {
	case v1.LockingMode_LOCKING_MODE_UNLOCKED, v1.LockingMode_LOCKING_MODE_LOCKED, v1.LockingMode_LOCKING_MODE_DISABLED:
		return vif.GetLockingMode()
	}
	n := v.Network(vif.GetNetworkUuid())
	mode := n.GetDefaultLockingMode()
	if pn := v.PrivateNetwork(n.GetPrivateNetworkUuid()); pn != nil {
		mode = pn.GetDefaultLockingMode()
	}
	if mode == v1.DefaultLockingMode_DEFAULT_LOCKING_MODE_DISABLED {
		return v1.LockingMode_LOCKING_MODE_DISABLED
	}
	return v1.LockingMode_LOCKING_MODE_UNLOCKED
}
