package pki

import (
	"crypto"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"poolwire/privatefile"
)

// The modes of what is kept.
const (
	dirMode  fs.FileMode = 0o700
	keyMode  fs.FileMode = 0o600
	certMode fs.FileMode = 0o644
)

const (
	certSuffix = ".pem"
	keySuffix  = ".key"
)

// prepareDir makes the directory, or checks that nobody else can enter it. A
// directory that holds nothing yet is closed instead of refused.
func prepareDir(dir string) error {
	if err := privatefile.MakeDir(dir); err != nil {
		return err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o077 == 0 {
		return nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		return &PermissionError{Path: dir, Mode: info.Mode().Perm(), Want: dirMode}
	}
	return os.Chmod(dir, dirMode)
}

// lockDir keeps a second process from making other certificates in the same
// directory at the same time. It waits for the first one.
func lockDir(dir string) (unlock func(), err error) {
	path := filepath.Join(dir, ".lock")
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		if err := privatefile.Create(path, nil, keyMode); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		f, err = os.OpenFile(path, os.O_RDWR, 0)
	}
	if err != nil {
		return nil, err
	}
	for {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("locking %s: %w", dir, err)
	}
	return func() { _ = f.Close() }, nil
}

// writeFile replaces a file of the directory.
func writeFile(path string, data []byte, mode fs.FileMode) error {
	return privatefile.WriteMode(path, data, mode)
}

// readCertificates returns the certificates of a PEM file, at least one.
func readCertificates(path string) ([]*x509.Certificate, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return parseCertificates(path, data)
}

// maxKeyFile bounds a key's file, in bytes: the longest RSA key that makes sense has 12 KiB.
const maxKeyFile = 64 << 10

// readKey returns the private key of a PEM file that nobody else may read.
func readKey(path string) (crypto.Signer, error) {
	data, err := privatefile.Read(path, maxKeyFile)
	var refused *privatefile.Error
	switch {
	case errors.As(err, &refused) && refused.Mode != 0:
		return nil, &PermissionError{Path: path, Mode: refused.Mode, Want: keyMode}
	case errors.As(err, &refused):
		return nil, &FileError{path, refused.Problem}
	case err != nil:
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, &FileError{path, "holds no PEM key"}
	}
	key, err := parseKey(block)
	if err != nil {
		return nil, &FileError{path, err.Error()}
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, &FileError{path, fmt.Sprintf("holds a key of a kind that cannot sign (%T)", key)}
	}
	return signer, nil
}

func parseKey(block *pem.Block) (any, error) {
	switch block.Type {
	case "PRIVATE KEY":
		return x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		return x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		return x509.ParseECPrivateKey(block.Bytes)
	}
	return nil, fmt.Errorf("holds a PEM %q, want an unencrypted PRIVATE KEY", block.Type)
}

// keyID is method 1 of RFC 5280, 4.2.1.2: the SHA-1 of the public key's bit string.
func keyID(public crypto.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, err
	}
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(der, &info); err != nil {
		return nil, err
	}
	sum := sha1.Sum(info.Key.RightAlign())
	return sum[:], nil
}

// sameKey says whether a key belongs to a certificate.
func sameKey(cert *x509.Certificate, key crypto.Signer) bool {
	public, ok := cert.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(key.Public())
}
