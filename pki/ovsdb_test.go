package pki_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"poolwire/pki"
)

// ovsHost is an ovsdb-server set up as XAPI sets up a host's: key, certificate and
// managers are in the database, and the CA is learnt by bootstrap.
type ovsHost struct {
	t   *testing.T
	dir string
}

const schema = "/usr/share/openvswitch/vswitch.ovsschema"

func startOVS(t *testing.T, issued pki.Issued, args ...string) *ovsHost {
	t.Helper()
	h := &ovsHost{t, t.TempDir()}
	write(t, h.path("cert.pem"), issued.CertPEM, 0o644)
	write(t, h.path("key.pem"), issued.KeyPEM, 0o600)
	run(t, "ovsdb-tool", "create", h.path("conf.db"), schema)
	ctx, cancel := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, program(t, "ovsdb-server"), append([]string{
		h.path("conf.db"), "--remote=punix:" + h.path("db.sock"), "--remote=db:Open_vSwitch,Open_vSwitch,manager_options",
		"--private-key=db:Open_vSwitch,SSL,private_key", "--certificate=db:Open_vSwitch,SSL,certificate",
		"--bootstrap-ca-cert=db:Open_vSwitch,SSL,ca_cert", "--unixctl=" + h.path("ctl"), "--log-file=" + h.path("log"),
		"--no-chdir",
	}, args...)...)
	cmd.Env = append(os.Environ(), "OVS_RUNDIR="+h.dir, "OVS_LOGDIR="+h.dir, "OVS_DBDIR="+h.dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait()
		if t.Failed() {
			log, _ := os.ReadFile(h.path("log"))
			t.Logf("ovsdb-server: %s", log)
		}
	})
	h.until("listens", func() error { _, err := h.try("--timeout=2", "init"); return err })
	return h
}

func (h *ovsHost) path(name string) string { return filepath.Join(h.dir, name) }

func (h *ovsHost) try(args ...string) (string, error) {
	return try(h.t, "ovs-vsctl", append([]string{"--no-wait", "--db=unix:" + h.path("db.sock")}, args...)...)
}

func (h *ovsHost) vsctl(args ...string) string {
	h.t.Helper()
	out, err := h.try(args...)
	if err != nil {
		h.t.Fatalf("ovs-vsctl %q: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(out)
}

// manage does what XAPI's plugin does when a controller is introduced.
func (h *ovsHost) manage(target string) {
	h.t.Helper()
	h.vsctl("--", "--bootstrap", "set-ssl", h.path("key.pem"), h.path("cert.pem"), h.path("sdn-controller-ca.pem"),
		"--", "set-manager", target, "--", "set", "Manager", target, "max_backoff=1000")
}

// until retries what another program does in its own time.
func (h *ovsHost) until(what string, ready func() error) {
	h.t.Helper()
	var err error
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(wait); time.Now().Before(deadline); <-tick.C {
		if err = ready(); err == nil {
			return
		}
	}
	h.t.Fatalf("ovsdb-server: not so after %v: %s: %v", wait, what, err)
}

// listDBs asks an ovsdb-server a question, to see that it lets us (RFC 7047, 4.1.1).
func listDBs(conn net.Conn) error {
	if _, err := conn.Write([]byte(`{"method":"list_dbs","params":[],"id":"pki"}`)); err != nil {
		return err
	}
	decoder := json.NewDecoder(conn)
	for {
		var reply struct {
			ID     any
			Result []string
		}
		if err := decoder.Decode(&reply); err != nil {
			return err
		}
		if reply.ID == "pki" {
			if len(reply.Result) == 0 || reply.Result[0] != "Open_vSwitch" {
				return fmt.Errorf("databases %v", reply.Result)
			}
			return nil
		}
	}
}

// serveHosts lets hosts dial in and asks each one, and returns how it went.
func serveHosts(t *testing.T, config func() *tls.Config) (address string, results <-chan dialled) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ch, done := make(chan dialled, 64), make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.SetDeadline(time.Now().Add(wait))
			s := tls.Server(conn, config())
			if err = s.Handshake(); err == nil {
				err = listDBs(s)
			}
			select {
			case ch <- dialled{s.ConnectionState(), err}:
			default:
			}
			_ = s.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().String(), ch
}

// await returns the first connection that went well.
func await(t *testing.T, results <-chan dialled) dialled {
	t.Helper()
	var last error
	timeout := time.After(wait)
	for {
		select {
		case r := <-results:
			if last = r.err; last == nil {
				return r
			}
		case <-timeout:
			t.Fatalf("no host connected: %v", last)
		}
	}
}

// A host in active mode learns our root from the chain, comes back trusting it, and
// still does after this node's certificate was renewed. Another CA is refused.
func TestActiveHostBootstraps(t *testing.T) {
	t.Parallel()
	a := open(t, copyDir(t), options())
	foreign, err := another()
	if err != nil {
		t.Fatal(err)
	}
	address, results := serveHosts(t, a.ServerTLS)
	h := startOVS(t, host(t))
	h.manage("ssl:" + address)
	first := await(t, results)
	if _, err := a.VerifyHost(first.state.PeerCertificates, pki.HostIdentity{UUID: hostUUID}); err != nil {
		t.Error(err)
	}
	if learnt := read(t, h.path("sdn-controller-ca.pem")); !bytes.Equal(learnt, a.CAPEM()) {
		t.Errorf("the host learnt another CA: %s", learnt)
	}

	// A certificate made later by the same CA, with another key even.
	renewed := open(t, caAlone(t, a), options())
	address2, results2 := serveHosts(t, renewed.ServerTLS)
	h.vsctl("set-manager", "ssl:"+address2)
	await(t, results2)

	address3, results3 := serveHosts(t, foreign.ServerTLS)
	h.vsctl("set-manager", "ssl:"+address3)
	select {
	case r := <-results3:
		if r.err == nil {
			t.Error("the host trusts another CA's controller")
		}
	case <-time.After(wait):
		t.Error("the host did not try")
	}
}

// caAlone copies the authority's CA to a new directory: opening it makes another
// certificate for the node.
func caAlone(t *testing.T, a *pki.Authority) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "pki")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ca.pem", "ca.key"} {
		write(t, filepath.Join(dir, name), read(t, filepath.Join(a.Dir(), name)), 0o600)
	}
	return dir
}

