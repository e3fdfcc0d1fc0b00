package openflow_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"poolwire/southbound/openflow/flow"
	"poolwire/southbound/openflow/openflowtest"
)

// authority is a certificate authority of a test.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t}
	a.key, a.cert = a.issue("test CA", nil, nil)
	return a
}

// issue makes a key and a certificate, signed by parent or by itself.
func (a *authority) issue(name string, parent *x509.Certificate, signer *ecdsa.PrivateKey) (*ecdsa.PrivateKey, *x509.Certificate) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: parent == nil, BasicConstraintsValid: true,
	}
	if parent == nil {
		parent, signer = template, key
		template.KeyUsage = x509.KeyUsageCertSign
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return key, cert
}

func (a *authority) leaf(name string) tls.Certificate {
	key, cert := a.issue(name, a.cert, a.key)
	return tls.Certificate{Certificate: [][]byte{cert.Raw, a.cert.Raw}, PrivateKey: key, Leaf: cert}
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

func (a *authority) server(l net.Listener) net.Listener {
	return tls.NewListener(l, &tls.Config{
		Certificates: []tls.Certificate{a.leaf("controller")}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: a.pool(), MinVersion: tls.VersionTLS12,
	})
}

// files writes key, certificate and CA as ovs-vsctl set-ssl takes them.
func (a *authority) files(dir string, leaf tls.Certificate) []string {
	a.t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(leaf.PrivateKey)
	if err != nil {
		a.t.Fatal(err)
	}
	var paths []string
	for _, block := range []*pem.Block{{Type: "PRIVATE KEY", Bytes: key}, {Type: "CERTIFICATE", Bytes: leaf.Certificate[0]}, {Type: "CERTIFICATE", Bytes: a.cert.Raw}} {
		path := filepath.Join(dir, "tls"+string(rune('0'+len(paths)))+".pem")
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			a.t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return paths
}

// TestRealSwitchOverTLS lets a real ovs-vswitchd connect by itself, twice.
func TestRealSwitchOverTLS(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	l := listen(t, nil, ca.server)
	v := openflowtest.StartVswitch(t, 2)
	v.Vsctl(append([]string{"set-ssl"}, ca.files(v.Dir(), ca.leaf("host 7"))...)...)
	v.Vsctl("set-controller", openflowtest.Bridge, "ssl:"+l.addr.String(), "--", "set", "controller", openflowtest.Bridge, "max_backoff=1000")
	sw := l.nextReal()
	if certs := sw.PeerCertificates(); len(certs) == 0 || certs[0].Subject.CommonName != "host 7" {
		t.Errorf("certificates %v", certs)
	}
	if sw.DatapathID() != openflowtest.DatapathID {
		t.Errorf("datapath id %x", sw.DatapathID())
	}
	ctx, want := testContext(t), manyFlows(1000)
	if r, err := newSync().Full(ctx, sw, each(want)); err != nil || r.Added != 1000 {
		t.Fatalf("%+v, %v", r, err)
	}
	same(t, "flows", lines(want), v.Flows())

	sw.Close(nil)
	again := l.nextReal()
	if r, err := newSync().Full(ctx, again, each(want)); err != nil || r.Installed != 1000 || r.Added+r.Modified+r.Deleted != 0 {
		t.Errorf("after the reconnect: %+v, %v", r, err)
	}
}

func TestTLSRejections(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	l := listen(t, nil, ca.server)
	for name, test := range map[string]struct {
		cfg  *tls.Config
		want string
	}{
		"no certificate":       {&tls.Config{RootCAs: ca.pool(), ServerName: "controller", InsecureSkipVerify: true}, "client didn't provide a certificate"},
		"another CA's":         {&tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{newAuthority(t).leaf("x")}}, "unknown authority"},
		"TLS 1.1":              {&tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, "version"},
		"no TLS but a hello":   {nil, "first record does not look like a TLS handshake"},
		"OpenFlow garbage":     {&tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{ca.leaf("host")}}, "protocol error"},
		"closed inside of TLS": {&tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{ca.leaf("host")}}, "EOF"},
	} {
		nc := l.raw()
		if test.cfg != nil {
			secured := tls.Client(nc, test.cfg)
			_ = secured.Handshake()
			nc = secured
		}
		switch name {
		case "OpenFlow garbage":
			_, _ = nc.Write([]byte("garbage!"))
		case "no TLS but a hello":
			_, _ = nc.Write(msg(0, 1, ""))
		default:
			_ = nc.Close()
		}
		if err := l.refusal(); !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: rejected with %v, want %q", name, err, test.want)
		}
	}
	// The listener is none the worse for it.
	fake := openflowtest.New(openflowtest.Config{DatapathID: 5})
	secured := tls.Client(l.raw(), &tls.Config{RootCAs: ca.pool(), InsecureSkipVerify: true, Certificates: []tls.Certificate{ca.leaf("host")}})
	done := make(chan struct{})
	ctx := testContext(t)
	go func() { defer close(done); _ = fake.Serve(ctx, secured) }()
	sw := l.next()
	if err := sw.Apply(ctx, flow.Delta{Add: manyFlows(10)}); err != nil || len(fake.Flows()) != 10 {
		t.Errorf("%v, %d flows", err, len(fake.Flows()))
	}
	sw.Close(nil)
	<-done
}
