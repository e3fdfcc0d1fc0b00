package northbound

import (
	"crypto/x509"
	"log/slog"
	"slices"
	"testing"

	"google.golang.org/grpc/codes"

	"poolwire/pki"
	v1 "poolwire/proto/poolwire/v1"
)

// byRole identifies clients and nodes as the daemon does.
func byRole(c *x509.Certificate) (Identity, error) {
	id, err := pki.IdentityOf(c)
	switch {
	case err != nil || id.Role == pki.RoleNone && id.Kind == pki.KindClient:
		return Identity{Name: id.Name}, err
	case id.Kind == pki.KindNode:
		return Identity{Name: id.Name, Role: RoleNode}, nil
	}
	role, err := ParseRole(string(id.Role))
	return Identity{Name: id.Name, Role: role}, err
}

// renewing is a cluster of one node whose CA is rotated, and everybody who may come to have a certificate renewed.
type renewing struct {
	*fixture
	ca      *pki.Authority
	door    string
	clients map[string]pki.Issued
	node    pki.Issued
	log     lines
}

func newRenewing(t *testing.T) *renewing {
	t.Helper()
	ca, err := pki.Open(t.TempDir(), pki.Options{NodeID: "n1"})
	if err != nil {
		t.Fatal(err)
	}
	r := &renewing{ca: ca, clients: map[string]pki.Issued{}}
	r.fixture = newFixtureWith(t, func(c *Config) {
		c.CA = ca
		at := *c
		at.Identify, at.Log = byRole, slog.New(recorder{slog.DiscardHandler, &r.log})
		r.door = serveDoor(t, at, ca)
	})
	r.populate()
	roles := map[string]pki.Role{"nothing": pki.RoleNone, "granted": pki.RoleNone, "tenant": pki.RoleNone}
	for _, role := range pki.Roles() {
		roles[string(role)] = role
	}
	r.grant("granted", RoleReadOnly, scopeCase{})
	r.grant("tenant", RolePoolOperator, scopeCase{network: r.network1().GetUuid()})
	for name, role := range roles {
		if r.clients[name], err = ca.IssueClient(name, role); err != nil {
			t.Fatal(err)
		}
	}
	if r.node, err = ca.IssueNode("n1", nil); err != nil {
		t.Fatal(err)
	}
	return r
}

// step takes a step of the rotation, and does what a daemon then does.
func (r *renewing) step(step v1.CaRotationStep) {
	r.t.Helper()
	a, err := r.RotateCa(r.ctx, &v1.RotateCaRequest{Step: step, Force: true})
	if err != nil {
		r.t.Fatal(err)
	}
	var active pki.Anchor
	var others []pki.Anchor
	for _, anchor := range a.GetRotation().GetAnchors() {
		chains, err := pki.ParseAnchors("", anchor.GetChainPem())
		switch {
		case err != nil:
			r.t.Fatal(err)
		case anchor.GetState() == caActive:
			active = chains[0]
		default:
			others = append(others, chains[0])
		}
	}
	if err := r.ca.SetAnchors(active, others); err != nil {
		r.t.Fatal(err)
	}
}

// all has everybody come with the certificate of the first CA.
func (r *renewing) all(t *testing.T, stage string, clients, node func(*testing.T, *v1.Certificate, error)) {
	for name, own := range r.clients {
		t.Run(stage+"/"+name, func(t *testing.T) {
			c, err := renewed(t, callsWith(t, r.door, r.ca, own))
			clients(t, c, err)
			if err == nil && (c.GetName() != name || name == c.GetRole() != slices.Contains(pki.Roles(), pki.Role(name))) {
				t.Errorf("%v", c)
			}
		})
	}
	t.Run(stage+"/node", func(t *testing.T) {
		csr, _, err := pki.NewRequest(pki.KindNode)
		if err != nil {
			t.Fatal(err)
		}
		a, err := callsWith(t, r.door, r.ca, r.node).RenewCertificate(patience(t), &v1.RenewCertificateRequest{Csr: csr})
		node(t, a.GetCertificate(), err)
	})
}

// Who calls with a certificate of the old CA gets one of the next as soon as those are given out, whatever he may do
// otherwise; before, after it was aborted and with one of the next CA he has to wait.
func TestEverybodyRenewsInRotation(t *testing.T) {
	t.Parallel()
	r := newRenewing(t)
	notDue := func(t *testing.T, _ *v1.Certificate, err error) {
		refusal{code: codes.FailedPrecondition, says: []string{"last third"}}.check(t, err)
	}
	of := func(issuer string) func(*testing.T, *v1.Certificate, error) {
		return func(t *testing.T, c *v1.Certificate, err error) {
			if err != nil || c.GetIssuer() != issuer {
				t.Errorf("%v, %v; want one of %s", c, err, issuer)
			}
		}
	}
	r.all(t, "before", notDue, notDue)
	r.step(v1.CaRotationStep_CA_ROTATION_STEP_BEGIN)
	r.step(v1.CaRotationStep_CA_ROTATION_STEP_ABORT)
	r.all(t, "aborted", notDue, notDue)
	r.step(v1.CaRotationStep_CA_ROTATION_STEP_BEGIN)
	next := r.ca.Anchors()[1].Fingerprint()
	r.all(t, "begun", of(next), notDue) // nodes show theirs to others that need not trust the next CA yet
	r.step(v1.CaRotationStep_CA_ROTATION_STEP_SWITCH)
	r.all(t, "switched", of(next), of(next))
	fresh, err := r.ca.IssueClient("nothing", pki.RoleNone)
	if err != nil {
		t.Fatal(err)
	}
	c, err := renewed(t, callsWith(t, r.door, r.ca, fresh))
	notDue(t, c, err)
	r.step(v1.CaRotationStep_CA_ROTATION_STEP_FINISH)
	cut := func(t *testing.T, _ *v1.Certificate, err error) { refusal{code: codes.Unavailable}.check(t, err) }
	r.all(t, "finished", cut, cut)
	for name := range r.clients { // like any other change
		for _, code := range []string{"OK", "FailedPrecondition"} {
			if !r.log.has("INFO PkiService/RenewCertificate code="+code, "who="+name+" ") {
				t.Errorf("no line of %s, %s", name, code)
			}
		}
	}
	_, err = renewed(t, r)
	refusal{code: codes.FailedPrecondition, says: []string{"with a certificate"}}.check(t, err)
}
