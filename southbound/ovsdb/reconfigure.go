package ovsdb

import (
	"slices"

	libovsdb "github.com/ovn-kubernetes/libovsdb/ovsdb"
)

// Unmade returns the names of a cluster's interfaces that ovs-vswitchd has not been
// able to set up (Interface.error, ovs-vswitchd.conf.db(5)), sorted.
func Unmade(s *Snapshot, cluster string) []string {
	var out []string
	for _, i := range s.Interfaces {
		if i.Error != "" && ownedBy(i.ExternalIDs, cluster) {
			out = append(out, i.Name)
		}
	}
	slices.Sort(out)
	return out
}

// Reconfigure returns the operations that have ovs-vswitchd go over its configuration
// once more, as after a change by ovs-vsctl: it increments Open_vSwitch.next_cfg. What
// could not be set up is tried again then, and not before. OVS has been seen to refuse,
// for one, a tunnel with the same ends as another that goes in the same transaction ("File
// exists"), although it takes that one away first. None without a root row.
func Reconfigure(s *Snapshot, cluster string, epoch uint64) []Operation {
	if s.OpenVSwitch == nil {
		return nil
	}
	root := s.OpenVSwitch.UUID
	return []Operation{
		guard(root, cluster, epoch),
		mutateOp(tableOpenVSwitch, root, *libovsdb.NewMutation("next_cfg", libovsdb.MutateOperationAdd, 1)),
	}
}
