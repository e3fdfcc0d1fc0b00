package pki_test

import (
	"bytes"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"

	"poolwire/pki"
)

// keylessNode is a directory of a node without the CA's key.
func keylessNode(t *testing.T, by *pki.Authority, id string) *pki.Authority {
	t.Helper()
	issued, err := by.IssueNode(id, nil)
	if err != nil {
		t.Fatal(err)
	}
	dir := given(t, issued.CAPEM, nil)
	write(t, filepath.Join(dir, "node.pem"), issued.CertPEM, 0o644)
	write(t, filepath.Join(dir, "node.key"), issued.KeyPEM, 0o600)
	return open(t, dir, pki.Options{NodeID: id})
}

// meets checks that two nodes take each other for what they are.
func meets(t *testing.T, when string, a, b *pki.Authority) {
	t.Helper()
	for _, pair := range [][2]*pki.Authority{{a, b}, {b, a}} {
		if _, _, serverErr, clientErr := handshake(t, pair[0].NodeTLS(), pair[1].NodeTLS()); serverErr != nil || clientErr != nil {
			t.Errorf("%s: %v, %v", when, serverErr, clientErr)
		}
	}
}

// A rotation of the CA of two nodes, each of which takes its steps at its own time: they accept each other whenever they
// meet. What the old CA has signed is good until the end, and not after it.
func TestRotation(t *testing.T) {
	t.Parallel()
	holder := open(t, copyDir(t), options())
	other := keylessNode(t, holder, "n2")
	oldHost := certificates(t, host(t).CertPEM)
	was := holder.Anchors()[0]
	next, err := holder.PrepareNext()
	if err != nil {
		t.Fatal(err)
	}
	if again, err := holder.PrepareNext(); err != nil || again.Fingerprint() != next.Fingerprint() {
		t.Errorf("asked again: %v, %v", again, err)
	}
	if _, err := other.PrepareNext(); err == nil {
		t.Error("a node without the key makes a CA")
	}
	set := func(when string, a *pki.Authority, active pki.Anchor, others ...pki.Anchor) {
		t.Helper()
		if err := a.SetAnchors(active, others); err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		meets(t, when, holder, other)
	}
	meets(t, "one knows of the next CA", holder, other)
	set("begun on the holder", holder, was, next)
	set("begun on both", other, was, next)
	issued, err := holder.IssueHost(hostUUID, "")
	if err != nil {
		t.Fatal(err)
	}
	if holder.IssuerOf(issued.Leaf) != next.Fingerprint() {
		t.Error("hosts get certificates of the old CA")
	}
	if both, err := pki.ParseAnchors("ca.pem", issued.CAPEM); err != nil || len(both) != 2 {
		t.Errorf("a host is given %d CAs, %v", len(both), err)
	}
	for _, a := range []*pki.Authority{holder, other} {
		for _, certs := range [][]*x509.Certificate{oldHost, {issued.Leaf}} {
			if _, err := a.VerifyHost(certs, pki.HostIdentity{UUID: hostUUID}); err != nil {
				t.Error(err)
			}
		}
		if got := a.IssuerOf(a.Own()[0]); got != was.Fingerprint() {
			t.Error("a node presents a certificate of the next CA before hosts trust it")
		}
	}
	set("switched on the holder", holder, next, was)
	if holder.IssuerOf(holder.Own()[0]) != next.Fingerprint() || !holder.CanIssue() {
		t.Error("the holder presents the old CA's certificate, or has lost the key")
	}
	if _, due, _ := other.Renewal(); due {
		t.Error("renewal is due before the switch is known")
	}
	set("switched on both", other, next, was)
	if err := other.SetAnchors(next, nil); err == nil {
		t.Error("a node forgets the CA of its own certificate")
	}
	csr, due, err := other.Renewal()
	if err != nil || !due {
		t.Fatalf("no renewal is due: %v", err)
	}
	renewed, err := holder.Sign(pki.Request{Owner: pki.Identity{Kind: pki.KindNode, Name: "n2"}, CSR: csr})
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := holder.Sign(pki.Request{Owner: pki.Identity{Kind: pki.KindNode, Name: "n3"}, CSR: csr})
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Install(stranger.CertPEM); err == nil {
		t.Error("a node takes another one's certificate")
	}
	if err := other.Install(renewed.CertPEM); err != nil {
		t.Fatal(err)
	}
	meets(t, "renewed", holder, other)
	set("finished on the holder", holder, next)
	if _, err := holder.VerifyHost(oldHost, pki.HostIdentity{UUID: hostUUID}); err == nil {
		t.Error("the old CA is trusted after the end")
	}
	set("finished on both", other, next)
	// What was in memory is on the disk.
	holder, other = open(t, holder.Dir(), options()), open(t, other.Dir(), pki.Options{NodeID: "n2"})
	meets(t, "restarted", holder, other)
	if n := len(holder.Anchors()) + len(other.Anchors()); n != 2 {
		t.Errorf("%d CAs after a restart", n)
	}
}

