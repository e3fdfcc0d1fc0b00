package raftstore

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"pgregory.net/rapid"

	"poolwire/backup"
	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/secrets"
)

func stage(id string, index int, data []byte) *storev1.Command {
	return &storev1.Command{Body: &storev1.Command_RestoreBackup{RestoreBackup: &storev1.RestoreBackup{
		Id: id, Step: storev1.RestoreStep_RESTORE_STEP_STAGE, Index: uint32(index), Data: data}}}
}

func commit(id string, parts int) *storev1.Command {
	return &storev1.Command{Body: &storev1.Command_RestoreBackup{RestoreBackup: &storev1.RestoreBackup{
		Id: id, Step: storev1.RestoreStep_RESTORE_STEP_COMMIT, Parts: uint32(parts)}}}
}

func discard(id string) *storev1.Command {
	return &storev1.Command{Body: &storev1.Command_RestoreBackup{RestoreBackup: &storev1.RestoreBackup{
		Id: id, Step: storev1.RestoreStep_RESTORE_STEP_DISCARD}}}
}

func takeOver(uuid string) *storev1.Command {
	return &storev1.Command{Body: &storev1.Command_TakeOverCluster{TakeOverCluster: &storev1.TakeOverCluster{ClusterUuid: uuid}}}
}

// restoreCommands cuts a file into parts of a size.
func restoreCommands(id string, data []byte, size int) []*storev1.Command {
	var out []*storev1.Command
	for len(data) > 0 {
		n := min(size, len(data))
		out = append(out, stage(id, len(out), data[:n]))
		data = data[n:]
	}
	return append(out, commit(id, len(out)))
}

func (m *machine) backup(epoch uint64) []byte {
	m.t.Helper()
	data, err := encodeBackup(m.view(), &poolwirev1.BackupManifest{Epoch: epoch, Version: "1"})
	if err != nil {
		m.t.Fatalf("backup: %v", err)
	}
	return data
}

// founded is an unused cluster of one node.
func founded(t tester, uuid string) *machine {
	m := newMachine(t)
	m.must(&storev1.Command{Body: &storev1.Command_BootstrapCluster{BootstrapCluster: &storev1.BootstrapCluster{ClusterUuid: uuid, ClusterName: uuid}}})
	m.must(&storev1.Command{Body: &storev1.Command_PutNode{PutNode: &storev1.PutNode{Node: &poolwirev1.Node{Id: "n of " + uuid}}}})
	return m
}

// checkSame holds a restored cluster against the one that was saved.
func checkSame(t tester, from, to *machine) {
	t.Helper()
	for i := range resources {
		r := &resources[i]
		want := rowsOf(from.view(), r)
		switch r.table {
		case TableNodes:
			continue // of the restored cluster are its own
		case TableBackupParts:
			want = nil
		}
		if diff := cmp.Diff(want, rowsOf(to.view(), r), protocmp.Transform()); len(want) > 0 && diff != "" {
			t.Fatalf("%s (-saved +restored):\n%s", r.name, diff)
		}
		if len(want) != len(rowsOf(to.view(), r)) {
			t.Fatalf("%s has %d objects, want %d", r.name, len(rowsOf(to.view(), r)), len(want))
		}
	}
}

