package kernel_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"poolwire/integration/lab"
	"poolwire/integration/lab/kernel"
	"poolwire/integration/lab/labtest"
)

// selfSigned writes a key and a certificate that signs itself, which both ends
// use and trust.
func selfSigned(t *testing.T, dir string) lab.TLS {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "kernel lab"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		BasicConstraintsValid: true, IsCA: true, DNSNames: []string{"kernel-lab"}}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	files := lab.TLS{Key: filepath.Join(dir, "key.pem"), Cert: filepath.Join(dir, "cert.pem"), CA: filepath.Join(dir, "cert.pem")}
	for path, block := range map[string]*pem.Block{
		files.Key: {Type: "PRIVATE KEY", Bytes: private}, files.Cert: {Type: "CERTIFICATE", Bytes: cert}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// TestManager reaches a host's database over TLS from the controller's place, and
// has the host call there, with files written outside of the guest.
func TestManager(t *testing.T) {
	l := labtest.New(t, lab.Options{Name: "kmgr"})
	h := hosts(t, l, kernel.HostOptions{Name: "kern1", IPsecOff: true})[0]
	ctx := labtest.Context(t)
	files := selfSigned(t, h.Dir)
	if err := h.SetTLS(ctx, files); err != nil {
		t.Fatal(err)
	}
	listener, err := l.Controller().Listen(ctx, "tcp", netip.AddrPortFrom(l.ControllerAddr(), 6640).String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	if err := h.SetManager(ctx, "pssl:6640", "ssl:"+listener.Addr().String()); err != nil {
		t.Fatal(err)
	}
	called(t, listener, files)

	passive := "ssl:" + netip.AddrPortFrom(h.Addr, 6640).String()
	out, err := l.Controller().Run(ctx, "ovs-vsctl", "--timeout=20", "--db="+passive, "--no-wait",
		"-p", files.Key, "-c", files.Cert, "-C", files.CA, "get", "Open_vSwitch", ".", "external_ids:system-id")
	if err != nil || strings.Trim(out, "\"\n") != h.UUID {
		t.Errorf("over TLS: %q, %v", out, err)
	}
}

// called waits for a connection with the host's certificate.
func called(t *testing.T, listener net.Listener, files lab.TLS) {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		t.Fatal(err)
	}
	ctx := within(t, 30*time.Second)
	stop := context.AfterFunc(ctx, func() { _ = listener.Close() })
	defer stop()
	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	server := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAnyClientCert})
	if err := server.HandshakeContext(ctx); err != nil {
		t.Fatal(err)
	}
	if name := server.ConnectionState().PeerCertificates[0].Subject.CommonName; name != "kernel lab" {
		t.Errorf("the host is %q", name)
	}
}
