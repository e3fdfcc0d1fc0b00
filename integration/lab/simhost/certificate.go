package simhost

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"path/filepath"
	"time"

	"poolwire/pki"
)

// Certifier makes the certificates of hosts, with the CA of a cluster. It stands in for
// `poolwire host certificate`, which takes most of a second to find each host's RSA key.
type Certifier struct {
	ca  tls.Certificate
	key *ecdsa.PrivateKey // of all hosts
}

// NewCertifier reads the CA from a node's pki_dir.
func NewCertifier(pkiDir string) (*Certifier, error) {
	ca, err := tls.LoadX509KeyPair(filepath.Join(pkiDir, "ca.pem"), filepath.Join(pkiDir, "ca.key"))
	if err != nil {
		return nil, fmt.Errorf("simhost: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	return &Certifier{ca: ca, key: key}, err
}

// Host makes a host's certificate.
func (c *Certifier) Host(uuid string) (tls.Certificate, error) {
	id, err := url.Parse(pki.Identity{Kind: pki.KindHost, Name: uuid}.String())
	if err != nil {
		return tls.Certificate{}, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return tls.Certificate{}, err
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: uuid}, URIs: []*url.URL{id},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, c.ca.Leaf, c.key.Public(), c.ca.PrivateKey)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der, c.ca.Certificate[0]}, PrivateKey: c.key}, nil
}

// TLS is how a host with a certificate listens and dials: as ovs-vswitchd, it takes any
// peer that the CA has signed, whatever its name.
func (c *Certifier) TLS(cert tls.Certificate) *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(c.ca.Leaf)
	return &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert},
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: roots,
		// A name is not looked at; the chain is, below.
		InsecureSkipVerify: true,
		VerifyConnection: func(cs tls.ConnectionState) error {
			if len(cs.PeerCertificates) == 0 {
				return errors.New("simhost: no certificate")
			}
			_, err := cs.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
			return err
		},
	}
}
