package raftstore

import (
	"bytes"
	"io"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

func TestMain(m *testing.M) {
	if runAsChild() {
		return
	}
	goleak.VerifyTestMain(m)
}

// tester is what *testing.T and *rapid.T share.
type tester interface {
	Helper()
	Fatalf(format string, args ...any)
}

// machine is a state machine fed by hand, as Raft would feed it.
type machine struct {
	t     tester
	f     *fsm
	index uint64
}

func newMachine(t tester) *machine {
	t.Helper()
	return &machine{t: t, f: newFSM(slog.New(slog.DiscardHandler))}
}

// apply encodes a command, as the log would, and applies it.
func (m *machine) apply(c *storev1.Command) (Result, error) {
	m.t.Helper()
	if c.Time == nil {
		c = proto.CloneOf(c)
		c.Time = timestamppb.New(time.Unix(int64(1_700_000_000+m.index), 0))
	}
	if c.Meaning == 0 {
		c = proto.CloneOf(c)
		c.Meaning = meaningNow
	}
	data, err := proto.Marshal(c)
	if err != nil {
		m.t.Fatalf("marshal: %v", err)
	}
	return m.applyBytes(data)
}

func (m *machine) applyBytes(data []byte) (Result, error) {
	m.index++
	r := m.f.Apply(&raft.Log{Index: m.index, Term: 1, Type: raft.LogCommand, Data: data}).(response)
	return r.result, r.err
}

// must applies a command that has to succeed.
func (m *machine) must(c *storev1.Command) Result {
	m.t.Helper()
	r, err := m.apply(c)
	if err != nil {
		m.t.Fatalf("%s: %v", commandOf(numberOf(c)).name, err)
	}
	return r
}

func (m *machine) view() *View { return m.f.view() }

// last returns the last change set.
func (m *machine) last() ChangeSet {
	m.t.Helper()
	set, _, err := m.f.history.after(m.index - 1)
	if err != nil || set.Revision != m.index {
		m.t.Fatalf("no change set at %d: %v", m.index, err)
	}
	return set
}

// sink is a raft.SnapshotSink in memory.
type sink struct {
	bytes.Buffer
	cancelled bool
}

func (s *sink) ID() string    { return "test" }
func (s *sink) Cancel() error { s.cancelled = true; return nil }
func (s *sink) Close() error  { return nil }

func (m *machine) snapshot() []byte {
	m.t.Helper()
	s, err := m.f.Snapshot()
	if err != nil {
		m.t.Fatalf("Snapshot: %v", err)
	}
	var out sink
	if err := s.Persist(&out); err != nil {
		m.t.Fatalf("Persist: %v", err)
	}
	s.Release()
	return out.Bytes()
}

// restored returns a new machine with the state of this one.
func (m *machine) restored() *machine {
	m.t.Helper()
	n := newMachine(m.t)
	n.index = m.index
	if err := n.f.Restore(newReader(m.snapshot())); err != nil {
		m.t.Fatalf("Restore: %v", err)
	}
	return n
}

func newReader(data []byte) io.ReadCloser { return io.NopCloser(bytes.NewReader(data)) }

// kinds lists a change set as "table key +|-|~".
func kinds(s ChangeSet) []string {
	var out []string
	for _, c := range s.Changes {
		sign := "~"
		switch {
		case c.Before == nil:
			sign = "+"
		case c.After == nil:
			sign = "-"
		}
		out = append(out, c.Table.String()+" "+c.Key+" "+sign)
	}
	slices.Sort(out)
	return out
}

// Command builders: a short way to write valid commands.

func putPool(p *poolwirev1.Pool, create bool) *storev1.Command {
	return &storev1.Command{Body: &storev1.Command_PutPool{PutPool: &storev1.PutPool{Pool: p, Create: create}}}
}

func createPool(uuid string) *storev1.Command {
	return putPool(&poolwirev1.Pool{Uuid: uuid, NameLabel: "pool " + uuid}, true)
}

func putHost(h *poolwirev1.Host, create bool) *storev1.Command {
	return &storev1.Command{Body: &storev1.Command_PutHost{PutHost: &storev1.PutHost{Host: h, Create: create}}}
}

func host(uuid, pool string) *poolwirev1.Host {
	return &poolwirev1.Host{Uuid: uuid, NameLabel: "host " + uuid, PoolUuid: pool, Managed: true,
		Mode: poolwirev1.ConnectionMode_CONNECTION_MODE_PASSIVE, Address: "ssl:" + uuid + ":6640"}
}

func createHost(uuid, pool string) *storev1.Command { return putHost(host(uuid, pool), true) }

func putNetwork(n *poolwirev1.Network) *storev1.Command {
	return &storev1.Command{Body: &storev1.Command_PutNetwork{PutNetwork: &storev1.PutNetwork{Network: n}}}
}

func putPrivate(n *poolwirev1.PrivateNetwork, create bool) *storev1.Command {
	return &storev1.Command{Body: &storev1.Command_PutPrivateNetwork{
		PutPrivateNetwork: &storev1.PutPrivateNetwork{PrivateNetwork: n, Create: create}}}
}

func private(uuid string, members ...*poolwirev1.PrivateNetworkMember) *poolwirev1.PrivateNetwork {
	return &poolwirev1.PrivateNetwork{Uuid: uuid, NameLabel: "private " + uuid, Members: members}
}

func poolMember(uuid string) *poolwirev1.PrivateNetworkMember {
	return &poolwirev1.PrivateNetworkMember{Target: &poolwirev1.PrivateNetworkMember_PoolUuid{PoolUuid: uuid}}
}

func hostMember(uuid string) *poolwirev1.PrivateNetworkMember {
	return &poolwirev1.PrivateNetworkMember{Target: &poolwirev1.PrivateNetworkMember_HostUuid{HostUuid: uuid}}
}

func onBridge(m *poolwirev1.PrivateNetworkMember, bridge string) *poolwirev1.PrivateNetworkMember {
	m.Bridge = bridge
	return m
}

func putVif(v *poolwirev1.Vif, create bool) *storev1.Command {
	return &storev1.Command{Body: &storev1.Command_PutVif{PutVif: &storev1.PutVif{Vif: v, Create: create}}}
}

func putRule(r *poolwirev1.Rule, mode storev1.PutMode) *storev1.Command {
	return &storev1.Command{Body: &storev1.Command_PutRule{PutRule: &storev1.PutRule{Rule: r, Mode: mode}}}
}

func deleteRules(etag string, uuids ...string) *storev1.Command {
	return &storev1.Command{Body: &storev1.Command_DeleteRules{DeleteRules: &storev1.DeleteRules{Uuids: uuids, Etag: etag}}}
}

func observe(o *storev1.ObserveHost) *storev1.Command {
	return &storev1.Command{Body: &storev1.Command_ObserveHost{ObserveHost: o}}
}

func deletePool(uuid, etag string) *storev1.Command {
	return &storev1.Command{Body: &storev1.Command_DeletePool{DeletePool: &storev1.Delete{Uuid: uuid, Etag: etag}}}
}

func deleteHost(uuid, etag string) *storev1.Command {
	return &storev1.Command{Body: &storev1.Command_DeleteHost{DeleteHost: &storev1.Delete{Uuid: uuid, Etag: etag}}}
}

func deletePrivate(uuid, etag string) *storev1.Command {
	return &storev1.Command{Body: &storev1.Command_DeletePrivateNetwork{DeletePrivateNetwork: &storev1.Delete{Uuid: uuid, Etag: etag}}}
}

func deleteVif(uuid, etag string) *storev1.Command {
	return &storev1.Command{Body: &storev1.Command_DeleteVif{DeleteVif: &storev1.Delete{Uuid: uuid, Etag: etag}}}
}

func putPolicy(r *poolwirev1.PolicyRule, create bool) *storev1.Command {
	return &storev1.Command{Body: &storev1.Command_PutPolicyRule{PutPolicyRule: &storev1.PutPolicyRule{PolicyRule: r, Create: create}}}
}

// policy is a rule of the global level, unless an option says otherwise.
func policy(uuid string, options ...func(*poolwirev1.PolicyRule)) *poolwirev1.PolicyRule {
	r := &poolwirev1.PolicyRule{Uuid: uuid, NameLabel: "rule " + uuid, Level: poolwirev1.PolicyLevel_POLICY_LEVEL_GLOBAL,
		Action: poolwirev1.RuleAction_RULE_ACTION_DROP, Direction: poolwirev1.TrafficDirection_TRAFFIC_DIRECTION_INBOUND, Protocol: "tcp"}
	for _, o := range options {
		o(r)
	}
	return r
}

func scoped(level poolwirev1.PolicyLevel, uuid string) func(*poolwirev1.PolicyRule) {
	return func(r *poolwirev1.PolicyRule) { r.Level, r.ScopeUuid = level, uuid }
}

func inPool(uuid string) func(*poolwirev1.PolicyRule) {
	return scoped(poolwirev1.PolicyLevel_POLICY_LEVEL_POOL, uuid)
}

func inNetwork(uuid string) func(*poolwirev1.PolicyRule) {
	return scoped(poolwirev1.PolicyLevel_POLICY_LEVEL_NETWORK, uuid)
}

func inGroup(uuid string) func(*poolwirev1.PolicyRule) {
	return scoped(poolwirev1.PolicyLevel_POLICY_LEVEL_VIF_GROUP, uuid)
}

func ofVif(uuid string) func(*poolwirev1.PolicyRule) {
	return scoped(poolwirev1.PolicyLevel_POLICY_LEVEL_VIF, uuid)
}

func fromAddresses(group string) func(*poolwirev1.PolicyRule) {
	return func(r *poolwirev1.PolicyRule) { r.RemoteAddressGroupUuid = group }
}

func fromVifs(group string) func(*poolwirev1.PolicyRule) {
	return func(r *poolwirev1.PolicyRule) { r.RemoteVifGroupUuid = group }
}

func deletePolicy(uuid, etag string) *storev1.Command {
	return &storev1.Command{Body: &storev1.Command_DeletePolicyRule{DeletePolicyRule: &storev1.Delete{Uuid: uuid, Etag: etag}}}
}

func putAddressGroup(g *poolwirev1.AddressGroup, create bool) *storev1.Command {
	return &storev1.Command{Body: &storev1.Command_PutAddressGroup{PutAddressGroup: &storev1.PutAddressGroup{AddressGroup: g, Create: create}}}
}

func deleteAddressGroup(uuid, etag string) *storev1.Command {
	return &storev1.Command{Body: &storev1.Command_DeleteAddressGroup{DeleteAddressGroup: &storev1.Delete{Uuid: uuid, Etag: etag}}}
}

func putVifGroup(g *poolwirev1.VifGroup, create bool) *storev1.Command {
	return &storev1.Command{Body: &storev1.Command_PutVifGroup{PutVifGroup: &storev1.PutVifGroup{VifGroup: g, Create: create}}}
}

func deleteVifGroup(uuid, etag string) *storev1.Command {
	return &storev1.Command{Body: &storev1.Command_DeleteVifGroup{DeleteVifGroup: &storev1.Delete{Uuid: uuid, Etag: etag}}}
}

func modifyGroup(uuid string, add, remove []string) *storev1.Command {
	return &storev1.Command{Body: &storev1.Command_ModifyGroup{ModifyGroup: &storev1.ModifyGroup{Uuid: uuid, Add: add, Remove: remove}}}
}

func expire(uuids ...string) *storev1.Command {
	return &storev1.Command{Body: &storev1.Command_ExpirePolicyRules{ExpirePolicyRules: &storev1.ExpirePolicyRules{Uuids: uuids}}}
}

func confirm(id string) *storev1.Command {
	return &storev1.Command{Body: &storev1.Command_ResolveChange{ResolveChange: &storev1.ResolveChange{Id: id, Confirm: true}}}
}

func rollback(id string) *storev1.Command {
	return &storev1.Command{Body: &storev1.Command_ResolveChange{ResolveChange: &storev1.ResolveChange{Id: id}}}
}

// within makes a command one that is to be confirmed.
func within(d time.Duration, c *storev1.Command) *storev1.Command {
	c = proto.CloneOf(c)
	c.ConfirmWithin, c.Author = durationpb.New(d), "alice"
	return c
}

// vifPort is a port of a VIF on the untagged network of a bridge.
func vifPort(name, bridge, vif, mac string) *storev1.Port {
	return &storev1.Port{Name: name, Bridge: bridge, NetworkBridge: bridge, Kind: storev1.PortKind_PORT_KIND_VIF,
		Ofport: 7, VifUuid: vif, VmUuid: "vm-" + vif, AttachedMac: mac, Mac: "fe:ff:ff:ff:ff:ff"}
}

// withID gives a command a request id.
func withID(c *storev1.Command, id string) *storev1.Command {
	c = proto.CloneOf(c)
	c.RequestId = id
	return c
}
