package northbound

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/fieldmaskpb"

	storev1 "poolwire/proto/poolwire/store/v1"
	v1 "poolwire/proto/poolwire/v1"
)

// A record names people and places, never a hash alone.
func TestAuditNamesWhomAChangeIsAbout(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	audit := v1.NewAuditServiceClient(f.conn)
	cert := f.issue("alice")
	if _, err := f.RevokeCertificate(f.ctx, &v1.RevokeCertificateRequest{Serial: cert.GetSerial(), Reason: "laptop lost"}); err != nil {
		t.Fatal(err)
	}
	access, tokens := v1.NewAccessServiceClient(f.conn), v1.NewTokenServiceClient(f.conn)
	grant, err := access.CreateGrant(f.ctx, &v1.CreateGrantRequest{Grant: &v1.Grant{Principal: "shop", Role: v1.Role_ROLE_POOL_OPERATOR, PoolUuid: "paris"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := access.DeleteGrant(f.ctx, &v1.DeleteGrantRequest{Uuid: grant.GetGrant().GetUuid()}); err != nil {
		t.Fatal(err)
	}
	token, err := tokens.CreateToken(f.ctx, &v1.CreateTokenRequest{Token: &v1.Token{Owner: "shop", Role: v1.Role_ROLE_READ_ONLY}})
	if err != nil {
		t.Fatal(err)
	}
	rule, err := f.AddRule(f.ctx, &v1.AddRuleRequest{Bridge: "xapi1", Pool: "paris", Allow: true, Protocol: v1.Protocol_PROTOCOL_IP,
		Direction: v1.Direction_DIRECTION_FROM, IpRange: "10.0.0.0/8"})
	if err != nil {
		t.Fatal(err)
	}
	digits := strings.Repeat("ab", 32)
	f.apply(&storev1.Command{Origin: &storev1.Origin{Who: "ada"}, Body: &storev1.Command_PutTrustAnchors{PutTrustAnchors: &storev1.PutTrustAnchors{Anchors: []*v1.TrustAnchor{
		{Fingerprint: digits, ChainPem: []byte("PEM of the CA"), State: v1.TrustAnchorState_TRUST_ANCHOR_STATE_ACTIVE},
	}}}})
	for _, c := range []struct {
		filter *v1.AuditFilter
		want   []string
	}{
		{&v1.AuditFilter{Object: "alice"}, []string{"made certificate of client alice (read-only)", "revoked certificate of client alice (read-only): laptop lost"}},
		{&v1.AuditFilter{Object: "shop", Kind: "grant"}, []string{"made grant shop pool-operator on pool paris", "removed grant shop pool-operator on pool paris"}},
		{&v1.AuditFilter{Object: "shop", Kind: "token"}, []string{"made token " + token.GetToken().GetId() + " of shop (read-only)"}},
		{&v1.AuditFilter{Kind: "trust_anchor"}, []string{"CAs none -> " + digits[:16] + " active"}},
		{&v1.AuditFilter{Kind: "rule"}, []string{"made rule " + shortID(rule.GetRule().GetUuid()) + ": allow ip from 10.0.0.0/8, on xapi1"}},
	} {
		r, err := audit.ListAuditRecords(f.ctx, &v1.ListAuditRecordsRequest{Filter: c.filter, OldestFirst: true})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range r.GetRecords() {
			got = append(got, r.GetSummary())
			if text := r.GetChanges()[0].GetAfterJson(); strings.Contains(text, "chain_pem") {
				t.Errorf("%s: the certificates of CAs are shown: %s", r.GetSummary(), text)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%v: got %q, want %q", c.filter, got, c.want)
		}
	}
}

// Who looks at the cluster sees when records are dropped long before their time.
func TestShortAuditIsWarnedOf(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	settings := f.store.View().Settings()
	settings.AuditKeepEntries = 1000
	if _, err := f.UpdateClusterSettings(f.ctx, &v1.UpdateClusterSettingsRequest{Settings: settings, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"audit_keep_entries"}}}); err != nil {
		t.Fatal(err)
	}
	warned := func() bool {
		t.Helper()
		r, err := f.GetClusterStatus(f.ctx, &v1.GetClusterStatusRequest{})
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(strings.Join(r.GetWarnings(), "\n"), "the audit reaches back 0s only")
	}
	if warned() {
		t.Error("warned although nothing was dropped")
	}
	calls := make([]*storev1.RefusedCalls, 64)
	for i := range calls {
		calls[i] = &storev1.RefusedCalls{Code: 7, Calls: 1, Origin: &storev1.Origin{Who: "eve"}}
	}
	for range 1000/len(calls) + 1 {
		f.apply(&storev1.Command{Body: &storev1.Command_PutAudit{PutAudit: &storev1.PutAudit{Calls: calls}}})
	}
	if !warned() {
		t.Error("not warned")
	}
}
