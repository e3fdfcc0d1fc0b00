package pki_test

import (
	"bytes"
	"crypto/x509"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"poolwire/pki"
)

const day = 24 * time.Hour

func TestFirstStart(t *testing.T) {
	t.Parallel()
	dir := copyDir(t)
	want := map[string]fs.FileMode{
		".": 0o700, "ca.pem": 0o644, "ca.key": 0o600, "node.pem": 0o644, "node.key": 0o600, "admin.pem": 0o644, "admin.key": 0o600, ".lock": 0o600,
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != len(want)-1 {
		t.Errorf("files: %v", entries)
	}
	from, _ := original()
	for name, mode := range want {
		info, err := os.Stat(filepath.Join(from, name))
		if err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v, want mode %04o", name, info, err, mode)
		}
	}
	if n := len(certificates(t, read(t, filepath.Join(dir, "ca.pem")))); n != 1 {
		t.Errorf("ca.pem holds %d certificates: hosts take one", n)
	}
}

// All that root makes in a directory of the daemon's user, down to the lock, belongs to that user.
func TestFilesBelongToTheDirectorysOwner(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away: run this test as root")
	}
	const uid = 61234
	theirs := t.TempDir()
	if err := os.Lchown(theirs, uid, uid); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(theirs, "pki")
	open(t, dir, options())
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) < 7 {
		t.Fatalf("%v, %v", entries, err)
	}
	paths := []string{dir}
	for _, e := range entries {
		paths = append(paths, filepath.Join(dir, e.Name()))
	}
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if st, ok := info.Sys().(*syscall.Stat_t); !ok || st.Uid != uid {
			t.Errorf("%s belongs to user %d", path, st.Uid)
		}
	}
}

func TestLaterStartsChangeNothing(t *testing.T) {
	t.Parallel()
	dir := copyDir(t)
	before := snapshot(t, dir)
	a := open(t, dir, options())
	if changed, err := a.Renew(); err != nil || len(changed) != 0 {
		t.Errorf("renewed %v, %v", changed, err)
	}
	if after := snapshot(t, dir); !equal(before, after) {
		t.Error("files changed")
	}
	if !bytes.Equal(a.CAPEM(), before["ca.pem"]) {
		t.Error("CAPEM is not ca.pem")
	}
	var names []string
	for _, e := range a.Expiries() {
		names = append(names, e.Name)
		if e.Subject == "" || e.NotAfter.Before(time.Now().Add(300*day)) {
			t.Errorf("%+v", e)
		}
	}
	if !slices.Equal(names, []string{"ca", "node", "admin"}) {
		t.Errorf("expiries of %v", names)
	}
}

// Whatever a power cut left of a first start, the next one completes it.
func TestInterruptedFirstStart(t *testing.T) {
	t.Parallel()
	order := []string{"ca.key", "ca.pem", "node.key", "node.pem", "admin.key", "admin.pem"}
	for n := 1; n < len(order); n++ {
		t.Run(order[n-1], func(t *testing.T) {
			t.Parallel()
			dir := copyDir(t)
			for _, missing := range order[n:] {
				if err := os.Remove(filepath.Join(dir, missing)); err != nil {
					t.Fatal(err)
				}
			}
			write(t, filepath.Join(dir, "."+order[n]+".123"), []byte("half"), 0o600)
			before := snapshot(t, dir)
			a := open(t, dir, options())
			for _, kept := range order[:n] {
				if !bytes.Equal(before[kept], read(t, filepath.Join(dir, kept))) {
					t.Errorf("%s was replaced", kept)
				}
			}
			if !a.CanIssue() || len(a.Expiries()) != 3 {
				t.Errorf("not complete: %v", a.Expiries())
			}
			open(t, dir, options())
		})
	}
}

func TestTwoFirstStartsAtOnce(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "deep", "pki")
	var wg sync.WaitGroup
	roots := make([]string, 3)
	for i := range roots {
		wg.Go(func() {
			a, err := pki.Open(dir, options())
			if err != nil {
				t.Error(err)
				return
			}
			roots[i] = string(a.CAPEM())
		})
	}
	wg.Wait()
	if roots[0] == "" || roots[0] != roots[1] || roots[1] != roots[2] {
		t.Error("they made different CAs")
	}
}

