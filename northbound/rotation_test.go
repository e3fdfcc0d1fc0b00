package northbound

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	"poolwire/pki"
	storev1 "poolwire/proto/poolwire/store/v1"
	v1 "poolwire/proto/poolwire/v1"
)

// showing has hosts present certificates of a CA of the test's choice.
type showing struct {
	*fakeLive
	test *rotating
}

func (s showing) HostStatus(host string) *v1.HostStatus {
	if do := s.test.meanwhile.Swap(nil); do != nil {
		(*do)()
	}
	st := s.fakeLive.HostStatus(host)
	if st != nil {
		st.State, st.Certificate = v1.HostState_HOST_STATE_READY, &v1.PresentedCertificate{Issuer: s.test.shown}
	}
	return st
}

// Why a host is not connected is said in the words that it is listed with.
func TestRotationSaysStatesAsListsDo(t *testing.T) {
	t.Parallel()
	for state, want := range map[v1.HostState]string{v1.HostState_HOST_STATE_NEVER_SEEN: "never-seen", v1.HostState_HOST_STATE_UNSPECIFIED: "unknown"} {
		if p := (judge{}).host(&v1.Host{}, &v1.HostStatus{State: state}); p.GetReady() || p.GetReason() != "is not connected: "+want {
			t.Errorf("%s: %v", state, p)
		}
	}
}

// rotating is a fixture whose CA can be rotated, and whose hosts present certificates of a CA of the test's choice.
type rotating struct {
	*fixture
	ca    *pki.Authority
	old   pki.Anchor
	shown string // fingerprint of the CA of hosts' certificates; first that of old
	// meanwhile is done once while somebody looks what hosts present.
	meanwhile atomic.Pointer[func()]
}

func newRotating(t *testing.T) *rotating {
	t.Helper()
	ca, err := pki.Open(t.TempDir(), pki.Options{NodeID: "n1"})
	if err != nil {
		t.Fatal(err)
	}
	r := &rotating{ca: ca, old: ca.Anchors()[0]}
	r.shown = r.old.Fingerprint()
	r.fixture = newFixtureWith(t, func(c *Config) { c.CA, c.Live = ca, showing{c.Live.(*fakeLive), r} })
	r.populate()
	return r
}

func (r *rotating) take(step v1.CaRotationStep, force bool) error {
	_, err := r.RotateCa(r.ctx, &v1.RotateCaRequest{Step: step, Force: force})
	return err
}

// A host that presents a certificate of the old CA keeps both steps waiting, and is named with what to do; so is a client who has
// nothing else.
func TestRotationWaitsForWhoIsNotReady(t *testing.T) {
	t.Parallel()
	f := newRotating(t)
	f.issue("ada")
	const begin, change, finish = v1.CaRotationStep_CA_ROTATION_STEP_BEGIN, v1.CaRotationStep_CA_ROTATION_STEP_SWITCH, v1.CaRotationStep_CA_ROTATION_STEP_FINISH
	if err := f.take(begin, false); err != nil {
		t.Fatal(err)
	}
	st, err := f.GetCaRotation(f.ctx, &v1.GetCaRotationRequest{})
	if err != nil || len(st.GetRotation().GetAnchors()) != 2 {
		t.Fatalf("%v, %v", st, err)
	}
	for _, a := range st.GetRotation().GetAnchors() {
		if at := a.GetStateTime().AsTime(); at.Equal(f.old.Issuing().NotBefore) != (a.GetState() == caActive) {
			t.Errorf("CA %s is %s since %s", a.GetFingerprint(), a.GetState(), at)
		}
	}
	waits := []string{"host xcp1", "host xcp3", "export-host", "client ada", "pki renew"}
	refusal{code: codes.FailedPrecondition, says: waits}.check(t, f.take(change, false))
	next := f.ca.Anchors()[1]
	if err := f.take(change, true); err != nil {
		t.Fatal(err)
	}
	if err := f.ca.SetAnchors(next, []pki.Anchor{f.old}); err != nil {
		t.Fatal(err)
	}
	refusal{code: codes.FailedPrecondition, says: waits}.check(t, f.take(finish, false))
	f.shown = next.Fingerprint()
	refusal{code: codes.FailedPrecondition, says: []string{"client ada"}}.check(t, f.take(finish, false))
	f.issue("ada")
	if err := f.take(finish, false); err != nil {
		t.Error(err)
	}
}

