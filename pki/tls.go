package pki

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"time"
)

// ServerTLS is for the listeners that hosts dial: OpenFlow and OVSDB. It presents
// this node's RSA certificate and the root, and demands a certificate from the
// peer, but does not judge it: who the peer says it is comes later on the
// connection. The caller must pass the connection's PeerCertificates to
// [Authority.VerifyHost] before it believes or sends anything.
func (a *Authority) ServerTLS() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12, CipherSuites: a.cipherSuites(), Time: a.opts.Now,
		GetCertificate: a.serverCertificate, ClientAuth: tls.RequireAnyClientCert,
		VerifyPeerCertificate: boundChain, VerifyConnection: a.refuseRevoked,
	}
}

// maxHostChain is how many bytes of certificates are taken from a host, whose connection keeps them; one has a
// kilobyte or two, and only the first is ever looked at.
const maxHostChain = 32 << 10

// boundChain refuses a host's certificates when they are longer together.
func boundChain(raw [][]byte, _ [][]*x509.Certificate) error {
	n := 0
	for _, c := range raw {
		n += len(c)
	}
	if n > maxHostChain {
		return fmt.Errorf("%d certificates of %d bytes, at most %d are taken", len(raw), n, maxHostChain)
	}
	return nil
}

// DialTLS is for dialling a host's ovsdb-server, which must have been given ca.pem:
// Open vSwitch bootstraps only from peers that it dials itself. As with [Authority.ServerTLS], the
// caller must call [Authority.VerifyHost]: hosts' certificates name no address, and
// many are self-signed.
func (a *Authority) DialTLS() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12, CipherSuites: a.cipherSuites(), Time: a.opts.Now,
		GetClientCertificate: a.clientCertificate, InsecureSkipVerify: true,
		VerifyPeerCertificate: boundChain, VerifyConnection: a.refuseRevoked,
	}
}

// NodeTLS is for connections between the nodes of the cluster, either side: TLS
// 1.3, mutual. The peer must hold a node's certificate of this CA, whatever its
// address; which node it is, [IdentityOf] its certificate tells.
func (a *Authority) NodeTLS() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Time: a.opts.Now,
		GetCertificate: a.serverCertificate, GetClientCertificate: a.clientCertificate,
		ClientAuth: tls.RequireAnyClientCert,
		// Nodes move between addresses; VerifyConnection does the whole check.
		InsecureSkipVerify: true,
		VerifyConnection:   a.requireKind(KindNode),
	}
}

// APIServerTLS is for the API's listener: for clients and, because they forward calls to the leader, nodes
// of this CA. [IdentityOf] the peer's certificate tells who it is. A client may come without one: then it is for
// the API to demand a token. One that is presented must be good.
func (a *Authority) APIServerTLS() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12, CipherSuites: modernSuites(), Time: a.opts.Now, GetCertificate: a.serverCertificate,
		// VerifyConnection does the whole check, against the CAs of that moment.
		ClientAuth: tls.RequestClientCert, VerifyConnection: ifPresented(a.requireKind(KindClient, KindNode)),
	}
}

// MonitoringTLS is for the listener of metrics and checks: it asks for a certificate, and ends the
// connection of a peer that presents one which is not of this CA. Whether one is needed at all is
// for the caller to say, request by request.
func (a *Authority) MonitoringTLS() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12, CipherSuites: modernSuites(), Time: a.opts.Now, GetCertificate: a.serverCertificate,
		ClientAuth: tls.RequestClientCert, VerifyConnection: ifPresented(func(cs tls.ConnectionState) error {
			return a.verifyChain(cs.PeerCertificates, "a certificate of the controller's CA")
		}),
	}
}

// ifPresented leaves peers alone that have shown no certificate.
func ifPresented(verify func(tls.ConnectionState) error) func(tls.ConnectionState) error {
	return func(cs tls.ConnectionState) error {
		if len(cs.PeerCertificates) == 0 {
			return nil
		}
		return verify(cs)
	}
}

func (a *Authority) serverCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return a.present.Load().node, nil
}

// clientCertificate ignores the list of CAs that the server asks for: there is but
// one certificate to present, and a refusal says more than no certificate.
func (a *Authority) clientCertificate(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	return a.present.Load().node, nil
}

// modernSuites are what TLS 1.2 may use: forward secrecy, and AES-GCM alone (FIPS 140-3 approves it, and
// every processor that Poolwire runs on has it in hardware). TLS 1.3 has no suite that is worse, and is what
// two peers that both know it agree on.
func modernSuites() []uint16 {
	return []uint16{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	}
}

// cipherSuites are for connections with hosts: the same, and on request what old ones need. It
// concerns TLS 1.2 only.
func (a *Authority) cipherSuites() []uint16 {
	if !a.opts.LegacyCiphers {
		return modernSuites()
	}
	return append(modernSuites(), tls.TLS_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_RSA_WITH_AES_256_GCM_SHA384)
}

// requireKind is the whole verification of a peer of one of these kinds.
func (a *Authority) requireKind(kinds ...Kind) func(tls.ConnectionState) error {
	return func(cs tls.ConnectionState) error {
		_, err := a.VerifyPeer(cs.PeerCertificates, kinds...)
		return err
	}
}

// VerifyPeer checks that the peer's certificate was signed by a CA that is trusted, is valid
// now, not revoked, of one of these kinds, and made for the use of that kind. Errors: [*PeerError].
func (a *Authority) VerifyPeer(certs []*x509.Certificate, kinds ...Kind) (Identity, error) {
	if err := a.verifyChain(certs, kindsText(kinds)); err != nil {
		return Identity{}, err
	}
	return identify(certs, kinds)
}

// verifyChain checks signature and validity of the peer's first certificate. The
// others are not looked at: the issuing certificates are known, what else their root has signed is
// nobody here, and hostile ones can make path building expensive.
func (a *Authority) verifyChain(certs []*x509.Certificate, expected string) error {
	if len(certs) == 0 {
		return &PeerError{Kind: ErrNoCertificate, Presented: "nothing", Expected: expected}
	}
	now, t := a.opts.Now(), a.present.Load().trust
	_, err := certs[0].Verify(x509.VerifyOptions{
		Roots: t.roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err == nil {
		return a.checkRevoked(t, certs[0], expected)
	}
	kind := ErrUntrusted
	if c := certs[0]; (now.Before(c.NotBefore) || now.After(c.NotAfter)) && t.issuerOf(c) != nil {
		kind = ErrPeerExpired
		expected += " valid at " + now.UTC().Format(time.RFC3339)
	}
	return &PeerError{Kind: kind, Presented: describe(certs[0]), Expected: expected + ", signed by " + t.active.Issuing().Subject.String(), Cause: err}
}