func TestEmptyDirectoryIsClosed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	open(t, dir, options())
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestRefusedDirectories(t *testing.T) {
	t.Parallel()
	other, err := another()
	if err != nil {
		t.Fatal(err)
	}
	from := func(name string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, name), read(t, filepath.Join(other.Dir(), name)), 0o600)
		}
	}
	remove := func(names ...string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			for _, name := range names {
				if err := os.Remove(filepath.Join(dir, name)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	put := func(name, text string) func(*testing.T, string) {
		return func(t *testing.T, dir string) { write(t, filepath.Join(dir, name), []byte(text), 0o600) }
	}
	chmod := func(name string, mode fs.FileMode) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			if err := os.Chmod(filepath.Join(dir, name), mode); err != nil {
				t.Fatal(err)
			}
		}
	}
	tests := []struct {
		name  string
		spoil func(*testing.T, string)
		file  string
		want  string
	}{
		{"CA key readable by others", chmod("ca.key", 0o640), "ca.key", "chmod 0600"},
		{"node key readable by others", chmod("node.key", 0o604), "node.key", "chmod 0600"},
		{"directory open", chmod(".", 0o755), "", "chmod 0700"},
		{"another CA's key", from("ca.key"), "ca.key", "is not the key of"},
		{"another node key", from("node.key"), "node.key", "is not the key of node.pem"},
		{"another CA's node", func(t *testing.T, dir string) { from("node.key")(t, dir); from("node.pem")(t, dir) }, "node.pem", "is not signed by ca.pem"},
		{"CA lost", remove("ca.pem"), "ca.pem", "is missing, but node.pem is there"},
		{"CA and its key lost", remove("ca.pem", "ca.key"), "ca.pem", "is missing, but node.pem is there"},
		{"node key lost", remove("node.key"), "node.key", "is missing, but node.pem is there"},
		{"no CA key and no node", remove("ca.key", "node.pem", "node.key"), "node.pem", "no ca.key"},
		{"garbage certificate", put("node.pem", "junk"), "node.pem", "holds no PEM certificate"},
		{"garbage in PEM", put("ca.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), "ca.pem", "x509"},
		{"empty certificate", put("ca.pem", ""), "ca.pem", "holds no PEM certificate"},
		{"key for a certificate", func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "ca.pem"), read(t, filepath.Join(dir, "ca.key")), 0o600)
		}, "ca.pem", `holds a PEM "PRIVATE KEY"`},
		{"encrypted key", put("ca.key", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"), "ca.key", "unencrypted"},
		{"no key", put("admin.key", "junk"), "admin.key", "holds no PEM key"},
		{"leaf for a CA", func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "ca.pem"), certPEM(certificates(t, read(t, filepath.Join(dir, "node.pem")))[0]), 0o644)
		}, "ca.pem", "is not a CA certificate"},
		{"two roots", func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "ca.pem"), append(read(t, filepath.Join(dir, "ca.pem")), other.CAPEM()...), 0o644)
		}, "ca.pem", "holds 2 chains"},
		{"client for a node", func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "node.pem"), read(t, filepath.Join(dir, "admin.pem")), 0o644)
			write(t, filepath.Join(dir, "node.key"), read(t, filepath.Join(dir, "admin.key")), 0o600)
		}, "node.pem", "names poolwire://client/admin"},
		{"host for a node", func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "node.pem"), host(t).CertPEM, 0o644)
			write(t, filepath.Join(dir, "node.key"), host(t).KeyPEM, 0o600)
		}, "node.pem", "names poolwire://host/"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := copyDir(t)
			tt.spoil(t, dir)
			before := snapshot(t, dir)
			_, err := pki.Open(dir, options())
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), filepath.Join(dir, tt.file)) {
				t.Errorf("got %v, want %q about %s", err, tt.want, tt.file)
			}
			var file *pki.FileError
			var permission *pki.PermissionError
			if !errors.As(err, &file) && !errors.As(err, &permission) {
				t.Errorf("error of type %T", err)
			}
			if !equal(before, snapshot(t, dir)) {
				t.Error("a refused directory was changed")
			}
		})
	}
}

