// Package policytext writes rules in words: "drop tcp from 192.0.2.0/24 to
// local port 22". It is the one place where that is done, so that the API, the
// client, the log of denied packets and explanations call a rule the same.
//
// Rules are read from the VM: "from" is who sends to it, "to" is whom it sends
// to, "local" is its own end.
package policytext

import v1 "poolwire/proto/poolwire/v1"

// Names finds what rules refer to by UUID; each method returns nil for what does
// not exist. raftstore.View is one.
type Names interface {
	// Pool is the pool with a UUID.
	Pool(uuid string) *v1.Pool
	// Network is the network of a pool with a UUID.
	Network(uuid string) *v1.Network
	// PrivateNetwork is the private network with a UUID.
	PrivateNetwork(uuid string) *v1.PrivateNetwork
	// Vif is the VIF with a UUID.
	Vif(uuid string) *v1.Vif
	// VifGroup is the VIF group with a UUID.
	VifGroup(uuid string) *v1.VifGroup
	// AddressGroup is the address group with a UUID.
	AddressGroup(uuid string) *v1.AddressGroup
}

// labelled is what has a name for a person.
type labelled interface{ GetNameLabel() string }

// nameOr is the name_label of an object, or its UUID when it has none or is gone.
func nameOr(uuid string, o labelled) string {
	if name := o.GetNameLabel(); name != "" {
		return name
	}
	return uuid
}
