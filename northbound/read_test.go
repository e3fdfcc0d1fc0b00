package northbound

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// knowsNothing is a controller that must not be asked: whoever does panics.
type knowsNothing struct{ Live }

// readPair is a leader and a follower that neither forwards anything nor knows a host.
func readPair(t testing.TB, ca *authority) (leader, follower *apiNode) {
	leader = startNode(t, ca, "n1", true)
	follower = startNodeWith(t, ca, raftstore.Config{NodeID: "n2", AskRevision: ca.askRevision}, func(c *Config) {
		c.Live = knowsNothing{}
		c.Peers = reaches(func(string) (*grpc.ClientConn, error) { return ca.dial("127.0.0.1:1", "n2", "node"), nil })
	})
	joinPair(t, ca, leader, follower)
	return leader, follower
}

// reads are requests of the methods that any node answers itself.
func reads() map[string]proto.Message {
	return map[string]proto.Message{
		v1.PoolService_GetPool_FullMethodName:                       &v1.GetPoolRequest{Pool: "paris"},
		v1.PoolService_ListPools_FullMethodName:                     &v1.ListPoolsRequest{},
		v1.PifService_GetPif_FullMethodName:                         &v1.GetPifRequest{},
		v1.PifService_ListPifs_FullMethodName:                       &v1.ListPifsRequest{},
		v1.NetworkService_GetNetwork_FullMethodName:                 &v1.GetNetworkRequest{Network: "xenbr0", Pool: "paris"},
		v1.NetworkService_ListNetworks_FullMethodName:               &v1.ListNetworksRequest{},
		v1.PrivateNetworkService_ListMulticastGroups_FullMethodName: &v1.ListMulticastGroupsRequest{PrivateNetwork: "blue"},
		v1.TunnelService_DescribeHostGuard_FullMethodName:           &v1.DescribeHostGuardRequest{Host: "xcp1"},
		v1.PolicyService_GetEffectivePolicy_FullMethodName:          &v1.GetEffectivePolicyRequest{Vif: vif1},
		v1.AddressGroupService_GetAddressGroup_FullMethodName:       &v1.GetAddressGroupRequest{AddressGroup: "office"},
		v1.AddressGroupService_ListAddressGroups_FullMethodName:     &v1.ListAddressGroupsRequest{},
		v1.VifGroupService_GetVifGroup_FullMethodName:               &v1.GetVifGroupRequest{VifGroup: "web"},
		v1.VifGroupService_ListVifGroups_FullMethodName:             &v1.ListVifGroupsRequest{},
		v1.ChangeService_ListPendingChanges_FullMethodName:          &v1.ListPendingChangesRequest{},
		v1.ClusterService_GetClusterSettings_FullMethodName:         &v1.GetClusterSettingsRequest{},
		v1.AuditService_ListAuditRecords_FullMethodName:             &v1.ListAuditRecordsRequest{},
		v1.AuditService_GetAuditRecord_FullMethodName:               &v1.GetAuditRecordRequest{Sequence: 1},
		v1.AccessService_ListGrants_FullMethodName:                  &v1.ListGrantsRequest{},
		v1.TokenService_ListTokens_FullMethodName:                   &v1.ListTokensRequest{},
	}
}

// TestReadsOnFollower: a node that follows answers what needs the state only by itself, and as
// the leader does at that moment.
func TestReadsOnFollower(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	leader, follower := readPair(t, ca)
	f := &fixture{t: t, ctx: patience(t), store: leader.store, live: leader.live}
	f.populate()
	olga := clientsOf(ca.dial(leader.api, "olga", "pool-operator"))
	for _, make := range []func() error{
		func() error {
			_, err := olga.CreateAddressGroup(f.ctx, &v1.CreateAddressGroupRequest{AddressGroup: &v1.AddressGroup{NameLabel: "office", Addresses: []string{"192.0.2.0/24"}}})
			return err
		},
		func() error {
			_, err := olga.CreateVifGroup(f.ctx, &v1.CreateVifGroupRequest{VifGroup: &v1.VifGroup{NameLabel: "web", VifUuids: []string{vif1}}})
			return err
		},
		func() error {
			_, err := olga.CreatePolicyRule(f.ctx, &v1.CreatePolicyRuleRequest{PolicyRule: policyRule(nil)})
			return err
		},
		func() error {
			_, err := olga.CreatePrivateNetwork(f.ctx, &v1.CreatePrivateNetworkRequest{PrivateNetwork: &v1.PrivateNetwork{NameLabel: "blue"}})
			return err
		},
	} {
		if err := make(); err != nil {
			t.Fatal(err)
		}
	}
	there, here := ca.dial(leader.api, "vera", "pool-admin"), ca.dial(follower.api, "vera", "pool-admin")
	requests := reads()
	requests[v1.PifService_GetPif_FullMethodName] = &v1.GetPifRequest{Pif: f.store.View().Pifs()[0].GetUuid()}
	for method, req := range requests {
		if !readsState(method) {
			t.Errorf("%s is forwarded", method)
		}
		want, got := answerType(method).New().Interface(), answerType(method).New().Interface()
		if err := there.Invoke(f.ctx, method, req, want); err != nil {
			t.Errorf("%s on the leader: %v", method, err)
		}
		if err := here.Invoke(f.ctx, method, req, got); err != nil || !proto.Equal(want, got) {
			t.Errorf("%s: %v, %v\nthe leader says %v", method, got, err, want)
		}
	}
	if err := here.Invoke(f.ctx, v1.HostService_ListHosts_FullMethodName, &v1.ListHostsRequest{}, &v1.ListHostsResponse{}); err == nil {
		t.Error("the states of hosts are known without asking the leader")
	}
}

