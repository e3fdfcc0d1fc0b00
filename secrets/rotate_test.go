package secrets

import (
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestAddAndDrop(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "secrets.key")
	running, err := Open(path, true)
	if err != nil {
		t.Fatal(err)
	}
	sealed := running.Seal(New("x"), "p")
	old := running.IDs()[0]
	if err := DropKey(path, old); err == nil {
		t.Error("the only key was dropped")
	}
	added, err := AddKey(path)
	if err != nil {
		t.Fatal(err)
	}
	if changed, err := running.Reload(); !changed || err != nil || !slices.Equal(running.IDs(), []string{added, old}) {
		t.Fatalf("changed %t, %v, %v; want %s, %s", changed, err, running.IDs(), added, old)
	}
	if changed, err := running.Reload(); changed || err != nil {
		t.Errorf("nothing changed: %t, %v", changed, err)
	}
	// Others may not have it yet: what is in use goes on until somebody says so.
	if got := running.Seal(New("x"), "p"); KeyID(got) != old {
		t.Errorf("sealed with %s at once", KeyID(got))
	}
	if running.Use("0000000000000000") || !running.Use(added) || KeyID(running.Seal(New("x"), "p")) != added || !running.Stale(sealed) {
		t.Error("the new key cannot be used")
	}
	if err := DropKey(path, old); err != nil {
		t.Fatal(err)
	}
	if _, err := running.Reload(); err != nil {
		t.Fatal(err)
	}
	if _, err := running.Open(sealed, "p"); !errors.Is(err, ErrUnknownKey) || !strings.Contains(err.Error(), old) {
		t.Errorf("opened without the key: %v", err)
	}
	if err := os.WriteFile(path, []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := running.Reload(); err == nil || strings.Contains(err.Error(), "damaged") || !slices.Equal(running.IDs(), []string{added}) {
		t.Errorf("after an error: %v, %v", err, running.IDs())
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, credential := filepath.Join(dir, "file"), filepath.Join(dir, "credential")
	for _, path := range []string{file, credential} {
		if _, err := Open(path, true); err != nil {
			t.Fatal(err)
		}
	}
	key := func(b byte) string { return base64.StdEncoding.EncodeToString(append(make([]byte, 31), b)) }
	absent := filepath.Join(dir, "absent")
	for name, tt := range map[string]struct {
		sources Sources
		keys    int
		twice   bool
	}{
		"a file":                       {Sources{File: file}, 1, false},
		"a credential":                 {Sources{File: absent, Credential: credential}, 1, false},
		"the environment":              {Sources{File: absent, Environment: New(key(1) + "," + key(2))}, 2, false},
		"the environment, lines":       {Sources{File: absent, Environment: New(key(1) + "\n" + key(2) + "\n"), Create: MayCreate}, 2, false},
		"nothing":                      {Sources{File: absent}, 0, false},
		"a file and a credential":      {Sources{File: file, Credential: credential}, 0, true},
		"a file and the environment":   {Sources{File: file, Environment: New(key(1))}, 0, true},
		"a credential and environment": {Sources{File: absent, Credential: credential, Environment: New(key(1))}, 0, true},
		"an environment of no keys":    {Sources{File: absent, Environment: New("hunter2")}, 0, false},
	} {
		k, err := Load(tt.sources)
		switch {
		case tt.keys > 0 && (err != nil || len(k.IDs()) != tt.keys):
			t.Errorf("%s: %v", name, err)
		case tt.keys == 0 && (err == nil || errors.Is(err, ErrTwoSources) != tt.twice || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), key(1))):
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := os.Stat(absent); !errors.Is(err, os.ErrNotExist) {
		t.Error("a file was made although there were keys")
	}
}

// A program that dies tells where it was, and not what secrets it had.
func TestPanicShowsNoSecret(t *testing.T) {
	t.Parallel()
	s := New("hunter2")
	defer func() {
		p := recover()
		if text, ok := p.(interface{ String() string }); !ok || strings.Contains(text.String(), "hunter2") {
			t.Errorf("a panic prints %v", p)
		}
	}()
	panic(s)
}