func TestClockOutsideValidity(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		ahead time.Duration
		noKey bool
		file  string
		want  string
	}{
		{"clock far behind", -10 * day, false, "ca.pem", "check this machine's clock"},
		{"CA expired", 21 * 365 * day, false, "ca.pem", "expired"},
		{"node expired without CA key", 400 * day, true, "node.pem", "expired"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir, o, now := copyDir(t), options(), &clock{}
			if tt.noKey {
				if err := os.Remove(filepath.Join(dir, "ca.key")); err != nil {
					t.Fatal(err)
				}
			}
			now.Set(tt.ahead)
			o.Now = now.Now
			_, err := pki.Open(dir, o)
			var validity *pki.ValidityError
			if !errors.As(err, &validity) || filepath.Base(validity.Path) != tt.file || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestRenewalInTheLastThird(t *testing.T) {
	t.Parallel()
	dir, o, now := copyDir(t), options(), &clock{}
	o.Now = now.Now
	a := open(t, dir, o)
	key := read(t, filepath.Join(dir, "node.key"))
	first := nodeCertificate(t, a)
	// A year and the day it is back-dated: 366 days, of which 122 are the last third.
	for _, step := range []struct {
		ahead time.Duration
		want  []string
	}{
		{242 * day, nil}, {245 * day, []string{"node", "admin"}}, {246 * day, nil}, {700 * day, []string{"node", "admin"}},
	} {
		now.Set(step.ahead)
		changed, err := a.Renew()
		if err != nil || !slices.Equal(changed, step.want) {
			t.Errorf("after %v: renewed %v, %v, want %v", step.ahead, changed, err, step.want)
		}
	}
	second := nodeCertificate(t, a)
	if second.SerialNumber.Cmp(first.SerialNumber) == 0 || !second.NotAfter.After(first.NotAfter) {
		t.Error("the renewed certificate is not used in new connections")
	}
	if !bytes.Equal(key, read(t, filepath.Join(dir, "node.key"))) {
		t.Error("the key changed: a crash in between would leave a pair that does not fit")
	}
	if again := nodeCertificate(t, open(t, dir, o)); !again.Equal(second) {
		t.Error("the renewed certificate is not the stored one")
	}
}

// What was issued while the clock was ahead is not valid for anybody once it is put right: it is replaced then, by a running
// daemon and by one that starts.
func TestIssuedWhileTheClockWasAhead(t *testing.T) {
	t.Parallel()
	for name, again := range map[string]func(*testing.T, *pki.Authority, string, pki.Options) *pki.Authority{
		"running": func(t *testing.T, a *pki.Authority, _ string, _ pki.Options) *pki.Authority {
			changed, err := a.Renew()
			if err != nil || !slices.Equal(changed, []string{"node", "admin"}) {
				t.Errorf("renewed %v, %v", changed, err)
			}
			return a
		},
		"started": func(t *testing.T, _ *pki.Authority, dir string, o pki.Options) *pki.Authority { return open(t, dir, o) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, o, now := copyDir(t), options(), &clock{}
			o.Now = now.Now
			a := open(t, dir, o)
			now.Set(300 * day)
			if changed, err := a.Renew(); err != nil || len(changed) != 2 {
				t.Fatalf("renewed %v, %v", changed, err)
			}
			now.Set(0)
			a = again(t, a, dir, o)
			if cert := nodeCertificate(t, a); now.Now().Before(cert.NotBefore) {
				t.Errorf("it is valid from %v, and it is %v", cert.NotBefore, now.Now())
			}
			if changed, err := a.Renew(); err != nil || len(changed) != 0 {
				t.Errorf("and again: renewed %v, %v", changed, err)
			}
		})
	}
}

// Near the end of the CA a leaf ends with it and is not renewed again and again.
func TestRenewalNearTheEndOfTheCA(t *testing.T) {
	t.Parallel()
	dir, o, now := copyDir(t), options(), &clock{}
	now.Set((10*365 - 30) * day)
	o.Now = now.Now
	a := open(t, dir, o)
	ca, leaf := a.Expiries()[0], a.Expiries()[1]
	if !leaf.NotAfter.Equal(ca.NotAfter) {
		t.Errorf("leaf ends %v, CA %v", leaf.NotAfter, ca.NotAfter)
	}
	if changed, err := a.Renew(); err != nil || len(changed) != 0 {
		t.Errorf("renewed %v, %v", changed, err)
	}
}

func TestAddressesAndNameFollowTheOptions(t *testing.T) {
	t.Parallel()
	dir, o := copyDir(t), options()
	o.Addresses = append(o.Addresses, "2001:db8::7", "New.Example")
	cert := nodeCertificate(t, open(t, dir, o))
	for _, name := range []string{"127.0.0.1", "[::1]", "localhost", "192.0.2.10", "sdn.example", "[2001:db8::7]", "new.example"} {
		if err := cert.VerifyHostname(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	serial := cert.SerialNumber
	if again := nodeCertificate(t, open(t, dir, options())); again.SerialNumber.Cmp(serial) != 0 {
		t.Error("reissued although all names are there")
	}
	o.NodeID = "node-2"
	if id, err := pki.IdentityOf(nodeCertificate(t, open(t, dir, o))); err != nil || id.Name != "node-2" {
		t.Errorf("%v, %v", id, err)
	}
}

// A node that joins has a certificate made by another and no CA key.
func TestNodeWithoutCAKey(t *testing.T) {
	t.Parallel()
	first := open(t, copyDir(t), options())
	issued, err := first.IssueNode("node-2", []string{"192.0.2.20"})
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "pki")
	o := pki.Options{NodeID: "node-2", Addresses: []string{"192.0.2.20"}, NoCreate: true}
	if _, err := pki.Open(dir, o); !errors.Is(err, pki.ErrNotInitialised) {
		t.Errorf("nothing there: %v", err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Error("NoCreate made the directory")
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "node.pem"), issued.CertPEM, 0o644)
	write(t, filepath.Join(dir, "node.key"), issued.KeyPEM, 0o600)
	write(t, filepath.Join(dir, "ca.pem"), issued.CAPEM, 0o644)
	second := open(t, dir, o)
	if second.CanIssue() || len(second.Expiries()) != 2 {
		t.Errorf("CanIssue %v, %v", second.CanIssue(), second.Expiries())
	}
	if _, err := second.IssueHost(hostUUID, ""); !errors.Is(err, pki.ErrNoCAKey) {
		t.Errorf("issued: %v", err)
	}
	serverState, _, serverErr, clientErr := handshake(t, first.NodeTLS(), second.NodeTLS())
	if serverErr != nil || clientErr != nil {
		t.Fatalf("server %v, client %v", serverErr, clientErr)
	}
	if id, err := pki.IdentityOf(serverState.PeerCertificates[0]); err != nil || id.String() != "poolwire://node/node-2" {
		t.Errorf("%v, %v", id, err)
	}
	o.NodeID = "node-3"
	if _, err := pki.Open(dir, o); err == nil || !strings.Contains(err.Error(), "names poolwire://node/node-2, but this is poolwire://node/node-3") {
		t.Errorf("another node's certificate: %v", err)
	}
}

// A certificate that another node issued is taken into use without a restart.
func TestRenewTakesReplacedFiles(t *testing.T) {
	t.Parallel()
	first := open(t, copyDir(t), options())
	dir := copyDir(t)
	if err := os.Remove(filepath.Join(dir, "ca.key")); err != nil {
		t.Fatal(err)
	}
	second := open(t, dir, options())
	issued, err := first.IssueNode(nodeID, nil)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "node.key"), issued.KeyPEM, 0o600)
	if _, err := second.Renew(); err == nil {
		t.Error("half a pair was taken")
	}
	write(t, filepath.Join(dir, "node.pem"), issued.CertPEM, 0o644)
	if changed, err := second.Renew(); err != nil || !slices.Equal(changed, []string{"node"}) {
		t.Errorf("%v, %v", changed, err)
	}
	if want := certificates(t, issued.CertPEM)[0]; !nodeCertificate(t, second).Equal(want) {
		t.Error("not in use")
	}
}