// What was given out of the next CA would be worth nothing after an abort: it is refused, with the names of those who have
// moved, until nobody has or somebody insists. Then nothing of that CA is called good.
func TestAbortSparesWhoHasMoved(t *testing.T) {
	t.Parallel()
	f := newRotating(t)
	stays := f.issue("ada")
	const begin, abort = v1.CaRotationStep_CA_ROTATION_STEP_BEGIN, v1.CaRotationStep_CA_ROTATION_STEP_ABORT
	start := func() (next pki.Anchor) {
		t.Helper()
		if err := f.take(begin, false); err != nil {
			t.Fatal(err)
		}
		return f.ca.Anchors()[1]
	}
	undo := func(force bool) {
		t.Helper()
		if err := f.take(abort, force); err != nil {
			t.Fatal(err)
		}
		if err := f.ca.SetAnchors(f.old, nil); err != nil {
			t.Fatal(err)
		}
	}
	start()
	undo(false) // nobody has moved

	f.shown = start().Fingerprint()
	refusal{code: codes.FailedPrecondition, says: []string{"host xcp1", "host xcp3", "--force", "switch"}}.check(t, f.take(abort, false))
	f.shown = f.old.Fingerprint()
	var moved *v1.Certificate
	f.meanwhile.Store(new(func() { moved = f.issue("vic") }))
	refusal{code: codes.FailedPrecondition, says: []string{"meanwhile", "rotate status"}}.check(t, f.take(abort, false))
	if moved.GetTrust() != v1.CertificateTrust_CERTIFICATE_TRUST_TRUSTED {
		t.Errorf("%v", moved)
	}
	err := f.take(abort, false)
	refusal{code: codes.FailedPrecondition, says: []string{"client vic", "issue client"}}.check(t, err)
	if strings.Contains(err.Error(), "ada") || strings.Contains(err.Error(), "xcp") {
		t.Errorf("names who has not moved: %v", err)
	}
	undo(true)
	for name, want := range map[string]v1.CertificateTrust{"ada": v1.CertificateTrust_CERTIFICATE_TRUST_TRUSTED, "vic": v1.CertificateTrust_CERTIFICATE_TRUST_GONE} {
		r, err := f.ListCertificates(f.ctx, &v1.ListCertificatesRequest{Name: name, All: true})
		if err != nil || len(r.GetCertificates()) != 1 || r.GetCertificates()[0].GetTrust() != want {
			t.Errorf("%s: %v, %v", name, r, err)
		}
	}
	if got := f.listed(&v1.ListCertificatesRequest{}); !slices.Equal(got, []string{"ada"}) {
		t.Errorf("listed as good: %v", got)
	}
	if stays.GetTrust() != v1.CertificateTrust_CERTIFICATE_TRUST_TRUSTED {
		t.Errorf("%v", stays)
	}

	start()
	gone := f.issue("vic")
	if _, err := f.RevokeCertificate(f.ctx, &v1.RevokeCertificateRequest{Serial: gone.GetSerial()}); err != nil {
		t.Fatal(err)
	}
	undo(false) // what was revoked is worth nothing either way
}

// Whose a certificate of the next CA is: of the node that presents it too, but not of the administrator that a node makes for
// itself, which it makes anew; nor is what is revoked or expired anybody's loss.
func TestWhoHasMoved(t *testing.T) {
	t.Parallel()
	const client, host, node = v1.CertificateKind_CERTIFICATE_KIND_CLIENT, v1.CertificateKind_CERTIFICATE_KIND_HOST, v1.CertificateKind_CERTIFICATE_KIND_NODE
	now := time.Now()
	record := func(kind v1.CertificateKind, name, issuer string, left time.Duration) *v1.Certificate {
		return &v1.Certificate{Kind: kind, Name: name, Issuer: issuer, NotAfter: timestamppb.New(now.Add(left))}
	}
	revoked, labelled := record(client, "revoked", "b", time.Hour), record(host, xcp1, "b", time.Hour)
	revoked.RevokeTime, labelled.Label = timestamppb.New(now), "xcp1"
	records := []*v1.Certificate{
		record(client, "vic", "b", time.Hour), record(client, "vic", "b", time.Hour), record(client, "ada", "a", time.Hour), revoked, labelled,
		record(client, "expired", "b", -time.Hour), record(client, localAdmin, "b", time.Hour), record(node, "n3", "b", time.Hour),
	}
	nodes := []*v1.NodeStatus{{Node: &v1.Node{Id: "n1"}, CertificateIssuer: "a"}, {Node: &v1.Node{Id: "n2"}, CertificateIssuer: "b"}, {Node: &v1.Node{Id: "silent"}}}
	hosts := map[string]*v1.HostStatus{"xcp2": {Certificate: &v1.PresentedCertificate{Issuer: "b"}}, "xcp3": {Certificate: &v1.PresentedCertificate{Issuer: "a"}}, "xcp4": nil}
	j := judgeOf([]*v1.TrustAnchor{{Fingerprint: "a", State: caActive}, {Fingerprint: "b", State: caNext}})
	if got, want := strings.Join(j.moved(records, nodes, hosts, now), "; "), "client vic; host xcp1; host xcp2; node n2; node n3"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// That a certificate ends soon matters only if its CA is trusted, and one that is not is nobody's next one.
func TestWarningsLeaveOutWhoseCAIsGone(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	record := func(name, issuer, serial string, days int) *v1.Certificate {
		return &v1.Certificate{Kind: v1.CertificateKind_CERTIFICATE_KIND_CLIENT, Name: name, Issuer: issuer, Serial: serial, NotAfter: timestamppb.New(time.Now().AddDate(0, 0, days))}
	}
	here, gone := realCA().Anchors()[0].Fingerprint(), strings.Repeat("ab", 32)
	f.apply(&storev1.Command{Body: &storev1.Command_PutCertificates{PutCertificates: &storev1.PutCertificates{Certificates: []*v1.Certificate{
		record("ada", here, "01", 10), record("ada", gone, "02", 700), record("bob", gone, "03", 10),
	}}}})
	st, err := f.GetClusterStatus(f.ctx, &v1.GetClusterStatusRequest{})
	if all := strings.Join(st.GetWarnings(), "\n"); err != nil || !strings.Contains(all, "client ada") || strings.Contains(all, "bob") {
		t.Errorf("%v, %s", err, all)
	}
}
