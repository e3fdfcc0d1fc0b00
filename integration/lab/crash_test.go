package lab_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"poolwire/integration/lab"
	"poolwire/integration/lab/labtest"
)

// ownerVariable makes this test binary build a lab, say its id, and wait to be
// killed. Its value is "keep" to keep the lab before that.
const ownerVariable = "PWLAB_TEST_OWNER"

func ownLab() int {
	ctx := context.Background()
	l, err := lab.New(ctx, lab.Options{Name: "crash"})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	h, err := l.AddHost(ctx, lab.HostOptions{Name: "xen1"})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	vm, err := h.AddVM(ctx, lab.VMOptions{Name: "vm1", IPv4: addr4(1)})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	if _, err := vm.Capture(ctx, ""); err != nil {
		fmt.Println(err)
		return 1
	}
	if os.Getenv(ownerVariable) == "keep" {
		if err := errors.Join(l.Keep(), l.Close()); err != nil {
			fmt.Println(err)
			return 1
		}
	}
	fmt.Println("lab", l.ID())
	select {}
}

// killedOwner runs ownLab in a process of its own until the lab is up, then kills
// it with SIGKILL, and returns the lab's id.
func killedOwner(ctx context.Context, t *testing.T, how string) string {
	t.Helper()
	owner := exec.CommandContext(ctx, os.Args[0])
	owner.Env = append(os.Environ(), ownerVariable+"="+how)
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
	if how != "keep" {
		if err := lab.Clean(ctx, id); !errors.Is(err, lab.ErrInUse) {
			t.Errorf("cleaning a lab in use: %v", err)
		}
		if _, err := lab.Sweep(ctx); err != nil {
			t.Error(err)
		}
		if len(look(t, id).processes) == 0 {
			t.Error("a lab in use was swept")
		}
	}
	if err := owner.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = owner.Wait()
	if up := look(t, id); len(up.processes) < 3 || len(up.namespaces) != 4 {
		t.Errorf("after the owner was killed: %v", up)
	}
	return id
}

func TestSweepAfterOwnerWasKilled(t *testing.T) {
	ctx := labtest.Context(t)
	before := look(t, "no-such-lab")
	id := killedOwner(ctx, t, "crash")
	removed, err := lab.Sweep(ctx)
	if err != nil || !slices.Contains(removed, id) {
		t.Errorf("Sweep: %v, %v", removed, err)
	}
	gone(t, before, id)
}

func TestKeptLabStaysUntilCleaned(t *testing.T) {
	ctx := labtest.Context(t)
	before := look(t, "no-such-lab")
	id := killedOwner(ctx, t, "keep")
	if _, err := lab.Sweep(ctx); err != nil {
		t.Error(err)
	}
	if len(look(t, id).processes) == 0 {
		t.Error("a kept lab was swept")
	}
	entries, err := lab.List()
	if err != nil || !slices.Contains(entries, lab.Entry{ID: id, Kept: true}) {
		t.Errorf("List: %v, %v", entries, err)
	}
	if err := lab.Clean(ctx, "/run/poolwire-lab/"+id); err != nil {
		t.Error(err)
	}
	gone(t, before, id)
	if err := lab.Clean(ctx, id); err != nil {
		t.Error("cleaning twice:", err)
	}
}

func TestCleanRefusesOtherNames(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"", ".", "..", "/etc", "../etc-abcd", ".slots", "a/b-abcd"} {
		if err := lab.Clean(t.Context(), id); err == nil {
			t.Errorf("Clean(%q) did not refuse", id)
		}
	}
}

// A process id in a journal may mean another process by the time it is read.
func TestSweepSparesReusedProcessIDs(t *testing.T) {
	ctx := labtest.Context(t)
	bystander := exec.Command("sleep", "600")
	if err := bystander.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- bystander.Wait() }()
	dir := "/run/poolwire-lab/reuse-abcd"
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	journal := fmt.Sprintf(`{"kind":"own-dir"}
{"kind":"process","name":"old","pid":%d,"start":1}
{"kind":"process","name":"torn","pi`, bystander.Process.Pid)
	if err := os.WriteFile(dir+"/journal", []byte(journal), 0o600); err != nil {
		t.Fatal(err)
	}
	removed, err := lab.Sweep(ctx)
	if err != nil || !slices.Contains(removed, "reuse-abcd") {
		t.Errorf("Sweep: %v, %v", removed, err)
	}
	select {
	case err := <-ended:
		t.Error("the bystander was ended:", err)
	default:
	}
	_ = bystander.Process.Kill()
}
