package ovsdb

import (
	"fmt"
	"strconv"
)

// ClaimEpoch returns the operations by which a leader takes a host over: from
// then on plans of an earlier epoch fail there. None when the host is claimed for
// this epoch already. The claim is a compare-and-swap: it fails ([ErrFenced])
// when someone else has claimed the host since the snapshot.
//
// Errors: [ErrForeignCluster], [ErrNewerEpoch], [ErrNoRoot].
func ClaimEpoch(s *Snapshot, cluster string, epoch uint64) ([]Operation, error) {
	root := s.OpenVSwitch
	if root == nil {
		return nil, ErrNoRoot
	}
	was, claimed := root.ExternalIDs[KeyCluster]
	if claimed && was != cluster {
		return nil, fmt.Errorf("%w: %.64q, ours is %s", ErrForeignCluster, was, cluster)
	}
	wasEpoch := claimedEpoch(root.ExternalIDs)
	if wasEpoch > epoch {
		return nil, fmt.Errorf("%w: %d, ours is %d", ErrNewerEpoch, wasEpoch, epoch)
	}
	if claimed && wasEpoch == epoch {
		return nil, nil
	}
	want := claim(cluster, epoch)
	seen := map[string]string{}
	var edit mapEdit
	for _, key := range names(want) {
		value, had := root.ExternalIDs[key]
		if had {
			seen[key] = value
		}
		if value != want[key] {
			edit.set(root.ExternalIDs, key, want[key])
		}
	}
	// A key that was absent needs no check before: inserting it does not replace
	// one that has come since, and then the check after fails.
	var ops []Operation
	if len(seen) > 0 {
		ops = append(ops, waitIncludes(root.UUID, seen))
	}
	ops = append(ops, mutateOp(tableOpenVSwitch, root.UUID, edit.mutations("external_ids")...))
	return append(ops, waitIncludes(root.UUID, want)), nil
}

func claim(cluster string, epoch uint64) map[string]string {
	return map[string]string{KeyCluster: cluster, KeyEpoch: strconv.FormatUint(epoch, 10)}
}

// guard is the operation that fails the transaction of a leader whose claim is
// no longer the host's. Other keys of external_ids do not matter.
func guard(rootUUID, cluster string, epoch uint64) Operation {
	return waitIncludes(rootUUID, claim(cluster, epoch))
}
