package pki_test

import (
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"poolwire/pki"
)

// revoking has an authority take these serial numbers for revoked.
func revoking(a *pki.Authority, serials ...string) {
	a.SetRevoked(func(_, serial string) error {
		for _, s := range serials {
			if s == serial {
				return errors.New("stolen")
			}
		}
		return nil
	})
}

// Where the CA's key is, what was revoked is made anew at the next look, node and local administrator, with keys that nobody has
// stolen. Elsewhere it stays, and the node knows what is wrong.
func TestRevokedOwnIsReplaced(t *testing.T) {
	t.Parallel()
	dir := copyDir(t)
	holder := open(t, dir, options())
	other := keylessNode(t, holder, "n2")
	key := func(name string) string {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	before, nodeKey, adminKey := holder.Own(), key("node.key"), key("admin.key")
	revoking(holder, pki.Serial(before[0]), pki.Serial(before[1]))
	if holder.Refused() == nil {
		t.Error("the node does not know")
	}
	if names, err := holder.Renew(); err != nil || len(names) != 2 {
		t.Fatalf("%v, %v", names, err)
	}
	now := holder.Own()
	if holder.Refused() != nil || now[0].Equal(before[0]) || now[1].Equal(before[1]) || key("node.key") == nodeKey || key("admin.key") == adminKey {
		t.Errorf("not replaced: %v", holder.Refused())
	}
	meets(t, "replaced", holder, other)
	if _, err := pki.Open(dir, options()); err != nil {
		t.Error(err)
	}

	revoking(other, pki.Serial(other.Own()[0]))
	if names, err := other.Renew(); err != nil || len(names) != 0 || other.Refused() == nil {
		t.Errorf("without the CA's key: %v, %v, %v", names, err, other.Refused())
	}
	if _, due, err := other.Renewal(); due || err != nil {
		t.Errorf("asks others that refuse it: %v, %v", due, err)
	}
}

// What was good when the connection was made is not when it has ended, but for hosts, whose certificates may be pinned as they are.
func TestEndedIsUnusable(t *testing.T) {
	t.Parallel()
	now := time.Now()
	a := open(t, copyDir(t), pki.Options{NodeID: options().NodeID, Now: func() time.Time { return now }})
	alice, err := a.IssueClient("alice", pki.RoleReadOnly)
	if err != nil {
		t.Fatal(err)
	}
	certs := []*x509.Certificate{alice.Leaf}
	if err := a.Usable(certs, pki.OwnOnly); err != nil {
		t.Error(err)
	}
	now = alice.NotAfter.Add(time.Second)
	var ended *pki.PeerError
	if err := a.Usable(certs, pki.OwnOnly); !errors.As(err, &ended) || !errors.Is(ended.Kind, pki.ErrPeerExpired) {
		t.Errorf("%v", err)
	}
	if err := a.Usable(certs, pki.OwnOrForeign); err != nil {
		t.Error(err)
	}
}
