package chaos

import (
	"fmt"
	"os"
	"testing"

	"poolwire/integration/lab"
	"poolwire/integration/lab/skew"
)

// binVariable carries where TestMain has built poolwired.
const binVariable = "POOLWIRE_CHAOS_BIN"

func TestMain(m *testing.M) { os.Exit(run(m)) }

// run builds poolwired from the tree under test, with a clock that can be set, and runs the tests.
func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "poolwire-chaos-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := skew.Build(dir, "poolwire/cmd/poolwired"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := os.Setenv(binVariable, dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return lab.Main(m)
}
