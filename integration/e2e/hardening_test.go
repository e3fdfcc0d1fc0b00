package e2e

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"poolwire/integration/lab"
	"poolwire/integration/scenario"
	"poolwire/pki"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// nobody is a user that owns nothing.
const nobody = 65534

// The daemon works as a user of its own, without a capability and with no way to get one: it discovers a real
// host, changes it, goes on after a restart; and root reaches its socket.
func TestUnprivileged(t *testing.T) {
	t.Parallel()
	p := &pair{World: newWorldOf(t, scenario.Options{Name: "nobody", Bin: binaries, User: nobody, Env: []string{"CREDENTIALS_DIRECTORY=" + systemdCredentials(t)}})}
	p.do(t, "pool", "create", "paris")
	p.h1 = p.join(t, "paris1")
	h2, err := p.Join(within(t, time.Minute), "paris", true, lab.HostOptions{Name: "paris2"})
	if err != nil {
		t.Fatal(err)
	}
	p.a, p.b = p.vm(t, p.h1, "a", 1), p.vm(t, h2, "b", 2)
	passes(t, p.a, p.b.IPv4())
	p.do(t, "add-rule", "bridge=xenbr0", "direction=to", "protocol=icmp", "ipRange=10.66.0.2/32", "allow=false")
	p.settled(t)
	blocked(t, p.a, p.b.IPv4())
	p.isConfined(t, nobody)
	if err := p.StopDaemon(within(t, 30*time.Second)); err != nil {
		t.Fatal(err)
	}
	if err := p.StartDaemon(within(t, 30*time.Second)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"paris1", "paris2"} { // they are away at first
		if err := p.AwaitHost(within(t, time.Minute), name); err != nil {
			t.Fatal(err)
		}
	}
	p.settled(t)
	p.do(t, "backup", "save", filepath.Join(t.TempDir(), "b"))
	if _, err := os.Stat(p.secretsFile("n1")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a key file was made beside the credential: %v", err)
	}
}

