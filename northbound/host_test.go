package northbound

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	v1 "poolwire/proto/poolwire/v1"
)

// TestCreateHost: what operators type is stored in one canonical form, with its
// defaults.
func TestCreateHost(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	sum := strings.Repeat("AB:", 31) + "AB"
	tests := map[string]struct {
		in, want *v1.Host
	}{
		"plain address": {&v1.Host{Address: "192.0.2.19"}, &v1.Host{Address: "ssl:192.0.2.19:6640", Trust: v1.TrustMode_TRUST_MODE_CA}},
		"target":        {&v1.Host{Address: "ssl:192.0.2.19:6641"}, &v1.Host{Address: "ssl:192.0.2.19:6641", Trust: v1.TrustMode_TRUST_MODE_CA}},
		"IPv6":          {&v1.Host{Address: "2001:DB8::19"}, &v1.Host{Address: "ssl:[2001:db8::19]:6640", Trust: v1.TrustMode_TRUST_MODE_CA}},
		"IPv6 and port": {&v1.Host{Address: "ssl:[2001:db8::19]:7000"}, &v1.Host{Address: "ssl:[2001:db8::19]:7000", Trust: v1.TrustMode_TRUST_MODE_CA}},
		"fingerprint": {&v1.Host{Address: "192.0.2.20", CertificateSha256: sum},
			&v1.Host{Address: "ssl:192.0.2.20:6640", CertificateSha256: strings.Repeat("ab", 32), Trust: v1.TrustMode_TRUST_MODE_PINNED}},
		"output fields": {&v1.Host{Address: "192.0.2.21", ObjectId: 7, Etag: "9", Status: &v1.HostStatus{OvsVersion: "9"}},
			&v1.Host{Address: "ssl:192.0.2.21:6640", Trust: v1.TrustMode_TRUST_MODE_CA}},
	}
	n := 50
	for name, tt := range tests {
		n++
		tt.in.Uuid, tt.in.NameLabel, tt.in.PoolUuid, tt.in.Mode = id('b', n), name, strings.ToUpper(paris), v1.ConnectionMode_CONNECTION_MODE_PASSIVE
		got, err := f.CreateHost(f.ctx, &v1.CreateHostRequest{Host: tt.in})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		want := tt.want
		want.Uuid, want.NameLabel, want.PoolUuid, want.Mode, want.Managed = id('b', n), name, paris, tt.in.GetMode(), true
		want.TransportGuard, want.Ipsec = v1.TransportGuard_TRANSPORT_GUARD_BRIDGE, &v1.HostIpsec{Credential: v1.IpsecCredential_IPSEC_CREDENTIAL_PSK}
		h := proto.CloneOf(got.GetHost())
		if h.GetObjectId() == 7 || h.GetEtag() == "9" || h.GetStatus().GetOvsVersion() == "9" {
			t.Errorf("%s: output fields were taken from the request: %v", name, h)
		}
		h.ObjectId, h.Etag, h.CreateTime, h.Status = 0, "", nil, nil
		if !proto.Equal(h, want) {
			t.Errorf("%s:\n%v, want\n%v", name, h, want)
		}
	}
}

