package northbound

import (
	"fmt"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// defaultLocking checks the default for VIFs of a network.
func (p place) defaultLocking(m *v1.DefaultLockingMode) {
	checkEnum(p, *m)
	if *m == v1.DefaultLockingMode_DEFAULT_LOCKING_MODE_UNSPECIFIED {
		*m = v1.DefaultLockingMode_DEFAULT_LOCKING_MODE_UNLOCKED
	}
}

// defaultAction checks what becomes of traffic that no rule decides over.
func (p place) defaultAction(a *v1.DefaultAction) {
	checkEnum(p, *a)
	if *a == v1.DefaultAction_DEFAULT_ACTION_UNSPECIFIED {
		*a = v1.DefaultAction_DEFAULT_ACTION_ALLOW
	}
}

// networkRecord is a network with its defaults in words: what nobody has set is
// stored as not set.
func networkRecord(n *v1.Network) *v1.Network {
	if n == nil {
		return nil
	}
	out := proto.CloneOf(n)
	out.DefaultInboundAction = actionOrAllow(n.GetDefaultInboundAction())
	out.DefaultOutboundAction = actionOrAllow(n.GetDefaultOutboundAction())
	return out
}

// privateNetworkRecord is networkRecord for a private network.
func privateNetworkRecord(n *v1.PrivateNetwork) *v1.PrivateNetwork {
	out := proto.CloneOf(n)
	out.DefaultInboundAction = actionOrAllow(n.GetDefaultInboundAction())
	out.DefaultOutboundAction = actionOrAllow(n.GetDefaultOutboundAction())
	return out
}

func actionOrAllow(a v1.DefaultAction) v1.DefaultAction {
	if a == v1.DefaultAction_DEFAULT_ACTION_UNSPECIFIED {
		return v1.DefaultAction_DEFAULT_ACTION_ALLOW
	}
	return a
}

// reasonVifInUse is XAPI's error for a network whose default_locking_mode cannot
// change; its parameters are the network and a VIF.
const reasonVifInUse = "VIF_IN_USE"

// vifInUse says that a VIF is attached to a network or private network; nil when
// none is.
func vifInUse(v *raftstore.View, networkUUID string) error {
	vif := attachedVif(v, networkUUID)
	if vif == nil {
		return nil
	}
	text := fmt.Sprintf("the VIF %s is attached to the network %s: the change would lock or unlock it at once; "+
		"unplug the VIFs, or set force", describeVif(v, vif), networkLabel(v, networkUUID))
	return detailed(codes.FailedPrecondition, "default_locking_mode: "+text,
		&errdetails.ErrorInfo{Reason: reasonVifInUse, Domain: errorDomain, Metadata: map[string]string{"network": networkUUID, "vif": vif.GetUuid()}},
		&errdetails.PreconditionFailure{Violations: []*errdetails.PreconditionFailure_Violation{
			{Type: reasonVifInUse, Subject: "network " + networkUUID, Description: text},
		}})
}

// attachedVif is a VIF that is plugged into a network, or into one that carries a
// private network; nil when there is none.
func attachedVif(v *raftstore.View, networkUUID string) *v1.Vif {
	for _, id := range carriers(v, networkUUID) {
		for _, vif := range v.VifsByNetwork(id) {
			if len(v.PortsByVif(vif.GetUuid())) > 0 {
				return vif
			}
		}
	}
	return nil
}

// carriers are the networks that a network's UUID stands for: itself, or those
// that carry the private network.
func carriers(v *raftstore.View, networkUUID string) []string {
	if v.PrivateNetwork(networkUUID) == nil {
		return []string{networkUUID}
	}
	var out []string
	for _, n := range v.Networks() {
		if n.GetPrivateNetworkUuid() == networkUUID {
			out = append(out, n.GetUuid())
		}
	}
	return out
}
