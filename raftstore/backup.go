package raftstore

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"google.golang.org/protobuf/types/known/timestamppb"

	"poolwire/backup"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// Backup returns the backup file of a view, which ReadView has given: only then does it
// hold every acknowledged write, and only then is the epoch in it that of a leader.
func (s *Store) Backup(v *View) ([]byte, error) {
	return encodeBackup(v, &poolwirev1.BackupManifest{
		Epoch: v.EpochBase() + s.Term(), Time: timestamppb.New(s.cfg.Now()), NodeId: s.cfg.NodeID, Version: s.cfg.Version,
	})
}

// encodeBackup fills in what the state itself tells.
func encodeBackup(v *View, m *poolwirev1.BackupManifest) ([]byte, error) {
	m.ClusterUuid, m.ClusterName, m.Revision = v.ClusterUUID(), v.ClusterName(), v.Revision()
	m.Commands, m.Meaning, m.Objects = commandsNow, meaningNow, map[string]uint32{}
	for i := range resources {
		for range v.each(resources[i].name, indexID, "") {
			m.Objects[resources[i].name]++
		}
	}
	return backup.Encode(m, (&snapshot{view: v}).write)
}

// OpenBackup returns the state in a backup file. It checks all that a restore does, but for
// what the cluster must be like.
//
// Errors: *InvalidError of the field "backup", which has the cause.
func OpenBackup(f *backup.File) (*View, error) {
	if err := knows(f.Manifest, commandsNow, meaningNow); err != nil {
		return nil, err
	}
	return openBackup(f)
}

// knows refuses a backup of a version that knows more than this.
func knows(m *poolwirev1.BackupManifest, commands, meaning uint32) error {
	if m.GetCommands() <= commands && m.GetMeaning() <= meaning {
		return nil
	}
	return badBackup(fmt.Errorf("was written by version %q, which knows more than is known here (command %d and meaning %d; here %d and %d): restore it with that version or a later one on every node",
		clip(m.GetVersion()), m.GetCommands(), m.GetMeaning(), commands, meaning))
}

func openBackup(f *backup.File) (*View, error) {
	m := f.Manifest
	var v *View
	err := f.State(func(from io.Reader) error {
		db, err := readSnapshot(bufio.NewReaderSize(from, 256<<10))
		if err != nil {
			return err
		}
		v = newView(db.read())
		return nil
	})
	if err == nil {
		err = v.checkBackup(m)
	}
	if err != nil {
		return nil, badBackup(err)
	}
	return v, nil
}

func badBackup(err error) error { return &InvalidError{Field: "backup", Reason: err.Error()} }

// maxBase bounds revisions and epochs in a backup: far above what a cluster reaches, far
// below where adding to them would wrap.
const maxBase = 1 << 62

// checkBackup refuses what no state of a cluster is. What depends on it in the state machine
// would stop all nodes alike.
func (v *View) checkBackup(m *poolwirev1.BackupManifest) error {
	switch {
	case v.ClusterUUID() != m.GetClusterUuid() || v.Revision() != m.GetRevision():
		return errors.New("its manifest tells of another state than its body holds")
	case checkKey("cluster_uuid", v.ClusterUUID()) != nil:
		return fmt.Errorf("its cluster has no proper UUID: %q", clip(v.ClusterUUID()))
	case v.Revision() >= maxBase || m.GetEpoch() >= maxBase || v.EpochBase() >= maxBase || v.RevisionBase() > v.Revision():
		return fmt.Errorf("revision %d or epoch %d is absurd", v.Revision(), m.GetEpoch())
	}
	ids := map[uint32]struct{}{}
	for i := range resources {
		r := &resources[i]
		for o := range v.each(r.name, indexID, "") {
			if err := checkRestored(r, o, v.meta().GetLastObjectId(), ids); err != nil {
				return fmt.Errorf("table %s: %w", r.name, err)
			}
		}
	}
	return v.checkReferences()
}

func checkRestored(r *resource, o *row, last uint32, ids map[uint32]struct{}) error {
	if o.key == "" {
		return errors.New("an object has no key")
	}
	if r.stamps == nil {
		return nil
	}
	id := *r.stamps(o.msg).id
	if _, twice := ids[id]; twice || id == 0 || id > last {
		return fmt.Errorf("object %s has object id %d, which is another's or was never given", clip(o.key), id)
	}
	ids[id] = struct{}{}
	return nil
}

// checkReferences refuses what is of a pool or a host that is not there.
func (v *View) checkReferences() error {
	of := func(what, key, kind string, there bool) error {
		if there {
			return nil
		}
		return fmt.Errorf("%s %s is of a %s that is missing", what, clip(key), kind)
	}
	var errs []error
	for _, h := range v.Hosts() {
		errs = append(errs, of("host", h.GetUuid(), "pool", v.Pool(h.GetPoolUuid()) != nil))
	}
	for _, n := range v.Networks() {
		errs = append(errs, of("network", n.GetUuid(), "pool", v.Pool(n.GetPoolUuid()) != nil))
	}
	for _, t := range []Table{TableBridges, TablePorts, TableHostFacts} {
		for o := range v.each(resourceOf(t).name, indexID, "") {
			errs = append(errs, of("a row of", t.String(), "host", v.Host(hostOf(o)) != nil))
		}
	}
	return firstError(errs...)
}

// hostOf is the host of what is reported by one.
func hostOf(o *row) string {
	if m, ok := o.msg.(interface{ GetHostUuid() string }); ok {
		return m.GetHostUuid()
	}
	return o.key
}