// TestSameSwitchTwice: a switch is registered once, however its address or its
// certificate is spelled, by CreateHost and by UpdateHost.
func TestSameSwitchTwice(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	sum := strings.Repeat("ab", 32)
	six := passiveHost(func(h *v1.Host) {
		h.NameLabel, h.Address, h.SystemId, h.CertificateSha256 = "six", "2001:db8::11", "sys-six", sum
	})
	if _, err := f.CreateHost(f.ctx, six); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		same  *v1.Host
		field string
		by    string
	}{
		"address":            {&v1.Host{Address: "192.0.2.11"}, "address", "xcp1"},
		"with port":          {&v1.Host{Address: "192.0.2.11:6640"}, "address", "xcp1"},
		"with zeros":         {&v1.Host{Address: "192.0.2.11:06640"}, "address", "xcp1"},
		"target":             {&v1.Host{Address: "ssl:192.0.2.11"}, "address", "xcp1"},
		"target and port":    {&v1.Host{Address: "ssl:192.0.2.11:6640"}, "address", "xcp1"},
		"target in capitals": {&v1.Host{Address: "SSL:192.0.2.11:6640"}, "address", "xcp1"},
		"mapped":             {&v1.Host{Address: "::ffff:192.0.2.11"}, "address", "xcp1"},
		"mapped, port":       {&v1.Host{Address: "ssl:[::ffff:192.0.2.11]:6640"}, "address", "xcp1"},
		"IPv6":               {&v1.Host{Address: "2001:DB8:0:0::11"}, "address", "six"},
		"IPv6 and port":      {&v1.Host{Address: "ssl:[2001:0db8::0011]:6640"}, "address", "six"},
		"system-id":          {&v1.Host{SystemId: "sys-six"}, "system_id", "six"},
		"certificate":        {&v1.Host{CertificateSha256: sum}, "certificate_sha256", "six"},
		"with colons":        {&v1.Host{CertificateSha256: strings.Repeat("AB:", 31) + "AB"}, "certificate_sha256", "six"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			want := refusal{codes.AlreadyExists, "host." + tt.field, []string{`is taken by host "` + tt.by + `"`}}
			before := f.state()
			_, err := f.CreateHost(f.ctx, passiveHost(func(h *v1.Host) { proto.Merge(h, tt.same) }))
			want.check(t, err)
			update := proto.CloneOf(tt.same)
			update.Uuid = xcp2
			paths := []string{tt.field}
			if tt.field == "certificate_sha256" {
				paths, update.Trust = append(paths, "trust"), v1.TrustMode_TRUST_MODE_PINNED
			}
			_, err = f.UpdateHost(f.ctx, &v1.UpdateHostRequest{Host: update, UpdateMask: &fieldmaskpb.FieldMask{Paths: paths}})
			want.check(t, err)
			if f.state() != before {
				t.Error("the state changed")
			}
		})
	}
	other := passiveHost(func(h *v1.Host) { h.Address = "192.0.2.11:6641" })
	if _, err := f.CreateHost(f.ctx, other); err != nil {
		t.Errorf("another port is another switch: %v", err)
	}
	_, err := f.UpdateHost(f.ctx, &v1.UpdateHostRequest{Host: &v1.Host{Uuid: xcp1, Address: "192.0.2.11"},
		UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"address"}}})
	if err != nil {
		t.Errorf("its own address: %v", err)
	}
}

// TestUpdateHost: what another field makes meaningless goes with it.
func TestUpdateHost(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	update := func(h *v1.Host, paths ...string) *v1.Host {
		t.Helper()
		h.Uuid = xcp1
		r, err := f.UpdateHost(f.ctx, &v1.UpdateHostRequest{Host: h, UpdateMask: &fieldmaskpb.FieldMask{Paths: paths}})
		if err != nil {
			t.Fatal(err)
		}
		return r.GetHost()
	}
	sum := strings.Repeat("ab", 32)
	h := update(&v1.Host{Trust: v1.TrustMode_TRUST_MODE_PINNED, CertificateSha256: sum}, "trust", "certificate_sha256")
	if h.GetCertificateSha256() != sum {
		t.Errorf("pinned: %v", h)
	}
	h = update(&v1.Host{Trust: v1.TrustMode_TRUST_MODE_CA}, "trust")
	if h.GetCertificateSha256() != "" {
		t.Errorf("CA: %v", h)
	}
	h = update(&v1.Host{Mode: v1.ConnectionMode_CONNECTION_MODE_ACTIVE, SystemId: "s1"}, "mode", "system_id")
	if h.GetAddress() != "" || h.GetSystemId() != "s1" || h.GetNameLabel() != "xcp1" {
		t.Errorf("active: %v", h)
	}
}

