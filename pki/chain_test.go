package pki_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"poolwire/pki"
)

// company is a CA of somebody else's, and what it has signed.
type company struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// issue makes a certificate of the template that the company signs; of its own when it has none yet.
func (c company) issue(t *testing.T, template *x509.Certificate, key crypto.Signer) company {
	t.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = serial
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-day), time.Now().Add(3650*day)
	}
	parent, by := c.cert, c.key
	if parent == nil {
		parent, by = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), by)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return company{cert, key}
}

func authorityTemplate(name string) *x509.Certificate {
	return &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
}

func ecKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func rsaKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func keyPEM(t *testing.T, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func chainPEM(of ...company) []byte {
	var out []byte
	for _, c := range of {
		out = append(out, certPEM(c.cert)...)
	}
	return out
}

// given makes a directory with an operator's CA.
func given(t *testing.T, ca []byte, key crypto.Signer) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "pki")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "ca.pem"), ca, 0o644)
	if key != nil {
		write(t, filepath.Join(dir, "ca.key"), keyPEM(t, key), 0o600)
	}
	return dir
}

// A company's intermediate issues; OpenSSL, with the root alone or with all of ca.pem, follows it,
// and what another intermediate of the same root has signed is nobody.
func TestOperatorsIntermediate(t *testing.T) {
	t.Parallel()
	for name, newKey := range map[string]func(*testing.T) crypto.Signer{"ECDSA": ecKey, "RSA": rsaKey} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := company{}.issue(t, authorityTemplate("Company root"), newKey(t))
			middle := root.issue(t, authorityTemplate("Company network CA"), newKey(t))
			issuing := middle.issue(t, authorityTemplate("Company Poolwire CA"), newKey(t))
			a := open(t, given(t, chainPEM(issuing, middle, root), issuing.key), options())
			rogue := open(t, given(t, chainPEM(middle, root), middle.key), options())

			issued, err := a.IssueHost(hostUUID, "xcp1")
			if err != nil {
				t.Fatal(err)
			}
			if n := len(certificates(t, issued.CertPEM)); n != 4 {
				t.Errorf("the chain has %d certificates, want leaf, two intermediates and root", n)
			}
			cert, _, ca := files(t, issued)
			run(t, "openssl", "verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", ca, cert)
			rootOnly := filepath.Join(t.TempDir(), "root.pem")
			write(t, rootOnly, certPEM(root.cert), 0o644)
			run(t, "openssl", "verify", "-x509_strict", "-CAfile", rootOnly, "-untrusted", cert, cert)

			_, state, serverErr, clientErr := handshake(t, a.NodeTLS(), a.NodeTLS())
			if serverErr != nil || clientErr != nil {
				t.Fatalf("its own: %v, %v", serverErr, clientErr)
			}
			if last := state.PeerCertificates[len(state.PeerCertificates)-1]; !last.Equal(root.cert) {
				t.Errorf("the presented chain ends with %v, and Open vSwitch bootstraps from its end", last.Subject)
			}
			if _, _, serverErr, _ := handshake(t, a.NodeTLS(), rogue.DialTLS()); serverErr == nil {
				t.Error("a certificate of another CA of the company's is taken for a node")
			}
			stranger, err := rogue.IssueClient("mallory", pki.RolePoolAdmin)
			if err != nil {
				t.Fatal(err)
			}
			_, err = a.VerifyPeer(certificates(t, stranger.CertPEM), pki.KindClient)
			wantKind(t, err, pki.ErrUntrusted)

			client, err := pki.APIClientTLS(a.Dir())
			if err != nil {
				t.Fatal(err)
			}
			if _, _, _, err := handshake(t, a.APIServerTLS(), client); err != nil {
				t.Error(err)
			}
			if _, _, _, err := handshake(t, rogue.ServerTLS(), client); err == nil {
				t.Error("the client takes a server of another CA of the company's, which sends its intermediates along")
			}
		})
	}
}

// The CA's key stays away: the operator brings the node's certificate.
func TestOfflineCA(t *testing.T) {
	t.Parallel()
	root := company{}.issue(t, authorityTemplate("Offline root"), ecKey(t))
	signer := open(t, given(t, chainPEM(root), root.key), options())
	node, err := signer.IssueNode(nodeID, nil)
	if err != nil {
		t.Fatal(err)
	}
	dir := given(t, chainPEM(root), nil)
	write(t, filepath.Join(dir, "node.pem"), node.CertPEM, 0o644)
	write(t, filepath.Join(dir, "node.key"), node.KeyPEM, 0o600)
	a := open(t, dir, options())
	if a.CanIssue() {
		t.Error("it can issue")
	}
	if _, _, serverErr, clientErr := handshake(t, a.NodeTLS(), signer.NodeTLS()); serverErr != nil || clientErr != nil {
		t.Errorf("%v, %v", serverErr, clientErr)
	}
	bare := given(t, chainPEM(root), nil)
	if _, err := pki.Open(bare, options()); err == nil || !strings.Contains(err.Error(), "node.pem: is missing") {
		t.Errorf("without node.pem: %v", err)
	}
}