// A host in passive mode, with the ciphers of XCP-ng 8.3 and a self-signed
// certificate. It learns no CA from those who dial it, bootstrap or not: it must be
// given ca.pem, on XCP-ng by `xe pool-certificate-install`.
func TestPassiveHost(t *testing.T) {
	t.Parallel()
	o := options()
	o.LegacyCiphers = true
	a := open(t, copyDir(t), o)
	foreign, err := another()
	if err != nil {
		t.Fatal(err)
	}
	h := startOVS(t, selfSignedPair(t), "--ssl-protocols=TLSv1.2", "--ssl-ciphers="+xcpCiphers)
	h.manage("pssl:0:127.0.0.1")
	var address string
	h.until("has a port", func() error {
		port, err := h.try("get", "Manager", ".", "status:bound_port")
		if port = strings.Trim(strings.TrimSpace(port), `"`); err == nil && port != "" {
			address = "127.0.0.1:" + port
		}
		return err
	})
	dial := func(config *tls.Config) (tls.ConnectionState, error) {
		dialer := &tls.Dialer{NetDialer: &net.Dialer{Timeout: wait}, Config: config}
		conn, err := dialer.DialContext(t.Context(), "tcp", address)
		if err != nil {
			return tls.ConnectionState{}, err
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(wait))
		return conn.(*tls.Conn).ConnectionState(), listDBs(conn)
	}
	if _, err := dial(a.DialTLS()); err == nil {
		t.Error("the host lets us in without knowing our CA")
	}
	write(t, h.path("sdn-controller-ca.pem"), a.CAPEM(), 0o644)
	var state tls.ConnectionState
	h.until("lets us in", func() (err error) { state, err = dial(a.DialTLS()); return err })
	if name := tls.CipherSuiteName(state.CipherSuite); !strings.HasPrefix(name, "TLS_RSA_WITH_") {
		t.Errorf("cipher suite %s", name)
	}
	pin, err := a.VerifyHost(state.PeerCertificates, pki.HostIdentity{UUID: hostUUID, Trust: pki.TrustFirstUse})
	if err != nil || pin == "" {
		t.Fatalf("first use: %q, %v", pin, err)
	}
	again, err := dial(a.DialTLS())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.VerifyHost(again.PeerCertificates, pki.HostIdentity{UUID: hostUUID, PinnedSHA256: pin}); err != nil {
		t.Error(err)
	}
	stranger := foreign.DialTLS()
	stranger.CipherSuites = a.DialTLS().CipherSuites
	if _, err := dial(stranger); err == nil {
		t.Error("the host lets another CA's controller in")
	}
}

// selfSignedPair is a certificate as XAPI makes for a host, with its key.
func selfSignedPair(t *testing.T) pki.Issued {
	t.Helper()
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	run(t, "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "3650", "-subj", "/CN=xcp1.example")
	return pki.Issued{CertPEM: read(t, cert), KeyPEM: read(t, key)}
}
