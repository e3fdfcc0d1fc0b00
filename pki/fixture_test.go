package pki_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"poolwire/pki"
)

const (
	hostUUID  = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff"
	otherUUID = "0b0c0d0e-1111-4222-8333-444455556666"
	nodeID    = "node-1"
)

// wait bounds everything that waits for another program.
const wait = 20 * time.Second

// original is a directory after its first start: making RSA keys takes seconds, so
// the tests start from copies of it.
var original = sync.OnceValues(func() (string, error) {
	base, err := os.MkdirTemp("", "pki-test-")
	if err != nil {
		return "", err
	}
	dir := filepath.Join(base, "pki")
	_, err = pki.Open(dir, pki.Options{NodeID: nodeID, Addresses: []string{"192.0.2.10", "sdn.example"}})
	return dir, err
})

// another is a second, unrelated one.
var another = sync.OnceValues(func() (*pki.Authority, error) {
	base, err := os.MkdirTemp("", "pki-test-")
	if err != nil {
		return nil, err
	}
	return pki.Open(filepath.Join(base, "pki"), pki.Options{NodeID: nodeID})
})

// hostCertificate is one of the original's CA for hostUUID.
var hostCertificate = sync.OnceValues(func() (pki.Issued, error) {
	dir, err := original()
	if err != nil {
		return pki.Issued{}, err
	}
	a, err := pki.Open(dir, pki.Options{NodeID: nodeID, Addresses: []string{"192.0.2.10", "sdn.example"}})
	if err != nil {
		return pki.Issued{}, err
	}
	return a.IssueHost(hostUUID, "xcp1")
})

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if dir, err := original(); err == nil {
			_ = os.RemoveAll(filepath.Dir(dir))
		}
		if a, err := another(); err == nil {
			_ = os.RemoveAll(filepath.Dir(a.Dir()))
		}
		os.Exit(code)
	}))
}

// clock is a clock that the test moves.
type clock struct{ offset atomic.Int64 }

func (c *clock) Now() time.Time          { return time.Now().Add(time.Duration(c.offset.Load())) }
func (c *clock) Set(ahead time.Duration) { c.offset.Store(int64(ahead)) }

func options() pki.Options {
	return pki.Options{NodeID: nodeID, Addresses: []string{"192.0.2.10", "sdn.example"}}
}

// copyDir returns a copy of the original directory.
func copyDir(t *testing.T) string {
	t.Helper()
	from, err := original()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "pki")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(from, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, e.Name()), data, info.Mode().Perm())
	}
	return dir
}

func open(t *testing.T, dir string, o pki.Options) *pki.Authority {
	t.Helper()
	a, err := pki.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func host(t *testing.T) pki.Issued {
	t.Helper()
	issued, err := hostCertificate()
	if err != nil {
		t.Fatal(err)
	}
	return issued
}

func write(t *testing.T, path string, data []byte, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, data, mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// certificates parses all certificates of a PEM text.
func certificates(t *testing.T, data []byte) []*x509.Certificate {
	t.Helper()
	var certs []*x509.Certificate
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			return certs
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		certs = append(certs, cert)
	}
}

// files stores an issued certificate for another program.
func files(t *testing.T, i pki.Issued) (cert, key, ca string) {
	t.Helper()
	dir := t.TempDir()
	cert, key, ca = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), filepath.Join(dir, "ca.pem")
	write(t, cert, i.CertPEM, 0o644)
	write(t, key, i.KeyPEM, 0o600)
	write(t, ca, i.CAPEM, 0o644)
	return cert, key, ca
}

func keyPair(t *testing.T, i pki.Issued) tls.Certificate {
	t.Helper()
	pair, err := tls.X509KeyPair(i.CertPEM, i.KeyPEM)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// run runs a program that must be installed and succeed, and returns its output.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := try(t, name, args...)
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return out
}

func try(t *testing.T, name string, args ...string) (string, error) {
	t.Helper()
	path := program(t, name)
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("this test needs %s: 'make deps' installs it: %v", name, err)
	}
	return path
}

// handshake connects a client and a server configuration and returns what each
// side saw and got. TLS 1.3 clients learn of a refusal only when they read.
func handshake(t *testing.T, server, client *tls.Config) (serverState, clientState tls.ConnectionState, serverErr, clientErr error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := l.Accept()
		if err != nil {
			serverErr = err
			return
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(wait))
		s := tls.Server(conn, server)
		if serverErr = s.Handshake(); serverErr == nil {
			serverState = s.ConnectionState()
			_, serverErr = s.Write([]byte{1})
		}
	}()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.SetDeadline(time.Now().Add(wait))
	client = client.Clone()
	if client.ServerName == "" {
		client.ServerName = "127.0.0.1"
	}
	c := tls.Client(conn, client)
	if clientErr = c.Handshake(); clientErr == nil {
		clientState = c.ConnectionState()
		_, clientErr = c.Read(make([]byte, 1))
	}
	_ = conn.Close()
	<-done
	return serverState, clientState, serverErr, clientErr
}

// wantKind fails unless err is a PeerError of the kind.
func wantKind(t *testing.T, err, kind error) *pki.PeerError {
	t.Helper()
	var peer *pki.PeerError
	if !errors.Is(err, kind) || !errors.As(err, &peer) {
		t.Fatalf("got %v, want a PeerError: %v", err, kind)
	}
	return peer
}
