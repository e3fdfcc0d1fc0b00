package northbound

import (
	"fmt"
	"slices"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

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

// carriedFields are what a private network says for the bridges that carry it.
var carriedFields = [...]string{"default_locking_mode", "default_inbound_action", "default_outbound_action", "ra_guard", "dhcp_guard"}

// checkCarried refuses a change that would have no effect: what VMs of a private
// network may do is said by the private network, not by a bridge that carries it.
func checkCarried(v *raftstore.View, n *v1.Network, mask *fieldmaskpb.FieldMask, at place) {
	private := v.PrivateNetwork(n.GetPrivateNetworkUuid())
	if private == nil {
		return
	}
	for _, path := range carriedFields {
		if masks(mask, path) {
			at.field(path).say("has no effect here: the bridge %s carries the private network %s, which decides; change it there (private-network update %s)",
				n.GetBridge(), quote(private.GetNameLabel()), private.GetNameLabel())
		}
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

// vifInUse says that VIFs are attached to a network or private network, and which;
// nil when none is.
func vifInUse(v *raftstore.View, networkUUID string) error {
	vifs := attachedVifs(v, networkUUID)
	if len(vifs) == 0 {
		return nil
	}
	names := make([]string, len(vifs))
	for i, vif := range vifs {
		names[i] = pluggedLabel(v, vif)
	}
	slices.Sort(names)
	text := fmt.Sprintf("%d %s attached to the network %s, which the change would lock or unlock at once: %s; unplug them first, or force the change",
		len(vifs), map[bool]string{true: "VIF is", false: "VIFs are"}[len(vifs) == 1], networkLabel(v, networkUUID), listed(names))
	return detailed(codes.FailedPrecondition, "default_locking_mode: "+text,
		&errdetails.ErrorInfo{Reason: reasonVifInUse, Domain: errorDomain, Metadata: map[string]string{"network": networkUUID, "vif": vifs[0].GetUuid()}},
		&errdetails.PreconditionFailure{Violations: []*errdetails.PreconditionFailure_Violation{
			{Type: reasonVifInUse, Subject: "network " + networkUUID, Description: text},
		}})
}

// attachedVifs are the VIFs that are plugged into a network, or into those that
// carry a private network.
func attachedVifs(v *raftstore.View, networkUUID string) []*v1.Vif {
	var out []*v1.Vif
	for _, id := range carriers(v, networkUUID) {
		for _, vif := range v.VifsByNetwork(id) {
			if len(v.PortsByVif(vif.GetUuid())) > 0 {
				out = append(out, vif)
			}
		}
	}
	return out
}

// pluggedLabel names a VIF that is plugged, by its name where it has one, with the
// place where it is: "web1 on xcp1/vif1.0".
func pluggedLabel(v *raftstore.View, vif *v1.Vif) string {
	where := ""
	if at := locationsOf(v, vif.GetUuid()); len(at) > 0 && len(at[0].GetInterfaces()) > 0 {
		where = at[0].GetHostNameLabel() + "/" + at[0].GetInterfaces()[0]
	}
	switch {
	case vif.GetNameLabel() == "" && where != "":
		return where
	case where == "":
		return vifLabel(vif)
	}
	return vif.GetNameLabel() + " on " + where
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
