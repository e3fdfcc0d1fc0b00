package raftstore

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// Every member of the oneof has a declaration of the same number and name, and
// there are no others: a command without one would stop every node.
func TestEveryCommandIsDeclared(t *testing.T) {
	t.Parallel()
	fields := (&storev1.Command{}).ProtoReflect().Descriptor().Oneofs().ByName("body").Fields()
	declared := 0
	for i := range commands {
		if commands[i].apply != nil {
			declared++
		}
	}
	if declared != fields.Len() {
		t.Errorf("%d commands declared, the log has %d", declared, fields.Len())
	}
	for i := range fields.Len() {
		f := fields.Get(i)
		c := commandOf(uint32(f.Number()))
		if c == nil {
			t.Errorf("command %d (%s) is not declared", f.Number(), f.Name())
			continue
		}
		if c.name != string(f.Name()) {
			t.Errorf("command %d is called %q, its field %q", f.Number(), c.name, f.Name())
		}
		// The declared function reads the body of that very field: with an empty
		// body it answers, and with the wrong getter it would panic on nil.
		cmd := &storev1.Command{}
		m := cmd.ProtoReflect()
		m.Set(f, m.NewField(f))
		if n := numberOf(cmd); n != uint32(f.Number()) {
			t.Errorf("numberOf(%s) = %d", f.Name(), n)
		}
		_, _ = newMachine(t).apply(cmd)
	}
	if len(commands)-1 != int(commandsNow) {
		t.Errorf("commandsNow is %d, the highest command %d", commandsNow, len(commands)-1)
	}
	if commands[numberPutRule].name != "put_rule" {
		t.Errorf("numberPutRule names %q", commands[numberPutRule].name)
	}
}

// full is a state with at least one object in every table.
func full(t tester) *machine {
	m := newMachine(t)
	m.must(&storev1.Command{Body: &storev1.Command_BootstrapCluster{BootstrapCluster: &storev1.BootstrapCluster{ClusterUuid: "c1"}}})
	m.must(withID(createPool("p1"), "request 1"))
	m.must(createHost("h1", "p1"))
	m.must(observe(&storev1.ObserveHost{HostUuid: "h1",
		Bridges: []*storev1.Bridge{{Name: "xenbr0", Mtu: 1500}},
		Ports:   []*storev1.Port{vifPort("vif1.0", "xenbr0", "v1", "02:00:00:00:00:01")},
		Facts:   &storev1.HostFacts{SystemId: "s1", OvsVersion: "2.17.7"},
	}))
	m.must(putPrivate(private("pn1", poolMember("p1")), true))
	m.must(putRule(&poolwirev1.Rule{Uuid: "r1", VifUuid: "v1", Cookie: "1f"}, storev1.PutMode_PUT_MODE_CREATE))
	m.must(&storev1.Command{Body: &storev1.Command_PutNode{PutNode: &storev1.PutNode{Node: &poolwirev1.Node{Id: "n1"}}}})
	m.must(putSettings(&poolwirev1.ClusterSettings{MinVoters: 5}))
	m.must(putAddressGroup(&poolwirev1.AddressGroup{Uuid: "ag1", NameLabel: "office", Addresses: []string{"192.0.2.0/24"}}, true))
	m.must(putVifGroup(&poolwirev1.VifGroup{Uuid: "vg1", NameLabel: "web", Selector: "app=web"}, true))
	m.must(&storev1.Command{Body: &storev1.Command_PutGrant{PutGrant: &storev1.PutGrant{Grant: &poolwirev1.Grant{
		Uuid: "g1", Principal: "alice", Role: poolwirev1.Role_ROLE_POOL_OPERATOR, PoolUuid: "p1"}}}})
	m.must(putToken("k1", time.Hour))
	m.must(createHost("h2", "p1"))
	m.must(putPrivate(shaped("pn2", star, of(onBridge(poolMember("p1"), "xenbr0")), centered("h2"), carriedBy(geneve, 0), encrypted), true))
	m.must(putRelays(nil, relay("pn2", "", "h2", "h1")))
	m.must(putKey(key("h1", "h2", 3)))
	m.must(proved(protection("h1", "h2", "geneve")))
	m.must(joined(subscription("v1", "pn2", "239.1.2.3"), subscription("v1", "pn2", "::")))
	m.must(within(time.Minute, putPolicy(policy("pr1", inGroup("vg1"), fromAddresses("ag1")), true)))
	m.must(putRecords(issuedTo(m, "0a", time.Hour)))
	m.must(putAnchors(0, anchorOf("a", poolwirev1.TrustAnchorState_TRUST_ANCHOR_STATE_ACTIVE)))
	return m
}

