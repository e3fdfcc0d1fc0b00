package raftstore

import (
	storev1 "poolwire/proto/poolwire/store/v1"
)

// command declares one command of the log.
type command struct {
	// name is the proto name of the oneof member.
	name string
	// apply checks the command against the state and makes its changes. An
	// error refuses it as a whole: nothing it did is kept.
	apply func(*tx, *storev1.Command) (Result, error)
}

// commands declares all commands by number, which is the field number in
// Command.body. Numbers are append-only; a retired one stays as a hole.
var commands = [...]command{
	1:  {"bootstrap_cluster", on((*storev1.Command).GetBootstrapCluster, (*tx).bootstrapCluster)},
	2:  {"put_pool", on((*storev1.Command).GetPutPool, (*tx).putPool)},
	3:  {"delete_pool", on((*storev1.Command).GetDeletePool, (*tx).deletePool)},
	4:  {"put_host", on((*storev1.Command).GetPutHost, (*tx).putHost)},
	5:  {"delete_host", on((*storev1.Command).GetDeleteHost, (*tx).deleteHost)},
	6:  {"put_network", on((*storev1.Command).GetPutNetwork, (*tx).putNetwork)},
	7:  {"put_private_network", on((*storev1.Command).GetPutPrivateNetwork, (*tx).putPrivateNetwork)},
	8:  {"delete_private_network", on((*storev1.Command).GetDeletePrivateNetwork, (*tx).deletePrivateNetwork)},
	9:  {"put_vif", on((*storev1.Command).GetPutVif, (*tx).putVif)},
	10: {"delete_vif", on((*storev1.Command).GetDeleteVif, (*tx).deleteVif)},
	11: {"put_rule", on((*storev1.Command).GetPutRule, (*tx).putRule)},
	12: {"delete_rules", on((*storev1.Command).GetDeleteRules, (*tx).deleteRules)},
	13: {"observe_host", on((*storev1.Command).GetObserveHost, (*tx).observeHost)},
	14: {"put_node", on((*storev1.Command).GetPutNode, (*tx).putNode)},
	15: {"delete_node", on((*storev1.Command).GetDeleteNode, (*tx).deleteNode)},
	16: {"put_policy_rule", on((*storev1.Command).GetPutPolicyRule, (*tx).putPolicyRule)},
	17: {"delete_policy_rule", on((*storev1.Command).GetDeletePolicyRule, (*tx).deletePolicyRule)},
	18: {"put_address_group", on((*storev1.Command).GetPutAddressGroup, (*tx).putAddressGroup)},
	19: {"delete_address_group", on((*storev1.Command).GetDeleteAddressGroup, (*tx).deleteAddressGroup)},
	20: {"put_vif_group", on((*storev1.Command).GetPutVifGroup, (*tx).putVifGroup)},
	21: {"delete_vif_group", on((*storev1.Command).GetDeleteVifGroup, (*tx).deleteVifGroup)},
	22: {"modify_group", on((*storev1.Command).GetModifyGroup, (*tx).modifyGroup)},
	23: {"expire_policy_rules", on((*storev1.Command).GetExpirePolicyRules, (*tx).expirePolicyRules)},
	24: {"resolve_change", on((*storev1.Command).GetResolveChange, (*tx).resolveChange)},
	25: {"put_pair_keys", on((*storev1.Command).GetPutPairKeys, (*tx).putPairKeys)},
	26: {"put_relays", on((*storev1.Command).GetPutRelays, (*tx).putRelays)},
	27: {"observe_protection", on((*storev1.Command).GetObserveProtection, (*tx).observeProtection)},
	28: {"observe_multicast", on((*storev1.Command).GetObserveMulticast, (*tx).observeMulticast)},
	29: {"put_cluster_settings", on((*storev1.Command).GetPutClusterSettings, (*tx).putClusterSettings)},
	30: {"restore_backup", on((*storev1.Command).GetRestoreBackup, (*tx).restoreBackup)},
	31: {"take_over_cluster", on((*storev1.Command).GetTakeOverCluster, (*tx).takeOver)},
	32: {"put_certificates", on((*storev1.Command).GetPutCertificates, (*tx).putCertificates)},
	33: {"revoke_certificates", on((*storev1.Command).GetRevokeCertificates, (*tx).revokeCertificates)},
	34: {"put_trust_anchors", on((*storev1.Command).GetPutTrustAnchors, (*tx).putTrustAnchors)},
	35: {"put_token", on((*storev1.Command).GetPutToken, (*tx).putToken)},
	36: {"delete_token", on((*storev1.Command).GetDeleteToken, (*tx).deleteToken)},
	37: {"put_grant", on((*storev1.Command).GetPutGrant, (*tx).putGrant)},
	38: {"delete_grant", on((*storev1.Command).GetDeleteGrant, (*tx).deleteGrant)},
	39: {"put_audit", on((*storev1.Command).GetPutAudit, (*tx).putAudit)},
}

