package raftstore

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"poolwire/auditchain"
	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// asks says who asks for a command.
func asks(who string, c *storev1.Command) *storev1.Command {
	c.Origin = &storev1.Origin{Who: who, Credential: "certificate 1f", Address: "192.0.2.7:40112", Via: "n2", Method: "poolwire.v1.Test/Do"}
	return c
}

// records returns all records, oldest first, and fails when the chain does not verify.
func (m *machine) records() []*storev1.AuditRecord {
	m.t.Helper()
	v := m.view()
	ends := v.AuditEnds()
	hash, size := ends.AnchorHash, 0
	var out []*storev1.AuditRecord
	for n := ends.Anchor + 1; n <= ends.Head; n++ {
		e := v.AuditEntry(n)
		if e == nil {
			m.t.Fatalf("record %d is missing", n)
		}
		if hash = auditchain.Next(hash, e.GetRecord()); !bytes.Equal(hash, e.GetHash()) {
			m.t.Fatalf("record %d: hash %x, want %x", n, e.GetHash(), hash)
		}
		r := v.AuditRecord(n)
		if r.GetSequence() != n || e.GetSequence() != n {
			m.t.Fatalf("record %d says it is %d", n, r.GetSequence())
		}
		size += len(e.GetRecord())
		if e.GetReason() != "" {
			size += maxAuditText
		}
		out = append(out, r)
	}
	if ends.Head > 0 && !bytes.Equal(hash, ends.HeadHash) {
		m.t.Fatalf("head %x, want %x", ends.HeadHash, hash)
	}
	if uint64(size) != ends.Bytes {
		m.t.Fatalf("records have %d bytes, the header says %d", size, ends.Bytes)
	}
	return out
}

// told is a record as "who command outcome: objects".
func told(r *storev1.AuditRecord) string {
	s := fmt.Sprintf("%s %s %s", r.GetOrigin().GetWho(), CommandName(r), strings.TrimPrefix(r.GetOutcome().String(), "AUDIT_OUTCOME_"))
	for _, c := range r.GetChanges() {
		sign := "~"
		if c.GetMade() {
			sign = "+"
		} else if c.GetRemoved() {
			sign = "-"
		}
		s += fmt.Sprintf(" %s%s/%s", sign, Table(c.GetTable()), c.GetKey())
	}
	return s
}