// Every table is declared under its own number, written to a snapshot and
// read back.
func TestEveryTableIsSnapshotted(t *testing.T) {
	t.Parallel()
	m := full(t)
	// A used cluster has no parts of a backup.
	txn := m.f.db.Load().write()
	w := begin(txn, m.index, nil)
	w.put(TableBackupParts, &storev1.BackupPart{Id: "x", Data: []byte{1}})
	w.commit()
	txn.commit()
	n := m.restored()
	names := map[string]bool{}
	for i := range resources {
		r := &resources[i]
		if r.table != Table(i+1) {
			t.Errorf("table %d is declared in place %d", r.table, i+1)
		}
		if names[r.name] || r.name == metaTable {
			t.Errorf("table name %q is used twice", r.name)
		}
		names[r.name] = true
		if (r.key == nil) != (r.wrap != nil) || (r.wrap == nil) != (r.unwrap == nil) {
			t.Errorf("%s: needs either key or wrap and unwrap", r.name)
		}
		want, got := rowsOf(m.view(), r), rowsOf(n.view(), r)
		if len(want) == 0 {
			t.Errorf("%s: the test state holds no object", r.name)
		}
		if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
			t.Errorf("%s differs after restore (-want +got):\n%s", r.name, diff)
		}
	}
	if diff := cmp.Diff(m.view().meta(), n.view().meta(), protocmp.Transform()); diff != "" {
		t.Errorf("header differs after restore:\n%s", diff)
	}
	if !bytes.Equal(m.snapshot(), n.snapshot()) {
		t.Error("the snapshot of a restored state differs")
	}
	if n.view().ClusterUUID() != "c1" || n.view().HostFacts("h1").GetOvsVersion() != "2.17.7" {
		t.Error("cluster or host facts are lost")
	}
}

func rowsOf(v *View, r *resource) map[string]proto.Message {
	out := map[string]proto.Message{}
	for o := range v.each(r.name, indexID, "") {
		out[o.key] = o.msg
	}
	return out
}

func TestTableString(t *testing.T) {
	t.Parallel()
	for table, want := range map[Table]string{TablePools: "pools", TableRequests: "requests", 0: "table 0", 99: "table 99"} {
		if got := table.String(); got != want {
			t.Errorf("Table(%d) = %q, want %q", uint32(table), got, want)
		}
	}
}

// What is restored replaces everything: nothing of the old state shines
// through.
func TestRestoreDiscardsEverything(t *testing.T) {
	t.Parallel()
	empty := newMachine(t)
	snap := empty.snapshot()
	m := full(t)
	if err := m.f.Restore(newReader(snap)); err != nil {
		t.Fatal(err)
	}
	if got := m.snapshot(); !bytes.Equal(got, snap) {
		t.Errorf("state after restoring an empty snapshot is not empty:\n%q", got)
	}
	if m.f.requests.total != 0 {
		t.Errorf("%d requests remembered", m.f.requests.total)
	}
}

func TestRestoreRefuses(t *testing.T) {
	t.Parallel()
	good := full(t).snapshot()
	encode := func(ms ...proto.Message) []byte {
		var b bytes.Buffer
		for _, m := range ms {
			if err := writeMessage(&b, m); err != nil {
				t.Fatal(err)
			}
		}
		return b.Bytes()
	}
	header := &storev1.SnapshotHeader{Format: snapshotFormat, Revision: 5}
	for name, data := range map[string][]byte{
		"empty":             nil,
		"garbage":           []byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
		"another format":    encode(&storev1.SnapshotHeader{Format: 3}),
		"unknown table":     encode(header, &storev1.SnapshotRecord{Table: 99}),
		"table zero":        encode(header, &storev1.SnapshotRecord{}),
		"undecodable":       encode(header, &storev1.SnapshotRecord{Table: 1, Object: []byte{0xff}}),
		"cut in a record":   good[:len(good)-1],
		"oversized message": {0xff, 0xff, 0xff, 0xff, 0x7f},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := full(t)
			before := m.snapshot()
			if err := m.f.Restore(newReader(data)); err == nil {
				t.Fatal("restored")
			}
			if slices.Contains([]string{"another format", "unknown table", "table zero"}, name) {
				if !errors.Is(m.f.err(), ErrTooNew) {
					t.Errorf("a snapshot of a newer version does not stop the node: %v", m.f.err())
				}
				return
			}
			if !bytes.Equal(before, m.snapshot()) {
				t.Error("the state changed")
			}
		})
	}
}

// A node must not go on past an entry it cannot apply, nor write a snapshot
// that claims it did.
func TestUnknownCommandStopsTheNode(t *testing.T) {
	t.Parallel()
	for name, data := range map[string][]byte{
		"unknown number":     {0x82, 0x7d, 0x00}, // field 2000, length 0
		"no body":            {},
		"not a command":      {0xff},
		"time without body":  mustMarshal(t, &storev1.Command{Time: timestamppb.Now()}),
		"truncated sub-body": {0x0a, 0x05, 0x01},
		"newer meaning":      mustMarshal(t, &storev1.Command{Body: createPool("p2").Body, Time: timestamppb.Now(), Meaning: meaningNow + 1}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			m.must(createPool("p1"))
			if _, err := m.applyBytes(data); !errors.Is(err, ErrStopped) {
				t.Fatalf("err = %v, want ErrStopped", err)
			}
			select {
			case <-m.f.failed:
			default:
				t.Error("failed is not closed")
			}
			if _, err := m.apply(createPool("p2")); !errors.Is(err, ErrStopped) {
				t.Errorf("a later command: err = %v, want ErrStopped", err)
			}
			if m.view().Pool("p2") != nil || m.view().Revision() != 1 {
				t.Error("a later command was applied")
			}
			if _, err := m.f.Snapshot(); !errors.Is(err, ErrStopped) {
				t.Errorf("Snapshot: err = %v, want ErrStopped", err)
			}
			if err := m.f.Restore(newReader(full(t).snapshot())); !errors.Is(err, ErrStopped) {
				t.Errorf("Restore: err = %v, want ErrStopped", err)
			}
		})
	}
}

func mustMarshal(t *testing.T, m proto.Message) []byte {
	t.Helper()
	data, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
