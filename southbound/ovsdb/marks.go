package ovsdb

// Keys of external_ids that carry Poolwire's state on a host. external_ids is
// the only column that `ovs-vsctl emer-reset` leaves alone.
const (
	// KeyCluster (Open_vSwitch) is the uuid of the cluster that claimed the host.
	KeyCluster = "poolwire-cluster"
	// KeyEpoch (Open_vSwitch) is the epoch of the leader that claimed it, decimal.
	KeyEpoch = "poolwire-epoch"
	// KeyEncapIP (Open_vSwitch) is the host's tunnel endpoint, set by an operator.
	KeyEncapIP = "poolwire-encap-ip"
	// KeyOwner (Bridge, Port, Interface, Controller, Flow_Table) marks a row as
	// made by the cluster whose uuid is the value.
	KeyOwner = "poolwire-owner"
	// KeyObject says which object of the API an owned row stands for.
	KeyObject = "poolwire-object"
	// KeyFailModeBefore (Bridge of someone else) is the fail mode before Poolwire
	// was asked for another one, empty when there was none.
	KeyFailModeBefore = "poolwire-fail-mode-before"
	// KeyProtocolsAdded (Bridge of someone else) lists the protocols that Poolwire
	// added, separated by commas.
	KeyProtocolsAdded = "poolwire-protocols-added"
	// KeyPolicingBefore (Interface of someone else) is the ingress policing before Poolwire
	// limited a VIF by it: rate and burst, separated by a comma.
	KeyPolicingBefore = "poolwire-policing-before"
	// KeyLabelPrefix (Interface of a VIF) precedes the keys of labels, which the host's
	// administrator sets.
	KeyLabelPrefix = "poolwire-label-"
	// keyPrefix is common to all of them.
	keyPrefix = "poolwire-"
)

// Keys that others write.
const (
	keySystemID      = "system-id"
	keyXSSystemUUID  = "xs-system-uuid"
	keyXSNetworks    = "xs-network-uuids"
	keyXSNetwork     = "xs-network-uuid"
	keyXSVIF         = "xs-vif-uuid"
	keyXSVM          = "xs-vm-uuid"
	keyAttachedMAC   = "attached-mac"
	keyIfaceID       = "iface-id"
	keyVMID          = "vm-id"
	keyDisableInBand = "disable-in-band"
	// keyXONetwork is in Port.other_config of the tunnels that Xen Orchestra's plugin makes.
	keyXONetwork = "xo:sdn-controller:private-network-uuid"
	// fakePrefix precedes the keys of a fake bridge in its Port's external_ids
	// (ovs-vsctl br-set-external-id).
	fakePrefix = "fake-bridge-"
)

// ownedBy reports whether a row with these external_ids is the cluster's.
func ownedBy(externalIDs map[string]string, cluster string) bool {
	return cluster != "" && externalIDs[KeyOwner] == cluster
}
