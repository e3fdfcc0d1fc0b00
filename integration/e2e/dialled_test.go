package e2e

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"poolwire/integration/lab"
)

// A host with a certificate of its own making dials in before anybody has registered it. It is reported and
// waits; once it is registered, at first use, it is worked on over the same connection. Peers that nobody has registered
// push each other out, and not the host.
func TestHostDialsInBeforeItIsRegistered(t *testing.T) {
	t.Parallel()
	p := &pair{World: newWorld(t, "early", "--limits-unverified-sessions", "4")}
	p.do(t, "pool", "create", "paris")
	early, err := p.Lab.AddHost(within(t, time.Minute), lab.HostOptions{Name: "early"})
	if err != nil {
		t.Fatal(err)
	}
	key, cert := selfMade(t, p, early, "own")
	if err := early.SetTLS(within(t, time.Minute), lab.TLS{Key: key, Cert: cert, CA: filepath.Join(early.Dir, "own-ca.pem"), Bootstrap: true}); err != nil {
		t.Fatal(err)
	}
	if err := early.SetManager(within(t, time.Minute), "ssl:"+netip.AddrPortFrom(p.Lab.ControllerAddr(), 6640).String()); err != nil {
		t.Fatal(err)
	}
	reported := func(context.Context) error {
		if log := p.DaemonLog(1000); !strings.Contains(log, "host dialled in") || !strings.Contains(log, "system_id="+early.UUID) {
			return fmt.Errorf("it is not reported:\n%s", log)
		}
		return nil
	}
	eventually(t, reported)
	p.do(t, "host", "add", "early", "--pool", "paris", "--mode", "active", "--system-id", early.UUID, "--trust", "first-use", "--wait", "none")
	p.ready(t, early)
	if log := p.DaemonLog(1000); strings.Count(log, "host dialled in") != 1 {
		t.Errorf("it had to dial again:\n%s", log)
	}
	// Strangers come and go, and the host stays.
	strangersKey, strangersCert := selfMade(t, p, early, "stranger")
	theirs, err := tls.LoadX509KeyPair(strangersCert, strangersKey)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		c, err := p.reach(within(t, 30*time.Second), early, 6640, theirs)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
	}
	eventually(t, p.metric(`poolwire_connections_limited_total{limit="unverified_sessions",listener="ovsdb"}`))
	p.do(t, "add-rule", "bridge=xenbr0", "direction=to", "protocol=tcp", "port=1", "ipRange=10.66.0.0/24", "allow=false", "--wait", "none")
	p.settledHosts(t, early)
}

// selfMade makes a key and a certificate that nobody has signed, in a host's directory.
func selfMade(t *testing.T, p *pair, h *lab.Host, name string) (key, cert string) {
	t.Helper()
	key, cert = filepath.Join(h.Dir, name+"-key.pem"), filepath.Join(h.Dir, name+"-cert.pem")
	_, err := p.Lab.Machine().Run(within(t, 30*time.Second), "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN="+name, "-keyout", key, "-out", cert)
	if err != nil {
		t.Fatal(err)
	}
	return key, cert
}