// What root's commands write for a daemon with a user of its own, that daemon can read: while it runs, and after a restart.
func TestCommandsOfRootServeTheDaemon(t *testing.T) {
	t.Parallel()
	p := &pair{World: newWorldOf(t, scenario.Options{Name: "root", Bin: binaries, User: nobody})}
	data, certificates := filepath.Join(p.Dir, "data"), filepath.Join(p.Dir, "pki")
	root := func(args ...string) {
		t.Helper()
		args = append(append([]string{filepath.Join(binaries, "poolwired")}, args...), "--data-dir", data, "--pki-dir", certificates)
		if _, err := p.Lab.Machine().Run(within(t, time.Minute), args...); err != nil {
			t.Fatal(err)
		}
	}
	fresh := p.rotateOnFirst(t)
	p.keys(t, has(fresh, func(k *poolwirev1.SecretKey) bool { return len(k.GetMissingOn()) == 0 }))
	p.do(t, "pki", "issue", "node", "n1", "--address", "127.0.0.1", "--dir", certificates, "--replace")
	p.presents(t, filepath.Join(certificates, "node.pem"))
	root("certificate", "node", "n1", "--address", "127.0.0.1", "--dir", certificates, "--replace")
	p.presents(t, filepath.Join(certificates, "node.pem"))
	if err := p.StopDaemon(within(t, 30*time.Second)); err != nil {
		t.Fatal(err)
	}
	root("recover", "--others-are-lost")
	if err := p.StartDaemon(within(t, 30*time.Second)); err != nil {
		t.Fatal(err)
	}
	p.do(t, "pool", "create", "paris")
	err := filepath.WalkDir(p.Dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		if st, ok := info.Sys().(*syscall.Stat_t); !ok || st.Uid != nobody || st.Gid != nobody {
			t.Errorf("%s belongs to %d:%d", path, st.Uid, st.Gid)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// presents tells the daemon to read its certificates again, and waits until it presents that of a file.
func (p *pair) presents(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(p.DaemonPID(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	api, err := p.API()
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, func(ctx context.Context) error {
		r, err := api.GetNodeStatus(ctx, &poolwirev1.GetNodeStatusRequest{})
		if err == nil && r.GetStatus().GetCertificateSerial() != pki.Serial(cert) {
			err = fmt.Errorf("the daemon presents %s, not %s", r.GetStatus().GetCertificateSerial(), pki.Serial(cert))
		}
		return err
	})
}

// systemdCredentials is a directory as systemd makes it for a service, with keys that seal secrets.
func systemdCredentials(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "poolwire-credentials-") // t.TempDir's parents are root's alone
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "poolwire-secrets-key")
	if err := errors.Join(os.WriteFile(path, []byte(strings.Repeat("B", 43)+"=\n"), 0o400), os.Chown(path, nobody, nobody), os.Chmod(dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// isConfined checks what the kernel says that the daemon may do.
func (p *pair) isConfined(t *testing.T, uid int) {
	t.Helper()
	proc := fmt.Sprintf("/proc/%d/", p.DaemonPID())
	status, err := os.ReadFile(proc + "status")
	if err != nil {
		t.Fatal(err)
	}
	for field, want := range map[string]string{
		"Uid:": fmt.Sprintf("%d\t%d\t%d\t%d", uid, uid, uid, uid), "CapEff:": "0000000000000000", "CapPrm:": "0000000000000000", "CapBnd:": "0000000000000000",
		"NoNewPrivs:": "1", "Umask:": "0077",
	} {
		if !strings.Contains(string(status), "\n"+field+"\t"+want+"\n") {
			t.Errorf("not %s %s:\n%s", field, want, status)
		}
	}
	limits, err := os.ReadFile(proc + "limits")
	if err != nil {
		t.Fatal(err)
	}
	if core := strings.Fields(line(string(limits), "Max core file size")); len(core) < 6 || core[4] != "0" || core[5] != "0" {
		t.Errorf("core dumps: %v", core)
	}
	// What belongs to root in /proc of another user's process cannot be dumped (proc(5), PR_SET_DUMPABLE).
	info, err := os.Stat(proc + "environ")
	if err != nil {
		t.Fatal(err)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); !ok || st.Uid != 0 {
		t.Errorf("the daemon's memory can be read by its user: %v", info)
	}
}

// line is the line of a text that begins with a word.
func line(text, word string) string {
	for l := range strings.Lines(text) {
		if strings.HasPrefix(l, word) {
			return l
		}
	}
	return ""
}

// Nothing that the daemon and the client write can be read by others, although both were started with
// umask 0: only certificates, which are public, may be.
func TestFilesArePrivate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	copies := filepath.Join(dir, "copies")
	p := &pair{World: newWorldOf(t, scenario.Options{Name: "files", Bin: binaries, Umask: "0", Flags: []string{"--backup-dir", copies}})}
	p.do(t, "pool", "create", "paris")
	p.join(t, "paris1")
	machine := p.Lab.Machine()
	umask0 := func(args ...string) {
		t.Helper()
		if _, err := machine.Run(within(t, time.Minute), append([]string{"sh", "-c", `umask 0; exec "$@"`, "sh"}, args...)...); err != nil {
			t.Fatal(err)
		}
	}
	made := filepath.Join(dir, "made")
	if err := os.Mkdir(made, 0o700); err != nil {
		t.Fatal(err)
	}
	client := []string{filepath.Join(binaries, "poolwire"), "--socket", p.Socket}
	umask0(append(client, "backup", "save", filepath.Join(made, "now.backup"))...)
	umask0(append(client, "host", "certificate", "paris1", "--dir", filepath.Join(made, "host"))...)
	flags := []string{"--data-dir", filepath.Join(p.Dir, "data"), "--pki-dir", filepath.Join(p.Dir, "pki")}
	daemon := filepath.Join(binaries, "poolwired")
	umask0(append([]string{daemon, "certificate", "node", "n2", "--address", "192.0.2.2", "--dir", filepath.Join(made, "node")}, flags...)...)
	umask0(append([]string{daemon, "certificate", "client", "alice", "--role", "read-only", "--dir", filepath.Join(made, "client")}, flags...)...)
	eventually(t, func(context.Context) error {
		if found, _ := filepath.Glob(filepath.Join(copies, "*.backup")); len(found) == 0 {
			return fmt.Errorf("no copy in %s", copies)
		}
		return nil
	})
	if err := p.StopDaemon(within(t, 30*time.Second)); err != nil {
		t.Fatal(err)
	}
	if err := p.StartDaemon(within(t, 30*time.Second)); err != nil {
		t.Fatal(err)
	}
	files := 0
	for _, root := range []string{p.Dir, copies, made} {
		files += arePrivate(t, root)
	}
	t.Logf("%d files and directories", files)
}

// arePrivate checks everything below a directory, and says how much that was.
func arePrivate(t *testing.T, root string) (looked int) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		looked++
		mode := info.Mode()
		switch public := strings.HasSuffix(path, ".pem") && filepath.Base(path) != "key.pem"; {
		case mode.IsDir() && mode.Perm() != 0o700, !mode.IsDir() && !public && mode.Perm() != 0o600, public && mode.Perm()&^0o644 != 0:
			t.Errorf("%s: %v", path, mode)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return looked
}