// on joins a oneof getter and the function that applies the body.
func on[B any](body func(*storev1.Command) B, apply func(*tx, B) (Result, error)) func(*tx, *storev1.Command) (Result, error) {
	return func(t *tx, c *storev1.Command) (Result, error) { return apply(t, body(c)) }
}

// numberOf returns the number of a command, 0 when it has no body or one this
// version does not know.
func numberOf(c *storev1.Command) uint32 {
	m := c.ProtoReflect()
	field := m.WhichOneof(m.Descriptor().Oneofs().ByName("body"))
	if field == nil {
		return 0
	}
	return uint32(field.Number())
}

// commandOf returns the declaration of a command, nil for an unknown number.
func commandOf(number uint32) *command {
	if int(number) >= len(commands) || commands[number].apply == nil {
		return nil
	}
	return &commands[number]
}

// Meanings of commands. Some commands came to mean more than they did in the first
// version. An entry of the log is applied as the version understood it that proposed
// it: a node that replays it then gets the state of those that have it from a snapshot.
const (
	// meaningPolicies is that of the version that brought policies: hosts' reports
	// give zones to VIFs, networks say ALLOW for their default actions, and
	// default_locking_mode changes under attached VIFs only when forced.
	meaningPolicies = 1
	// meaningOverlay is that of the version that brought topologies and encryption: private
	// networks say MESH for their topology and get relay VNIs, hosts say BRIDGE for their guard
	// and PSK for their credential, what is asked of these fields is checked, and rules of
	// XCP-ng's form say who made them.
	meaningOverlay = 2
	// meaningPlanned is that of the version that brought terms: a command says in which term
	// it was planned, and does nothing in another one.
	meaningPlanned = 3
	// meaningSecured is that of the version that brought access, audit and locks to hosts.
	meaningSecured = 4
	// meaningNow is what this version proposes.
	meaningNow = meaningSecured
)

// meaningOf returns the meaning of a command.
func meaningOf(c *storev1.Command) uint32 { return c.GetMeaning() }

// Result is what a command did.
type Result struct {
	// Revision is the command's index in the log and View.RevisionBase. Of a
	// repeated request it is that of the first command.
	Revision uint64
	// UUIDs are the resources the command wrote or, for DeleteRules, removed;
	// the one asked for comes first. Empty for commands about hosts' reports.
	UUIDs []string
	// Replaced are the rules a PutRule in mode REPLACE removed.
	Replaced []string
	// Pairs is how many pairs of hosts a request for new keys was about.
	Pairs uint32
	// Pending is the id of the pending change that a command with confirm_within left.
	Pending string
	// Duplicate says that the request id was seen before: the command did
	// nothing and the other fields are the first outcome.
	Duplicate bool
}

// wrote is the result of a command that wrote or removed these resources.
func wrote(uuids ...string) Result { return Result{UUIDs: uuids} }
