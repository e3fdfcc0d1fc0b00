package scale

import (
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"testing"

	"poolwire/integration/lab"
	"poolwire/integration/lab/simhost"
)

// binVariable carries where TestMain has built poolwired.
const binVariable = "POOLWIRE_SCALE_BIN"

func TestMain(m *testing.M) {
	if simhost.Isolated() {
		// The simulated hosts' server has a line for every update that it owes to somebody
		// who has hung up.
		log.SetOutput(io.Discard)
		os.Exit(m.Run())
	}
	os.Exit(isolate())
}

// isolate builds poolwired from the tree under test and runs the tests in a network namespace.
func isolate() int {
	dir, err := os.MkdirTemp("", "poolwire-scale-")
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
	return lab.Main(isolated{})
}

// isolated are the tests in a network namespace of their own.
type isolated struct{}

func (isolated) Run() int {
	status, err := simhost.Isolate()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return status
}
