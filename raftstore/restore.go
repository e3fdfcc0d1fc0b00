package raftstore

import (
	"fmt"
	"slices"
	"strconv"

	"poolwire/backup"
	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// A backup is restored by commands of the log: its parts are put down one by one, so that
// no entry is large, and the last command checks them and replaces the state in one
// transaction, on every node alike. What fails in the middle leaves parts behind and an
// unused cluster; a leader that is replaced meanwhile does not matter.

// Bounds of what is put down.
const (
	// MaxBackupPart bounds one part, in bytes.
	MaxBackupPart  = 1 << 20
	maxBackupParts = backup.MaxFile / MaxBackupPart
)

// Bases of revisions and epochs. A restored cluster counts on from the next multiple, far
// beyond what the cluster of the backup can have reached since: nothing seems older than it is.
const (
	// revisionStep is what the revisions of two lives of a cluster differ by at least.
	revisionStep = 1 << 32
	// epochStep leaves room for as many elections before two lives have the same epoch.
	epochStep = 1 << 24
)

// RevisionBase is what is added to an index of the log to make a revision.
func (v *View) RevisionBase() uint64 { return v.meta().GetRevisionBase() }

// EpochBase is what is added to the term of Raft to make the epoch of a leader: what hosts
// are claimed with, and what switches compare.
func (v *View) EpochBase() uint64 { return v.meta().GetEpochBase() }

// checkUnused refuses a cluster in which anything was ever registered and still is.
func (t *tx) checkUnused() error {
	for i := range resources {
		switch r := &resources[i]; r.table {
		case TableNodes, TableRequests, TableSettings, TableBackupParts, TableAudit, TableTokens, TableGrants, TableCertificates, TableTrustAnchors:
		default:
			if t.first(r.name, indexID, "") != nil {
				return &PreconditionError{Kind: KindCluster, ID: t.ClusterUUID(),
					Reason: fmt.Sprintf("a backup is restored into an unused cluster only, and this one has %s: found a new one", r.name)}
			}
		}
	}
	return nil
}

func partKey(id string, index uint32) string { return fmt.Sprintf("%s/%08d", id, index) }

func (t *tx) restoreBackup(c *storev1.RestoreBackup) (Result, error) {
	if err := firstError(checkKey("restore_id", c.GetId()), t.checkUnused()); err != nil {
		return Result{}, err
	}
	switch c.GetStep() {
	case storev1.RestoreStep_RESTORE_STEP_STAGE:
		return Result{}, t.stageBackup(c)
	case storev1.RestoreStep_RESTORE_STEP_DISCARD:
		t.dropParts("")
		return Result{}, nil
	case storev1.RestoreStep_RESTORE_STEP_COMMIT:
		return Result{}, t.commitBackup(c)
	}
	return Result{}, &InvalidError{Field: "step", Value: c.GetStep().String(), Reason: "is no step of a restore"}
}

// stageBackup puts one part down. The same part may come twice.
func (t *tx) stageBackup(c *storev1.RestoreBackup) error {
	switch n := len(c.GetData()); {
	case n == 0 || n > MaxBackupPart:
		return &InvalidError{Field: "data", Value: strconv.Itoa(n) + " bytes", Reason: "must have 1 to 1048576 bytes"}
	case c.GetIndex() >= maxBackupParts:
		return &InvalidError{Field: "index", Value: strconv.Itoa(int(c.GetIndex())), Reason: "is more than any backup has"}
	case c.GetIndex() > 0 && t.message(TableBackupParts, partKey(c.GetId(), c.GetIndex()-1)) == nil:
		return &PreconditionError{Kind: KindCluster, ID: t.ClusterUUID(),
			Reason: fmt.Sprintf("of restore %s, the part before number %d is not there: begin anew", clip(c.GetId()), c.GetIndex())}
	}
	if c.GetIndex() == 0 {
		t.dropParts(c.GetId())
	}
	t.put(TableBackupParts, &storev1.BackupPart{Id: c.GetId(), Index: c.GetIndex(), Data: c.GetData()})
	return nil
}

// dropParts removes the parts of all restores but one.
func (t *tx) dropParts(but string) {
	for _, p := range all[*storev1.BackupPart](&t.View, TableBackupParts) {
		if p.GetId() != but {
			t.del(TableBackupParts, partKey(p.GetId(), p.GetIndex()))
		}
	}
}

// stagedBackup returns the file whose parts were put down.
func (v *View) stagedBackup(id string, parts uint32) (*backup.File, error) {
	var data []byte
	for i := range min(parts, maxBackupParts) {
		p := get[*storev1.BackupPart](v, TableBackupParts, partKey(id, i))
		if p == nil {
			return nil, &PreconditionError{Kind: KindCluster, ID: v.ClusterUUID(),
				Reason: fmt.Sprintf("of restore %s, part %d of %d is not there: begin anew", clip(id), i, parts)}
		}
		data = append(data, p.GetData()...)
	}
	f, err := backup.Decode(data)
	if err != nil {
		return nil, badBackup(err)
	}
	return f, nil
}

// CheckRestore says what a restore of the parts in a view would bring back, or why it
// cannot be: besides what the state machine finds, whether every member of the cluster
// understands what is in the backup.
//
// Errors: *InvalidError of the field "backup", which has the cause; *PreconditionError when
// parts are missing.
func (s *Store) CheckRestore(v *View, id string, parts uint32) (*poolwirev1.BackupManifest, error) {
	f, err := v.stagedBackup(id, parts)
	if err != nil {
		return nil, err
	}
	u := s.understanding()
	if err := knows(f.Manifest, u.commands, u.meaning); err != nil {
		return nil, err
	}
	_, err = openBackup(f)
	return f.Manifest, err
}

// commitBackup replaces the state.
func (t *tx) commitBackup(c *storev1.RestoreBackup) error {
	f, err := t.stagedBackup(c.GetId(), c.GetParts())
	if err != nil {
		return err
	}
	if err := knows(f.Manifest, commandsNow, meaningNow); err != nil {
		// Newer members may have restored it. See CheckRestore.
		return fmt.Errorf("%w: %w", errSchema, err)
	}
	state, err := openBackup(f)
	if err != nil {
		return err
	}
	t.dropParts("")
	for i := range resources {
		r := &resources[i]
		switch {
		case r.table == TableNodes, r.table == TableBackupParts, r.table == TableTrustAnchors, // the CAs are those of the nodes
			r.table == TableTokens, // one that was revoked since the backup was made must not be good again
			r.table == TableGrants && c.GetKeepGrants(),
			r.table == TableAudit && state.AuditEnds().Head == 0:
			continue
		case r.table == TableCertificates:
			t.addCertificates(state)
			continue
		}
		for _, o := range slices.Collect(t.each(r.name, indexID, "")) {
			t.remove(r.name, o)
		}
		for o := range state.each(r.name, indexID, "") {
			t.insert(r.name, o)
		}
	}
	t.takeOverAudit(state.AuditEnds())
	t.header.FoundingUuid, t.header.ClusterUuid = t.FoundingUUID(), state.ClusterUUID()
	t.header.LastObjectId = max(t.header.GetLastObjectId(), state.meta().GetLastObjectId())
	t.laterThan(f.Manifest.GetRevision(), f.Manifest.GetEpoch())
	return nil
}

// laterThan makes revisions and epochs from here on greater than those of another life of
// the cluster, which may have gone on since it was last heard of.
func (t *tx) laterThan(revision, epoch uint64) {
	base := max(revision, t.revision)/revisionStep*revisionStep + revisionStep
	t.revision += base - t.header.GetRevisionBase()
	t.header.Revision, t.header.RevisionBase = t.revision, base
	// Of two clusters that were made from one backup the later one wins the hosts.
	t.header.EpochBase = max(max(epoch, t.header.GetEpochBase())/epochStep*epochStep+epochStep, uint64(max(t.time.GetSeconds(), 0))*epochStep)
	t.header.Format = snapshotFormatBased
}

// takeOver gives the cluster the identity of a lost one. What the cluster knows stays.
func (t *tx) takeOver(c *storev1.TakeOverCluster) (Result, error) {
	if err := checkKey("cluster_uuid", c.GetClusterUuid()); err != nil {
		return Result{}, err
	}
	if c.GetClusterUuid() == t.ClusterUUID() {
		return Result{}, &PreconditionError{Kind: KindCluster, ID: t.ClusterUUID(), Reason: "that is this cluster"}
	}
	t.header.FoundingUuid, t.header.ClusterUuid = t.FoundingUUID(), c.GetClusterUuid()
	t.laterThan(t.revision, t.header.GetEpochBase())
	return Result{}, nil
}

// dropStale removes what was put down for a restore and never restored, once the cluster
// is used.
func (t *tx) dropStale(c *storev1.Command) {
	if c.GetRestoreBackup() == nil && t.first(resourceOf(TableBackupParts).name, indexID, "") != nil && t.checkUnused() != nil {
		t.dropParts("")
	}
}
