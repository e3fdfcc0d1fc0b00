package ovsdb

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// authority is a certificate authority for one test.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{t: t, key: key, pool: x509.NewCertPool()}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.pool.AddCert(a.cert)
	return a
}

// issue makes a certificate, the CA's behind it as bootstrap needs it.
func (a *authority) issue(name string) tls.Certificate {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der, a.cert.Raw}, PrivateKey: key}
}

// config is that of a controller: it checks the chain, not names.
func (a *authority) config() *tls.Config {
	return &tls.Config{
		Certificates: []tls.Certificate{a.issue("controller")}, MinVersion: tls.VersionTLS12,
		ClientAuth: tls.RequireAnyClientCert, InsecureSkipVerify: true,
		VerifyConnection: func(cs tls.ConnectionState) error {
			_, err := cs.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: a.pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
			return err
		},
	}
}

// configureSSL gives a host a certificate of the authority; with bootstrap the
// host has no CA and takes that of the first controller.
func (a *authority) configureSSL(h *realHost, bootstrap ...string) {
	a.t.Helper()
	cert := a.issue("host")
	key, err := x509.MarshalECPrivateKey(cert.PrivateKey.(*ecdsa.PrivateKey))
	if err != nil {
		a.t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"key.pem":  {Type: "EC PRIVATE KEY", Bytes: key},
		"cert.pem": {Type: "CERTIFICATE", Bytes: cert.Certificate[0]},
		"ca.pem":   {Type: "CERTIFICATE", Bytes: a.cert.Raw},
	} {
		if name == "ca.pem" && len(bootstrap) > 0 {
			continue
		}
		if err := os.WriteFile(h.path(name), pem.EncodeToMemory(block), 0o600); err != nil {
			a.t.Fatal(err)
		}
	}
	args := append([]string{"--no-wait"}, append(bootstrap, "set-ssl", h.path("key.pem"), h.path("cert.pem"), h.path("ca.pem"))...)
	h.vsctl(args...)
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

// TestPassiveHostOverTLS: the host listens (pssl:), we dial.
func TestPassiveHostOverTLS(t *testing.T) {
	t.Parallel()
	ca, h := newAuthority(t), newRealHost(t)
	ca.configureSSL(h)
	port := freePort(t)
	h.vsctl("--no-wait", "set-manager", fmt.Sprintf("pssl:%d:127.0.0.1", port))
	address := fmt.Sprintf("ssl:127.0.0.1:%d", port)
	ctx := testContext(t)
	eventually(t, "the host listens", func() bool {
		c, err := net.Dial("tcp", strings.TrimPrefix(address, "ssl:"))
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	conn, err := Dial(ctx, address, ca.config())
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewSession(ctx, conn, SessionConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if certs := s.PeerCertificates(); len(certs) == 0 || certs[0].Subject.CommonName != "host" {
		t.Errorf("certificates of the host: %v", certs)
	}
	carryOut(t, s, Desired{Cluster: ourCluster, Epoch: 1})

	stranger := newAuthority(t)
	if c, err := Dial(ctx, address, stranger.config()); err == nil {
		_ = c.Close()
		t.Error("a host of another authority was accepted")
	}
}

// TestActiveHostOverTLS: the host dials us (ssl:), the first time without knowing
// our CA: it takes the last certificate of our chain, and comes again.
func TestActiveHostOverTLS(t *testing.T) {
	t.Parallel()
	ca, h := newAuthority(t), newRealHost(t)
	ca.configureSSL(h, "--bootstrap")
	l, err := tls.Listen("tcp", "127.0.0.1:0", ca.config())
	if err != nil {
		t.Fatal(err)
	}
	// Somebody who connects and says nothing holds up nobody.
	silent, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()

	ctx, cancel := context.WithCancel(testContext(t))
	sessions := make(chan *Session, 1)
	served := make(chan error, 1)
	go func() {
		served <- Serve(ctx, l, func(c net.Conn) {
			if s, err := NewSession(ctx, c, SessionConfig{}); err == nil {
				sessions <- s
				<-s.Done()
			}
		})
	}()
	next := func() *Session {
		t.Helper()
		select {
		case s := <-sessions:
			return s
		case <-time.After(patience):
			log, _ := os.ReadFile(h.path("db.log"))
			t.Fatalf("the host does not come; its log:\n%s", log)
			return nil
		}
	}
	h.vsctl("--no-wait", "set-manager", "ssl:"+l.Addr().String())
	s := next()
	if certs := s.PeerCertificates(); len(certs) == 0 || certs[0].Subject.CommonName != "host" {
		t.Errorf("certificates of the host: %v", certs)
	}
	carryOut(t, s, Desired{Cluster: ourCluster, Epoch: 1})
	s.Close()
	// A host whose session ended comes back by itself.
	s = next()
	if topo := Discover(s.Snapshot()); topo.Epoch != 1 {
		t.Errorf("epoch after the reconnect: %d", topo.Epoch)
	}
	s.Close()
	cancel()
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if _, err := os.Stat(h.path("ca.pem")); err != nil {
		t.Errorf("the host did not bootstrap: %v", err)
	}
}

func TestDialRefusesBadAddresses(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"", "ssl", "ssl:", "ssl:host:6640", "ssl:192.0.2.1", "ssl:192.0.2.1:99999", "pssl:6640", "udp:192.0.2.1:6640", "unix:", "ssl:[2001:db8::1:6640"} {
		if c, err := Dial(testContext(t), address, &tls.Config{MinVersion: tls.VersionTLS12}); !errors.Is(err, ErrBadAddress) {
			if err == nil {
				_ = c.Close()
			}
			t.Errorf("Dial(%q): %v", address, err)
		}
	}
}