// Whatever a cluster holds, a fresh one holds it after the restore, and goes on from there as
// a cluster whose revisions and epochs come after all of the other's.
func TestBackupRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		from := founded(rt, "old")
		var first []*storev1.Command
		if rapid.Bool().Draw(rt, "populated") {
			first = overlaid()
		}
		for i := range len(first) + rapid.IntRange(1, 40).Draw(rt, "length") {
			c := draw{rt}.command(from.view())
			if i < len(first) {
				c = first[i]
			}
			_, _ = from.apply(c)
		}
		to, twin := founded(rt, "new"), founded(rt, "new")
		const epoch = 41
		for _, c := range restoreCommands("x", from.backup(epoch), rapid.IntRange(200, 4000).Draw(rt, "part")) {
			to.must(c)
			twin.must(c)
			if rapid.IntRange(0, 4).Draw(rt, "snapshot") == 0 {
				twin = twin.restored()
			}
		}
		checkSame(rt, from, to)
		checkSense(rt, to.view())
		v := to.view()
		if v.ClusterUUID() != "old" || v.FoundingUUID() != "new" || v.ClusterName() != "new" || v.Node("n of new") == nil || len(v.Nodes()) != 1 {
			rt.Fatalf("cluster %s %s, nodes %v", v.ClusterUUID(), v.ClusterName(), v.Nodes())
		}
		if v.Revision() <= from.view().Revision()+1000 || v.EpochBase() <= epoch+1000 {
			rt.Fatalf("revision %d after %d, epochs from %d after %d", v.Revision(), from.view().Revision(), v.EpochBase(), epoch)
		}
		if _, _, err := to.f.history.after(from.view().Revision()); !errors.Is(err, ErrCompacted) {
			rt.Fatalf("a watch of the saved cluster goes on: %v", err)
		}
		for range 10 {
			c := draw{rt}.command(to.view())
			ra, ea := to.apply(c)
			rb, eb := twin.apply(c)
			if fmt.Sprint(ra, ea) != fmt.Sprint(rb, eb) || ea == nil && !ra.Duplicate && ra.Revision != to.view().Revision() {
				rt.Fatalf("%v: %v %v, %v %v at %d", c, ra, ea, rb, eb, to.view().Revision())
			}
		}
		if !bytes.Equal(to.snapshot(), twin.snapshot()) || !reflect.DeepEqual(to.f.requests, twin.f.requests) {
			rt.Fatalf("nodes of the restored cluster differ")
		}
	})
}

func TestRestoreNeedsAnUnusedCluster(t *testing.T) {
	t.Parallel()
	data := full(t).backup(1)
	m := founded(t, "new")
	m.must(createPool("p9"))
	for _, c := range restoreCommands("x", data, MaxBackupPart) {
		var not *PreconditionError
		if _, err := m.apply(c); !errors.As(err, &not) || !strings.Contains(err.Error(), "pools") {
			t.Errorf("got %v", err)
		}
	}
	if len(m.view().Pools()) != 1 || m.view().ClusterUUID() != "new" {
		t.Error("the cluster changed")
	}
}

// What was put down and not restored goes: by order, by another restore, and by itself once
// the cluster is used.
func TestAbandonedParts(t *testing.T) {
	t.Parallel()
	parts := func(m *machine) int { return len(rowsOf(m.view(), resourceOf(TableBackupParts))) }
	m := founded(t, "new")
	for i := range 3 {
		m.must(stage("x", i, []byte("abc")))
	}
	m.must(stage("x", 2, []byte("abc"))) // a retry
	if parts(m) != 3 {
		t.Fatalf("%d parts", parts(m))
	}
	if m.must(stage("y", 0, []byte("abc"))); parts(m) != 1 {
		t.Errorf("%d parts after another restore began", parts(m))
	}
	if m.must(discard("y")); parts(m) != 0 {
		t.Errorf("%d parts after they were thrown away", parts(m))
	}
	m.must(stage("z", 0, []byte("abc")))
	if m.must(createPool("p1")); parts(m) != 0 {
		t.Errorf("%d parts in a used cluster", parts(m))
	}
	for name, c := range map[string]*storev1.Command{
		"gap": stage("w", 1, []byte("x")), "empty": stage("w", 0, nil), "large": stage("w", 0, make([]byte, MaxBackupPart+1)),
		"many": stage("w", maxBackupParts, []byte("x")), "nothing there": commit("w", 1), "no parts": commit("w", 0), "absurd": commit("w", 1<<31), "no name": stage("", 0, []byte("x")),
	} {
		if m := founded(t, "new"); true {
			if _, err := m.apply(c); err == nil || m.f.err() != nil {
				t.Errorf("%s: %v, %v", name, err, m.f.err())
			}
		}
	}
}

