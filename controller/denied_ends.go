package controller

import (
	"slices"

	"poolwire/flowcompiler"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// ends finds the VIFs that sent a denied packet and that it was for, by UUID; empty for
// an end that is no known VIF. The VIF whose policy denied it is one of them. The other
// one is known by the number the switch has for it when it is on the same bridge, else by
// its MAC address on the same network, which a VM that is not locked may have made up.
func (d denial) ends(m model) (source, destination string) {
	source = d.plugged(m, flowcompiler.FieldSourceVIF)
	destination = d.plugged(m, flowcompiler.FieldDestination)
	switch {
	case d.vif == nil:
	case d.inbound():
		destination = d.vif.GetUuid()
	default:
		source = d.vif.GetUuid()
	}
	if source == "" {
		source = d.holder(m, d.frame.Source.String())
	}
	if destination == "" {
		destination = d.holder(m, d.frame.Destination.String())
	}
	return source, destination
}

// plugged is the VIF that a field names by its object id, if it is plugged in on the
// bridge: a host names no others.
func (d denial) plugged(m model, f flowcompiler.Field) string {
	id := field(d.registers, f)
	if id == 0 {
		return ""
	}
	_, object := m.view.Object(id)
	vif, _ := object.(*poolwirev1.Vif)
	if vif == nil {
		return ""
	}
	if _, _, ok := m.plugs(vif.GetUuid()); !ok {
		return ""
	}
	return vif.GetUuid()
}

// holder is the only VIF of the packet's network that has a MAC address.
func (d denial) holder(m model, mac string) string {
	var found string
	for _, vif := range m.view.VifsByMAC(mac) {
		n := m.view.Network(vif.GetNetworkUuid())
		if n == nil || !slices.Contains(d.network.uuids, n.GetUuid()) && !slices.Contains(d.network.uuids, n.GetPrivateNetworkUuid()) {
			continue
		}
		if found != "" {
			return ""
		}
		found = vif.GetUuid()
	}
	return found
}
