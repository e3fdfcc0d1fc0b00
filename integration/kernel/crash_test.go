package kernel_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"poolwire/integration/lab"
	"poolwire/integration/lab/kernel"
	"poolwire/integration/lab/labtest"
)

// ownerVariable makes this test binary build a lab with a kernel host, say its id,
// and wait to be killed.
const ownerVariable = "PWLAB_KERNEL_TEST_OWNER"

func ownLab() int {
	ctx := context.Background()
	l, err := lab.New(ctx, lab.Options{Name: "kcrash"})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	if _, err := kernel.AddHost(ctx, l, kernel.HostOptions{Name: "kern1", IPsecOff: true}); err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("lab", l.ID())
	select {}
}

// ofLab lists the living processes that carry a lab's mark.
func ofLab(t *testing.T, id string) []string {
	t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, dir := range dirs {
		environ, err := os.ReadFile(filepath.Join(dir, "environ"))
		if err == nil && bytes.Contains(append([]byte{0}, environ...), []byte("\x00PWLAB_ID="+id+"\x00")) {
			found = append(found, filepath.Base(dir))
		}
	}
	return found
}

// left is what there is of a lab: processes, namespaces, its directory.
func left(t *testing.T, id string) []string {
	t.Helper()
	found := ofLab(t, id)
	for _, pattern := range []string{"/run/netns/" + id + "-*", "/run/poolwire-lab/" + id} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, paths...)
	}
	return found
}

// TestSweepAfterCrash kills the owner of a lab: the next sweep ends its guests,
// every process of them.
func TestSweepAfterCrash(t *testing.T) {
	ctx := labtest.Context(t)
	owner := exec.CommandContext(ctx, os.Args[0])
	owner.Env = append(os.Environ(), ownerVariable+"=1")
	stdout, err := owner.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	id, ok := strings.CutPrefix(strings.TrimSpace(line), "lab ")
	if err != nil || !ok {
		t.Fatalf("the owner said %q, %v", line, err)
	}
	if err := owner.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = owner.Wait()
	if up := ofLab(t, id); len(up) < 3 {
		t.Errorf("after the owner was killed: %v", up)
	}
	swept, err := lab.Sweep(ctx)
	if err != nil || !slices.Contains(swept, id) {
		t.Errorf("swept %v, %v", swept, err)
	}
	if still := left(t, id); len(still) != 0 {
		t.Errorf("after the sweep: %v", still)
	}
}

// TestPowerCut kills a guest: none of its processes goes on, and it boots again
// with its database.
func TestPowerCut(t *testing.T) {
	l := labtest.New(t, lab.Options{Name: "kpower"})
	two := hosts(t, l, kernel.HostOptions{Name: "kern1", IPsecOff: true}, kernel.HostOptions{Name: "kern2", IPsecOff: true, Volatile: true})
	ctx := labtest.Context(t)
	for _, h := range two {
		if _, err := h.Vsctl(ctx, "add-br", "kept0"); err != nil {
			t.Fatal(err)
		}
	}
	before := len(ofLab(t, l.ID()))
	for _, h := range two {
		h.Kill()
	}
	// Zombies have no environment; what has one is alive.
	deadline := within(t, 5*time.Second)
	for len(ofLab(t, l.ID())) > 0 {
		select {
		case <-deadline.Done():
			t.Fatalf("of %d processes these are left: %v", before, ofLab(t, l.ID()))
		case <-time.After(10 * time.Millisecond):
		}
	}
	for i, h := range two {
		if h.Up() {
			t.Error("up after a power cut")
		}
		if err := h.Boot(ctx); err != nil {
			t.Fatal(err)
		}
		_, err := h.Vsctl(ctx, "br-exists", "kept0")
		if volatile := i == 1; (err == nil) == volatile {
			t.Errorf("%s: the bridge after the boot: %v", h.ShortName, err)
		}
	}
	if err := two[0].Ping(within(t, 10*time.Second), two[1].Addr); err != nil {
		t.Error(err)
	}
	if err := two[0].Reboot(ctx); err != nil {
		t.Fatal(err)
	}
	if err := two[0].Ping(within(t, 10*time.Second), two[1].Addr); err != nil {
		t.Error(err)
	}
}
