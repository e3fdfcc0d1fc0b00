package pki

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
)

// LoadClientTLS makes a TLS configuration for the API from a client's certificate
// and key and what it trusts, all in PEM files. caFile holds one chain or, while the CA is
// rotated, two; a server's own chain adds nothing to it. Beyond the address, the
// server must be a node: a host's certificate is not taken for one.
func LoadClientTLS(certFile, keyFile, caFile string) (*tls.Config, error) {
	key, err := readKey(keyFile)
	if err != nil {
		return nil, err
	}
	certs, err := readCertificates(certFile)
	if err != nil {
		return nil, err
	}
	if !sameKey(certs[0], key) {
		return nil, &FileError{keyFile, "is not the key of " + certFile}
	}
	own := tls.Certificate{PrivateKey: key, Leaf: certs[0]}
	for _, c := range certs {
		own.Certificate = append(own.Certificate, c.Raw)
	}
	config, err := ClientTLS(caFile)
	if err != nil {
		return nil, err
	}
	config.Certificates = []tls.Certificate{own}
	return config, nil
}

// ClientTLS is [LoadClientTLS] for a client without a certificate.
func ClientTLS(caFile string) (*tls.Config, error) {
	text, err := os.ReadFile(caFile)
	if err != nil {
		return nil, err
	}
	anchors, err := ParseAnchors(caFile, text)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	for _, a := range anchors {
		roots.AddCert(a.Issuing())
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12, CipherSuites: modernSuites(), RootCAs: roots,
		// The library checks the address, and takes the server's intermediates; this does not.
		VerifyConnection: func(cs tls.ConnectionState) error {
			_, err := cs.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
			if err != nil {
				return &PeerError{
					Kind: ErrUntrusted, Presented: describe(cs.PeerCertificates[0]), Cause: err,
					Expected: "a certificate of a node, signed by " + anchors[0].Issuing().Subject.String(),
				}
			}
			_, err = identify(cs.PeerCertificates, []Kind{KindNode})
			return err
		},
	}, nil
}

// APIClientTLS is for a client on the controller's own machine that can read its
// directory: the local admin's.
func APIClientTLS(dir string) (*tls.Config, error) {
	in := func(file string) string { return filepath.Join(dir, file) }
	return LoadClientTLS(in(nameAdmin+certSuffix), in(nameAdmin+keySuffix), in(nameCA+certSuffix))
}