func TestAuditRecords(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.must(&storev1.Command{Body: &storev1.Command_BootstrapCluster{BootstrapCluster: &storev1.BootstrapCluster{ClusterUuid: "c1", ClusterName: "paris"}}})
	m.must(asks("ada", createPool("p1")))
	m.must(asks("ada", createHost("h1", "p1")))
	m.must(createHost("h2", "p1"))
	m.must(observe(&storev1.ObserveHost{HostUuid: "h1", Bridges: []*storev1.Bridge{{Name: "xenbr0"}}, Ports: []*storev1.Port{vifPort("vif1.0", "xenbr0", "v1", macA)}}))
	m.must(asks("bob", withID(putVif(&poolwirev1.Vif{Uuid: "v1", LockingMode: poolwirev1.LockingMode_LOCKING_MODE_DISABLED}, false), "q1")))
	m.must(asks("bob", withID(putVif(&poolwirev1.Vif{Uuid: "v1", LockingMode: poolwirev1.LockingMode_LOCKING_MODE_DISABLED}, false), "q1")))
	if _, err := m.apply(asks("eve", createPool("p1"))); err == nil {
		t.Fatal("made twice")
	}
	expiring := policy("pr1", ofVif("v1"), func(r *poolwirev1.PolicyRule) { r.ExpireTime = timestamppb.New(time.Unix(1_700_000_100, 0)) })
	m.must(asks("ada", putPolicy(expiring, true)))
	m.index = 200
	m.must(expire("pr1"))
	m.must(expire("pr1")) // changes nothing
	m.must(asks("ada", &storev1.Command{Body: &storev1.Command_PutPairKeys{PutPairKeys: &storev1.PutPairKeys{Put: []*storev1.PairKey{{HostA: "h1", HostB: "h2", SealedPsk: []byte("SECRET"), Generation: 1}}}}}))
	probe := asks("ada", createPool("p1"))
	probe.Origin.Probe = true
	_, _ = m.apply(probe)
	var got []string
	for _, r := range m.records() {
		got = append(got, told(r))
	}
	want := []string{
		" bootstrap_cluster OK", "ada put_pool OK +pools/p1", "ada put_host OK +hosts/h1", " put_host OK +hosts/h2",
		"bob put_vif OK ~vifs/v1", "bob put_vif DUPLICATE", "eve put_pool REFUSED",
		"ada put_policy_rule OK +policy_rules/pr1", " expire_policy_rules OK ~policy_rules/pr1", "ada put_pair_keys OK +pair_keys/h1/h2",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, r := range m.records() {
		if data, _ := proto.Marshal(r); bytes.Contains(data, []byte("SECRET")) {
			t.Errorf("a record holds a key: %v", r)
		}
	}
	vif := m.records()[4]
	if o := vif.GetOrigin(); o.GetCredential() != "certificate 1f" || o.GetAddress() != "192.0.2.7:40112" || o.GetVia() != "n2" || vif.GetRequestId() != "q1" || vif.GetRevision() != 6 {
		t.Errorf("record %v", vif)
	}
	before, after := AuditImages(vif.GetChanges()[0])
	if before.(*poolwirev1.Vif).GetLockingMode() == after.(*poolwirev1.Vif).GetLockingMode() || len(after.(*poolwirev1.Vif).GetLocations()) > 0 {
		t.Errorf("before %v, after %v", before, after)
	}
	if r := m.records()[6]; r.GetCode() != codeAlreadyExists || r.GetReason() == "" {
		t.Errorf("refused: %v", r)
	} else if bytes.Contains(m.view().AuditEntry(r.GetSequence()).GetRecord(), []byte(r.GetReason())) {
		t.Errorf("the chain depends on how this version words %q", r.GetReason())
	}
}

// An entry that an earlier version proposed leaves no record: members of that version would have made none.
func TestAuditNotOfEarlierMeaning(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	c := asks("ada", createPool("p1"))
	c.Meaning = meaningPlanned
	m.must(c)
	if n := len(m.records()); n != 0 {
		t.Errorf("%d records", n)
	}
}

func TestAuditGroupMembers(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.must(putAddressGroup(&poolwirev1.AddressGroup{Uuid: "ag1", NameLabel: "a", Addresses: []string{"192.0.2.1", "198.51.100.0/24", "10.0.0.1"}}, true))
	was := m.view().AddressGroup("ag1").GetAddresses()
	m.must(asks("ada", modifyGroup("ag1", []string{"9.9.9.9"}, []string{"10.0.0.1"})))
	records := m.records()
	c := records[len(records)-1].GetChanges()[0]
	if !slices.Equal(c.GetAdded(), []string{"9.9.9.9"}) || !slices.Equal(c.GetLost(), []string{"10.0.0.1"}) {
		t.Errorf("change %v", c)
	}
	past, err := m.view().PastRevision(1)
	if err != nil || !slices.Equal(past.View.AddressGroup("ag1").GetAddresses(), was) {
		t.Errorf("past %v, %v", past, err)
	}
}

func TestAuditRetention(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	put := func(s *poolwirev1.ClusterSettings) {
		s.MinVoters = 3
		m.must(asks("ada", &storev1.Command{Body: &storev1.Command_PutClusterSettings{PutClusterSettings: &storev1.PutClusterSettings{Settings: s}}}))
	}
	put(&poolwirev1.ClusterSettings{AuditKeepEntries: 1000})
	for i := range 1500 {
		m.must(asks("ada", createPool(fmt.Sprint("p", i))))
	}
	if n := len(m.records()); n != 1000 {
		t.Errorf("%d records are kept", n)
	}
	if e := m.view().AuditEnds(); e.Anchor != 501 || e.Head != 1501 {
		t.Errorf("ends %v", e)
	}
	m.restored().records()
	m.index += 24 * 3600
	put(&poolwirev1.ClusterSettings{AuditKeepFor: durationpb.New(24 * time.Hour)})
	m.index += 24*3600 + 10
	m.must(asks("ada", createPool("last")))
	if n := len(m.records()); n != 1 {
		t.Errorf("%d records are kept", n)
	}
	if _, err := m.view().PastRevision(3); err == nil {
		t.Error("the past goes on before the oldest record")
	}
}

// What a record cannot hold ends the past, and is counted.
func TestAuditOfTooMuch(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.must(asks("ada", createPool("p1")))
	m.must(asks("ada", createHost("h1", "p1")))
	m.must(observe(&storev1.ObserveHost{HostUuid: "h1", Bridges: []*storev1.Bridge{{Name: "xenbr0"}}, Ports: []*storev1.Port{vifPort("vif1.0", "xenbr0", "v1", macA)}}))
	for i := range maxAuditChanges + 1 {
		m.must(putPolicy(policy(fmt.Sprintf("r%d", i), ofVif("v1")), true))
	}
	before := m.view().Revision()
	m.must(asks("ada", deleteVif("v1", "")))
	records := m.records()
	r := records[len(records)-1]
	if len(r.GetChanges())+int(r.GetOmitted()) != maxAuditChanges+1 || !r.GetBreak() || proto.Size(r) > maxAuditRecord+4096 {
		t.Errorf("%d changes, %d omitted, break %v, %d bytes", len(r.GetChanges()), r.GetOmitted(), r.GetBreak(), proto.Size(r))
	}
	if _, err := m.view().PastRevision(before); err == nil {
		t.Error("what is omitted was worked out")
	}
}

func TestAuditRefusedCalls(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.must(&storev1.Command{Body: &storev1.Command_PutAudit{PutAudit: &storev1.PutAudit{Calls: []*storev1.RefusedCalls{
		{Origin: &storev1.Origin{Who: "eve", Method: "poolwire.v1.PoolService/CreatePool"}, Code: 7, Reason: strings.Repeat("ö", 1000), Calls: 12},
	}}}})
	r := m.records()[0]
	if r.GetOrigin().GetWho() != "eve" || r.GetCalls() != 12 || r.GetCode() != 7 || len(r.GetReason()) > maxAuditText {
		t.Errorf("record %v", r)
	}
	if _, err := m.apply(&storev1.Command{Body: &storev1.Command_PutAudit{PutAudit: &storev1.PutAudit{Calls: make([]*storev1.RefusedCalls, maxAuditCalls+1)}}}); err == nil {
		t.Error("too many were taken")
	}
}

// The past that the records give is what was asked for then.
func TestPast(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		m := newMachine(rt)
		for _, c := range populated() {
			_, _ = m.apply(c)
		}
		m.must(asks("ada", createPool("px"))) // a record from which the past is told
		type moment struct {
			revision uint64
			intents  map[changeKey]proto.Message
		}
		moments := []moment{{m.view().Revision(), intents(m.view())}}
		for range rapid.IntRange(1, 60).Draw(rt, "length") {
			c := draw{rt}.command(m.view())
			if rapid.Bool().Draw(rt, "asked") {
				asks("ada", c)
			}
			_, _ = m.apply(c)
			if rapid.IntRange(0, 2).Draw(rt, "remember") == 0 {
				moments = append(moments, moment{m.view().Revision(), intents(m.view())})
			}
		}
		m.records()
		if n := m.restored(); !bytes.Equal(n.view().AuditEnds().HeadHash, m.view().AuditEnds().HeadHash) {
			rt.Fatal("a snapshot has another chain")
		}
		for _, then := range moments {
			past, err := m.view().PastRevision(then.revision)
			if err != nil {
				rt.Fatalf("past of %d: %v", then.revision, err)
			}
			comparePast(rt, then.intents, intents(past.View))
		}
	})
}