// TestEveryReadIsTried: no method is answered on a follower that TestReadsOnFollower does not try.
func TestEveryReadIsTried(t *testing.T) {
	t.Parallel()
	g := grpc.NewServer()
	newServer(t, serverConfig(&raftstore.Store{}, knowsNothing{})).Register(g)
	tried := reads()
	for service, info := range g.GetServiceInfo() {
		for _, m := range info.Methods {
			if method := "/" + service + "/" + m.Name; readsState(method) && tried[method] == nil {
				t.Errorf("%s is not tried", method)
			}
		}
	}
}

// TestReadAfterWrite: what was acknowledged anywhere is seen on a follower at once.
func TestReadAfterWrite(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	leader, follower := readPair(t, ca)
	writer, reader := clientsOf(ca.dial(leader.api, "olga", "pool-operator")), clientsOf(ca.dial(follower.api, "vera", "read-only"))
	for n := range 100 {
		made, err := writer.CreatePool(patience(t), &v1.CreatePoolRequest{Pool: &v1.Pool{NameLabel: fmt.Sprint("pool ", n)}})
		if err != nil {
			t.Fatal(err)
		}
		var header metadata.MD
		got, err := reader.GetPool(patience(t), &v1.GetPoolRequest{Pool: made.GetPool().GetUuid()}, grpc.Header(&header))
		if err != nil || !proto.Equal(got.GetPool(), made.GetPool()) {
			t.Fatalf("pool %d: %v, %v", n, got, err)
		}
		if old := header.Get(revisionKey); len(old) > 0 {
			t.Fatalf("the answer says that it may be old: %v", old)
		}
	}
}

// unreadable is a store on which reads fail.
type unreadable struct {
	Store
	err error
}

func (u unreadable) CurrentView(context.Context) (*raftstore.View, error) { return nil, u.err }

// TestReadsThatAreForwarded: the leader answers where it knows nothing of revisions for reads, and
// where the node that was asked is far behind.
func TestReadsThatAreForwarded(t *testing.T) {
	t.Parallel()
	for name, why := range map[string]error{"an old leader": errors.ErrUnsupported, "a node that lags": raftstore.ErrBehind} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ca := newAuthority(t)
			leader := startNode(t, ca, "n1", true)
			follower := startNodeWith(t, ca, raftstore.Config{NodeID: "n2"}, func(c *Config) { c.Store = unreadable{c.Store, why} })
			joinPair(t, ca, leader, follower)
			if _, err := clientsOf(ca.dial(follower.api, "vera", "read-only")).ListPools(patience(t), &v1.ListPoolsRequest{}); err != nil {
				t.Error(err)
			}
			if !leader.log.has("ListPools code=OK", "who=vera via n2") {
				t.Errorf("the leader was not asked:\n%s", leader.log)
			}
		})
	}
}

// TestReadRevision: a leader tells it, one that follows does not, and only nodes may ask.
func TestReadRevision(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	leader, follower := pair(t, ca)
	revision, err := ca.askRevision(patience(t), leader.api)
	if err != nil || revision < leader.store.View().Revision() {
		t.Errorf("revision %d of %d, %v", revision, leader.store.View().Revision(), err)
	}
	if _, err := ca.askRevision(patience(t), follower.api); !isNotLeading(err) {
		t.Errorf("a node that follows: %v", err)
	}
	_, err = v1.NewClusterServiceClient(ca.dial(leader.api, "ada", "pool-admin")).ReadRevision(patience(t), &v1.ReadRevisionRequest{})
	refusal{code: codes.PermissionDenied, says: []string{"ada", "node"}}.check(t, err)
}

// BenchmarkReads times a read on the leader, on a node that follows, forwarded by it, and stale.
func BenchmarkReads(b *testing.B) {
	ca := newAuthority(b)
	leader, follower := pair(b, ca)
	there, here := clientsOf(ca.dial(leader.api, "vera", "read-only")), clientsOf(ca.dial(follower.api, "vera", "read-only"))
	ctx := context.Background()
	for name, read := range map[string]func() error{
		"leader":   func() error { _, err := there.ListPools(ctx, &v1.ListPoolsRequest{}); return err },
		"follower": func() error { _, err := here.ListPools(ctx, &v1.ListPoolsRequest{}); return err },
		// Of hosts only the leader knows how they are.
		"forwarded": func() error { _, err := here.ListHosts(ctx, &v1.ListHostsRequest{}); return err },
		"stale": func() error {
			_, err := here.ListPools(metadata.AppendToOutgoingContext(ctx, consistencyKey, consistencyStale), &v1.ListPoolsRequest{})
			return err
		},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if err := read(); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"/many", func(b *testing.B) {
			b.SetParallelism(32)
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					if err := read(); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
