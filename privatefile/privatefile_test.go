package privatefile

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	put := func(name string, mode os.FileMode) {
		if err := os.WriteFile(at(name), []byte("secret"), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(at(name), mode); err != nil {
			t.Fatal(err)
		}
	}
	put("good", 0o600)
	put("readonly", 0o400)
	put("group", 0o640)
	put("writable", 0o602)
	if err := errors.Join(os.Symlink(at("good"), at("link")), os.Symlink(at("group"), at("badlink")), syscall.Mkfifo(at("pipe"), 0o600)); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"good": "", "readonly": "", "link": "", "group": "mode 0640", "writable": "mode 0602", "badlink": "mode 0640", "pipe": "no ordinary file", ".": "no ordinary file",
	} {
		data, err := Read(at(name), 6)
		var refused *Error
		switch {
		case want == "" && (err != nil || string(data) != "secret"):
			t.Errorf("%s: %q, %v", name, data, err)
		case want != "" && (!errors.As(err, &refused) || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
	if _, err := Read(at("good"), 5); err == nil || !strings.Contains(err.Error(), "longer than 5") {
		t.Errorf("too long: %v", err)
	}
}