// A network of which another one has the UUID now is what it was.
func TestPastOfUUIDThatWasReused(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	for i, pool := range []string{"p1", "p2"} {
		m.must(createPool(pool))
		m.must(createHost([]string{"h1", "h2"}[i], pool))
	}
	m.bridges("h1", &storev1.Bridge{Name: "xenbr1", XapiNetworkUuid: xapiUUID})
	m.must(asks("ada", putNetwork(&poolwirev1.Network{Uuid: xapiUUID, NameLabel: "DMZ", RaGuard: true})))
	then := m.view().Revision()
	m.must(asks("ada", putNetwork(&poolwirev1.Network{Uuid: xapiUUID})))
	m.must(observe(&storev1.ObserveHost{HostUuid: "h1", BridgesGone: []string{"xenbr1"}}))
	m.bridges("h2", &storev1.Bridge{Name: "pw1", XapiNetworkUuid: xapiUUID})
	if n := m.view().Network(xapiUUID); n.GetPoolUuid() != "p2" {
		t.Fatalf("now %v", n)
	}
	past, err := m.view().PastRevision(then)
	if err != nil {
		t.Fatal(err)
	}
	if n := past.View.Network(xapiUUID); n.GetPoolUuid() != "p1" || n.GetBridge() != "xenbr1" || n.GetNameLabel() != "DMZ" || !n.GetRaGuard() {
		t.Errorf("then %v", n)
	}
}