func TestBadOptions(t *testing.T) {
	t.Parallel()
	for _, o := range []pki.Options{
		{}, {NodeID: "a b"}, {NodeID: "../x"}, {NodeID: "n", Addresses: []string{"192.0.2.1:6700"}},
		{NodeID: "n", Addresses: []string{"fe80::1%eth0"}}, {NodeID: "n", Addresses: []string{""}}, {NodeID: "n", Addresses: []string{"*.example"}},
	} {
		dir := filepath.Join(t.TempDir(), "pki")
		_, err := pki.Open(dir, o)
		var input *pki.InputError
		if !errors.As(err, &input) {
			t.Errorf("%+v: %v", o, err)
		}
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%+v: the directory was made", o)
		}
	}
}

func nodeCertificate(t *testing.T, a *pki.Authority) *x509.Certificate {
	t.Helper()
	pair, err := a.ServerTLS().GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	return pair.Leaf
}

// snapshot reads all files of a directory but the lock.
func snapshot(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]byte{}
	for _, e := range entries {
		if e.Name() != ".lock" {
			all[e.Name()] = read(t, filepath.Join(dir, e.Name()))
		}
	}
	return all
}

func equal(a, b map[string][]byte) bool {
	if len(a) != len(b) {
		return false
	}
	for name, data := range a {
		if !bytes.Equal(data, b[name]) {
			return false
		}
	}
	return true
}
