package leak

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"
)

// A key is found in whatever way it has been written, and nothing where there is none.
func TestTheSearchFindsKeys(t *testing.T) {
	t.Parallel()
	digits := strings.Repeat("0f1e2d3c4b5a6978", 4)
	raw, _ := hex.DecodeString(digits)
	var s Search
	s.Bytes("key", raw)
	s.Text("token", "pw_correct-horse-battery")
	for i := range 7 {
		filled := append(append(make([]byte, i), raw...), 0xff, 0xff)
		for _, text := range []string{
			string(filled), fmt.Sprintf("%x", filled), fmt.Sprintf("%X", filled), base64.StdEncoding.EncodeToString(filled), base64.URLEncoding.EncodeToString(filled),
			base64.StdEncoding.EncodeToString([]byte(strings.Repeat(" ", i) + digits + "\n")), "psk=" + digits,
		} {
			if got := s.In([]byte(text)); len(got) != 1 || got[0] != "key" {
				t.Errorf("%d bytes before it: %v in %q", i, got, text)
			}
		}
	}
	if got := s.In([]byte("authorization: bearer pw_correct-horse-battery")); len(got) != 1 || got[0] != "token" {
		t.Errorf("token: %v", got)
	}
	if got := s.In([]byte(strings.Repeat("0f1e2d3c4b5a6979", 4))); len(got) != 0 {
		t.Errorf("found in another: %v", got)
	}
}

func TestTheSearchFindsPrivateKeys(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := key.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	file := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	var s Search
	if err := s.PEM("node.key", file); err != nil {
		t.Fatal(err)
	}
	for what, text := range map[string][]byte{
		"the file": file, "its second line": bytes.Split(file, []byte("\n"))[2], "DER": der, "hexadecimal": []byte(fmt.Sprintf("d=%x", raw)),
	} {
		if len(s.In(text)) != 1 {
			t.Errorf("not found in %s", what)
		}
	}
	if got := s.In(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})); len(got) > 0 {
		t.Error("the public key is taken for the private one")
	}
}
