package northbound

import (
	"fmt"
	"strings"

	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
	"poolwire/southbound/openflow/flow"
)

// findVif finds a VIF by UUID, name_label, MAC address, or interface name on a
// host ("xcp1/vif1.0").
func findVif(v *raftstore.View, field, ref string) (*v1.Vif, error) {
	if ref == "" {
		return nil, missing(field, "the UUID, name_label or MAC address of a VIF, or HOST/INTERFACE")
	}
	// What hosts call a VIF (iface-id) need not be a UUID: it is taken as it is too.
	if vif := v.Vif(strings.ToLower(ref)); vif != nil {
		return vif, nil
	}
	if vif := v.Vif(ref); vif != nil {
		return vif, nil
	}
	found := v.VifsByName(ref)
	if mac, err := flow.ParseMAC(strings.ToLower(strings.ReplaceAll(ref, "-", ":"))); err == nil {
		found = append(found, v.VifsByMAC(mac.String())...)
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		if strings.Contains(ref, "/") {
			return vifOfInterface(v, field, ref)
		}
		return nil, unresolved(field, ref, "no VIF has this UUID, name_label or MAC address; HOST/INTERFACE is accepted too")
	}
	var candidates []string
	for _, vif := range found {
		candidates = append(candidates, describeVif(v, vif))
	}
	return nil, ambiguous(field, ref, "use a UUID", candidates)
}

// vifOfInterface finds the VIF that is plugged into HOST/INTERFACE.
func vifOfInterface(v *raftstore.View, field, ref string) (*v1.Vif, error) {
	hostRef, name, _ := strings.Cut(ref, "/")
	h, err := findHost(v, field, hostRef)
	if err != nil {
		return nil, unresolved(field, ref, "there is no host of the UUID or name_label before the /; known: "+listed(labels(v.Hosts())))
	}
	p := v.Port(h.GetUuid(), name)
	if vif := v.Vif(p.GetVifUuid()); p != nil && vif != nil {
		return vif, nil
	}
	var known []string
	for _, p := range v.Ports(h.GetUuid()) {
		if p.GetVifUuid() != "" {
			known = append(known, p.GetName())
		}
	}
	return nil, unresolved(field, ref, fmt.Sprintf("host %q has no VIF on the interface after the /; known: %s", h.GetNameLabel(), listed(known)))
}

// describeVif names a VIF for a person who has to choose.
func describeVif(v *raftstore.View, vif *v1.Vif) string {
	where := "not plugged"
	if at := locationsOf(v, vif.GetUuid()); len(at) > 0 {
		where = "on " + at[0].GetHostNameLabel() + "/" + strings.Join(at[0].GetInterfaces(), "+")
	}
	return fmt.Sprintf("%s (%s, %s)", vif.GetUuid(), vif.GetMac(), where)
}
