package raftstore

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"poolwire/auditchain"
	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// verifyChain verifies the chain of a state as a client does.
func verifyChain(v *View, expected ...auditchain.Head) error {
	ends := v.AuditEnds()
	c := auditchain.New(auditchain.Head{Sequence: ends.Anchor, Hash: ends.AnchorHash}, expected...)
	for n := ends.Anchor + 1; n <= ends.Head; n++ {
		e := v.AuditEntry(n)
		if e == nil {
			continue
		}
		if err := c.Add(e.GetSequence(), e.GetRecord(), e.GetHash()); err != nil {
			return err
		}
	}
	return c.End(auditchain.Head{Sequence: ends.Head, Hash: ends.HeadHash})
}

// tampered returns the state of a snapshot of which somebody has changed rows and header.
func tampered(t *testing.T, m *machine, change func(txn *txn, header *storev1.SnapshotHeader)) *View {
	t.Helper()
	db, err := readSnapshot(bufio.NewReader(bytes.NewReader(m.snapshot())))
	if err != nil {
		t.Fatal(err)
	}
	txn := db.write()
	header := proto.CloneOf((&View{txn: txn}).meta())
	change(txn, header)
	txn.insert(metaTable, &row{key: metaTable, msg: header})
	txn.commit()
	return newView(db.read())
}

func TestTamperingShows(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	for i := range 10 {
		m.must(asks("ada", createPool(fmt.Sprint("p", i))))
	}
	name := resourceOf(TableAudit).name
	ends := m.view().AuditEnds()
	noted := auditchain.Head{Sequence: ends.Head, Hash: ends.HeadHash}
	if err := verifyChain(m.view(), noted); err != nil {
		t.Fatal(err)
	}
	forge := func(v *View, n uint64, hash []byte) *storev1.AuditEntry {
		r := v.AuditRecord(n)
		r.Origin.Who = "eve"
		data, _ := proto.Marshal(r)
		e := &storev1.AuditEntry{Sequence: n, Record: data, Hash: hash}
		if hash == nil {
			e.Hash = auditchain.Next(v.AuditEntry(n-1).GetHash(), data)
		}
		return e
	}
	for what, c := range map[string]struct {
		change func(*txn, *storev1.SnapshotHeader)
		want   string
	}{
		"a record is edited": {func(txn *txn, _ *storev1.SnapshotHeader) {
			txn.insert(name, &row{key: auditKey(5), msg: forge(&View{txn: txn}, 5, m.view().AuditEntry(5).GetHash())})
		}, "record 5 was changed"},
		"a record and its hash are edited": {func(txn *txn, _ *storev1.SnapshotHeader) {
			txn.insert(name, &row{key: auditKey(5), msg: forge(&View{txn: txn}, 5, nil)})
		}, "record 6 was changed"},
		"a record is removed": {func(txn *txn, _ *storev1.SnapshotHeader) { txn.remove(name, auditKey(5)) }, "record 5 is missing"},
		"the end is cut off": {func(txn *txn, h *storev1.SnapshotHeader) {
			txn.remove(name, auditKey(10))
			h.AuditSequence, h.AuditHash = 9, (&View{txn: txn}).AuditEntry(9).GetHash()
		}, "cut off"},
		"the chain is written anew": {func(txn *txn, h *storev1.SnapshotHeader) {
			for n := uint64(5); n <= 10; n++ {
				e := forge(&View{txn: txn}, n, nil)
				txn.insert(name, &row{key: auditKey(n), msg: e})
				h.AuditHash = e.GetHash()
			}
		}, "written anew"},
	} {
		err := verifyChain(tampered(t, m, c.change), noted)
		if !errors.Is(err, auditchain.ErrBroken) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", what, err, c.want)
		}
	}
}

// A restored backup goes on with its own chain, and names that in whose place it came.
func TestAuditAfterRestore(t *testing.T) {
	t.Parallel()
	saved := newMachine(t)
	saved.must(&storev1.Command{Body: &storev1.Command_BootstrapCluster{BootstrapCluster: &storev1.BootstrapCluster{ClusterUuid: "c1", ClusterName: "paris"}}})
	saved.must(asks("ada", createPool("p1")))
	lost := saved.view().AuditEnds()
	data := saved.backup(7)

	m := newMachine(t)
	m.must(&storev1.Command{Body: &storev1.Command_BootstrapCluster{BootstrapCluster: &storev1.BootstrapCluster{ClusterUuid: "c2", ClusterName: "paris"}}})
	own := m.view().AuditEnds()
	for _, c := range restoreCommands("x", data, 500) {
		m.must(asks("ada", c))
	}
	records := m.records()
	r := records[len(records)-1]
	if r.GetSequence() != lost.Head+1 || !r.GetBreak() || r.GetReplacedSequence() != own.Head || !bytes.Equal(r.GetReplacedHash(), own.HeadHash) {
		t.Errorf("record of the restore: %v", r)
	}
	if err := verifyChain(m.view(), auditchain.Head{Sequence: lost.Head, Hash: lost.HeadHash}); err != nil {
		t.Errorf("the chain of the backup does not go on: %v", err)
	}
	m.must(asks("ada", createPool("p2")))
	if _, err := m.view().PastRevision(2); err == nil {
		t.Error("the past goes on before the restore")
	}
	if past, err := m.view().PastRevision(r.GetRevision()); err != nil || past.View.Pool("p1") == nil {
		t.Errorf("the past after the restore: %v", err)
	}
}

// BenchmarkAudit is what records cost: rules that are changed again and again, with and without them. It reports the bytes
// of a record and those that a snapshot grows by.
func BenchmarkAudit(b *testing.B) {
	for name, meaning := range map[string]uint32{"recorded": meaningNow, "not recorded": meaningPlanned} {
		b.Run(name, func(b *testing.B) {
			m := newMachine(b)
			for _, c := range []*storev1.Command{createPool("p1"), createHost("h1", "p1"),
				observe(&storev1.ObserveHost{HostUuid: "h1", Bridges: []*storev1.Bridge{{Name: "xenbr0"}}, Ports: []*storev1.Port{vifPort("vif1.0", "xenbr0", "v1", macA)}})} {
				m.must(c)
			}
			m.must(putPolicy(policy("pr1", ofVif("v1")), true))
			before, _ := len(m.snapshot()), b.Elapsed()
			b.ResetTimer()
			for i := range b.N {
				c := asks("ada", putPolicy(policy("pr1", ofVif("v1"), func(r *poolwirev1.PolicyRule) { r.NameLabel = fmt.Sprint("rule ", i) }), false))
				c.Meaning = meaning
				m.must(c)
			}
			b.StopTimer()
			e := m.view().AuditEnds()
			if n := e.Head - e.Anchor; n > 0 {
				b.ReportMetric(float64(e.Bytes)/float64(n), "B/record")
				b.ReportMetric(float64(len(m.snapshot())-before)/float64(n), "snapshot-B/record")
			}
		})
	}
}

// BenchmarkPast is what the policy of an earlier time costs: as many records as are kept by default are undone.
func BenchmarkPast(b *testing.B) {
	m := newMachine(b)
	m.must(asks("ada", putPolicy(policy("pr1"), true)))
	for i := range defaultAuditKeepEntries - 1 {
		m.must(asks("ada", putPolicy(policy("pr1", func(r *poolwirev1.PolicyRule) { r.NameLabel = fmt.Sprint("rule ", i) }), false)))
	}
	v := m.view()
	b.ResetTimer()
	for range b.N {
		if _, err := v.PastRevision(1); err != nil {
			b.Fatal(err)
		}
	}
}
