package raftstore

import (
	"fmt"
	"slices"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// Vifs returns all known VIFs, plugged or not.
func (v *View) Vifs() []*poolwirev1.Vif { return all[*poolwirev1.Vif](v, TableVifs) }

// Vif returns a VIF by UUID.
func (v *View) Vif(uuid string) *poolwirev1.Vif { return get[*poolwirev1.Vif](v, TableVifs, uuid) }

// VifsByNetwork returns the VIFs that are, or were last, plugged into a
// network.
func (v *View) VifsByNetwork(networkUUID string) []*poolwirev1.Vif {
	return list[*poolwirev1.Vif](v, TableVifs, indexNetwork, indexKey(networkUUID))
}

// VifsByMAC returns the VIFs with an attached MAC address.
func (v *View) VifsByMAC(mac string) []*poolwirev1.Vif {
	return list[*poolwirev1.Vif](v, TableVifs, indexMAC, indexKey(mac))
}

// VifsByName returns the VIFs with a name_label, which need not be unique.
func (v *View) VifsByName(name string) []*poolwirev1.Vif {
	return list[*poolwirev1.Vif](v, TableVifs, indexName, indexKey(name))
}

// VifsByVM returns the VIFs of a VM.
func (v *View) VifsByVM(vmUUID string) []*poolwirev1.Vif {
	return list[*poolwirev1.Vif](v, TableVifs, indexVM, indexKey(vmUUID))
}

// RestrictedVifs returns the VIFs that are isolated or in a community, ordered by UUID. In most
// clusters there are none, however many VIFs there are.
func (v *View) RestrictedVifs() []*poolwirev1.Vif {
	return list[*poolwirev1.Vif](v, TableVifs, indexRestricted, indexKey(restrictedKey))
}

// restrictedKey is under which restricted VIFs are found.
const restrictedKey = "yes"

func restrictedKeys(v *poolwirev1.Vif) []string {
	switch v.GetIsolation() {
	case poolwirev1.Isolation_ISOLATION_ISOLATED, poolwirev1.Isolation_ISOLATION_COMMUNITY:
		return []string{indexKey(restrictedKey)}
	}
	return nil
}

// putVif stores the intent for a VIF (setVifIntent). The rest stays as it was
// observed.
func (t *tx) putVif(c *storev1.PutVif) (Result, error) {
	in := c.GetVif()
	if err := checkKey("uuid", in.GetUuid()); err != nil {
		return Result{}, err
	}
	if utf8.RuneCountInString(in.GetNameLabel()) > maxNameLabel {
		return Result{}, &InvalidError{Field: "name_label", Value: in.GetNameLabel(), Reason: "must have at most 128 characters"}
	}
	if err := checkVifLists(in); err != nil {
		return Result{}, err
	}
	old := t.Vif(in.GetUuid())
	switch {
	case c.GetCreate() && old != nil:
		return Result{}, &ExistsError{Kind: KindVif, Field: "uuid", Value: in.GetUuid(), By: in.GetUuid()}
	case !c.GetCreate() && old == nil:
		return Result{}, &NotFoundError{Kind: KindVif, ID: in.GetUuid()}
	}
	if err := checkEtag(KindVif, in.GetUuid(), old.GetEtag(), in.GetEtag()); err != nil {
		return Result{}, err
	}
	vif := &poolwirev1.Vif{Uuid: in.GetUuid()}
	if old != nil {
		vif = proto.CloneOf(old)
	}
	setVifIntent(vif, in)
	t.put(TableVifs, vif)
	t.tidyVif(vif.GetUuid())
	return wrote(vif.GetUuid()), nil
}

// checkVifLists refuses what is too long.
func checkVifLists(in *poolwirev1.Vif) error {
	for i, r := range in.GetVirtualRouters() {
		if err := checkCount(fmt.Sprintf("virtual_routers[%d].addresses", i), len(r.GetAddresses()), maxRouterAddress); err != nil {
			return err
		}
	}
	if utf8.RuneCountInString(in.GetCommunity()) > maxCommunity {
		return &InvalidError{Field: "community", Value: in.GetCommunity(), Reason: "must have at most 64 characters"}
	}
	return firstError(
		checkCount("labels", len(in.GetLabels()), maxLabels),
		checkCount("allowed_address_pairs", len(in.GetAllowedAddressPairs()), maxAddressPairs),
		checkCount("virtual_routers", len(in.GetVirtualRouters()), maxRouters),
		checkCount("trunks", len(in.GetTrunks()), maxTrunks),
		checkAllowedHosts(in.GetAllowedHosts()))
}

// checkAllowedHosts refuses what names no host or pool. One that is gone is still named: a list
// that shrank to nothing by itself would open.
func checkAllowedHosts(hosts []string) error {
	if err := checkCount("allowed_hosts", len(hosts), maxAllowedHosts); err != nil {
		return err
	}
	for i, uuid := range hosts {
		if err := checkKey(fmt.Sprintf("allowed_hosts[%d]", i), uuid); err != nil {
			return err
		}
	}
	return nil
}

// setVifIntent copies what an operator may ask of a VIF.
func setVifIntent(vif, in *poolwirev1.Vif) {
	in = proto.CloneOf(in)
	vif.NameLabel, vif.LockingMode = in.GetNameLabel(), in.GetLockingMode()
	if vif.LockingMode == poolwirev1.LockingMode_LOCKING_MODE_UNSPECIFIED {
		vif.LockingMode = poolwirev1.LockingMode_LOCKING_MODE_NETWORK_DEFAULT
	}
	vif.Ipv4Allowed, vif.Ipv6Allowed = in.GetIpv4Allowed(), in.GetIpv6Allowed()
	vif.Labels, vif.AllowedAddressPairs, vif.VirtualRouters = in.GetLabels(), in.GetAllowedAddressPairs(), in.GetVirtualRouters()
	vif.Trunks, vif.Isolation, vif.Community, vif.Qos = in.GetTrunks(), in.GetIsolation(), in.GetCommunity(), in.GetQos()
	vif.AllowRouterAdvertisements, vif.AllowDhcpServer = in.GetAllowRouterAdvertisements(), in.GetAllowDhcpServer()
	vif.AllowedHosts = in.GetAllowedHosts()
}

// deleteVif forgets the intent for a VIF and the rules that name it. Rules
// bound to its MAC address on a network name that place, not the VIF, and
// stay.
func (t *tx) deleteVif(c *storev1.Delete) (Result, error) {
	uuid := c.GetUuid()
	old := t.Vif(uuid)
	if old == nil {
		return Result{}, &NotFoundError{Kind: KindVif, ID: uuid}
	}
	if err := checkEtag(KindVif, uuid, old.GetEtag(), c.GetEtag()); err != nil {
		return Result{}, err
	}
	t.dropRules(t.RulesByVif(uuid))
	t.dropPolicyRules(poolwirev1.PolicyLevel_POLICY_LEVEL_VIF, uuid)
	if !t.has(TablePorts, indexVif, indexKey(uuid)) {
		t.del(TableVifs, uuid)
		return wrote(uuid), nil
	}
	vif := proto.CloneOf(old)
	setVifIntent(vif, &poolwirev1.Vif{})
	t.put(TableVifs, vif)
	return wrote(uuid), nil
}

// vifIntent says whether an operator said anything about a VIF. One that was
// never plugged is known only because an operator created it.
func (t *tx) vifIntent(v *poolwirev1.Vif) bool {
	asked, nothing := &poolwirev1.Vif{}, &poolwirev1.Vif{}
	setVifIntent(asked, v)
	setVifIntent(nothing, nothing)
	return !proto.Equal(asked, nothing) || t.held(objectRef{TableVifs, v.GetUuid()}) ||
		t.hasPolicyRules(poolwirev1.PolicyLevel_POLICY_LEVEL_VIF, v.GetUuid()) ||
		(v.GetMac() == "" && v.GetNetworkUuid() == "" && v.GetVmUuid() == "") ||
		t.has(TableRules, indexVif, indexKey(v.GetUuid()))
}

// tidyVif forgets a VIF after a command took the last intent for it away; one that
// may be undone leaves that to its confirmation.
func (t *tx) tidyVif(uuid string) {
	if !t.confirming {
		t.forgetVif(uuid)
	}
}

// forgetVif drops a VIF that is plugged nowhere and that nobody cares about.
func (t *tx) forgetVif(uuid string) {
	v := t.Vif(uuid)
	if v != nil && !t.has(TablePorts, indexVif, indexKey(uuid)) && !t.vifIntent(v) {
		t.del(TableVifs, uuid)
	}
}

// refreshVif brings a VIF in line with the ports that name it.
func (t *tx) refreshVif(uuid string) {
	if uuid == "" {
		return
	}
	ports := t.PortsByVif(uuid)
	if len(ports) == 0 && t.takeClaims(uuid) {
		ports = t.PortsByVif(uuid)
	}
	if len(ports) == 0 {
		t.forgetVif(uuid)
		return
	}
	old := t.Vif(uuid)
	vif := &poolwirev1.Vif{Uuid: uuid, LockingMode: poolwirev1.LockingMode_LOCKING_MODE_NETWORK_DEFAULT}
	if old != nil {
		vif = proto.CloneOf(old)
	}
	if t.meaning >= meaningSecured {
		vif.HostUuid = holder(vif, ports)
		ports = portsOn(vif.GetHostUuid(), ports)
	}
	vif.Mac = keepOrFirst(vif.GetMac(), ports, (*storev1.Port).GetAttachedMac)
	vif.VmUuid = keepOrFirst(vif.GetVmUuid(), ports, (*storev1.Port).GetVmUuid)
	vif.ObservedLabels = labelsOf(ports)
	vif.NetworkUuid = keepOrFirst(vif.GetNetworkUuid(), ports, func(p *storev1.Port) string { return t.networkOfPort(p).GetUuid() })
	t.put(TableVifs, vif)
}

// labelsOf are the labels that ports report of a VIF. Where they disagree, the first
// by host and name counts.
func labelsOf(ports []*storev1.Port) map[string]string {
	var labels map[string]string
	for _, p := range slices.Backward(ports) {
		for k, v := range p.GetLabels() {
			if labels == nil {
				labels = map[string]string{}
			}
			labels[k] = v
		}
	}
	return labels
}

// keepOrFirst chooses what is true of a VIF with several ports (vif and tap).
// What is known stays as long as one port says
// so, and while none says anything; else it is what the first one says.
func keepOrFirst(have string, ports []*storev1.Port, says func(*storev1.Port) string) string {
	first := ""
	for _, p := range ports {
		switch s := says(p); {
		case s == "":
		case s == have:
			return have
		case first == "":
			first = s
		}
	}
	if first == "" {
		return have
	}
	return first
}

// networkOfPort is the network a port is plugged into, nil when not known.
func (t *tx) networkOfPort(p *storev1.Port) *poolwirev1.Network {
	return t.NetworkByPoolBridge(t.Host(p.GetHostUuid()).GetPoolUuid(), p.GetNetworkBridge())
}

// refreshVifsOf brings the VIFs on a network's ports in line after its record
// was made or dropped.
func (t *tx) refreshVifsOf(n *poolwirev1.Network) {
	for _, h := range t.HostsByPool(n.GetPoolUuid()) {
		key := indexKey(h.GetUuid(), n.GetBridge())
		for _, p := range list[*storev1.Port](&t.View, TablePorts, indexNetworkBridge, key) {
			t.refreshVif(p.GetVifUuid())
		}
	}
}
