package northbound

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	storev1 "poolwire/proto/poolwire/store/v1"
	v1 "poolwire/proto/poolwire/v1"
)

// A client that changes things without end is slowed down, by whichever node it calls, and nobody else is: it cannot push out of
// the audit what was recorded before.
func TestChangesOfAClientAreLimited(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	ca, l := newAuthority(t), listen(t)
	cfg := serverConfig(f.store, f.live)
	cfg.Limits.Changes = 1
	server := newServer(t, cfg)
	ca.serve(server, l)
	n := 0
	change := func(ctx context.Context, conn grpc.ClientConnInterface) error {
		n++
		_, err := v1.NewPoolServiceClient(conn).CreatePool(ctx, &v1.CreatePoolRequest{Pool: &v1.Pool{NameLabel: fmt.Sprint("pool ", n)}})
		return err
	}
	ada, bob := ca.dial(l.Addr().String(), "ada", "pool-admin"), ca.dial(l.Addr().String(), "bob", "pool-admin")
	before := f.store.View().AuditEnds().Head
	var err error
	for err == nil && n < 5*changesAtOnce {
		err = change(f.ctx, ada)
	}
	exhausted(t, err, "changes_per_second")
	if done := f.store.View().AuditEnds().Head - before; n <= changesAtOnce || int(done) != n-1 {
		t.Errorf("%d calls, %d records", n, done)
	}
	// What another node passes on counts as well; reading and trying out do not.
	by := metadata.AppendToOutgoingContext(f.ctx, forwardedKey, "n1", callerNameKey, "ada", callerRoleKey, RolePoolAdmin.wire(), callerCredentialKey, "certificate 01")
	for range 3 { // one more may have come back
		if err = change(by, ca.dial(l.Addr().String(), "n1", "node")); err != nil {
			break
		}
	}
	exhausted(t, err, "changes_per_second")
	if _, err := v1.NewPoolServiceClient(ada).ListPools(f.ctx, &v1.ListPoolsRequest{}); err != nil {
		t.Error(err)
	}
	if _, err := v1.NewPoolServiceClient(ada).CreatePool(f.ctx, &v1.CreatePoolRequest{Pool: &v1.Pool{NameLabel: "tried"}, ValidateOnly: true}); err != nil {
		t.Error(err)
	}
	if err := change(f.ctx, bob); err != nil {
		t.Errorf("another client is limited too: %v", err)
	}
	// A long change takes as much of the audit as many.
	long := signed(f.ctx, &storev1.Command{Body: &storev1.Command_PutAddressGroup{PutAddressGroup: &storev1.PutAddressGroup{
		AddressGroup: &v1.AddressGroup{Addresses: []string{strings.Repeat("x", changesAtOnce*changeBytes/4)}}}}})
	for n = 0; server.usage.change(Identity{Name: "carl"}, long) == nil && n < 100; n++ {
	}
	if n != 3 {
		t.Errorf("%d changes of a quarter of what is allowed at once", n)
	}
	for _, who := range []Identity{{Name: "ada", Credential: credentialSocket}, {Name: "ada", Role: RoleNode}} {
		for range 2 * changesAtOnce {
			if err := server.usage.change(who, signed(f.ctx, putGrant(nil))); err != nil {
				t.Fatalf("%+v: %v", who, err)
			}
		}
	}
}
