package cli

import (
	"context"
	"strings"
	"testing"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

// fakeAccess serves grants.
type fakeAccess struct {
	poolwirev1.UnimplementedAccessServiceServer
	grants []*poolwirev1.Grant
}

func (f *fakeAccess) ListGrants(context.Context, *poolwirev1.ListGrantsRequest) (*poolwirev1.ListGrantsResponse, error) {
	return &poolwirev1.ListGrantsResponse{Grants: f.grants}, nil
}

// What was not granted is not there, which is no mistake on the command line.
func TestRevokeOfWhatIsNotGranted(t *testing.T) {
	t.Parallel()
	f := &fakeServer{fakeAccess: fakeAccess{grants: []*poolwirev1.Grant{{Uuid: "g", Principal: "alice", Role: poolwirev1.Role_ROLE_READ_ONLY}}}}
	for role, want := range map[string]int{"pool-admin": exitNotFound, "god": exitUsage} {
		code, _, errs := f.run(t, "access", "revoke", "alice", role)
		if code != want || want == exitNotFound && !strings.Contains(errs, "alice has not been granted pool-admin on cluster") {
			t.Errorf("%s: exit %d, want %d: %s", role, code, want, errs)
		}
	}
}