// forged returns a file of a state that was tampered with, its checksums right.
func forged(t testing.TB, header *storev1.SnapshotHeader, change func(*poolwirev1.BackupManifest), records ...proto.Message) []byte {
	t.Helper()
	m := &poolwirev1.BackupManifest{ClusterUuid: header.GetClusterUuid(), Revision: header.GetRevision(), Version: "99.0"}
	change(m)
	data, err := backup.Encode(m, func(w io.Writer) error {
		for _, r := range append([]proto.Message{header}, records...) {
			if err := writeMessage(w, r); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func record(table Table, m proto.Message) *storev1.SnapshotRecord {
	data, _ := proto.Marshal(m)
	return &storev1.SnapshotRecord{Table: uint32(table), Object: data}
}

func TestRestoreRefusesBadFiles(t *testing.T) {
	t.Parallel()
	header := func() *storev1.SnapshotHeader {
		return &storev1.SnapshotHeader{Format: 1, Revision: 5, ClusterUuid: "c1", LastObjectId: 9}
	}
	with := func(change func(*storev1.SnapshotHeader)) *storev1.SnapshotHeader {
		h := header()
		change(h)
		return h
	}
	same := func(*poolwirev1.BackupManifest) {}
	pool := func(id uint32) *storev1.SnapshotRecord {
		return record(TablePools, &poolwirev1.Pool{Uuid: fmt.Sprint("p", id), NameLabel: "x", ObjectId: id})
	}
	good := full(t).backup(1)
	for name, tt := range map[string]struct {
		data []byte
		want string
	}{
		"cut":               {good[:len(good)-1], "cut off in its body"},
		"damaged":           {append(bytes.Clone(good[:len(good)-1]), good[len(good)-1]^1), "checksum"},
		"foreign":           {[]byte("#!/bin/sh"), "no backup"},
		"another manifest":  {forged(t, header(), func(m *poolwirev1.BackupManifest) { m.Revision = 6 }), "another state"},
		"absurd epoch":      {forged(t, header(), func(m *poolwirev1.BackupManifest) { m.Epoch = 1 << 63 }), "absurd"},
		"absurd revision":   {forged(t, with(func(h *storev1.SnapshotHeader) { h.Revision = 1 << 63 }), same), "absurd"},
		"no cluster":        {forged(t, with(func(h *storev1.SnapshotHeader) { h.ClusterUuid = "" }), same), "no proper UUID"},
		"newer snapshot":    {forged(t, with(func(h *storev1.SnapshotHeader) { h.Format = 3 }), same), "format 3"},
		"unknown table":     {forged(t, header(), same, &storev1.SnapshotRecord{Table: 99}), "table 99"},
		"id twice":          {forged(t, header(), same, pool(1), record(TableHosts, &poolwirev1.Host{Uuid: "h", PoolUuid: "p1", ObjectId: 1})), "object id 1"},
		"id never given":    {forged(t, header(), same, pool(10)), "object id 10"},
		"host of no pool":   {forged(t, header(), same, record(TableHosts, &poolwirev1.Host{Uuid: "h", PoolUuid: "p1", ObjectId: 1})), "pool that is missing"},
		"bridge of no host": {forged(t, header(), same, record(TableBridges, &storev1.Bridge{HostUuid: "h", Name: "b"})), "host that is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := founded(t, "new")
			cs := restoreCommands("x", tt.data, MaxBackupPart)
			for _, c := range cs[:len(cs)-1] {
				m.must(c)
			}
			before := m.view()
			var bad *InvalidError
			if _, err := m.apply(cs[len(cs)-1]); !errors.As(err, &bad) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if m.f.err() != nil || m.view().ClusterUUID() != "new" || len(m.view().Pools()) != 0 || m.view().Revision() != before.Revision()+1 {
				t.Errorf("the cluster changed: %v", m.f.err())
			}
		})
	}
}

// A backup of a version that knows more is refused before the log has it; a node that finds it
// in the log stops, for others may have taken it.
func TestBackupOfANewerVersion(t *testing.T) {
	t.Parallel()
	data := forged(t, &storev1.SnapshotHeader{Format: 1, Revision: 5, ClusterUuid: "c1"}, func(m *poolwirev1.BackupManifest) { m.Commands = commandsNow + 1 })
	f, err := backup.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenBackup(f); err == nil || !strings.Contains(err.Error(), `version "99.0"`) {
		t.Errorf("got %v", err)
	}
	s := openSingle(t, t.TempDir())
	cs := restoreCommands("x", data, MaxBackupPart)
	apply(t, s, cs[0])
	if _, err := s.CheckRestore(s.View(), "x", 1); err == nil || !strings.Contains(err.Error(), `version "99.0"`) {
		t.Errorf("got %v", err)
	}
	m := founded(t, "new")
	m.must(cs[0])
	if _, err := m.apply(cs[1]); !errors.Is(err, ErrStopped) {
		t.Errorf("got %v", err)
	}
}

// Every node of a cluster has what was restored, also after a restart, with the leader's
// subscribers told to look anew.
func TestRestoreInACluster(t *testing.T) {
	t.Parallel()
	saved := full(t)
	nodes := trio(t, steady)
	for _, n := range nodes[1:] { // that they know the command
		if _, err := nodes[0].AddNode(patience(t), n.self()); err != nil {
			t.Fatal(err)
		}
	}
	sub, err := nodes[0].Subscribe(nodes[0].View().Revision())
	if err != nil {
		t.Fatal(err)
	}
	var r Result
	for _, c := range restoreCommands("x", saved.backup(7), 500) {
		r = apply(t, nodes[0].Store, c)
	}
	if r.Revision <= saved.index {
		t.Fatalf("restored at revision %d, saved at %d", r.Revision, saved.index)
	}
	for err = nil; err == nil; {
		_, err = sub.Next(patience(t))
	}
	if !errors.Is(err, ErrCompacted) {
		t.Errorf("subscription: %v", err)
	}
	late := startNode(t, "n4", false, steady)
	joining := late.self()
	joining.StaysLearner = true
	if _, err := nodes[0].AddNode(patience(t), joining); err != nil {
		t.Fatal(err)
	}
	for _, n := range append(nodes, late) {
		n.reaches(t, r.Revision)
		if v := n.View(); v.ClusterUUID() != "c1" || v.Host("h2") == nil || v.PairKey("h1", "h2") == nil || v.EpochBase() == 0 {
			t.Errorf("%s has not what was restored", n.cfg.NodeID)
		}
	}
	next := apply(t, nodes[0].Store, createPool("p7"))
	if next.Revision <= r.Revision {
		t.Errorf("revision %d after %d", next.Revision, r.Revision)
	}
	dir, cfg := t.TempDir(), Config{NodeID: "n1", Bootstrap: true, Raft: quick()}
	cfg.Dir = dir
	s := open(t, cfg, true)
	for _, c := range restoreCommands("x", saved.backup(7), 500) {
		r = apply(t, s, c)
	}
	if err := s.Snapshot(patience(t)); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	s = open(t, cfg, true)
	if v := s.View(); v.Host("h2") == nil || v.Revision() < r.Revision || v.ClusterUUID() != "c1" {
		t.Error("lost by a restart")
	}
	data, err := s.Backup(s.View())
	if err != nil {
		t.Fatal(err)
	}
	f, err := backup.Decode(data)
	if err != nil || f.Manifest.GetEpoch() != s.View().EpochBase()+s.Term() || f.Manifest.GetObjects()["hosts"] != 2 {
		t.Errorf("%v, %v", f, err)
	}
}

// A cluster that takes the place of another keeps what it knows, and comes after it.
func TestTakeOver(t *testing.T) {
	t.Parallel()
	m := founded(t, "new")
	m.must(createPool("p1"))
	before := m.view()
	m.must(takeOver("lost"))
	v := m.view()
	if v.ClusterUUID() != "lost" || v.Pool("p1") == nil || v.Revision() <= before.Revision()+1000 {
		t.Errorf("cluster %s at %d", v.ClusterUUID(), v.Revision())
	}
	if later := uint64(time.Unix(1_700_000_000, 0).Unix()) * epochStep; v.EpochBase() < later {
		t.Errorf("epochs from %d, want at least %d", v.EpochBase(), later)
	}
	if _, _, err := m.f.history.after(before.Revision()); !errors.Is(err, ErrCompacted) {
		t.Errorf("the leader goes on as it was: %v", err)
	}
	if v.FoundingUUID() != "new" {
		t.Errorf("nodes know each other by %s", v.FoundingUUID())
	}
	if _, err := m.apply(takeOver("lost")); err == nil {
		t.Error("taken over twice")
	}
	if n := m.restored(); n.view().EpochBase() != v.EpochBase() || n.view().RevisionBase() != v.RevisionBase() {
		t.Error("a snapshot loses the bases")
	}
}

// After a loss hosts report their networks and VIFs again. What had been asked for them, and
// all that no host knows of, is named.
func TestMissingIntent(t *testing.T) {
	t.Parallel()
	old := full(t)
	old.must(putVif(&poolwirev1.Vif{Uuid: "v1", LockingMode: poolwirev1.LockingMode_LOCKING_MODE_LOCKED, Ipv4Allowed: []string{"192.0.2.1"}}, false))
	now := founded(t, "new")
	report := func(m *machine) {
		m.must(observe(&storev1.ObserveHost{HostUuid: "h1", Bridges: []*storev1.Bridge{{Name: "xenbr0", Mtu: 1500}},
			Ports: []*storev1.Port{vifPort("vif1.0", "xenbr0", "v1", "02:00:00:00:00:01"), vifPort("vif2.0", "xenbr0", "v2", "02:00:00:00:00:02")}}))
	}
	report(old)
	now.must(createPool("p1"))
	now.must(createHost("h1", "p1"))
	report(now)
	got := map[string]Missing{}
	for _, m := range MissingIntent(old.view(), now.view()) {
		got[string(m.Kind)+" "+m.UUID] = m
	}
	for key, known := range map[string]bool{"host h2": false, "private network pn1": false, "private network pn2": false, "VIF v1": true, "rule r1": false,
		"policy rule pr1": false, "address group ag1": false, "VIF group vg1": false} {
		if m, there := got[key]; !there || m.Known != known {
			t.Errorf("%s: %+v, %v", key, m, there)
		}
		delete(got, key)
	}
	if len(got) != 0 {
		t.Errorf("also: %v", got)
	}
	if m := MissingIntent(old.view(), old.restored().view()); len(m) != 0 {
		t.Errorf("of itself: %v", m)
	}
}

// Keys of encrypted networks are sealed in a backup, and after a restore the same key file
// opens them, and no other.
func TestSecretsStaySealed(t *testing.T) {
	t.Parallel()
	ring, err := secrets.Open(filepath.Join(t.TempDir(), "secrets.key"), true)
	if err != nil {
		t.Fatal(err)
	}
	other, err := secrets.Open(filepath.Join(t.TempDir(), "secrets.key"), true)
	if err != nil {
		t.Fatal(err)
	}
	psk := secrets.Preshared()
	m := full(t)
	k := key("h1", "h2", 4)
	k.SealedPsk = ring.Seal(psk, "test")
	m.must(putKey(k))
	data := m.backup(1)
	f, err := backup.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.State(func(r io.Reader) error {
		state, err := io.ReadAll(r)
		if bytes.Contains(state, []byte(psk.Reveal())) || !bytes.Contains(state, k.GetSealedPsk()) {
			t.Error("the secret is not sealed")
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	to := founded(t, "new")
	for _, c := range restoreCommands("x", data, MaxBackupPart) {
		to.must(c)
	}
	sealed := to.view().PairKey("h1", "h2").GetSealedPsk()
	if got, err := ring.Open(sealed, "test"); err != nil || got.Reveal() != psk.Reveal() {
		t.Errorf("opened: %v", err)
	}
	if _, err := other.Open(sealed, "test"); !errors.Is(err, secrets.ErrUnknownKey) {
		t.Errorf("another key file: %v", err)
	}
}

// What was granted when the backup was made is back, or not: whoever restores says so. Tokens, and certificates that are
// revoked here, stay as they are.
func TestRestoreOfGrants(t *testing.T) {
	t.Parallel()
	from := founded(t, "old")
	from.must(grantTo("shop", "", ""))
	data := from.backup(1)
	for keep, want := range map[bool]int{false: 1, true: 0} {
		to := founded(t, "new")
		commands := restoreCommands("x", data, MaxBackupPart)
		commands[len(commands)-1].GetRestoreBackup().KeepGrants = keep
		for _, c := range commands {
			to.must(c)
		}
		if got := len(to.view().Grants()); got != want {
			t.Errorf("keep %v: %d grants, want %d", keep, got, want)
		}
	}
}
