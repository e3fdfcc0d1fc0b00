package leak

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	tokenID     = "00112233aabbccdd"
	tokenSecret = "5f3c9b1e7d204a8866e1c0ffee00d15ea5e5f00dfacade0123456789abcdef42"
)

// write makes a file and the directories above it.
func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// The client's answer to `token create` gives the search its secret, and is kept without it.
func TestTokensAreLearned(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{
		"pwt_" + tokenID + "_" + tokenSecret + "\n", `{"token":{"id":"` + tokenID + `"},"secret":"pwt_` + tokenID + "_" + tokenSecret + `"}`,
	} {
		var s Search
		kept := s.Tokens(answer)
		if got := s.Names(); len(got) != 1 || !strings.Contains(got[0], tokenID) {
			t.Fatalf("%q: learned %v", answer, got)
		}
		if len(s.In([]byte(kept))) > 0 || strings.Contains(kept, tokenSecret) || !strings.Contains(kept, tokenID) {
			t.Errorf("%q is kept as %q", answer, kept)
		}
		for _, text := range []string{
			answer, "authorization: Bearer pwt_" + tokenID + "_" + tokenSecret, "secret=" + strings.ToUpper(tokenSecret),
			base64.StdEncoding.EncodeToString([]byte(" Bearer pwt_" + tokenID + "_" + tokenSecret)),
		} {
			if len(s.In([]byte(text))) != 1 {
				t.Errorf("not found in %q", text)
			}
		}
		if len(s.In([]byte("revoked token "+tokenID))) > 0 {
			t.Error("what a token is called by is taken for its secret")
		}
	}
}

// Secrets are learned below every root, wherever they are let out, and places that are left out are.
func TestFilesAreSearched(t *testing.T) {
	t.Parallel()
	one, two := t.TempDir(), t.TempDir()
	sealing := base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789ABCDEF"))
	write(t, filepath.Join(one, "pki", "secrets.key"), "# the keys that seal\n"+sealing+" # now\n")
	write(t, filepath.Join(one, "host", "conf.db"), `{"options":["map",[["psk","correct horse battery staple"],["key","7"]]]}`)
	write(t, filepath.Join(one, "log"), "nothing\n")
	write(t, filepath.Join(one, "image"), "seal "+sealing)
	write(t, filepath.Join(two, "data", "0001.log"), "")
	search := func() Report {
		t.Helper()
		var s Search
		s.Tokens("pwt_" + tokenID + "_" + tokenSecret)
		got, err := s.Files(func(path string) bool { return filepath.Base(path) == "image" }, one, two, filepath.Join(two, "gone"))
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	got := search()
	if len(got.Secrets) != 3 || len(got.Looked) != 2 || got.Err() != nil {
		t.Fatalf("looked for %v in %v: %v", got.Secrets, got.Looked, got.Err())
	}
	for secret, text := range map[string]string{"secrets.key": "key=" + sealing, "conf.db": "psk='correct horse battery staple'", tokenID: "token " + tokenSecret} {
		write(t, filepath.Join(two, "data", "0001.log"), "level=DEBUG "+text+"\x00\x00\x00")
		got := search()
		if got.Err() == nil || len(got.Found) != 1 || !slices.ContainsFunc(got.Found, func(s string) bool { return strings.Contains(s, secret) && strings.Contains(s, "0001.log") }) {
			t.Errorf("%s was let out: %v", secret, got.Found)
		}
	}
}