// comparePast holds what was worked out against what was remembered.
func comparePast(t tester, want, got map[changeKey]proto.Message) {
	ours := func(k changeKey) bool { return k.table != TablePools && k.table != TableHosts }
	idle := func(m proto.Message) bool { return !hasIntent(m) }
	for key, w := range want {
		_, isVif := w.(*poolwirev1.Vif)
		_, isNetwork := w.(*poolwirev1.Network)
		observed := isVif || isNetwork
		g := got[key]
		switch {
		case !ours(key), g == nil && observed && idle(w):
			// that it was there is a report's
		case g == nil || !proto.Equal(sameID(w, g), g):
			t.Fatalf("%v %q was %v, worked out: %v", key.table, key.key, w, g)
		}
	}
	for key, g := range got {
		if ours(key) && want[key] == nil && (key.table != TableVifs && key.table != TableNetworks || !idle(g)) {
			t.Fatalf("%v %q was not there, worked out: %v", key.table, key.key, g)
		}
	}
}

// sameID gives what comes and goes with reports the object id that it has.
func sameID(want, got proto.Message) proto.Message {
	want = proto.Clone(want)
	switch w := want.(type) {
	case *poolwirev1.Vif:
		w.ObjectId = got.(*poolwirev1.Vif).GetObjectId()
	case *poolwirev1.Network:
		g := got.(*poolwirev1.Network)
		w.ObjectId = g.GetObjectId()
	}
	return want
}

// Whoever makes a table says what of its objects is recorded, and of those that are recorded whole there is an image that
// can be read back.
func TestEveryTableIsSettledForTheAudit(t *testing.T) {
	t.Parallel()
	for i := range resources {
		r := &resources[i]
		m := r.blank()
		switch auditingOf(r.table) {
		case auditUnsettled:
			t.Errorf("table %s is not in auditingOf", r.name)
		case auditWhole:
			image := auditImage(m)
			if image == nil {
				t.Errorf("table %s has no image", r.name)
				continue
			}
			image.ProtoReflect().SetUnknown([]byte{0xf8, 0x07, 0x01}) // so that it is not empty
			data, err := proto.Marshal(image)
			if err != nil {
				t.Fatal(err)
			}
			_, after := AuditImages(&storev1.AuditChange{Table: uint32(r.table), After: data})
			if after == nil || after.ProtoReflect().Descriptor() != m.ProtoReflect().Descriptor() {
				t.Errorf("the image of table %s is read as %v", r.name, after)
			}
		default:
			if image := auditImage(m); image != nil {
				t.Errorf("table %s has an image and says that it is not recorded", r.name)
			}
		}
	}
}