// TestReleaseHost: a host that is here is released and then recorded as not
// managed; one that is away stays as it is.
func TestReleaseHost(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	f.live.change(func() { f.live.state[xcp2] = v1.HostState_HOST_STATE_AWAY })
	before := f.state()
	_, err := f.ReleaseHost(f.ctx, &v1.ReleaseHostRequest{Host: "xcp2"})
	refusal{code: codes.FailedPrecondition, says: []string{`"xcp2"`, "not connected", "try again"}}.check(t, err)
	if f.state() != before {
		t.Error("the state changed")
	}
	r, err := f.ReleaseHost(f.ctx, &v1.ReleaseHostRequest{Host: "xcp1"})
	if err != nil || r.GetHost().GetManaged() || r.GetHost().GetStatus().GetState() != v1.HostState_HOST_STATE_RELEASED {
		t.Fatalf("%v, %v", r, err)
	}
	again, err := f.ReleaseHost(f.ctx, &v1.ReleaseHostRequest{Host: xcp1})
	if err != nil || again.GetHost().GetUuid() != xcp1 || len(f.live.released) != 1 {
		t.Errorf("released twice: %v, %v, %v", again, err, f.live.released)
	}
	got, err := f.GetVif(f.ctx, &v1.GetVifRequest{Vif: vif1})
	state := got.GetVif().GetRealization()
	if err != nil || state.GetState() != v1.RealizationState_REALIZATION_STATE_PENDING || !strings.Contains(state.GetMessage(), "host xcp1 is released") {
		t.Errorf("a VIF on a released host: %v, %v", state, err)
	}
}

// TestDeleteHost: a host that is away is forgotten only with force, one that was
// never seen or was released without being asked again.
func TestDeleteHost(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	f.live.change(func() {
		f.live.state[xcp1] = v1.HostState_HOST_STATE_AWAY
		f.live.state[id('b', 9)] = v1.HostState_HOST_STATE_AWAY
	})
	before := f.state()
	_, err := f.DeleteHost(f.ctx, &v1.DeleteHostRequest{Host: "xcp1"})
	refusal{code: codes.FailedPrecondition, says: []string{`"xcp1"`, "use force", "stays there"}}.check(t, err)
	if f.state() != before {
		t.Error("the state changed")
	}
	if _, err := f.DeleteHost(f.ctx, &v1.DeleteHostRequest{Host: "xcp1", Force: true}); err != nil {
		t.Error(err)
	}
	if _, err := f.DeleteHost(f.ctx, &v1.DeleteHostRequest{Host: "xcp2"}); err != nil {
		t.Error(err)
	}
	if got := f.live.released; !slices.Equal(got, []string{xcp2}) {
		t.Errorf("released %v, want %s", got, xcp2)
	}
	if _, err := f.CreateHost(f.ctx, passiveHost(func(h *v1.Host) { h.Uuid = id('b', 9) })); err != nil {
		t.Fatal(err)
	}
	if _, err := f.DeleteHost(f.ctx, &v1.DeleteHostRequest{Host: "xcp9"}); err != nil {
		t.Errorf("a host that was never seen: %v", err)
	}
	if got := f.store.View().Hosts(); len(got) != 1 || got[0].GetUuid() != xcp3 {
		t.Errorf("left: %v", got)
	}
}

// TestIssueIPsecCertificate: the same for the IKE daemon, with places that no other certificate has.
func TestIssueIPsecCertificate(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.populate()
	var got [2]*v1.IssueHostCertificateResponse
	for i := range got {
		var err error
		if got[i], err = f.IssueHostCertificate(f.ctx, &v1.IssueHostCertificateRequest{Host: "xcp1", Ipsec: true}); err != nil {
			t.Fatal(err)
		}
		for path, want := range map[string]string{
			got[i].GetCertificatePath(): `^/etc/ipsec\.d/certs/poolwire-[0-9a-f]{8}\.pem$`,
			got[i].GetPrivateKeyPath():  `^/etc/ipsec\.d/private/poolwire-[0-9a-f]{8}\.pem$`,
			got[i].GetCaPath():          `^/etc/ipsec\.d/cacerts/poolwire-[0-9a-f]{8}\.pem$`,
		} {
			if !regexp.MustCompile(want).MatchString(path) {
				t.Errorf("%q, want %s", path, want)
			}
		}
	}
	if got[0].GetCertificatePath() == got[1].GetCertificatePath() || got[0].GetPrivateKeyPath() == got[1].GetPrivateKeyPath() {
		t.Errorf("two certificates in one place: %s, %s", got[0].GetCertificatePath(), got[1].GetPrivateKeyPath())
	}
	if got[0].GetCaPath() != got[1].GetCaPath() {
		t.Errorf("one root in two places: %s, %s", got[0].GetCaPath(), got[1].GetCaPath())
	}
}