func TestBadChainsAreNamed(t *testing.T) {
	t.Parallel()
	root := company{}.issue(t, authorityTemplate("Root"), ecKey(t))
	issuing := root.issue(t, authorityTemplate("Issuing"), ecKey(t))
	other := company{}.issue(t, authorityTemplate("Other"), ecKey(t))
	tight := authorityTemplate("Tight")
	tight.MaxPathLenZero = true
	tightRoot := company{}.issue(t, tight, ecKey(t))
	belowTight := tightRoot.issue(t, authorityTemplate("Below"), ecKey(t))
	mute := authorityTemplate("Mute")
	mute.KeyUsage = x509.KeyUsageCRLSign
	limited := authorityTemplate("Limited")
	limited.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	ended := authorityTemplate("Ended")
	ended.NotBefore, ended.NotAfter = time.Now().Add(-2*day), time.Now().Add(-day)
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	muted := root.issue(t, mute, ecKey(t))
	limitedCA := root.issue(t, limited, ecKey(t))
	endedRoot := company{}.issue(t, ended, ecKey(t))
	belowEnded := endedRoot.issue(t, authorityTemplate("Below ended"), ecKey(t))
	weakCA := root.issue(t, authorityTemplate("Weak"), weak)
	leaf := root.issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: "Leaf"}, BasicConstraintsValid: true}, ecKey(t))
	for _, tt := range []struct {
		name string
		ca   []byte
		key  crypto.Signer
		want string
	}{
		{"no root", chainPEM(issuing), issuing.key, `not self-signed: the chain must go on with its issuer "CN=Root"`},
		{"root first", chainPEM(root, issuing), issuing.key, "ends with \"CN=Issuing\""},
		{"wrong issuer", chainPEM(issuing, other), issuing.key, `certificate 1, "CN=Issuing", is not signed by the one after it, "CN=Other"`},
		{"two chains", chainPEM(root, other), root.key, "holds 2 chains"},
		{"key of the root", chainPEM(issuing, root), root.key, `ca.key: is not the key of`},
		{"pathlen", chainPEM(belowTight, tightRoot), belowTight.key, `certificate 2, "CN=Tight", allows 0 CA certificates below it (pathlen), and there are 1`},
		{"keyUsage", chainPEM(muted, root), muted.key, "keyUsage without keyCertSign"},
		{"extendedKeyUsage", chainPEM(limitedCA, root), limitedCA.key, "extendedKeyUsage without"},
		{"no CA", chainPEM(leaf, root), leaf.key, "is not a CA certificate"},
		{"weak", chainPEM(weakCA, root), weakCA.key, "RSA key of 1024 bits"},
		{"expired root", chainPEM(belowEnded, endedRoot), belowEnded.key, "expired"},
	} {
		_, err := pki.Open(given(t, tt.ca, tt.key), options())
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

func uris(t *testing.T, text string) []*url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return []*url.URL{u}
}

// present makes a configuration show another certificate.
func present(t *testing.T, config *tls.Config, i pki.Issued) {
	t.Helper()
	pair := keyPair(t, i)
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
}

// Whoever makes his own key gets a certificate for it, and nothing else that he asks for.
func TestSign(t *testing.T) {
	t.Parallel()
	a := open(t, copyDir(t), options())
	rsaRequest, rsaPEM, err := pki.NewRequest(pki.KindHost)
	if err != nil {
		t.Fatal(err)
	}
	ecRequest, ecPEM, err := pki.NewRequest(pki.KindClient)
	if err != nil {
		t.Fatal(err)
	}
	ada := pki.Identity{Kind: pki.KindClient, Name: "ada", Role: pki.RoleReadOnly}
	issued, err := a.Sign(pki.Request{Owner: ada, CSR: ecRequest})
	if err != nil {
		t.Fatal(err)
	}
	if len(issued.KeyPEM) != 0 {
		t.Error("it has a key")
	}
	issued.KeyPEM = ecPEM
	keyPair(t, issued)
	if id, err := pki.IdentityOf(issued.Leaf); err != nil || id != ada {
		t.Errorf("%v, %v", id, err)
	}
	xcp := pki.Identity{Kind: pki.KindHost, Name: hostUUID}
	issued, err = a.Sign(pki.Request{Owner: xcp, CSR: rsaRequest})
	if err != nil {
		t.Fatal(err)
	}
	issued.KeyPEM = rsaPEM
	keyPair(t, issued)
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, weak)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(ecRequest)
	forged := append([]byte{}, block.Bytes...)
	forged[len(forged)-1] ^= 1
	for name, r := range map[string]pki.Request{
		"EC for a host": {Owner: xcp, CSR: ecRequest},
		"weak":          {Owner: ada, CSR: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})},
		"forged":        {Owner: ada, CSR: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: forged})},
		"none":          {Owner: ada},
		"a key instead": {Owner: ada, CSR: ecPEM},
		"no uuid":       {Owner: pki.Identity{Kind: pki.KindHost, Name: "xcp1"}, CSR: rsaRequest},
		"no kind":       {Owner: pki.Identity{Name: "xcp1"}, CSR: rsaRequest},
		"no such role":  {Owner: pki.Identity{Kind: pki.KindClient, Name: "x", Role: "king"}, CSR: ecRequest},
	} {
		var input *pki.InputError
		if _, err := a.Sign(r); !errors.As(err, &input) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