// Between the two renames of a switch the directory is complete with the next start.
func TestInterruptedSwitch(t *testing.T) {
	t.Parallel()
	dir := copyDir(t)
	a := open(t, dir, options())
	was := a.Anchors()[0]
	next, err := a.PrepareNext()
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "trusted.pem"), append(next.PEM(), was.PEM()...), 0o644)
	if err := os.Rename(filepath.Join(dir, "next.key"), filepath.Join(dir, "ca.key")); err != nil {
		t.Fatal(err)
	}
	a = open(t, dir, options())
	if got := a.Anchors(); got[0].Fingerprint() != next.Fingerprint() || len(got) != 2 || !a.CanIssue() {
		t.Errorf("%d CAs, the first %s", len(got), got[0].Fingerprint())
	}
}

// An aborted rotation leaves nothing.
func TestAbortedRotation(t *testing.T) {
	t.Parallel()
	a := open(t, copyDir(t), options())
	was := a.Anchors()[0]
	if _, err := a.PrepareNext(); err != nil {
		t.Fatal(err)
	}
	if err := a.SetAnchors(was, nil); err != nil {
		t.Fatal(err)
	}
	if len(a.Anchors()) != 1 || a.Anchors()[0].Fingerprint() != was.Fingerprint() {
		t.Errorf("%d CAs", len(a.Anchors()))
	}
	if _, err := os.Stat(filepath.Join(a.Dir(), "next.key")); err == nil {
		t.Error("the next CA's key is there still")
	}
}

// What replaces files while they are in use is taken as a whole or not at all.
func TestReplacedFiles(t *testing.T) {
	t.Parallel()
	signer := open(t, copyDir(t), options())
	a := keylessNode(t, signer, "n2")
	before := a.Own()[0]
	fresh, err := signer.IssueNode("n2", nil)
	if err != nil {
		t.Fatal(err)
	}
	in := func(name string) string { return filepath.Join(a.Dir(), name) }
	// The certificate without its key yet.
	write(t, in("node.pem"), fresh.CertPEM, 0o644)
	if _, err := a.Renew(); err == nil || !a.Own()[0].Equal(before) {
		t.Errorf("half of a pair is taken: %v", err)
	}
	write(t, in("node.key"), fresh.KeyPEM, 0o600)
	if changed, err := a.Renew(); err != nil || len(changed) != 1 || a.Own()[0].Equal(before) {
		t.Errorf("%v, %v", changed, err)
	}
	// A CA that has not signed what is there.
	ca := read(t, in("ca.pem"))
	write(t, in("ca.pem"), chainPEM(company{}.issue(t, authorityTemplate("Other"), ecKey(t))), 0o644)
	if _, err := a.Renew(); err == nil {
		t.Error("another CA is taken although it has not signed this node's certificate")
	}
	meets(t, "with a bad ca.pem", signer, a)
	write(t, in("ca.pem"), ca, 0o644)
	if _, err := a.Renew(); err != nil {
		t.Error(err)
	}
}

