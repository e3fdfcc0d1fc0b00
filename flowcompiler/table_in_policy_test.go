package flowcompiler

import "testing"

func TestGoldenInPolicy(t *testing.T) {
	t.Parallel()
	golden(t, TableInPolicy, "base", Input{})
}
