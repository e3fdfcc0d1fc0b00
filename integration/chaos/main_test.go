package chaos

import (
	"fmt"
	"os"
	"os/exec"
	"testing"

	"poolwire/integration/lab"
)

// binVariable carries where TestMain has built poolwired.
const binVariable = "POOLWIRE_CHAOS_BIN"

func TestMain(m *testing.M) { os.Exit(run(m)) }

// run builds poolwired from the tree under test and runs the tests.
func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "poolwire-chaos-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	build := exec.Command("go", "build", "-o", dir+"/", "./cmd/poolwired")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building: %v\n%s", err, out)
		return 1
	}
	if err := os.Setenv(binVariable, dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return lab.Main(m)
}