// A second node with the old CA's key keeps it aside until that CA is trusted no longer, and not for ever.
func TestRetiredKeyGoes(t *testing.T) {
	t.Parallel()
	first, second := open(t, copyDir(t), options()), open(t, copyDir(t), options())
	was := first.Anchors()[0]
	next, err := first.PrepareNext()
	if err != nil {
		t.Fatal(err)
	}
	step := func(a *pki.Authority, active pki.Anchor, others ...pki.Anchor) {
		t.Helper()
		if err := a.SetAnchors(active, others); err != nil {
			t.Fatal(err)
		}
	}
	step(first, next, was)
	step(second, next, was)
	retired := filepath.Join(second.Dir(), "retired.key")
	if _, err := os.Stat(retired); err != nil {
		t.Error(err)
	}
	csr, due, err := second.Renewal()
	if err != nil || !due {
		t.Fatalf("%v, %v", due, err)
	}
	renewed, err := first.Sign(pki.Request{Owner: pki.Identity{Kind: pki.KindNode, Name: options().NodeID}, CSR: csr})
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Install(renewed.CertPEM); err != nil {
		t.Fatal(err)
	}
	step(second, next)
	if _, err := os.Stat(retired); err == nil {
		t.Error("the old CA's key is there still")
	}
	meets(t, "finished", first, open(t, second.Dir(), options()))
}

// A node that was away during a whole rotation is nobody when it comes back, whether it had heard of the beginning or not. It
// keeps what it has, and with the new ca.pem and a new certificate, put there by hand while it runs, it is a member again.
func TestAwayDuringARotation(t *testing.T) {
	t.Parallel()
	holder := open(t, copyDir(t), options())
	deaf, begun := keylessNode(t, holder, "n2"), keylessNode(t, holder, "n3")
	was := holder.Anchors()[0]
	next, err := holder.PrepareNext()
	if err != nil {
		t.Fatal(err)
	}
	if err := begun.SetAnchors(was, []pki.Anchor{next}); err != nil {
		t.Fatal(err)
	}
	for _, others := range [][]pki.Anchor{{was}, nil} {
		if err := holder.SetAnchors(next, others); err != nil {
			t.Fatal(err)
		}
	}
	for id, away := range map[string]*pki.Authority{"n2": deaf, "n3": begun} {
		if _, _, serverErr, clientErr := handshake(t, holder.NodeTLS(), away.NodeTLS()); serverErr == nil && clientErr == nil {
			t.Errorf("%s is still accepted", id)
		}
		had, trusted := read(t, filepath.Join(away.Dir(), "ca.pem")), len(away.Anchors())
		if err := away.SetAnchors(next, nil); err == nil {
			t.Errorf("%s forgets the CA of its own certificate", id)
		}
		if !bytes.Equal(read(t, filepath.Join(away.Dir(), "ca.pem")), had) || len(away.Anchors()) != trusted {
			t.Errorf("%s has kept less than it had", id)
		}
		issued, err := holder.IssueNode(id, nil)
		if err != nil {
			t.Fatal(err)
		}
		for name, data := range map[string][]byte{"ca.pem": issued.CAPEM, "node.pem": issued.CertPEM} {
			write(t, filepath.Join(away.Dir(), name), data, 0o644)
		}
		write(t, filepath.Join(away.Dir(), "node.key"), issued.KeyPEM, 0o600)
		if _, err := away.Renew(); err != nil {
			t.Errorf("%s: %v", id, err)
		}
		meets(t, id+" by hand", holder, away)
		if err := away.SetAnchors(next, nil); err != nil {
			t.Errorf("%s: %v", id, err)
		}
		again := open(t, away.Dir(), pki.Options{NodeID: id})
		meets(t, id+" restarted", holder, again)
		if n := len(again.Anchors()); n != 1 {
			t.Errorf("%s trusts %d CAs", id, n)
		}
	}
}
